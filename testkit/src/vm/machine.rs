// SPDX-License-Identifier: MIT OR Apache-2.0
//! A running machine.

use super::agent::{self, Agent, Conversation, Silence};
use super::builder::VmBuilder;
use super::console::Console;
use super::process::{GuestCommand, Output};
use super::qemu::{Files, Qemu};
use super::qmp::Qmp;
use crate::cache::Cache;
use crate::debian_tree::DebianTree;
use crate::kernel::Kernel;
use anyhow::{Context, Result, anyhow, bail, ensure};
use linpmem_guest::{Frame, LAST_LINE, Reply, Request};
use linpmem_phys::MemoryMap;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How many lines of the console an error shows.
const TAIL: usize = 60;

/// A running machine. Dropping it ends QEMU and removes its files; if this process is
/// killed instead, the guest sees its port close and powers off.
#[derive(Debug)]
pub struct Vm {
    // The order matters: QEMU ends before its folder is removed.
    agent: Agent,
    qmp: Mutex<Qmp>,
    qemu: Mutex<Qemu>,
    console: Console,
    files: Files,
    timeout: Duration,
    kernel: Kernel,
    boot_time: Duration,
    _folder: TempDir,
}

/// How often to boot a kernel that does not reach its init.
const BOOTS: u32 = 3;

/// What the kernel says when it starts its init (init/main.c).
const INIT_RUNS: &str = "Run /init as init process";

/// The kernel crashed or stopped before its init ran, and so before any code of ours was
/// in it. Under QEMU's emulation that happens once in a few hundred boots on a busy
/// machine: a processor executes code that another one is patching.
#[derive(Debug)]
struct EarlyExit {
    complaint: String,
}

impl fmt::Display for EarlyExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kernel did not reach its init: {}", self.complaint)
    }
}

impl Vm {
    /// A machine to be booted with `kernel`.
    #[must_use]
    pub fn builder(kernel: &Kernel) -> VmBuilder {
        VmBuilder::new(kernel)
    }

    pub(super) fn boot(builder: VmBuilder) -> Result<Self> {
        for attempt in 1.. {
            match Self::boot_once(builder.clone()) {
                Err(error) if attempt < BOOTS && error.is::<EarlyExit>() => {
                    eprintln!("[vm] {error}; booting again");
                }
                outcome => return outcome,
            }
        }
        bail!("the machine was not booted at all")
    }

    fn boot_once(builder: VmBuilder) -> Result<Self> {
        let root = DebianTree::open(&Cache::open()?)?;
        let folder = tempfile::Builder::new()
            .prefix("linpmem-vm-")
            .tempdir()
            .context("creating a folder for the machine")?;
        let files = Files::new(folder.path(), &builder);
        let mut qemu = Qemu::start(&builder, &root, &files)?;
        let started = Instant::now();
        let agent = Agent::new(qemu.connect(&files.agent)?)?;
        let hello = agent.greeting();
        let qmp = Qmp::new(qemu.connect(&files.qmp)?)?;
        let console = Console::new(files.console.clone());
        let greeted = hello.next(started + builder.boot_timeout);
        drop(hello);
        let vm = Self {
            agent,
            qmp: Mutex::new(qmp),
            qemu: Mutex::new(qemu),
            console,
            files,
            timeout: builder.timeout,
            kernel: builder.kernel,
            boot_time: started.elapsed(),
            _folder: folder,
        };
        let frame = match greeted {
            Ok(frame) => frame,
            Err(silence) => {
                let complaint = match vm.console.complaint() {
                    None if !vm.console.text().contains(INIT_RUNS) => {
                        Some("it stopped without a word".to_owned())
                    }
                    complaint => complaint,
                };
                let error = vm.trouble(silence, "the boot");
                return Err(match complaint {
                    Some(complaint) if !complaint.contains("linpmem-guest") => {
                        error.context(EarlyExit { complaint })
                    }
                    _ => error,
                });
            }
        };
        let Reply::Hello { release } = agent::reply(&frame)? else {
            bail!("the guest sent no greeting");
        };
        ensure!(
            release == vm.kernel.release(),
            "the guest runs {release}, not {}",
            vm.kernel.release()
        );
        Ok(vm)
    }

    /// The time from starting QEMU to the init's greeting.
    #[must_use]
    pub fn boot_time(&self) -> Duration {
        self.boot_time
    }

    /// The kernel that was booted.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The serial console.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// A program to be run in the guest.
    #[must_use]
    pub fn command(&self, argv: &[&str]) -> GuestCommand<'_> {
        GuestCommand::new(self, argv, self.timeout)
    }

    /// Runs a program in the guest until it ends, successfully or not.
    ///
    /// # Errors
    /// When it cannot be started, takes too long, or the guest is in trouble.
    pub fn run(&self, argv: &[&str]) -> Result<Output> {
        self.command(argv).run()
    }

    /// Sends a signal to a process of the guest.
    ///
    /// # Errors
    /// When there is no such process, or the guest is in trouble.
    pub fn signal(&self, pid: i32, signal: i32) -> Result<()> {
        self.request(&Request::Signal { pid, signal })
    }

    /// Loads a module file of the host into the guest's kernel.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn insmod(&self, module: &Path, params: &str) -> Result<()> {
        let name = module.file_name().context("a module without a name")?;
        let path = format!("/tmp/{}", name.to_string_lossy());
        self.push(module, &path)?;
        self.request(&Request::LoadModule {
            path,
            params: params.to_owned(),
        })
    }

    /// Writes to an existing file of the guest, such as one in /sys or /proc.
    /// [`put`](Self::put) creates files.
    ///
    /// # Errors
    /// When the guest cannot.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        self.run(&["write", path, text])?.ok().map(drop)
    }

    /// The kernel's log in the format of /dev/kmsg, a record a line: `LEVEL,…;TEXT`.
    ///
    /// # Errors
    /// When the guest is in trouble.
    pub fn kernel_log(&self) -> Result<String> {
        let output = self.run(&["kmsg"])?.ok()?;
        Ok(output.stdout_text()?.to_owned())
    }

    /// The guest's /proc/iomem, as root sees it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn iomem(&self) -> Result<String> {
        Ok(String::from_utf8(self.read("/proc/iomem")?)?)
    }

    /// A file of the guest's kernel in /proc or /sys, whose stated size is not its length.
    ///
    /// # Errors
    /// When it cannot be read, or is not text.
    pub fn kernel_file(&self, path: &str) -> Result<String> {
        let output = self.run(&["cat", path])?.ok()?;
        Ok(output.stdout_text()?.to_owned())
    }

    /// The System RAM of the guest's /proc/iomem.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn system_ram(&self) -> Result<MemoryMap> {
        super::iomem::system_ram(&self.iomem()?)
    }

    /// Stops all processors.
    ///
    /// # Errors
    /// When QEMU refuses.
    pub fn pause(&self) -> Result<()> {
        self.execute("stop", json!({})).map(drop)
    }

    /// Lets the processors run again.
    ///
    /// # Errors
    /// When QEMU refuses.
    pub fn resume(&self) -> Result<()> {
        self.execute("cont", json!({})).map(drop)
    }

    /// Runs a command of QEMU's machine protocol.
    ///
    /// # Errors
    /// When QEMU refuses or is gone.
    pub fn execute(&self, command: &str, arguments: Value) -> Result<Value> {
        let mut qmp = self.qmp.lock().unwrap_or_else(PoisonError::into_inner);
        qmp.execute(command, arguments)
    }

    /// Runs a command of QEMU's human monitor.
    ///
    /// # Errors
    /// When QEMU refuses or is gone.
    pub fn monitor(&self, line: &str) -> Result<String> {
        let mut qmp = self.qmp.lock().unwrap_or_else(PoisonError::into_inner);
        qmp.human(line)
    }

    /// Waits until the guest has answered everything that was requested before.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn ping(&self) -> Result<()> {
        let until = Instant::now() + self.timeout.min(Duration::from_secs(20));
        let conversation = self.ask(&Request::Ping)?;
        let frame = self.answer(&conversation, until, "a ping")?;
        agent::reply(&frame).map(drop)
    }

    /// Switches the machine off.
    ///
    /// # Errors
    /// When it does not end, or its kernel reported a problem.
    pub fn shutdown(self) -> Result<()> {
        drop(self.ask(&Request::PowerOff)?);
        let ended = {
            let mut qemu = self.qemu.lock().unwrap_or_else(PoisonError::into_inner);
            qemu.wait(Instant::now() + Duration::from_secs(60))?
        };
        if !ended {
            return Err(self.trouble(Silence::Timeout, "switching off"));
        }
        if let Some(line) = self.console.complaint() {
            bail!(
                "the kernel reported a problem: {line}\n{}",
                self.console.tail(TAIL)
            );
        }
        if !self.console.text().contains(LAST_LINE) {
            return Err(self.trouble(Silence::Gone, "switching off"));
        }
        Ok(())
    }

    pub(super) fn ask(&self, request: &Request) -> Result<Conversation<'_>> {
        self.agent.ask(request)
    }

    pub(super) fn answer(
        &self,
        conversation: &Conversation<'_>,
        deadline: Instant,
        what: &str,
    ) -> Result<Frame> {
        conversation
            .next(deadline)
            .map_err(|silence| self.trouble(silence, what))
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    pub(super) fn disk(&self) -> &Path {
        &self.files.disk
    }

    pub(super) fn pipe(&self) -> &Path {
        &self.files.pipe
    }

    fn request(&self, request: &Request) -> Result<()> {
        let conversation = self.ask(request)?;
        let frame = self.answer(&conversation, self.deadline(), &format!("{request:?}"))?;
        agent::reply(&frame).map(drop)
    }

    /// An error that says what happened to a guest that does not answer.
    pub(super) fn trouble(&self, silence: Silence, what: &str) -> anyhow::Error {
        let mut qemu = self.qemu.lock().unwrap_or_else(PoisonError::into_inner);
        if silence == Silence::Gone {
            // Let it write its last lines.
            let _ = qemu.wait(Instant::now() + Duration::from_secs(5));
        }
        let state = match silence {
            Silence::Timeout => "the machine hangs",
            Silence::Gone => "the machine ended",
        };
        let complaint = match self.console.complaint() {
            Some(line) => format!("; its kernel reported: {line}"),
            None => String::new(),
        };
        let output = qemu.output();
        anyhow!(
            "{state} during {what}{complaint}\n{output}\n--- the console's last lines ---\n{}",
            self.console.tail(TAIL)
        )
    }
}
