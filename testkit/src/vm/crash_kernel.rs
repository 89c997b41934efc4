// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine whose kernel crashes on purpose, and goes on with the crash kernel that was
//! loaded before.

use super::{Vm, agent};
use anyhow::{Result, bail, ensure};
use linpmem_guest::{Reply, Request};
use std::path::Path;
use std::time::{Duration, Instant};

/// What the kernel says when it is told to crash (drivers/tty/sysrq.c).
const WANTED: &str = "Kernel panic - not syncing: sysrq triggered crash";

/// How long the crash kernel may take until its init answers.
const BOOT_TIMEOUT: Duration = Duration::from_secs(120);

impl Vm {
    /// The initramfs that the machine was booted with. A crash kernel can boot with it, too.
    #[must_use]
    pub fn initramfs(&self) -> &Path {
        &self.files().initramfs
    }

    /// Crashes the kernel and waits until the crash kernel's init answers: from then on it
    /// is the one that runs the programs. Programs of the old kernel are lost without a
    /// word.
    ///
    /// # Errors
    /// When the crash kernel does not come up, or the kernel crashed for another reason.
    pub fn crash(&self) -> Result<()> {
        let hello = self.agent().greeting();
        let argv = ["write", "/proc/sysrq-trigger", "c"].map(str::to_owned);
        // No answer is to be expected.
        drop(self.ask(&Request::Start {
            argv: argv.to_vec(),
            env: Vec::new(),
            uid: 0,
        })?);
        let frame = self.answer(&hello, Instant::now() + BOOT_TIMEOUT, "the crash")?;
        let Reply::Hello { release } = agent::reply(&frame)? else {
            bail!("the crash kernel sent no greeting");
        };
        ensure!(
            release == self.kernel().release(),
            "the crash kernel is {release}"
        );
        let complaint = self.console().complaint().unwrap_or_default();
        ensure!(
            complaint.contains(WANTED),
            "the kernel did not crash as it was told to: {complaint}"
        );
        self.console().begin_anew();
        Ok(())
    }
}
