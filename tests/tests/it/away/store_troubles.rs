// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stores that answer with errors, slowly, or not at all.

use super::stored::Store;
use super::{Away, fact, is_what_qemu_sees, nothing_is_complete};
use crate::contains::contains;
use anyhow::{Result, ensure};
use linpmem_testkit::stores::S3_KEYS;
use linpmem_testkit::troubled_line::{Trouble, TroubledLine, every_kind};
use linpmem_testkit::vm::from_guest;
use serde_json::json;

#[test]
fn troubles_pass_and_an_end_is_told() -> Result<()> {
    let away = Away::with_module()?;
    let troubles = every_kind();
    is_what_qemu_sees("troubled", |name| {
        let kept = away.folder(&format!("{name}-kept"))?;
        let store = Store::s3(&away.folder(name)?)?;
        let line = TroubledLine::new(store.server().address(), &troubles)?;
        let place = from_guest(line.address);
        let sender = store.sender(&away, &place, "x.core", &["--format", "elf"]);
        let acquired = away.acquire(name, sender, || store.fetch("x.core", &kept))?;
        ensure!(line.connections() > troubles.len());
        Ok(acquired)
    })?;
    a_store_that_fails_for_good_is_given_up(&away)?;
    an_expired_signature_is_told(&away)?;
    away.target.end()
}

/// It has taken some parts by then.
fn a_store_that_fails_for_good_is_given_up(away: &Away) -> Result<()> {
    let before = away.files()?;
    let folder = away.folder("failing")?;
    let store = Store::s3(&folder)?;
    // Enough connections for what begins an upload, and a part or two.
    let good = [Trouble::None; 8];
    let troubles = [&good[..], &[Trouble::Answer(500); 500]].concat();
    let line = TroubledLine::new(store.server().address(), &troubles)?;
    let place = from_guest(line.address);
    let words = ["--format", "elf", "--give-up", "5"];
    let run = store
        .sender(away, &place, "x.core", &words)
        .run()?
        .exited(1)?;
    contains(&run.text(), &["500"])?;
    ensure!(line.connections() > good.len());
    assert_eq!(fact(&run, "/store/complete")?, json!(false));
    ensure!(!run.text().contains(S3_KEYS[1]));
    nothing_is_complete(&folder.join("bucket"))?;
    ensure!(away.files()? == before, "the target's files have changed");
    Ok(())
}

fn an_expired_signature_is_told(away: &Away) -> Result<()> {
    let store = Store::azure(&away.folder("expired")?, "2020-01-01T00:00:00Z")?;
    let place = from_guest(store.server().address());
    let run = store.sender(away, &place, "x.core", &[]).run()?.exited(1)?;
    contains(&run.text(), &["403"])?;
    ensure!(!run.text().contains("sig="), "{}", run.text());
    Ok(())
}
