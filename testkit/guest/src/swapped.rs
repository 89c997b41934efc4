// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tools `swapon` and `swapped`: a swap area, and a process whose memory is there.

use anyhow::{Context, Result, ensure};
use nix::libc;
use nix::sys::prctl;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

const PAGE: usize = 4096;

/// `swapon PATH [MIB]`: swaps to the device, or to a file that it makes first.
pub fn swapon(args: &[String]) -> Result<()> {
    let [path, rest @ ..] = args else {
        anyhow::bail!("usage: swapon PATH [MIB]");
    };
    let file = match rest {
        [mib] => {
            let mib: usize = mib.parse().context("MIB")?;
            let mut options = OpenOptions::new();
            let file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            // A file with holes is refused.
            for piece in 0..mib {
                file.write_all_at(&vec![0; 1 << 20], u64::try_from(piece << 20)?)?;
            }
            file
        }
        _ => OpenOptions::new().write(true).open(path)?,
    };
    let bytes = size(&file)?;
    let last = u32::try_from(bytes / u64::try_from(PAGE)?)? - 1;
    // mkswap(8): the version, the last page, and the signature at the end of the page.
    let mut header = vec![0; 1024];
    header.extend(1_u32.to_le_bytes());
    header.extend(last.to_le_bytes());
    header.resize(PAGE - 10, 0);
    header.extend(b"SWAPSPACE2");
    file.write_all_at(&header, 0)?;
    file.sync_all()?;
    let name = CString::new(path.as_str())?;
    // SAFETY: `name` is a C string that outlives the call.
    let done = unsafe { libc::swapon(name.as_ptr(), 0) };
    ensure!(done == 0, "swapon: {}", std::io::Error::last_os_error());
    println!("swapping to {path}, {} pages", last + 1);
    Ok(())
}

fn size(file: &File) -> Result<u64> {
    use std::io::{Seek, SeekFrom};
    let mut file = file;
    Ok(file.seek(SeekFrom::End(0))?)
}

/// `swapped NAME PAGES [ARGUMENT]…`: fills so many pages with lines that tell their place, and a
/// further one with zeros, and waits until the kernel has written all of them to swap, and the
/// page with its arguments as well. Further arguments are ignored.
pub fn run(args: &[String]) -> Result<()> {
    let [name, pages, ..] = args else {
        anyhow::bail!("usage: swapped NAME PAGES [ARGUMENT]…");
    };
    let pages: usize = pages.parse().context("PAGES")?;
    let comm = CString::new(name.as_str())?;
    prctl::set_name(&comm)?;
    enter_group()?;
    let len = NonZeroUsize::new((pages + 1) * PAGE).context("PAGES")?;
    // SAFETY: the kernel chooses the place, and nothing else uses it.
    let memory = unsafe {
        nix::sys::mman::mmap_anonymous(
            None,
            len,
            nix::sys::mman::ProtFlags::PROT_READ | nix::sys::mman::ProtFlags::PROT_WRITE,
            nix::sys::mman::MapFlags::MAP_PRIVATE,
        )
    }?;
    // SAFETY: the mapping is so long, and only this has it.
    let bytes = unsafe { std::slice::from_raw_parts_mut(memory.cast::<u8>().as_ptr(), len.get()) };
    for (number, page) in bytes.chunks_exact_mut(PAGE).take(pages).enumerate() {
        for (line, target) in page.chunks_exact_mut(32).enumerate() {
            let text = format!("{name} {number:08} {line:03}");
            let letters = text.bytes().chain(std::iter::repeat(b'.'));
            target
                .iter_mut()
                .zip(letters)
                .for_each(|(byte, letter)| *byte = letter);
        }
    }
    // A page of zeros that was never written would not be there at all.
    let (_, zeros) = bytes.split_at_mut(pages * PAGE);
    zeros.fill(1);
    std::hint::black_box(&mut *zeros).fill(0);
    let start = bytes.as_ptr().addr();
    for _ in 0..200 {
        // SAFETY: the mapping is this process's own, and keeps its content.
        let done = unsafe { libc::madvise(memory.as_ptr(), len.get(), libc::MADV_PAGEOUT) };
        ensure!(done == 0, "madvise: {}", std::io::Error::last_os_error());
        let kib = swapped_kib(start)?;
        if kib == len.get() / 1024 && swap_arguments()? && drop_cached()? {
            println!(
                "swapped process {} has {kib} KiB at {start:#x}",
                std::process::id()
            );
            std::io::stdout().flush()?;
            loop {
                thread::park();
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!(
        "{} KiB of {} are in swap",
        swapped_kib(start)?,
        len.get() / 1024
    )
}

/// A group whose memory can be reclaimed.
const GROUP: &str = "/sys/fs/cgroup/swapped";

fn enter_group() -> Result<()> {
    fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory").context("groups of memory")?;
    fs::create_dir_all(GROUP)?;
    let own = std::process::id().to_string();
    fs::write(Path::new(GROUP).join("cgroup.procs"), own).context("entering a group")
}

/// Has the kernel give up the pages that it has written to swap and still has in memory; whether
/// it has.
fn drop_cached() -> Result<bool> {
    // It says that it could not do all of that, which is more than there is.
    let _ = fs::write(Path::new(GROUP).join("memory.reclaim"), "64M");
    let memory = fs::read_to_string("/proc/meminfo")?;
    let mut lines = memory.lines();
    let cached = lines.find_map(|line| line.strip_prefix("SwapCached:"));
    let cached = cached.context("no SwapCached")?.trim();
    Ok(cached.trim_end_matches(" kB").parse::<u64>()? < 100)
}

/// Has the page with the arguments written to swap; whether it is there. Nothing uses it any more.
fn swap_arguments() -> Result<bool> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(") ").context("no state")?;
    // The 48th word of all of them.
    let start: usize = rest.split(' ').nth(45).context("a short line")?.parse()?;
    let page = start - start % PAGE;
    let address = std::ptr::without_provenance_mut(page);
    // SAFETY: the page is this process's own, and keeps its content.
    let done = unsafe { libc::madvise(address, PAGE, libc::MADV_PAGEOUT) };
    ensure!(done == 0, "madvise: {}", std::io::Error::last_os_error());
    let mut entry = [0; 8];
    let at = u64::try_from(page / PAGE * 8)?;
    File::open("/proc/self/pagemap")?.read_exact_at(&mut entry, at)?;
    // Bit 62: in swap.
    Ok(u64::from_le_bytes(entry) >> 62 & 1 == 1)
}

/// What the kernel says is in swap of the mapping that begins at `start`.
fn swapped_kib(start: usize) -> Result<usize> {
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let begins = format!("{start:x}-");
    let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&begins));
    let line = lines.find(|line| line.starts_with("Swap:"));
    let words = line.context("the mapping is not in smaps")?;
    Ok(words
        .split_whitespace()
        .nth(1)
        .context("no number")?
        .parse()?)
}
