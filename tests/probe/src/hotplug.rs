// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that goes away while it is read.

use crate::sys::{Memory, Userfault};
use anyhow::{Context, Result, bail, ensure};
use linpmem::{Device, Width};
use linpmem_guest::Random;
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The most that the module copies at once.
const BATCH: usize = 2 << 20;

/// Reads memory at `start` into a buffer that another thread provides, which takes the
/// memory offline first. By `state` it goes offline.
pub fn absent(start: u64, rest: &[String]) -> Result<String> {
    let state = rest.get(1).context("no file with a block's state")?;
    let device = Device::open()?;
    let plain = File::open(linpmem::DEFAULT_PATH)?;

    let mut buffer = Memory::anonymous(BATCH, 4096, 0)?;
    let read = while_absent(
        &mut buffer,
        state,
        |buffer| Ok(plain.read_at(buffer, start)),
    )?;
    let error = read.err().context("pread returned offline memory")?;
    ensure!(
        error.raw_os_error() == Some(libc::ENODATA),
        "pread: {error}"
    );

    fs::write(state, "online_movable")?;
    let mut buffer = Memory::anonymous(BATCH, 4096, 0)?;
    let listed = while_absent(&mut buffer, state, |buffer| {
        let mut unreadable = Unreadables::new();
        device.read_phys(PhysAddr::new(start), buffer, &mut unreadable)?;
        Ok(unreadable)
    })?;
    let [all] = listed.as_slice() else {
        bail!("READ lists {listed:?}");
    };
    ensure!(
        all.range.start().get() == start
            && all.range.len().get() == u64::try_from(BATCH)?
            && all.errno.get() == libc::ENODATA,
        "READ lists {listed:?}"
    );
    ensure!(buffer.bytes().iter().all(|byte| *byte == 0));
    Ok("absent: ENODATA".to_owned())
}

/// Runs `read` into `buffer`. When it waits for the buffer, takes the memory offline and
/// then provides the buffer.
fn while_absent<T>(
    buffer: &mut Memory,
    state: &str,
    read: impl FnOnce(&mut [u8]) -> Result<T>,
) -> Result<T> {
    let fault = Userfault::watch(buffer)?;
    thread::scope(|scope| {
        let provider = scope.spawn(|| {
            fault.wait()?;
            let gone = take_offline(state);
            fault.provide()?;
            gone
        });
        let result = read(buffer.bytes());
        provider
            .join()
            .unwrap_or_else(|_| bail!("the provider panicked"))?;
        result
    })
}

/// Takes a block offline. The kernel can need several attempts.
fn take_offline(state: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match fs::write(state, "offline") {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("{state} did not go offline"));
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Reads `len` bytes from `start` on for `seconds`, in every way and by several threads.
/// The host, or a block's state in the file `rest[3]`, makes them come and go.
pub fn readers(start: u64, len: u64, seconds: u64, rest: &[String]) -> Result<String> {
    let state = rest.get(3);
    let good = AtomicU64::new(0);
    let refused = AtomicU64::new(0);
    let mut rounds = 0_u64;
    let mut failures: BTreeMap<String, u64> = BTreeMap::new();
    let is_over = AtomicBool::new(false);
    let read = |seed: u64| -> Result<()> {
        let device = Device::open()?;
        let plain = File::open(linpmem::DEFAULT_PATH)?;
        let mut random = Random::new(seed);
        let mut buffer = vec![0; BATCH];
        while !is_over.load(Ordering::Relaxed) {
            let addr = start + random.below(len);
            let result = match random.below(3) {
                0 => {
                    let mut unreadable = Unreadables::new();
                    device.read_phys(PhysAddr::new(addr), &mut buffer, &mut unreadable)?;
                    let listed = unreadable.as_slice().iter().map(|bad| bad.errno.get());
                    listed.into_iter().try_for_each(Err)
                }
                1 => plain
                    .read_at(&mut buffer, addr)
                    .map(|_| ())
                    .map_err(|error| error.raw_os_error().unwrap_or(0)),
                _ => device
                    .load(PhysAddr::new(addr), Width::Byte)
                    .map(|_| ())
                    .map_err(|error| error.errno().get()),
            };
            match result {
                Ok(()) => good.fetch_add(1, Ordering::Relaxed),
                // Unplugged memory is a hole.
                Err(libc::ENODATA | libc::EACCES) => refused.fetch_add(1, Ordering::Relaxed),
                Err(errno) => bail!("{addr:#x}: errno {errno}"),
            };
        }
        Ok(())
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|seed| scope.spawn(move || read(seed))).collect();
        let deadline = Instant::now() + Duration::from_secs(seconds);
        // A machine that has little time of its host needs longer for the same.
        let latest = deadline + Duration::from_secs(3 * seconds);
        let is_done = |rounds| state.is_none() || rounds > 1;
        while Instant::now() < deadline || (!is_done(rounds) && Instant::now() < latest) {
            match state {
                // The host can have unplugged it.
                Some(state) => {
                    let toggled = fs::write(state, "offline")
                        .and_then(|()| fs::write(state, "online_movable"));
                    match toggled {
                        Ok(()) => rounds += 1,
                        Err(error) => *failures.entry(error.to_string()).or_default() += 1,
                    }
                }
                None => thread::sleep(Duration::from_millis(100)),
            }
        }
        is_over.store(true, Ordering::Relaxed);
        readers
            .into_iter()
            .try_for_each(|reader| reader.join().unwrap_or_else(|_| bail!("a reader panicked")))
    })?;
    let (good, refused) = (good.into_inner(), refused.into_inner());
    ensure!(
        good > 0 && refused > 0,
        "{good} read and {refused} refused: both must occur"
    );
    ensure!(
        state.is_none() || rounds > 1,
        "{rounds} rounds; the kernel refused: {failures:?}"
    );
    Ok(format!(
        "readers: {good} read, {refused} refused, {rounds} rounds"
    ))
}
