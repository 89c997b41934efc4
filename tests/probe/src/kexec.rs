// SPDX-License-Identifier: MIT OR Apache-2.0
//! A crash kernel: loaded into the memory that `crashkernel=` has reserved, where the
//! running kernel jumps to when it panics.

use crate::sys;
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};

/// Loads the kernel `rest[0]` with the initramfs `rest[1]` as the crash kernel; the other
/// words are its command line.
pub fn load_crash_kernel(rest: &[String]) -> Result<String> {
    let [kernel, initramfs, words @ ..] = rest else {
        anyhow::bail!("usage: crash-kernel KERNEL INITRAMFS [WORD]…");
    };
    let open = |path: &String| File::open(path).with_context(|| format!("opening {path}"));
    let command_line = words.join(" ");
    sys::kexec_file_load(&open(kernel)?, &open(initramfs)?, &command_line)
        .context("kexec_file_load")?;
    let loaded = fs::read_to_string("/sys/kernel/kexec_crash_loaded")?;
    ensure!(loaded.trim() == "1", "kexec_crash_loaded is {loaded}");
    Ok(format!("crash-kernel: {kernel} is loaded"))
}
