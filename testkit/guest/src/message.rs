// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests and replies.

use serde::{Deserialize, Serialize};

/// A request of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Answer with [`Reply::Done`].
    Ping,
    /// Run a program. The answer is [`Reply::Started`], then output as it comes, and
    /// finally [`Reply::Ended`].
    Start {
        /// The program, found through `PATH`, and its arguments.
        argv: Vec<String>,
        /// Environment variables besides the usual ones.
        env: Vec<(String, String)>,
        /// The user and group to run as. If not 0, without root's capabilities.
        uid: u32,
    },
    /// Send a signal to a process; 0 only checks that it exists.
    Signal {
        /// The process id.
        pid: i32,
        /// The signal's number.
        signal: i32,
    },
    /// Receive a file: data frames follow, the last one empty.
    Put {
        /// Its path; missing folders are created.
        path: String,
        /// The file's mode.
        mode: u32,
        /// The file's length in bytes.
        len: u64,
    },
    /// Send a file: data frames, then [`Reply::Sent`].
    Get {
        /// Its path.
        path: String,
    },
    /// Sync the file system of a file to its disk. The answer is [`Reply::Sent`] with
    /// the file's length, although no data is sent.
    Sync {
        /// The file.
        path: String,
    },
    /// Load a kernel module.
    LoadModule {
        /// The module in the guest.
        path: String,
        /// Its parameters, as `insmod` takes them.
        params: String,
    },
    /// Sync the disk and power the machine off. There is no answer.
    PowerOff,
}

/// An answer of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The guest's first frame, under id 0: it is up.
    Hello {
        /// As `uname -r` gives it.
        release: String,
    },
    /// Done.
    Done,
    /// The program runs.
    Started {
        /// Its process id.
        pid: i32,
    },
    /// The program has ended and its output is complete.
    Ended(Ended),
    /// The file has been sent, or synced.
    Sent {
        /// Its length in bytes.
        len: u64,
    },
    /// The request failed.
    Failed {
        /// What failed, and why.
        message: String,
        /// The error number, or 0 if there is none.
        errno: i32,
    },
}

/// How a program ended, and what it used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that killed it, if one did.
    pub signal: Option<i32>,
    /// Its peak resident set size in KiB, from wait4.
    pub max_rss_kib: u64,
    /// CPU time in user mode, in milliseconds.
    pub user_ms: u64,
    /// CPU time in the kernel, in milliseconds.
    pub system_ms: u64,
    /// Time from start to end, in milliseconds.
    pub wall_ms: u64,
}
