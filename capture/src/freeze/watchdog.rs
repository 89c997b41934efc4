// SPDX-License-Identifier: MIT OR Apache-2.0
//! A second process that resumes suspended programs if this one cannot.
//!
//! It is this program with a hidden subcommand. Its input is the groups, a line each, and
//! an empty line. It answers that it is ready, and then expects a byte for each progress.
//! If its input ends without a farewell, or nothing comes for [`PATIENCE`], it resumes all
//! groups. So that it is there when it is needed, it ignores the signals that end the other
//! process, and leaves its session and its control group: whatever ends those
//! (`systemctl stop`, a logout, a container's end) must not end both.

use super::{FreezeError, groups};
use crate::meter::Meter;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use procfs::process::Process;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long programs stay suspended without progress.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks at the progress.
const BEAT: Duration = Duration::from_millis(500);

const READY: &[u8] = b"ready\n";
/// Ready, but in the other process's control group.
const EXPOSED: &[u8] = b"group\n";
const PROGRESS: u8 = b'.';
const FAREWELL: u8 = b'!';

/// A watchdog that did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchdogError {
    /// The process cannot be started, or ends without an answer.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The process gives a wrong answer.
    #[error("it did not answer that it is ready")]
    NotReady,
    /// The list of groups is incomplete.
    #[error("the list of groups is truncated")]
    TruncatedList,
    /// A group cannot be resumed.
    #[error(transparent)]
    Group(Box<FreezeError>),
    /// A group has a line break in its name.
    #[error("the name of the control group {0} contains a line break, which is not supported")]
    Name(PathBuf),
}

/// The other process, as this one sees it.
#[derive(Debug)]
pub(super) struct Watchdog {
    child: Child,
    heart: Option<(Sender<()>, JoinHandle<Early>)>,
    /// Whether what ends this process's control group ends it too.
    pub(super) is_exposed: bool,
}

/// Why programs were resumed before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    /// They were not.
    Not,
    /// The watchdog resumed them: there was no progress.
    NoProgress,
    /// They had been suspended for as long as they may.
    Limit,
}

impl Watchdog {
    /// Starts it for `groups`, and reports every change of `meter` to it. After `limit`,
    /// the groups are resumed.
    pub(super) fn start(
        groups: &[PathBuf],
        meter: Arc<Meter>,
        limit: Duration,
    ) -> Result<Self, WatchdogError> {
        let mut child = Command::new("/proc/self/exe")
            .arg("thaw-watchdog")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let Some((mut input, mut output)) = pipes else {
            return Err(WatchdogError::NotReady);
        };
        let mut list = Vec::new();
        for group in groups {
            let bytes = group.as_os_str().as_bytes();
            if bytes.contains(&b'\n') {
                return Err(WatchdogError::Name(group.clone()));
            }
            list.extend_from_slice(bytes);
            list.push(b'\n');
        }
        list.push(b'\n');
        input.write_all(&list)?;
        let mut answer = [0; READY.len()];
        output.read_exact(&mut answer)?;
        let is_exposed = answer == *EXPOSED;
        if answer != *READY && !is_exposed {
            return Err(WatchdogError::NotReady);
        }
        let frozen = groups.to_vec();
        let begun = Instant::now();
        let (end, ended) = bounded(0);
        let heart = std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(move || {
                let mut seen = None;
                while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                    if begun.elapsed() >= limit {
                        // If one cannot be resumed, the end of the run tries again.
                        let all_run = frozen.iter().all(|group| groups::set(group, false).is_ok());
                        if all_run {
                            farewell(input);
                        }
                        return Early::Limit;
                    }
                    let now = meter.activity();
                    if seen.replace(now) != Some(now) && input.write_all(&[PROGRESS]).is_err() {
                        return Early::NoProgress;
                    }
                }
                match farewell(input) {
                    true => Early::NoProgress,
                    false => Early::Not,
                }
            })?;
        Ok(Self {
            child,
            heart: Some((end, heart)),
            is_exposed,
        })
    }

    /// Ends it. Returns why the groups had been resumed before, if they had.
    pub(super) fn end(mut self) -> Early {
        let heart = self.heart.take();
        let was_early = heart.map_or(Early::Not, |(end, heart)| {
            drop(end);
            // If the thread panicked, the process lost its input and resumed the groups.
            heart.join().unwrap_or(Early::NoProgress)
        });
        // This only removes the zombie; how the process ended does not matter any more.
        let _ = self.child.wait();
        was_early
    }
}

/// Says farewell. Returns whether the process had already ended.
fn farewell(mut input: ChildStdin) -> bool {
    input.write_all(&[FAREWELL]).is_err()
}

/// The other process: `linpmem-dump thaw-watchdog`.
///
/// # Errors
/// If the list of groups cannot be read, or a group cannot be resumed.
pub fn watch(
    input: impl Read + Send + 'static,
    output: &mut dyn Write,
) -> Result<(), WatchdogError> {
    let answer = match outlive()? {
        true => READY,
        false => EXPOSED,
    };
    watch_for(input, output, answer, PATIENCE)
}

/// Takes this process out of reach of what ends the other one. Returns whether it could
/// leave the control group; all else works without any rights.
fn outlive() -> io::Result<bool> {
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        // A handler that does nothing of consequence.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    // Fails only if it leads a group of processes already, out of reach of the terminal.
    let _ = rustix::process::setsid();
    // Not even the lack of memory shall end it; without the right, it is as likely to be
    // chosen as any other process.
    let _ = fs::write("/proc/self/oom_score_adj", "-1000");
    let group = Process::myself()
        .ok()
        .and_then(|me| groups::hierarchy(&me).ok());
    let procs = group.map(|group| group.join("cgroup.procs"));
    Ok(procs.is_some_and(|procs| fs::write(procs, std::process::id().to_string()).is_ok()))
}

fn watch_for(
    input: impl Read + Send + 'static,
    output: &mut dyn Write,
    answer: &[u8],
    patience: Duration,
) -> Result<(), WatchdogError> {
    let mut input = BufReader::new(input);
    let mut groups = Vec::new();
    loop {
        let mut line = Vec::new();
        input.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(WatchdogError::TruncatedList);
        }
        if line.is_empty() {
            break;
        }
        groups.push(PathBuf::from(std::ffi::OsStr::from_bytes(&line)));
    }
    output.write_all(answer)?;
    output.flush()?;
    let (beats, heard) = bounded(1);
    // The thread ends with its input, or with the process.
    std::thread::Builder::new()
        .name("listen".to_owned())
        .spawn(move || {
            for byte in input.bytes().map_while(Result::ok) {
                if beats.send(byte).is_err() {
                    return;
                }
            }
        })?;
    loop {
        match heard.recv_timeout(patience) {
            Ok(PROGRESS) => {}
            Ok(FAREWELL) => return Ok(()),
            _ => break,
        }
    }
    let results: Vec<_> = groups.iter().map(|group| thaw(group)).collect();
    results.into_iter().collect()
}

fn thaw(group: &Path) -> Result<(), WatchdogError> {
    groups::set(group, false).map_err(|error| WatchdogError::Group(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use std::os::unix::net::UnixStream;

    /// The state of a suspended group after the watchdog got `words` after its name.
    fn state_after(words: &[u8]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let control = groups::control(folder.path());
        fs::write(&control, b"1").unwrap();
        let mut input = folder.path().as_os_str().as_bytes().to_vec();
        input.extend_from_slice(b"\n\n");
        input.extend_from_slice(words);
        let mut said = Vec::new();
        watch_for(
            Cursor::new(input),
            &mut said,
            READY,
            Duration::from_secs(30),
        )
        .unwrap();
        assert_eq!(said, READY);
        fs::read(&control).unwrap()
    }

    #[test]
    fn resumes_when_its_input_ends_and_not_after_a_farewell() {
        assert_eq!(state_after(b""), b"0");
        assert_eq!(state_after(b"..."), b"0");
        assert_eq!(state_after(b"...!"), b"1");
        assert_eq!(state_after(b"?"), b"0");
    }

    #[test]
    fn resumes_without_progress() {
        let folder = tempfile::tempdir().unwrap();
        let control = groups::control(folder.path());
        fs::write(&control, b"1").unwrap();
        let (input, mut writer) = UnixStream::pair().unwrap();
        let mut name = folder.path().as_os_str().as_bytes().to_vec();
        name.extend_from_slice(b"\n\n.");
        writer.write_all(&name).unwrap();
        // The writer stays open and writes nothing more.
        watch_for(input, &mut io::sink(), READY, Duration::from_millis(50)).unwrap();
        assert_eq!(fs::read(&control).unwrap(), b"0");
        drop(writer);
    }

    #[test]
    fn a_truncated_list_is_refused() {
        let input = Cursor::new(b"/sys/fs/cgroup/a".to_vec());
        assert!(watch_for(input, &mut io::sink(), READY, PATIENCE).is_err());
    }
}
