// SPDX-License-Identifier: MIT OR Apache-2.0
//! crash, gdb, libkdumpfile and makedumpfile, from Debian trees of their own.

use crate::arch::Arch;
use crate::cache::Cache;
use crate::debian_tree::DebianTree;
use crate::kernel::Kernel;
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The tree with these programs.
#[derive(Clone, Debug)]
pub struct DumpTools {
    tree: DebianTree,
}

impl DumpTools {
    /// Opens it.
    ///
    /// # Errors
    /// When there is no cache.
    pub fn open() -> Result<Self> {
        let cache = Cache::open()?;
        let tree = DebianTree::at(&cache.consumers(), &cache);
        Ok(Self { tree })
    }

    /// crash or makedumpfile, which read images of the architecture that they were built for
    /// alone: for another one than this machine's, QEMU emulates the program.
    fn native(&self, arch: Arch, program: &str, binds: &[&Path]) -> Result<Command> {
        if arch == Arch::HOST {
            return Ok(self.tree.command(program, binds));
        }
        let cache = Cache::open()?;
        let programs = cache.consumers_arm64();
        let program = programs.join("usr/bin").join(program);
        ensure!(
            program.is_file(),
            "no {}: run `cargo xtask test arm64`, which downloads it",
            program.display()
        );
        let mut command = DebianTree::of(arch, &cache)?.command(arch.emulator(), binds);
        command.arg("-L").arg(programs).arg(program);
        Ok(command)
    }

    /// What crash prints about the machine, its processes, and the stack of process
    /// `pid`. `options` go before the image's name. Modules' symbols are left out:
    /// crash finds them on the acquired machine only.
    ///
    /// # Errors
    /// When crash cannot open the image.
    pub fn crash(
        &self,
        options: &[&str],
        kernel: &Kernel,
        image: &str,
        pid: u64,
    ) -> Result<String> {
        let mut command = self.native(kernel.arch(), "crash", &[folder(Path::new(image))?])?;
        command.args(["-s", "--no_modules"]).args(options);
        command.arg(kernel.vmlinux()).arg(image);
        let typed = format!("sys\nps\nbt {pid}\nquit\n");
        run(command, Some(typed.as_bytes()))
    }

    /// What gdb finds in the kernel's variables: the name of the first task, and the
    /// release.
    ///
    /// # Errors
    /// When gdb cannot open the image.
    pub fn gdb(&self, kernel: &Kernel, image: &Path, kaslr_offset: u64) -> Result<String> {
        // Debian's gdb is for its own architecture alone.
        let mut command = match kernel.arch() {
            Arch::HOST => self.tree.command("gdb", &[folder(image)?]),
            other => {
                DebianTree::of(other, &Cache::open()?)?.command("gdb-multiarch", &[folder(image)?])
            }
        };
        command.args(["-batch", "-nx", "-ex", "set debuginfod enabled off"]);
        for line in [
            format!("core-file {}", image.display()),
            format!(
                "add-symbol-file {} -o {kaslr_offset:#x}",
                kernel.vmlinux().display()
            ),
            "print init_task.comm".to_owned(),
            "print (char*)init_uts_ns.name.release".to_owned(),
        ] {
            command.args(["-ex", &line]);
        }
        run(command, None)
    }

    /// What libkdumpfile's `kdumpid` prints about the image.
    ///
    /// # Errors
    /// When it cannot open the image.
    pub fn kdumpid(&self, image: &Path) -> Result<String> {
        let mut command = self.tree.command("kdumpid", &[folder(image)?]);
        command.arg("-v").arg(image);
        run(command, None)
    }

    /// The kernel's log in the image of a machine of `arch`, as makedumpfile extracts it.
    ///
    /// # Errors
    /// When makedumpfile cannot open the image.
    pub fn dmesg(&self, arch: Arch, image: &Path) -> Result<String> {
        let log = image.with_extension("dmesg");
        let mut command = self.native(arch, "makedumpfile", &[folder(image)?])?;
        command.args(["--dump-dmesg", "-f"]).arg(image).arg(&log);
        run(command, None)?;
        let text = fs::read(&log).with_context(|| format!("reading {}", log.display()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Lets makedumpfile turn the flattened stream in `stream` into the kdump `dump`.
    ///
    /// # Errors
    /// When makedumpfile does not understand the stream.
    pub fn rearrange(&self, stream: &Path, dump: &Path) -> Result<()> {
        let mut command = self.tree.command("makedumpfile", &[folder(dump)?]);
        command.args(["-R", "-f"]).arg(dump);
        command.stdin(File::open(stream)?);
        let output = command.output().context("starting makedumpfile")?;
        ensure!(
            output.status.success(),
            "makedumpfile -R failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

fn folder(image: &Path) -> Result<&Path> {
    image.parent().context("an image without a folder")
}

/// All that the program prints. It must succeed.
fn run(mut command: Command, typed: Option<&[u8]>) -> Result<String> {
    let mut child = command
        .env("DEBUGINFOD_URLS", "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    // A program that has ended does not read it; its output says why it ended.
    let _ = stdin.write_all(typed.unwrap_or_default());
    drop(stdin);
    let output = child.wait_with_output()?;
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    ensure!(output.status.success(), "{command:?} failed: {printed}");
    Ok(printed)
}
