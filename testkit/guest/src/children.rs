// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that run for the host, and the orphans that process 1 inherits.

use linpmem_guest::Ended;
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::process::{Child, Command};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Children by process id.
#[derive(Default)]
pub struct Children {
    table: Mutex<HashMap<i32, Entry>>,
    changed: Condvar,
}

enum Entry {
    Running(Instant),
    Ended(Ended),
}

impl Children {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a program. The standard library itself waits for a child whose exec failed,
    /// so the reaper must not reap that one first: it reaps only while it holds the lock.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut table = self.lock();
        let child = command.spawn()?;
        table.insert(pid_of(&child), Entry::Running(Instant::now()));
        self.changed.notify_all();
        Ok(child)
    }

    /// Waits until a program that [`spawn`](Self::spawn) started ends.
    pub fn wait(&self, pid: i32) -> Ended {
        let mut table = self.lock();
        loop {
            match table.get(&pid) {
                Some(Entry::Running(_)) => {}
                Some(Entry::Ended(ended)) => {
                    let ended = *ended;
                    table.remove(&pid);
                    return ended;
                }
                None => return Ended::default(),
            }
            table = self
                .changed
                .wait(table)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reaps every process that ends, forever: process 1 inherits all orphans.
    pub fn reap(&self) {
        loop {
            let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            let pid = match waitid(Id::All, look) {
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) => pid.as_raw(),
                Err(Errno::ECHILD) => {
                    let table = self.lock();
                    let pause = Duration::from_secs(1);
                    drop(self.changed.wait_timeout(table, pause));
                    continue;
                }
                _ => {
                    thread::sleep(Duration::from_millis(10));
                    continue;
                }
            };
            let mut table = self.lock();
            if let Some(mut ended) = reap_one(pid) {
                if let Some(Entry::Running(since)) = table.get(&pid) {
                    ended.wall_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                    table.insert(pid, Entry::Ended(ended));
                    self.changed.notify_all();
                }
            }
        }
    }
}

/// The process id of a child.
pub fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap_or(i32::MAX)
}

/// Reaps the zombie `pid` and returns its resource usage. There is no safe wrapper of
/// wait4.
fn reap_one(pid: i32) -> Option<Ended> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writes during the call.
    let reaped = unsafe { libc::wait4(pid, &mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    if reaped != pid {
        return None;
    }
    // SAFETY: an all-zero rusage is valid, and the kernel has filled it in.
    let usage = unsafe { usage.assume_init() };
    let milliseconds = |time: libc::timeval| {
        let whole = time.tv_sec.saturating_mul(1000);
        u64::try_from(whole.saturating_add(time.tv_usec / 1000)).unwrap_or(0)
    };
    Some(Ended {
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        user_ms: milliseconds(usage.ru_utime),
        system_ms: milliseconds(usage.ru_stime),
        wall_ms: 0,
    })
}
