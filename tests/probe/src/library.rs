// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every call of the library, over known memory and in both dialects.

use crate::sys::{END_OF_RAM, Memory, NO_ADDRESS};
use anyhow::{Context, Result, bail, ensure};
use linpmem::{Access, AddressSpace, Caching, DEFAULT_PATH, Device, Dialect, RequestError, Width};
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::thread;

/// The known pattern has `len` bytes from `start` on.
pub fn run(start: u64, len: u64) -> Result<String> {
    let ours = Device::open()?;
    ensure!(ours.dialect() == Dialect::Linpmem);
    let original = Device::open_as(Path::new(DEFAULT_PATH), Dialect::Original)?;
    for device in [&ours, &original] {
        let dialect = device.dialect();
        reads(device, start, len).with_context(|| dialect.to_string())?;
        stream(device, start).with_context(|| dialect.to_string())?;
    }
    translations(&ours, &original)?;
    access(&ours, &original, start)?;
    threads(&ours, start)?;
    Ok("library: every call, in both dialects".to_owned())
}

fn pattern(start: u64, len: usize) -> Vec<u8> {
    let first = start & !7;
    let skip = usize::try_from(start - first).unwrap_or(0);
    (first..)
        .step_by(8)
        .flat_map(|address| address.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .skip(skip)
        .take(len)
        .collect()
}

fn reads(device: &Device, start: u64, len: u64) -> Result<()> {
    for (offset, size) in [(0, 1 << 20), (0x7fd, 0x2345), (len - 5, 5)] {
        let mut buf = vec![0x11; size];
        let at = PhysAddr::new(start + offset);
        let bad = device.read_with(Access::default(), at, &mut buf)?;
        ensure!(bad.is_empty() && buf == pattern(at.get(), size), "{at}");
        let mut list = Unreadables::new();
        buf.fill(0);
        device.read_phys(at, &mut buf, &mut list)?;
        ensure!(list.is_empty() && buf == pattern(at.get(), size), "{at}");
    }
    let mut buf = vec![0x11; 0x3000];
    let at = PhysAddr::new(END_OF_RAM - 0x1000);
    let bad = device.read_with(Access::default(), at, &mut buf)?;
    let list = bad.as_slice();
    ensure!(list.len() == 1, "{list:?}");
    ensure!(list.iter().all(|one| one.errno.name() == Some("EACCES")));
    ensure!(bad.total().get() == 0x2000);
    ensure!(buf.iter().skip(0x1000).all(|&byte| byte == 0));

    let word = u64::from_le_bytes(pattern(start, 8).try_into().unwrap_or_default());
    for (width, mask) in [
        (Width::Byte, 0xff),
        (Width::Word, 0xffff),
        (Width::Dword, 0xffff_ffff),
        (Width::Qword, u64::MAX),
    ] {
        let value = device.load(PhysAddr::new(start), width)?;
        ensure!(value == word & mask, "{value:#x}");
        if width != Width::Byte {
            let odd = device.load(PhysAddr::new(start + 1), width);
            ensure!(odd.is_err_and(|error| error.errno().get() == libc::EINVAL));
        }
    }
    let refused = device.load(PhysAddr::new(END_OF_RAM), Width::Byte);
    let error = refused.err().context("what is no RAM must be refused")?;
    ensure!(error.errno().get() == libc::EACCES);
    ensure!(error.addr() == Some(PhysAddr::new(END_OF_RAM)));
    Ok(())
}

fn stream(device: &Device, start: u64) -> Result<()> {
    let mut reader = device.reader(Access::default(), PhysAddr::new(start));
    let mut buf = vec![0; 3 << 20];
    reader.read_exact(&mut buf)?;
    ensure!(buf == pattern(start, buf.len()));
    reader.seek(SeekFrom::Current(-16))?;
    let mut some = [0; 16];
    reader.read_exact(&mut some)?;
    ensure!(some.as_slice() == pattern(start + (3 << 20) - 16, 16));

    // A short read before unreadable memory, then an error with address and errno.
    reader.seek(SeekFrom::Start(END_OF_RAM - 0x800))?;
    let mut buf = vec![0; 0x2000];
    ensure!(reader.read(&mut buf)? == 0x800);
    let error = reader.read(&mut buf).err().context("no error")?;
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<RequestError>())
        .context("not the request's error")?;
    ensure!(inner.addr() == Some(PhysAddr::new(END_OF_RAM)));
    ensure!(inner.errno().get() == libc::EACCES);
    reader.seek(SeekFrom::End(0))?;
    ensure!(
        reader.read(&mut buf)? == 0,
        "a read at the last address must return 0"
    );
    Ok(())
}

fn translations(ours: &Device, original: &Device) -> Result<()> {
    let own = ours.page_tables(0)?;
    ensure!(own == ours.page_tables(std::process::id())?);
    ensure!(own.kernel == original.page_tables(0)?.kernel);
    let mut memory = Memory::anonymous(8192, 4096, 0)?;
    memory.bytes().fill(0x77);
    let levels = ours.info()?.paging_levels;
    for space in [
        AddressSpace::Caller,
        AddressSpace::Process(std::process::id()),
        AddressSpace::PageTable(own.kernel.get()),
    ] {
        let virt = memory.address() + 0x123;
        let walk = ours.translate(space, virt)?;
        let page = walk.mapped().context("not mapped")?;
        ensure!(page.write && page.user && !page.execute, "{page:?}");
        ensure!(ours.load(page.phys, Width::Byte)? == 0x77);
        let by_original = original.translate(space, virt);
        if cfg!(target_arch = "aarch64") {
            // The library knows only the tables of x86-64 without the module's help.
            ensure!(by_original.is_err_and(|error| error.errno().get() == libc::EOPNOTSUPP));
        } else if levels == 4 {
            ensure!(by_original? == walk, "the dialects differ");
        }
        for entry in &walk.entries {
            let there = ours.load(entry.addr, Width::Qword)?;
            ensure!((there ^ entry.value) & !0x60 == 0, "{entry:?}");
        }
    }
    for device in [ours, original] {
        for nobody in [2, 999_999] {
            let error = device
                .page_tables(nobody)
                .err()
                .context("found a process")?;
            ensure!(error.errno().get() == libc::ESRCH, "{error}");
        }
        let error = device.translate(AddressSpace::Caller, NO_ADDRESS);
        let is_unable = cfg!(target_arch = "aarch64") && device.dialect() == Dialect::Original;
        let wanted = if is_unable {
            libc::EOPNOTSUPP
        } else {
            libc::EINVAL
        };
        ensure!(error.is_err_and(|error| error.errno().get() == wanted));
    }
    ensure!(
        original
            .info()
            .is_err_and(|error| error.errno().get() == libc::EOPNOTSUPP)
    );
    Ok(())
}

fn access(ours: &Device, original: &Device, start: u64) -> Result<()> {
    let device = Access {
        device: true,
        ..Access::default()
    };
    for (error, errno) in [
        (ours.set_access(device), libc::EACCES),
        (original.set_access(device), libc::EOPNOTSUPP),
    ] {
        match error {
            Err(error) if error.errno().get() == errno => {}
            other => bail!("{other:?} instead of {errno}"),
        }
    }
    let cached = Access {
        caching: Caching::Cached,
        ..Access::default()
    };
    let at = PhysAddr::new(start);
    let mut buf = [0; 64];
    ensure!(ours.read_with(cached, at, &mut buf)?.is_empty());
    ensure!(buf.as_slice() == pattern(start, 64));
    ours.set_access(cached)?;
    ours.load_with(cached, at, Width::Qword)?;
    ours.set_access(Access::default())?;
    ensure!(original.read_with(cached, at, &mut buf).is_err());
    Ok(())
}

/// One device, several threads, different places.
fn threads(device: &Device, start: u64) -> Result<()> {
    thread::scope(|scope| {
        let readers: Vec<_> = (0..4_u64)
            .map(|number| {
                scope.spawn(move || -> Result<()> {
                    for round in 0..64 {
                        let at = start + number * 0x10_0000 + round * 0x1008;
                        let mut buf = vec![0; 0x3001];
                        let place = PhysAddr::new(at);
                        device.read_with(Access::default(), place, &mut buf)?;
                        ensure!(buf == pattern(at, buf.len()), "{at:#x}");
                    }
                    Ok(())
                })
            })
            .collect();
        for reader in readers {
            match reader.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a thread panicked"),
            }
        }
        Ok(())
    })
}
