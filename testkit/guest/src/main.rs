// SPDX-License-Identifier: MIT OR Apache-2.0
//! The init of the test machines and its small tools, in one static binary: the name
//! it is called by, or its first argument, selects one.

mod agent;
mod children;
mod crowd;
mod files;
mod fill;
mod hold;
mod host;
mod init;
mod kernel_modules;
mod kmsg;
mod mask;
mod open;
mod plant;
mod ps;
mod swapped;
mod tick;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().collect();
    let called = args.first().map(Path::new).and_then(Path::file_stem);
    let mut tool = called.unwrap_or_default().to_string_lossy().into_owned();
    if tool == "linpmem-guest" && args.len() > 1 {
        args.remove(0);
        tool = args.first().cloned().unwrap_or_default();
    }
    let rest = args.get(1..).unwrap_or_default();
    let outcome = match tool.as_str() {
        "init" => init::run(),
        "fill" => fill::run(rest),
        "mark" => fill::mark_free_pages(),
        "hold" => hold::run(rest),
        "plant" => plant::run(rest),
        "crowd" => crowd::run(rest),
        "tasks" => crowd::tasks(),
        "open" => open::run(),
        "fds" => open::fds(),
        "tick" => tick::run(rest),
        "rest" => tick::rest(rest),
        "kmsg" => kmsg::run(),
        "ps" => ps::run(),
        "swapon" => swapped::swapon(rest),
        "swapped" => swapped::run(rest),
        "cat" => files::cat(rest),
        "ls" => files::ls(rest),
        "write" => files::write(rest),
        "clear" => files::clear(rest),
        "mask" => mask::mask(rest),
        "unmask" => mask::unmask(rest),
        "insmod" => kernel_modules::insmod(rest),
        "rmmod" => kernel_modules::rmmod(rest),
        _ => Err(anyhow::anyhow!(
            "no such tool; the tools are init, fill, mark, hold, plant, crowd, tasks, open, fds, tick, rest, ps, swapon, swapped, kmsg, cat, ls, \
             write, clear, mask, unmask, insmod and rmmod"
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{tool}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
