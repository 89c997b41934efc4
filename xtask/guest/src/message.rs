// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests and replies.

use serde::{Deserialize, Serialize};

/// What the host asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Answer [`Reply::Done`].
    Ping,
    /// Run a program. Answers [`Reply::Started`], then output as it comes, and
    /// at the end [`Reply::Ended`].
    Start {
        /// The program, looked for in `PATH`, and its arguments.
        argv: Vec<String>,
        /// Variables beside the usual ones.
        env: Vec<(String, String)>,
        /// The user and group to run as, without root's capabilities, if not 0.
        uid: u32,
    },
    /// Send a signal to a process; 0 asks only whether there is one.
    Signal {
        /// The process.
        pid: i32,
        /// The number.
        signal: i32,
    },
    /// Take a file: data frames follow, and an empty one at the end.
    Put {
        /// Where to; folders above it are made.
        path: String,
        /// The file's mode.
        mode: u32,
        /// The file's length in bytes.
        len: u64,
    },
    /// Send a file: data frames, then [`Reply::Sent`].
    Get {
        /// Which.
        path: String,
    },
    /// Bring the file system of a file to rest on its disk. Answers
    /// [`Reply::Sent`], though nothing is sent.
    Settle {
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
    /// Flush the disk and switch the machine off. Nothing is answered.
    PowerOff,
}

/// What the guest answers.
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
        /// Its process.
        pid: i32,
    },
    /// The program has ended and its output is complete.
    Ended(Ended),
    /// The file is complete, or at rest.
    Sent {
        /// Its length in bytes.
        len: u64,
    },
    /// It could not be done.
    Failed {
        /// What failed, and why.
        message: String,
        /// The system's error number, or 0.
        errno: i32,
    },
}

/// How a program ended, and what it used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// The most memory it ever had resident, in KiB, as wait4 tells.
    pub max_rss_kib: u64,
    /// Time on a CPU in user mode, in milliseconds.
    pub user_ms: u64,
    /// Time on a CPU in the kernel, in milliseconds.
    pub system_ms: u64,
    /// Time from start to end, in milliseconds.
    pub wall_ms: u64,
}
