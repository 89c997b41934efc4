// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines that break, receivers that end, and disks that are full: nothing is lost, and nothing is
//! called whole that is not.

use super::{Away, LISTEN, fact, is_what_qemu_sees, nothing_is_complete, receiving};
use crate::contains::contains;
use crate::wait;
use anyhow::{Result, ensure};
use linpmem_testkit::artifacts;
use linpmem_testkit::receiver::Receiver;
use linpmem_testkit::troubled_line::{Trouble, TroubledLine};
use serde_json::json;
use std::cell::Cell;

/// Where a connection is cut: while it begins, in its first frames, and in the image. Those
/// after it are cut there as well.
const MOMENTS: [usize; 10] = [
    0,
    1,
    100,
    1000,
    5000,
    70_000,
    1_000_000,
    8_000_000,
    50_000_000,
    100_000_000,
];

/// How much of everything has passed when a connection is cut, in percent.
const SHARES: [usize; 3] = [50, 90, 98];

#[test]
fn a_line_that_is_cut_again_and_again_loses_nothing() -> Result<()> {
    let away = Away::with_module()?;
    let all = over_a_line_cut_at(&away, "whole", &[])?;
    over_a_line_cut_at(&away, "cut", &MOMENTS)?;
    for share in SHARES {
        let name = format!("cut-at-{share}");
        over_a_line_cut_at(&away, &name, &[all / 100 * share, 0, 100, 2000])?;
    }
    away.target.end()
}

/// Acquires over a line whose connections are cut after so many bytes each. Returns how many
/// passed.
fn over_a_line_cut_at(away: &Away, name: &str, moments: &[usize]) -> Result<usize> {
    let troubles: Vec<Trouble> = moments.iter().copied().map(Trouble::CutAfter).collect();
    let passed = Cell::new(0);
    is_what_qemu_sees(name, |name| {
        let receiver = receiving(&away.folder(name)?)?;
        let line = TroubledLine::new(receiver.address, &troubles)?;
        let sender = away.sender(&receiver.to_by(line.address), &[]);
        let acquired = away.acquire(name, sender, || receiver.image())?;
        println!("{name}: {} connections", line.connections());
        ensure!(line.connections() > troubles.len());
        let image = fact(&acquired.output, "/image_bytes")?;
        ensure!(image.as_u64().is_some_and(|bytes| bytes > 250 << 20));
        passed.set(line.bytes());
        Ok(acquired)
    })?;
    Ok(passed.get())
}

#[test]
fn a_receiver_that_is_killed_and_started_again_goes_on() -> Result<()> {
    let away = Away::without_module()?;
    is_what_qemu_sees("killed", |name| {
        let folder = away.folder(name)?;
        let kept = ["--key", "key", "--token-file", "token"];
        let dumper = artifacts::dumper()?;
        let mut receiver = Receiver::start(&dumper, &folder, LISTEN, &kept)?;
        let address = receiver.address;
        let sender = away.sender(&receiver.to(), &["--rate", "20"]);
        std::thread::scope(|scope| {
            let kills = scope.spawn(move || -> Result<Receiver> {
                for _ in 0..3 {
                    let before = receiver.arrived()?;
                    wait::until("more of the image arrives", || {
                        Ok((receiver.arrived()? > before).then_some(()))
                    })?;
                    drop(receiver);
                    receiver = Receiver::start(&dumper, &folder, &address.to_string(), &kept)?;
                }
                Ok(receiver)
            });
            let joined = || kills.join().unwrap_or_else(|_| anyhow::bail!("panicked"));
            away.acquire(name, sender, || joined()?.image())
        })
    })?;
    away.target.end()
}

#[test]
fn a_full_disk_and_a_wrong_secret_are_told_at_once() -> Result<()> {
    let away = Away::with_module()?;
    let before = away.files()?;

    let folder = away.folder("full")?;
    let receiver = Receiver::on_a_small_disk(&artifacts::dumper()?, &folder, 40)?;
    let run = away
        .sender(&receiver.to(), &["--compress", "lz4"])
        .run()?
        .exited(1)?;
    contains(&run.text(), &["No space left on device"])?;
    assert_eq!(fact(&run, "/receiver/verified")?, json!(false));
    contains(&receiver.log()?, &["No space left on device"])?;
    nothing_is_complete(receiver.folder())?;

    let folder = away.folder("wrong")?;
    let receiver = receiving(&folder)?;
    let to = receiver.to();
    let another = if to.ends_with('A') { "Q" } else { "A" };
    let wrong = format!("{}{another}", to.get(..to.len() - 1).unwrap_or_default());
    let run = away.sender(&wrong, &[]).run()?.exited(1)?;
    println!("{}", run.text());
    nothing_is_complete(receiver.folder())?;
    ensure!(away.files()? == before, "the target's files have changed");
    away.target.end()
}
