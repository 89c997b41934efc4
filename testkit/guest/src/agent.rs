// SPDX-License-Identifier: MIT OR Apache-2.0
//! Serves the host's requests.

use crate::children::{Children, pid_of};
use crate::host::Host;
use crate::{files, kernel_modules};
use anyhow::{Context, Result, bail};
use linpmem_guest::{Frame, FrameKind, Reply, Request};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

/// Answers the host until it requests the end, or disappears.
pub fn serve(mut port: File) -> Result<()> {
    let children: &'static Children = Box::leak(Box::default());
    thread::spawn(|| children.reap());
    let sender = Arc::new(Mutex::new(port.try_clone().context("the port")?));
    let host = |id| Host::new(Arc::clone(&sender), id);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    host(0).reply(&Reply::Hello {
        release: release.trim_end().to_owned(),
    })?;
    let mut inputs: HashMap<u32, Sender<Vec<u8>>> = HashMap::new();
    let mut arriving: HashMap<u32, files::Arriving> = HashMap::new();
    // A host that dies closes its end: no machine outlives its host.
    while let Some(frame) = Frame::read_from(&mut port).context("the port")? {
        let host = host(frame.id);
        match frame.kind {
            FrameKind::Request => {
                let request = serde_json::from_slice(&frame.payload).context("a request")?;
                match request {
                    Request::Ping => host.reply(&Reply::Done)?,
                    Request::Start { argv, env, uid } => match start(children, &argv, env, uid) {
                        Ok(child) => {
                            inputs.insert(frame.id, attend(children, child, host)?);
                        }
                        Err(error) => host.outcome(Err(error))?,
                    },
                    Request::Signal { pid, signal } => {
                        host.outcome(send_signal(pid, signal).map(|()| Reply::Done))?;
                    }
                    Request::Put { path, mode, len } => {
                        let file = files::Arriving::new(&path, mode, len);
                        arriving.insert(frame.id, file);
                    }
                    Request::Get { path } => {
                        thread::spawn(move || {
                            let sent = files::send(Path::new(&path), &host);
                            let _ = host.outcome(sent.map(|len| Reply::Sent { len }));
                        });
                    }
                    Request::Sync { path } => {
                        thread::spawn(move || {
                            let synced = files::sync(Path::new(&path));
                            let _ = host.outcome(synced.map(|len| Reply::Sent { len }));
                        });
                    }
                    Request::LoadModule { path, params } => {
                        // In a thread: a module that hangs must not block init.
                        thread::spawn(move || {
                            let loaded = kernel_modules::load(Path::new(&path), &params);
                            let _ = host.outcome(loaded.map(|()| Reply::Done));
                        });
                    }
                    Request::PowerOff => return Ok(()),
                }
            }
            FrameKind::Stdin => {
                if frame.payload.is_empty() {
                    inputs.remove(&frame.id);
                } else if let Some(input) = inputs.get(&frame.id) {
                    let _ = input.send(frame.payload);
                }
            }
            FrameKind::Data => {
                if let Some(file) = arriving.get_mut(&frame.id) {
                    if file.part(&frame.payload) {
                        let done = arriving.remove(&frame.id).map(files::Arriving::finish);
                        host.outcome(done.unwrap_or(Ok(())).map(|()| Reply::Done))?;
                    }
                }
            }
            FrameKind::Reply | FrameKind::Stdout | FrameKind::Stderr => {
                bail!("the host sent a frame that only a guest may send");
            }
        }
    }
    Ok(())
}

fn start(
    children: &Children,
    argv: &[String],
    env: Vec<(String, String)>,
    uid: u32,
) -> Result<Child> {
    let (program, args) = argv.split_first().context("no program given")?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .env("PATH", "/bin")
        .env("HOME", "/tmp")
        .env("TERM", "dumb")
        .envs(env)
        .current_dir("/tmp")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if uid != 0 {
        command.uid(uid).gid(uid);
    }
    children
        .spawn(&mut command)
        .with_context(|| format!("starting {program}"))
}

/// Forwards a program's input, output and exit status. Returns the sender of its input.
fn attend(children: &'static Children, mut child: Child, host: Host) -> Result<Sender<Vec<u8>>> {
    let pid = pid_of(&child);
    host.reply(&Reply::Started { pid })?;
    let (input, queue) = mpsc::channel();
    let stdin = child.stdin.take();
    thread::spawn(move || feed(stdin, queue));
    let outputs = [
        forward(child.stdout.take(), FrameKind::Stdout, host.clone()),
        forward(child.stderr.take(), FrameKind::Stderr, host.clone()),
    ];
    thread::spawn(move || {
        let ended = children.wait(pid);
        for output in outputs {
            let _ = output.join();
        }
        let _ = host.reply(&Reply::Ended(ended));
    });
    Ok(input)
}

fn feed(stdin: Option<ChildStdin>, queue: mpsc::Receiver<Vec<u8>>) {
    let Some(mut stdin) = stdin else { return };
    for bytes in queue {
        if stdin.write_all(&bytes).is_err() {
            return; // it has closed its input
        }
    }
}

fn forward(
    output: Option<impl Read + Send + 'static>,
    kind: FrameKind,
    host: Host,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let Some(mut output) = output else { return };
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            let bytes = buffer.get(..count).unwrap_or_default().to_vec();
            if host.send(kind, bytes).is_err() {
                return;
            }
        }
    })
}

fn send_signal(pid: i32, signal: i32) -> Result<()> {
    let signal = match signal {
        0 => None,
        number => Some(Signal::try_from(number).context("no such signal")?),
    };
    kill(Pid::from_raw(pid), signal).with_context(|| format!("signal for process {pid}"))
}
