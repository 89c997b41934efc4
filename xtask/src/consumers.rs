// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other people's programs as judges of an image: crash, gdb, libkdumpfile and
//! makedumpfile. drgn has a module of its own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::cache::Cache;
use crate::kernel::Kernel;
use crate::root::Root;

/// The tree with these programs.
#[derive(Clone, Debug)]
pub struct Consumers {
    root: Root,
}

impl Consumers {
    /// Opens it.
    ///
    /// # Errors
    /// When there is no cache.
    pub fn open() -> Result<Self> {
        let cache = Cache::open()?;
        let root = Root::at(&cache.consumers(), &cache);
        Ok(Self { root })
    }

    /// What crash tells of machine and processes, and of the stack of process `pid`. `words` are those before the
    /// name of the image; without the modules' symbols, which it finds on no other
    /// machine.
    ///
    /// # Errors
    /// When crash does not open the image.
    pub fn crash(&self, words: &[&str], kernel: &Kernel, image: &str, pid: u64) -> Result<String> {
        let mut command = self.root.command("crash", &[folder(Path::new(image))?]);
        command.args(["-s", "--no_modules"]).args(words);
        command.arg(kernel.vmlinux()).arg(image);
        let typed = format!("sys\nps\nbt {pid}\nquit\n");
        run(command, Some(typed.as_bytes()))
    }

    /// What gdb finds in the kernel's variables: the name of the first task, and
    /// the release.
    ///
    /// # Errors
    /// When gdb does not open the image.
    pub fn gdb(&self, kernel: &Kernel, image: &Path, kaslr_offset: u64) -> Result<String> {
        let mut command = self.root.command("gdb", &[folder(image)?]);
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

    /// What libkdumpfile tells of the image.
    ///
    /// # Errors
    /// When it does not open it.
    pub fn kdumpid(&self, image: &Path) -> Result<String> {
        let mut command = self.root.command("kdumpid", &[folder(image)?]);
        command.arg("-v").arg(image);
        run(command, None)
    }

    /// The kernel's log, by makedumpfile.
    ///
    /// # Errors
    /// When makedumpfile does not open the image.
    pub fn dmesg(&self, image: &Path) -> Result<String> {
        let log = image.with_extension("dmesg");
        let mut command = self.root.command("makedumpfile", &[folder(image)?]);
        command.args(["--dump-dmesg", "-f"]).arg(image).arg(&log);
        run(command, None)?;
        let text = fs::read(&log).with_context(|| format!("reading {}", log.display()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The dump that a flattened stream becomes, by makedumpfile.
    ///
    /// # Errors
    /// When makedumpfile does not understand the stream.
    pub fn rearrange(&self, stream: &Path, dump: &Path) -> Result<()> {
        let mut command = self.root.command("makedumpfile", &[folder(dump)?]);
        command.args(["-R", "-f"]).arg(dump);
        command.stdin(File::open(stream)?);
        let output = command.output().context("running makedumpfile")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "makedumpfile -R: {said}");
        Ok(())
    }
}

fn folder(image: &Path) -> Result<&Path> {
    image.parent().context("an image lies in a folder")
}

/// All that the program says, which must have ended well.
fn run(mut command: Command, typed: Option<&[u8]>) -> Result<String> {
    let mut child = command
        .env("DEBUGINFOD_URLS", "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("running {command:?}"))?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    // Who has ended does not listen; what it said tells why.
    let _ = stdin.write_all(typed.unwrap_or_default());
    drop(stdin);
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(said)
}
