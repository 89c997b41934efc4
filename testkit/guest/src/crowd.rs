// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tools `crowd` and `tasks`: processes of many kinds for an examiner to find, and what
//! the kernel itself says of all of them.

use anyhow::{Context, Result, bail, ensure};
use linpmem_guest::content;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{
    MapFlags, MlockAllFlags, MmapAdvise, ProtFlags, madvise, mlockall, mmap, mmap_anonymous,
};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, chdir, chroot, fork, ftruncate};
use serde_json::json;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::thread;

const PAGE: usize = 4096;
/// A huge page.
const HUGE: usize = 2 << 20;
const THREADS: usize = 5;
const JAIL: &str = "/tmp/jail";

/// `crowd COUNT`: becomes the parent of COUNT processes, one of which has another root and one
/// mounts of its own, starts threads, maps memory of several kinds, prints where all that is as one line of JSON, and
/// keeps running.
pub fn run(args: &[String]) -> Result<()> {
    let [count] = args else {
        bail!("usage: crowd COUNT");
    };
    let count: u32 = count.parse().context("COUNT")?;
    fs::create_dir_all(JAIL)?;
    let mut children = Vec::new();
    for number in 2..count {
        children.push(child(&format!("crowd-{number:05}"), || Ok(()))?.as_raw());
    }
    let jailed = child("jailed", || {
        File::create("/tmp/jail/inside")?;
        chroot(JAIL)?;
        chdir("/")?;
        // Open for as long as the process is there.
        std::mem::forget(File::open("/inside")?);
        Ok(())
    })?;
    let contained = child("contained", || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount_at(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
        fs::create_dir_all("/tmp/a cell")?;
        mount_at(Some(JAIL), "/tmp/a cell", None, MsFlags::MS_BIND)?;
        let locked = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount_at(None, "/tmp/a cell", None, locked | MsFlags::MS_NOSUID)?;
        let own = MsFlags::MS_NODEV | MsFlags::MS_LAZYTIME;
        mount_at(Some("crowd"), "/tmp/jail", Some("tmpfs"), own)
    })?;
    children.extend([jailed, contained].map(Pid::as_raw));
    prctl::set_name(&CString::new("crowd")?)?;
    let regions = regions()?;
    mlockall(MlockAllFlags::MCL_CURRENT).context("locking memory")?;
    for number in 0..THREADS {
        let thread = thread::Builder::new().name(format!("worker-{number}"));
        thread.spawn(|| {
            loop {
                thread::park();
            }
        })?;
    }
    let said = json!({
        "pid": std::process::id(),
        "children": children,
        "jailed": jailed.as_raw(),
        "contained": contained.as_raw(),
        "threads": THREADS,
        "regions": regions,
    });
    println!("crowd {said}");
    io::stdout().flush()?;
    loop {
        thread::park();
    }
}

fn mount_at(from: Option<&str>, at: &str, kind: Option<&str>, flags: MsFlags) -> Result<()> {
    mount(from, at, kind, flags, None::<&str>).with_context(|| format!("mounting {at}"))
}

/// A process called `name` that has done what `first` does, does nothing else, and ends with
/// this one.
fn child(name: &str, first: impl FnOnce() -> Result<()>) -> Result<Pid> {
    let name = CString::new(name)?;
    let (mut done, mut tell) = UnixStream::pair()?;
    // SAFETY: this process has no other thread yet, so the child may do whatever it could.
    match unsafe { fork() }.context("fork")? {
        ForkResult::Parent { child } => {
            drop(tell);
            let read = done.read(&mut [0])?;
            ensure!(read == 1, "{} ended", name.to_string_lossy());
            Ok(child)
        }
        ForkResult::Child => {
            let begin = || -> Result<()> {
                prctl::set_pdeathsig(Signal::SIGKILL)?;
                prctl::set_name(&name)?;
                first()?;
                Ok(tell.write_all(&[1])?)
            };
            if let Err(error) = begin() {
                eprintln!("{}: {error:#}", name.to_string_lossy());
                std::process::exit(1);
            }
            drop(tell);
            loop {
                nix::unistd::pause();
            }
        }
    }
}

/// Memory whose pages are what [`content::hold`] makes of the numbers from `first_page` on.
fn region(name: &str, memory: &'static mut [u8], first_page: u64) -> serde_json::Value {
    for (number, page) in (first_page..).zip(memory.chunks_mut(PAGE)) {
        content::hold(page, number);
    }
    json!({
        "name": name,
        "start": format!("{:p}", memory.as_ptr()),
        "len": memory.len(),
        "first_page": first_page,
    })
}

fn regions() -> Result<Vec<serde_json::Value>> {
    let plain = map(None, HUGE)?;
    // With two whole huge pages in it.
    let huge = map(None, 3 * HUGE)?;
    let skipped = huge.as_ptr().align_offset(HUGE);
    let (_, huge) = huge.split_at_mut(skipped);
    let (huge, _) = huge.split_at_mut(2 * HUGE);
    let start = std::ptr::NonNull::from(&mut *huge).cast();
    // SAFETY: the advice changes no content.
    unsafe { madvise(start, huge.len(), MmapAdvise::MADV_HUGEPAGE) }.context("huge pages")?;
    let named = memfd_create("crowd memory", MFdFlags::empty())?;
    ftruncate(&named, i64::try_from(HUGE)?)?;
    let deleted = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open("/tmp/deleted map")?;
    deleted.set_len(u64::try_from(HUGE)?)?;
    fs::remove_file("/tmp/deleted map")?;
    fs::write("/proc/sys/vm/nr_hugepages", "1").context("reserving a huge page")?;
    let pool = memfd_create("crowd pool", MFdFlags::MFD_HUGETLB)?;
    ftruncate(&pool, i64::try_from(HUGE)?)?;
    Ok(vec![
        region("plain", plain, 0),
        region("huge", huge, 1 << 16),
        region("memfd", map(Some(named.as_fd()), HUGE)?, 2 << 16),
        region("deleted", map(Some(deleted.as_fd()), HUGE)?, 3 << 16),
        region("hugetlb", map(Some(pool.as_fd()), HUGE)?, 4 << 16),
    ])
}

/// `len` new bytes, of a file or of nothing.
fn map(file: Option<BorrowedFd<'_>>, len: usize) -> Result<&'static mut [u8]> {
    let size = NonZeroUsize::new(len).context("no length")?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: A new mapping at an address of the kernel's choice, which is never unmapped and
    // belongs to the slice alone.
    unsafe {
        let start = match file {
            Some(file) => mmap(None, size, protection, MapFlags::MAP_SHARED, file, 0),
            None => mmap_anonymous(None, size, protection, MapFlags::MAP_PRIVATE),
        };
        let start = start.context("mapping memory")?;
        Ok(std::slice::from_raw_parts_mut(start.cast().as_ptr(), len))
    }
}

/// `tasks`: prints `TGID TID PARENT UID START STATE NAME` for each thread of each process.
pub fn tasks() -> Result<()> {
    let mut out = io::stdout().lock();
    for process in numbers("/proc")? {
        // It may have ended by now.
        let Ok(threads) = numbers(&format!("/proc/{process}/task")) else {
            continue;
        };
        for thread in threads {
            let read = |name| fs::read_to_string(format!("/proc/{process}/task/{thread}/{name}"));
            let (Ok(stat), Ok(status)) = (read("stat"), read("status")) else {
                continue;
            };
            if let Some(line) = line(&process, &thread, &stat, &status) {
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(())
}

/// The names in a folder that are numbers.
fn numbers(folder: &str) -> Result<Vec<String>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            numbers.push(name);
        }
    }
    Ok(numbers)
}

fn line(process: &str, thread: &str, stat: &str, status: &str) -> Option<String> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (state, parent, start) = (words.first()?, words.get(1)?, words.get(19)?);
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    // Real, effective, saved, of files.
    let uid = uids.split_whitespace().nth(1)?;
    Some(format!(
        "{process} {thread} {parent} {uid} {start} {state} {name}"
    ))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_has_the_parts_of_both_files() {
        let stat = "12 (a) (b)) S 1 12 12 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let status = "Name:\ta) (b\nUid:\t1\t2\t3\t4\n";
        assert_eq!(
            line("12", "13", stat, status).as_deref(),
            Some("12 13 1 2 4711 S a) (b)")
        );
        assert_eq!(line("12", "13", stat, "Name:\ta\n"), None);
    }
}
