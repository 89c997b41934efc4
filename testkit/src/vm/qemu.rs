// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU: command line, process and sockets.

use super::builder::VmBuilder;
use super::{device_tree, guest, initramfs};
use crate::cache::Cache;
use crate::debian_tree::DebianTree;
use anyhow::{Context, Result, bail, ensure};
use linpmem_guest::{PORT, SCRATCH_VARIABLE};
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Always on the kernel's command line: any problem ends the machine, after it was
/// printed to the console.
const APPEND: &str = "panic_on_warn=1 oops=panic panic=-1";

/// A running QEMU. Dropping it ends the process.
#[derive(Debug)]
pub(super) struct Qemu {
    child: Child,
    log: PathBuf,
}

/// The files of one machine.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) agent: PathBuf,
    pub(super) qmp: PathBuf,
    pub(super) console: PathBuf,
    pub(super) pipe: PathBuf,
    pub(super) initramfs: PathBuf,
    pub(super) disk: PathBuf,
    device_tree: PathBuf,
    log: PathBuf,
}

impl Files {
    pub(super) fn new(folder: &Path, builder: &VmBuilder) -> Self {
        let console = folder.join("console.log");
        Self {
            agent: folder.join("agent"),
            qmp: folder.join("qmp"),
            console: builder.console.clone().unwrap_or(console),
            pipe: folder.join("pipe"),
            initramfs: folder.join("initramfs"),
            disk: folder.join("disk"),
            device_tree: folder.join("device-tree"),
            log: folder.join("qemu.log"),
        }
    }
}

impl Qemu {
    pub(super) fn start(builder: &VmBuilder, root: &DebianTree, files: &Files) -> Result<Self> {
        // Built in since Debian 13. Everything else depends on them.
        let mut needed = ["virtio_pci", "virtio_console"].map(str::to_owned).to_vec();
        needed.extend(builder.modules.iter().cloned());
        if let Some(gib) = builder.scratch_gib {
            // ext4 asks for crc32c by a name that only modprobe knows.
            needed.extend(["virtio_blk", "crc32c_generic", "ext4"].map(str::to_owned));
            format_disk(root, &files.disk, gib)?;
        }
        let archive = initramfs::build(
            &builder.kernel,
            root,
            &guest::build_for(builder.kernel.arch(), "linpmem-guest")?,
            &needed,
        )?;
        fs::write(&files.initramfs, archive)
            .with_context(|| format!("writing {}", files.initramfs.display()))?;
        // Created here, so that a reader always finds it.
        File::create(&files.console)
            .with_context(|| format!("creating {}", files.console.display()))?;
        let mut command = command(builder, files)?;
        let log = File::create(&files.log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting QEMU")?;
        Ok(Self {
            child,
            log: files.log.clone(),
        })
    }

    /// Connects to a socket that QEMU is about to create.
    pub(super) fn connect(&mut self, socket: &Path) -> Result<UnixStream> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match UnixStream::connect(socket) {
                Ok(stream) => return Ok(stream),
                Err(_) if self.child.try_wait()?.is_some() => {
                    bail!("QEMU did not start: {}", self.output())
                }
                Err(error) if Instant::now() > until => {
                    return Err(error)
                        .with_context(|| format!("QEMU did not create {}", socket.display()));
                }
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Waits until the process ends by itself. Returns whether it did.
    pub(super) fn wait(&mut self, until: Instant) -> Result<bool> {
        loop {
            if self.child.try_wait()?.is_some() {
                return Ok(true);
            }
            if Instant::now() > until {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What QEMU itself printed.
    pub(super) fn output(&self) -> String {
        fs::read_to_string(&self.log)
            .unwrap_or_default()
            .trim()
            .to_owned()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(builder: &VmBuilder, files: &Files) -> Result<Command> {
    let arch = builder.kernel.arch();
    let vmlinuz = builder.kernel.vmlinuz();
    ensure!(
        vmlinuz.is_file(),
        "no {}: run `cargo xtask setup`",
        vmlinuz.display()
    );
    let folder = files.agent.parent().unwrap_or(Path::new("/"));
    let console = files.console.parent().unwrap_or(Path::new("/"));
    let qmp = builder.qmp.as_deref().and_then(Path::parent);
    let binds: Vec<&Path> = [Some(folder), Some(console), qmp]
        .into_iter()
        .flatten()
        .collect();
    let tree = DebianTree::of(arch, &Cache::open()?)?;
    let mut command = tree.command(arch.qemu(), &binds);
    let mut append = vec![format!("console={} {APPEND}", arch.console())];
    if builder.scratch_gib.is_some() {
        append.push(format!("{SCRATCH_VARIABLE}=vda"));
    }
    append.extend(builder.append.iter().cloned());
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-no-reboot", "-accel", "tcg,thread=multi"])
        .args(["-machine", &builder.machine, "-cpu", &builder.cpu])
        .args(["-smp", &builder.smp.to_string()])
        .args(["-m", &format!("{}M", builder.memory_mib)])
        .args(["-append", &append.join(" ")])
        .arg("-kernel")
        .arg(&vmlinuz)
        .arg("-initrd")
        .arg(&files.initramfs)
        .arg("-serial")
        .arg(format!("file:{}", files.console.display()))
        .args(["-device", "virtio-serial-pci", "-chardev"])
        .arg(listening("socket,id=agent,path=", &files.agent))
        .args([
            "-device",
            &format!("virtserialport,chardev=agent,name={PORT}"),
        ])
        .arg("-qmp")
        .arg(listening("unix:", &files.qmp));
    if let Some(socket) = &builder.qmp {
        command.arg("-qmp").arg(listening("unix:", socket));
    }
    if builder.scratch_gib.is_some() {
        let disk = files.disk.display();
        command
            .args(["-device", "virtio-blk-pci,drive=scratch", "-drive"])
            .arg(format!(
                "id=scratch,if=none,format=raw,cache=unsafe,file={disk}"
            ));
    }
    if let Some(firmware) = builder.firmware {
        command.args(["-bios", firmware]);
    }
    if !builder.reserved.is_empty() {
        device_tree::write(builder, &tree, &files.device_tree)?;
        command.arg("-dtb").arg(&files.device_tree);
    }
    for device in &builder.devices {
        command.args(["-device", device]);
    }
    command.args(&builder.qemu_args);
    Ok(command)
}

fn listening(prefix: &str, socket: &Path) -> String {
    format!("{prefix}{},server=on,wait=off", socket.display())
}

/// An empty ext4 in a sparse file. It needs no journal, as nothing on the disk outlives
/// the test, and without one less of the guest's memory changes.
fn format_disk(root: &DebianTree, disk: &Path, gib: u32) -> Result<()> {
    File::create(disk)
        .and_then(|file| file.set_len(u64::from(gib) << 30))
        .with_context(|| format!("creating {}", disk.display()))?;
    let folder = disk.parent().unwrap_or(Path::new("/"));
    let output = root
        .command("mkfs.ext4", &[folder])
        .args(["-q", "-F", "-m", "0", "-O", "^has_journal"])
        .args(["-E", "lazy_itable_init=1,nodiscard"])
        .arg(disk)
        .output()
        .context("running mkfs.ext4")?;
    ensure!(
        output.status.success(),
        "mkfs.ext4 failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
