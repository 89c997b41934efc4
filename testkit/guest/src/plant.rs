// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tool `plant`: a process for an examiner to find.

use anyhow::{Context, Result, ensure};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MlockAllFlags, ProtFlags, mlockall, mmap, mmap_anonymous};
use nix::sys::prctl;
use std::ffi::c_ulong;
use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::thread;

/// Bytes of each mapping.
const MAPPED: NonZeroUsize = NonZeroUsize::new(0x1_0000).unwrap();

/// `plant NAME TOKEN [ARGUMENT]…`: renames itself to NAME, fills 1 MiB of its memory with
/// lines that contain TOKEN, maps what has an unusual name, and keeps running. Further arguments
/// are ignored.
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
    let kept = map_all().context("mapping")?;
    println!(
        "planted process {} with {number} lines of {token} at {:p}",
        std::process::id(),
        memory.as_ptr()
    );
    std::io::stdout().flush()?;
    loop {
        thread::park();
        std::hint::black_box((&memory, &kept));
    }
}

/// Mappings that /proc/PID/maps shows in its own way: of memory without a file, files whose names
/// were removed or are odd, and memory of its own with a name. Returns the files, which stay open.
fn map_all() -> Result<Vec<File>> {
    let memory = memfd_create("planted memory", MFdFlags::empty())?;
    let mut files = vec![File::from(memory)];
    let folder = format!("/tmp/planted {}", std::process::id());
    fs::create_dir_all(&folder)?;
    for name in ["kept", "gone", "two\nlines", "odd (deleted)"] {
        let path = format!("{folder}/{name}");
        files.push(
            File::options()
                .create_new(true)
                .read(true)
                .write(true)
                .open(&path)?,
        );
        if name == "gone" {
            fs::remove_file(path)?;
        }
    }
    for file in &files {
        file.set_len(u64::try_from(MAPPED.get())?)?;
        map_file(file)?;
    }
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses where, and nobody uses it.
    let shared = unsafe { mmap_anonymous(None, MAPPED, rights, MapFlags::MAP_SHARED) }?;
    // SAFETY: as above.
    let own = unsafe { mmap_anonymous(None, MAPPED, rights, MapFlags::MAP_PRIVATE) }?;
    for (at, name) in [(shared, c"planted shared"), (own, c"planted own")] {
        let at = c_ulong::try_from(at.addr().get())?;
        let len = c_ulong::try_from(MAPPED.get())?;
        // SAFETY: it changes but the name of that memory. Kernels without such names refuse.
        unsafe {
            libc::prctl(
                libc::PR_SET_VMA,
                libc::PR_SET_VMA_ANON_NAME,
                at,
                len,
                name.as_ptr(),
            )
        };
    }
    // SAFETY: as above; this one keeps the name that the kernel has for it.
    unsafe { mmap_anonymous(None, MAPPED, rights, MapFlags::MAP_SHARED) }?;
    // The first segment of a machine has inode 0, at which Volatility 3 ends with an error.
    segment()?;
    let segment = segment()?;
    // SAFETY: the segment is new, and nobody uses where the kernel puts it.
    unsafe {
        let at = libc::shmat(segment, std::ptr::null(), 0);
        ensure!(
            at.addr() != usize::MAX,
            "shmat: {}",
            io::Error::last_os_error()
        );
    }
    Ok(files)
}

/// A new segment of shared memory.
fn segment() -> Result<libc::c_int> {
    // SAFETY: it takes numbers alone.
    let segment = unsafe { libc::shmget(libc::IPC_PRIVATE, MAPPED.get(), 0o600) };
    ensure!(segment >= 0, "shmget: {}", io::Error::last_os_error());
    Ok(segment)
}

fn map_file(file: impl AsFd) -> Result<()> {
    // SAFETY: the kernel chooses where, and nobody uses it.
    unsafe {
        mmap(
            None,
            MAPPED,
            ProtFlags::PROT_READ,
            MapFlags::MAP_SHARED,
            file,
            0,
        )
    }?;
    Ok(())
}
