// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs as root inside a test machine and exercises the module as only a program there
//! can. Every command ends with one line that says what was checked, or with an error
//! and exit code 1.

mod bench;
mod deaf_fuse;
mod exact;
mod group;
mod hotplug;
mod kexec;
mod library;
mod lifetime;
mod original;
mod pages;
mod storm;
mod sys;
mod translation;
#[cfg(target_arch = "x86_64")]
mod vectors;

use anyhow::{Context, Result, bail};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("probe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<String> {
    let (command, rest) = args.split_first().context("no command")?;
    let number = |index: usize| -> Result<u64> {
        let text = rest
            .get(index)
            .with_context(|| format!("{command} takes {} numbers", index + 1))?;
        let parsed = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        parsed.with_context(|| format!("{text} is not a number"))
    };
    match command.as_str() {
        "reload" => lifetime::reload(rest, number(1)?),
        "unload" => lifetime::unload(number(0)?),
        "exact" => exact::modes(number(0)?, number(1)?),
        "device" => exact::device(number(0)?, number(1)?),
        "load" => exact::load(number(0)?, number(1)?),
        "steady" => exact::steady(number(0)?, number(1)?, number(2)?),
        "original" => original::run(number(0)?),
        "original-translations" => original::translates(),
        "user-pages" => translation::user_pages(number(0)? != 0),
        "kernel-pages" => translation::kernel_pages(),
        "kernel-addresses" => translation::kernel_addresses(),
        "processes" => translation::processes(),
        "garbage" => translation::garbage(number(0)?),
        "sweep" => {
            let ranges = (1..rest.len()).step_by(2);
            let ranges = ranges.map(|index| Ok((number(index)?, number(index + 1)?)));
            storm::sweep(number(0)?, &ranges.collect::<Result<Vec<_>>>()?)
        }
        "ioctls" => storm::ioctls(number(0)?),
        "poison" => pages::poison(),
        "secret" => pages::secret(),
        "straddle" => pages::straddle(),
        "registers" => pages::registers(number(0)?),
        "uncached" => pages::uncached(number(0)?, number(1)?),
        "zeros" => pages::zeros(number(0)?, number(1)?),
        "errno" => pages::errno(number(0)?, number(1)?),
        "offline" => pages::offline(),
        "remove" => pages::remove(rest),
        "library" => library::run(number(0)?, number(1)?),
        "node" => pages::node(number(0)?),
        "absent" => hotplug::absent(number(0)?, rest),
        "readers" => hotplug::readers(number(0)?, number(1)?, number(2)?, rest),
        "held" => pages::held(),
        #[cfg(target_arch = "x86_64")]
        "vectors" => vectors::hold_during_reads(number(0)?, number(1)?),
        "crash-kernel" => kexec::load_crash_kernel(rest),
        "deaf-fuse" => deaf_fuse::serve(rest),
        "in-group" => group::run_in(rest),
        "bench" => bench::run(),
        _ => bail!("no such command: {command}"),
    }
}
