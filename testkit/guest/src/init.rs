// SPDX-License-Identifier: MIT OR Apache-2.0
//! Process 1: sets the machine up, serves the host, powers off.

use crate::{agent, kernel_modules};
use anyhow::{Context, Result, bail};
use linpmem_guest::{LAST_LINE, PORT, SCRATCH, SCRATCH_VARIABLE};
use nix::mount::{MsFlags, mount, umount};
use nix::sys::reboot::{RebootMode, reboot};
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

pub fn run() -> Result<()> {
    if std::process::id() != 1 {
        bail!("this is the init of a test machine; it does not run anywhere else");
    }
    // Whatever happens, the machine ends, so that a host never waits in vain.
    match serve() {
        Ok(()) => {}
        Err(error) => println!("linpmem-guest: failed: {error:#}"),
    }
    power_off()
}

fn serve() -> Result<()> {
    mount_all()?;
    nix::unistd::sethostname("linpmem-guest").context("setting the host name")?;
    kernel_modules::load_all()?;
    if let Ok(disk) = std::env::var(SCRATCH_VARIABLE) {
        mount_scratch(&disk)?;
    }
    let port = open_port()?;
    println!("linpmem-guest: up");
    agent::serve(port)
}

fn mount_all() -> Result<()> {
    let systems = [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/tmp"),
        ("debugfs", "/sys/kernel/debug"),
        ("securityfs", "/sys/kernel/security"),
        ("cgroup2", "/sys/fs/cgroup"),
    ];
    for (kind, at) in systems {
        fs::create_dir_all(at).with_context(|| format!("creating {at}"))?;
        mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("mounting {kind} at {at}"))?;
    }
    Ok(())
}

fn mount_scratch(disk: &str) -> Result<()> {
    let device = Path::new("/dev").join(disk);
    wait_for(|| device.exists().then_some(()))
        .with_context(|| format!("{} did not appear", device.display()))?;
    fs::create_dir_all(SCRATCH).context("creating the scratch folder")?;
    mount(
        Some(&device),
        SCRATCH,
        Some("ext4"),
        MsFlags::MS_NOATIME,
        None::<&str>,
    )
    .with_context(|| format!("mounting {} at {SCRATCH}", device.display()))
}

/// The virtio-serial port, found by its name: without udev there is no link to it.
fn open_port() -> Result<File> {
    let ports = Path::new("/sys/class/virtio-ports");
    let find = || {
        let entries = fs::read_dir(ports).ok()?.flatten();
        entries
            .map(|entry| entry.path())
            .find(|path| {
                fs::read_to_string(path.join("name")).is_ok_and(|name| name.trim_end() == PORT)
            })
            .and_then(|path| Some(Path::new("/dev").join(path.file_name()?)))
            .filter(|device| device.exists())
    };
    let device =
        wait_for(find).with_context(|| format!("the virtio port {PORT} did not appear"))?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(&device)
        .with_context(|| format!("opening {}", device.display()))
}

/// Polls until `find` succeeds: devices may appear while init is running.
fn wait_for<T>(mut find: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match find() {
            None if Instant::now() < until => thread::sleep(Duration::from_millis(20)),
            found => return found,
        }
    }
}

/// Powers the machine off.
pub fn power_off() -> Result<()> {
    nix::unistd::sync();
    // Fails if a program still has files open there; their data has been synced.
    let _ = umount(SCRATCH);
    println!("{LAST_LINE}");
    let Err(error) = reboot(RebootMode::RB_POWER_OFF);
    Err(error).context("powering off")
}
