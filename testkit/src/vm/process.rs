// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs in the guest.

use super::Vm;
use super::agent::{self, Conversation, Silence};
use anyhow::{Context, Result, bail, ensure};
use linpmem_guest::{Ended, FrameKind, Reply, Request};
use std::time::{Duration, Instant};

/// A program to be run in the guest.
#[derive(Clone, Debug)]
pub struct GuestCommand<'a> {
    vm: &'a Vm,
    argv: Vec<String>,
    env: Vec<(String, String)>,
    uid: u32,
    stdin: Vec<u8>,
    timeout: Duration,
}

/// A program that runs in the guest. Dropping it lets the program run on.
#[derive(Debug)]
pub struct Process<'a> {
    vm: &'a Vm,
    conversation: Conversation<'a>,
    what: String,
    pid: i32,
    deadline: Instant,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    ended: Option<Ended>,
}

/// The result of a program that has ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its command line.
    pub command: String,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
    /// How it ended, and what it used.
    pub ended: Ended,
}

impl<'a> GuestCommand<'a> {
    pub(super) fn new(vm: &'a Vm, argv: &[&str], timeout: Duration) -> Self {
        Self {
            vm,
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            env: Vec::new(),
            uid: 0,
            stdin: Vec::new(),
            timeout,
        }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it as this user and group.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = uid;
        self
    }

    /// What it reads from stdin.
    #[must_use]
    pub fn stdin(mut self, bytes: &[u8]) -> Self {
        self.stdin = bytes.to_vec();
        self
    }

    /// How long it may run.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started, or the guest is in trouble.
    pub fn start(self) -> Result<Process<'a>> {
        let what = self.argv.join(" ");
        let conversation = self.vm.ask(&Request::Start {
            argv: self.argv,
            env: self.env,
            uid: self.uid,
        })?;
        let deadline = Instant::now() + self.timeout;
        let frame = self.vm.answer(&conversation, deadline, &what)?;
        let Reply::Started { pid } = agent::reply(&frame)? else {
            bail!("the guest did not start {what}");
        };
        for part in self.stdin.chunks(64 << 10) {
            conversation.send(FrameKind::Stdin, part.to_vec())?;
        }
        conversation.send(FrameKind::Stdin, Vec::new())?;
        Ok(Process {
            vm: self.vm,
            conversation,
            what,
            pid,
            deadline,
            stdout: Vec::new(),
            stderr: Vec::new(),
            ended: None,
        })
    }

    /// Runs it until it ends, successfully or not.
    ///
    /// # Errors
    /// When it cannot be started, takes too long, or the guest is in trouble.
    pub fn run(self) -> Result<Output> {
        self.start()?.wait()
    }
}

impl Process<'_> {
    /// Its process id in the guest.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for a line of its output that contains `text`, and returns the line.
    ///
    /// # Errors
    /// When it ends before that, takes too long, or the guest is in trouble.
    pub fn wait_for(&mut self, text: &str) -> Result<String> {
        loop {
            let so_far = String::from_utf8_lossy(&self.stdout);
            let complete = so_far.split_inclusive('\n').filter(|l| l.ends_with('\n'));
            if let Some(line) = complete.into_iter().find(|line| line.contains(text)) {
                return Ok(line.trim_end().to_owned());
            }
            if let Some(ended) = self.step(self.deadline)? {
                let output = self.output(ended);
                bail!("{output} before it printed \"{text}\"");
            }
        }
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// When it takes too long, or the guest is in trouble.
    pub fn wait(mut self) -> Result<Output> {
        loop {
            if let Some(ended) = self.step(self.deadline)? {
                return Ok(self.output(ended));
            }
        }
    }

    /// Waits until it ends, but no longer than `patience`. Returns whether it has ended.
    ///
    /// # Errors
    /// When the guest is in trouble.
    pub fn ends_within(&mut self, patience: Duration) -> Result<bool> {
        let until = self.deadline.min(Instant::now() + patience);
        while Instant::now() < until {
            if self.step(until)?.is_some() {
                return Ok(true);
            }
        }
        Ok(self.ended.is_some())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended, or the guest is in trouble.
    pub fn signal(&self, signal: i32) -> Result<()> {
        self.vm.signal(self.pid, signal)
    }

    /// Handles the next frame that comes before `until`.
    fn step(&mut self, until: Instant) -> Result<Option<Ended>> {
        if self.ended.is_some() {
            return Ok(self.ended);
        }
        let frame = match self.conversation.next(until) {
            Ok(frame) => frame,
            Err(Silence::Timeout) if until < self.deadline => return Ok(None),
            Err(Silence::Timeout) if self.vm.ping().is_ok() => {
                let _ = self.signal(9);
                let output = self.output(Ended::default());
                bail!(
                    "{} took too long; it printed:\n{}",
                    self.what,
                    output.text()
                );
            }
            Err(silence) => return Err(self.vm.trouble(silence, &self.what)),
        };
        match frame.kind {
            FrameKind::Stdout => self.stdout.extend(frame.payload),
            FrameKind::Stderr => self.stderr.extend(frame.payload),
            _ => match agent::reply(&frame)? {
                Reply::Ended(ended) => self.ended = Some(ended),
                other => bail!("the guest answered {other:?} for {}", self.what),
            },
        }
        Ok(self.ended)
    }

    fn output(&mut self, ended: Ended) -> Output {
        Output {
            command: self.what.clone(),
            stdout: std::mem::take(&mut self.stdout),
            stderr: std::mem::take(&mut self.stderr),
            ended,
        }
    }
}

impl Output {
    /// Whether its exit code is 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.ended.code == Some(0)
    }

    /// Returns itself if its exit code is 0.
    ///
    /// # Errors
    /// When it is not; the error has the output.
    pub fn ok(self) -> Result<Self> {
        self.exited(0)
    }

    /// Returns itself if its exit code is `code`.
    ///
    /// # Errors
    /// When it is not; the error has the output.
    pub fn exited(self, code: i32) -> Result<Self> {
        let is_expected = self.ended.code == Some(code);
        ensure!(is_expected, "{self} instead of {code}:\n{}", self.text());
        Ok(self)
    }

    /// Its stdout as text.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn stdout_text(&self) -> Result<&str> {
        std::str::from_utf8(&self.stdout)
            .with_context(|| format!("the output of {} is not text", self.command))
    }

    /// Its stderr and stdout, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.stderr).into_owned();
        text.push_str(&String::from_utf8_lossy(&self.stdout));
        text
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.ended.code, self.ended.signal) {
            (Some(code), _) => write!(f, "{} exited with {code}", self.command),
            (None, Some(signal)) => write!(f, "{} was ended by signal {signal}", self.command),
            (None, None) => write!(f, "{} ended", self.command),
        }
    }
}
