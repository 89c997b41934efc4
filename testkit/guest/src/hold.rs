// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tool `hold`: 2 MiB with known content, which stay where they are.

use crate::fill::places;
use anyhow::{Context, Result, bail};
use linpmem_guest::content;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MlockAllFlags, ProtFlags, mlockall, mmap};
use nix::unistd::ftruncate;
use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::thread;

const PAGE: usize = 4096;
/// A huge page.
const LEN: usize = 2 << 20;

/// `hold LIST [huge]`: fills 2 MiB of memory, or a page of hugetlbfs, and writes the file
/// LIST: where its pages are, in their order, a range of physical addresses a line. Then it
/// keeps running and does not touch them again.
pub fn run(args: &[String]) -> Result<()> {
    let mut own;
    let (list, huge) = match args {
        [list] => (list, false),
        [list, word] if word == "huge" => (list, true),
        _ => bail!("usage: hold LIST [huge]"),
    };
    let memory = match huge {
        false => {
            // With a whole aligned huge page in it.
            own = vec![0; 2 * LEN];
            let skipped = own.as_ptr().align_offset(LEN);
            own.get_mut(skipped..).context("alignment")?
        }
        true => huge_page()?,
    };
    let (memory, _) = memory.split_at_mut(LEN);
    mlockall(MlockAllFlags::MCL_CURRENT).context("locking memory")?;
    fs::write("/proc/sys/vm/compact_unevictable_allowed", "0").context("compaction")?;
    for (number, page) in (0..).zip(memory.chunks_mut(PAGE)) {
        content::hold(page, number);
    }
    fs::write(list, places(memory)?).with_context(|| format!("writing {list}"))?;
    println!("held");
    std::io::stdout().flush()?;
    loop {
        thread::park();
        std::hint::black_box(&memory);
    }
}

/// A page of hugetlbfs, in a file: the kernel keeps a broken one as it is, where it would
/// break up an anonymous one to use the rest.
fn huge_page() -> Result<&'static mut [u8]> {
    fs::write("/proc/sys/vm/nr_hugepages", "1").context("reserving a huge page")?;
    let file = memfd_create("held", MFdFlags::MFD_HUGETLB).context("creating a file")?;
    ftruncate(&file, i64::try_from(LEN)?).context("the file's length")?;
    let len = NonZeroUsize::new(LEN).context("no length")?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: A new mapping at an address of the kernel's choice, which is never unmapped
    // and belongs to the slice alone.
    unsafe {
        let start = mmap(None, len, protection, MapFlags::MAP_SHARED, &file, 0)
            .context("mapping a huge page")?;
        Ok(std::slice::from_raw_parts_mut(start.cast().as_ptr(), LEN))
    }
}
