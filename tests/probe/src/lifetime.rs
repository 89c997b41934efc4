// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading and unloading the module.

use crate::sys::{self, RAM};
use anyhow::{Context, Result, ensure};
use linpmem::Device;
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};
use std::fs::File;
use std::path::Path;

/// Unloads the module and loads it from the file `rest[0]` again, `rounds` times,
/// with a read in between.
pub fn reload(rest: &[String], rounds: u64) -> Result<String> {
    let path = rest.first().context("no module given")?;
    for round in 0..rounds {
        sys::unload("linpmem").with_context(|| format!("unloading in round {round}"))?;
        ensure!(
            !Path::new(linpmem::DEFAULT_PATH).exists(),
            "the node outlives the module"
        );
        let file = File::open(path)?;
        sys::load(&file, "").with_context(|| format!("loading in round {round}"))?;
        let device = Device::open()?;
        let mut page = [0; 4096];
        let mut unreadable = Unreadables::new();
        device.read_phys(PhysAddr::new(RAM), &mut page, &mut unreadable)?;
        ensure!(unreadable.is_empty());
    }
    Ok(format!("reload: {rounds} rounds"))
}

/// Unloads the module. That must succeed if `wanted` is 0, else fail with this errno.
pub fn unload(wanted: u64) -> Result<String> {
    let errno = match sys::unload("linpmem") {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().context("no errno")?,
    };
    ensure!(
        u64::try_from(errno)? == wanted,
        "unloading gave errno {errno}, not {wanted}"
    );
    Ok(format!("unload: errno {errno}"))
}
