// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image of a machine with a planted process, with all that is known of that machine.

use super::target;
use anyhow::{Context, Result};
use linpmem_formats::open_image;
use linpmem_testkit::kernel::Kernel;
use std::path::PathBuf;
use tempfile::TempDir;

/// What the planted process calls itself, and what it has in its memory.
pub const NAME: &str = "suspicious";
pub const TOKEN: &str = "b85f02c4-planted-for-readers-of-arm64";

/// An ELF core with artifacts, acquired while the machine ran.
pub struct Image {
    pub kernel: Kernel,
    pub elf: PathBuf,
    /// The planted process, and where it has the token.
    pub pid: i32,
    pub address: String,
    folder: TempDir,
}

impl Image {
    /// Boots a machine and acquires it.
    pub fn acquire() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let target = target(|machine| machine.memory_mib(256))?.images_in(folder.path());
        let (process, said) = target.plant(NAME, TOKEN)?;
        let address = said.rsplit(' ').next().context("no address")?.to_owned();
        let ended = target.dump(&["--format", "elf"], "image.core")?;
        println!("{}", ended.text());
        ended.exited(0)?;
        let pid = process.pid();
        drop(process);
        let image = Self {
            kernel: target.vm.kernel().clone(),
            elf: target.pull("image.core")?,
            pid,
            address,
            folder,
        };
        target.end()?;
        Ok(image)
    }

    /// A file beside the image.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A number of VMCOREINFO: decimal, or hexadecimal if it begins with `0x`, as those of
    /// `NUMBER(…)` do, or is one of the keys that have an address.
    pub fn vmcoreinfo_number(&self, key: &str) -> Result<u64> {
        let opened = open_image(&self.elf)?;
        let text = opened.machine().vmcoreinfo_value(key);
        let text = text.with_context(|| format!("VMCOREINFO has no {key}"))?;
        let is_number = key.starts_with("NUMBER(");
        match text.strip_prefix("0x") {
            Some(digits) => Ok(u64::from_str_radix(digits, 16)?),
            None if is_number => Ok(text.parse()?),
            None => Ok(u64::from_str_radix(text, 16)?),
        }
    }
}
