// SPDX-License-Identifier: MIT OR Apache-2.0
//! Vector registers: code in the kernel that used them would change those of the programs
//! that run beside it, and of the one that it works for.

#![allow(unsafe_code)]

use anyhow::{Context, Result, ensure};
use std::arch::{asm, is_x86_feature_detected};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of one read.
const LEN: usize = 1 << 20;

/// All 16 registers of 256 bits.
#[repr(align(32))]
#[derive(Clone, Copy, PartialEq, Eq)]
struct Registers([[u64; 4]; 16]);

impl Registers {
    /// Different in every word, and for every `seed`.
    fn pattern(seed: u64) -> Self {
        let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self([[(); 4]; 16].map(|register| {
            register.map(|()| {
                word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                word
            })
        }))
    }
}

/// Puts values into the registers, makes a system call or counts to its last argument, and
/// returns what is in the registers then.
fn hold(values: &Registers, call: Option<[u64; 4]>, spins: u64) -> (Registers, i64) {
    /// pread64.
    const PREAD: i64 = 17;
    let mut after = Registers([[0; 4]; 16]);
    let [fd, buffer, len, offset] = call.unwrap_or_default();
    let result: i64;
    macro_rules! moves {
        ($direction:tt, $($n:literal)+) => {
            concat!($(
                moves!(@ $direction, $n),
            )+)
        };
        (@ into, $n:literal) => {
            concat!("vmovdqa ymm", $n, ", [r12 + 32*", $n, "]\n")
        };
        (@ from, $n:literal) => {
            concat!("vmovdqa [r13 + 32*", $n, "], ymm", $n, "\n")
        };
    }
    // SAFETY: The registers are declared as overwritten, both structs are aligned, and the
    // buffer of the call is the caller's.
    unsafe {
        asm!(
            moves!(into, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15),
            "test r14, r14",
            "jz 3f",
            "syscall",
            "3:",
            "test r15, r15",
            "jz 4f",
            "5: dec r15",
            "jnz 5b",
            "4:",
            moves!(from, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15),
            in("r12") values,
            in("r13") &raw mut after,
            in("r14") u64::from(call.is_some()),
            inout("r15") spins => _,
            inout("rax") PREAD => result,
            in("rdi") fd,
            in("rsi") buffer,
            in("rdx") len,
            in("r10") offset,
            out("rcx") _,
            out("r11") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(nostack)
        );
    }
    (after, result)
}

/// For `seconds`, a thread on each processor computes with vector registers while another
/// reads memory at `start` by the module, with its own registers in use.
pub fn hold_during_reads(seconds: u64, start: u64) -> Result<String> {
    ensure!(is_x86_feature_detected!("avx"), "this processor has no AVX");
    let device = File::open(linpmem::DEFAULT_PATH)?;
    let stop = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    let processors = thread::available_parallelism()?.get();
    let reads = thread::scope(|scope| -> Result<u64> {
        let computing: Vec<_> = (0..processors)
            .map(|number| {
                let (stop, rounds) = (&stop, &rounds);
                scope.spawn(move || -> Result<()> {
                    let mut seed = u64::try_from(number)? << 48;
                    while !stop.load(Ordering::Relaxed) {
                        seed += 1;
                        let values = Registers::pattern(seed);
                        let (after, _) = hold(&values, None, 20_000);
                        ensure!(after == values, "registers changed beside a read");
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        let reading = read_until(
            &device,
            start,
            Instant::now() + Duration::from_secs(seconds),
        );
        stop.store(true, Ordering::Relaxed);
        for thread in computing {
            let ended = thread.join();
            ended.map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        reading
    })?;
    let rounds = rounds.load(Ordering::Relaxed);
    ensure!(reads > 0 && rounds > 0, "nothing was compared");
    Ok(format!(
        "vectors: {reads} reads and {rounds} rounds beside them changed no register"
    ))
}

/// Reads with registers in use. Returns how often.
fn read_until(device: &File, start: u64, end: Instant) -> Result<u64> {
    let mut buffer = vec![0_u8; LEN];
    let fd = u64::try_from(device.as_raw_fd())?;
    let mut reads = 0;
    while Instant::now() < end {
        reads += 1;
        let values = Registers::pattern(reads);
        let addr = buffer.as_mut_ptr().addr();
        let call = [fd, u64::try_from(addr)?, u64::try_from(LEN)?, start];
        let (after, result) = hold(&values, Some(call), 0);
        let bytes = usize::try_from(result).context("the read failed")?;
        ensure!(bytes == LEN, "read {bytes} bytes of {LEN}");
        ensure!(
            after == values,
            "a read changed the registers of its caller"
        );
    }
    Ok(reads)
}
