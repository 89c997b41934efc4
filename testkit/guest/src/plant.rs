// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tool `plant`: a process for an examiner to find.

use anyhow::{Context, Result};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl;
use std::io::Write;
use std::thread;

/// `plant NAME TOKEN [ARGUMENT]…`: renames itself to NAME, fills 1 MiB of its memory with
/// lines that contain TOKEN, and keeps running. Further arguments are ignored.
pub fn run(args: &[String]) -> Result<()> {
    let [name, token, ..] = args else {
        anyhow::bail!("usage: plant NAME TOKEN [ARGUMENT]…");
    };
    let name = std::ffi::CString::new(name.as_str()).context("NAME")?;
    prctl::set_name(&name).context("setting the name")?;
    let mut memory = String::with_capacity(1 << 20);
    let mut number = 0_u32;
    while memory.len() + token.len() + 12 < memory.capacity() {
        memory.push_str(&format!("{token} {number:08}\n"));
        number += 1;
    }
    mlockall(MlockAllFlags::MCL_CURRENT).context("locking memory")?;
    println!(
        "planted process {} with {number} lines of {token} at {:p}",
        std::process::id(),
        memory.as_ptr()
    );
    std::io::stdout().flush()?;
    loop {
        thread::park();
        std::hint::black_box(&memory);
    }
}
