// SPDX-License-Identifier: MIT OR Apache-2.0
//! A store in memory, which forgets what was not on the disk when its receiver is started anew.

use linpmem_remote::{
    Address, Finish, Hello, Identity, Opened, Patience, Policy, Receipt, Receiver, Refusal, RunId,
    Session, SignedReceipt, Store, Stream, Token, Wake,
};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

#[derive(Clone, Default)]
pub struct Kept {
    pub image: Vec<u8>,
    pub manifest: Vec<u8>,
    pub next: u64,
    pub receipt: Option<SignedReceipt>,
}

/// What all receivers with the same disk share.
#[derive(Clone)]
pub struct Disk {
    pub identity: Arc<Identity>,
    pub runs: Arc<Mutex<HashMap<RunId, Kept>>>,
    pub log: Arc<Mutex<Vec<String>>>,
    /// Messages between two syncs.
    pub sync_every: u64,
    /// Whether it forgets everything.
    pub is_broken: Arc<AtomicBool>,
    /// Bytes that an image may have.
    pub most: u64,
}

struct Open {
    disk: Disk,
    run: RunId,
    kept: Kept,
    synced: u64,
    /// Nobody is woken: this disk is done when it is asked.
    progress: Arc<Wake>,
}

impl Disk {
    pub fn new() -> Self {
        Self {
            identity: Arc::new(Identity::generate().unwrap()),
            runs: Arc::default(),
            log: Arc::default(),
            sync_every: 3,
            is_broken: Arc::default(),
            most: 1 << 30,
        }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    fn say(&self, text: String) {
        self.log.lock().unwrap().push(text);
    }
}

impl Store for Disk {
    fn open(&self, hello: &Hello, _: SocketAddr) -> Result<Opened, Refusal> {
        let kept = self.runs.lock().unwrap().get(&hello.run).cloned();
        let is_broken = self.is_broken.load(Ordering::Relaxed);
        let kept = kept.filter(|_| !is_broken).unwrap_or_default();
        if let Some(receipt) = kept.receipt {
            return Ok(Opened::Done(Box::new(receipt)));
        }
        Ok(Opened::Running {
            image: format!("{}.{}", hello.host, hello.extension),
            next: kept.next,
            session: Box::new(Open {
                disk: self.clone(),
                run: hello.run,
                synced: kept.next,
                kept,
                progress: Arc::new(Wake::new().unwrap()),
            }),
        })
    }

    fn turned_away(&self, _: SocketAddr, reason: &str) {
        self.say(format!("turned away: {reason}"));
    }

    fn probed(&self, _: SocketAddr, bytes: u64) {
        self.say(format!("probed with {bytes} bytes"));
    }

    fn lost(&self, hello: &Hello, _: SocketAddr, reason: &str) {
        self.say(format!("{}: {reason}", hello.host));
    }
}

impl Open {
    fn add(
        &mut self,
        stream: Stream,
        len: u64,
        add: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Refusal> {
        let into = match stream {
            Stream::Image => &mut self.kept.image,
            _ => &mut self.kept.manifest,
        };
        let held = u64::try_from(into.len()).unwrap();
        if held.saturating_add(len) > self.disk.most {
            return Err(Refusal::new("the image is too long"));
        }
        add(into);
        self.kept.next += 1;
        Ok(())
    }

    fn sync(&mut self) {
        self.synced = self.kept.next;
        let mut runs = self.disk.runs.lock().unwrap();
        runs.insert(self.run, self.kept.clone());
    }
}

impl Session for Open {
    fn data(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Refusal> {
        let len = u64::try_from(bytes.len()).unwrap();
        self.add(stream, len, |into| into.extend_from_slice(bytes))
    }

    fn zeros(&mut self, stream: Stream, len: u64) -> Result<(), Refusal> {
        self.add(stream, len, |into| {
            into.resize(into.len() + usize::try_from(len).unwrap(), 0);
        })
    }

    fn durable(&mut self) -> Result<u64, Refusal> {
        if self.kept.next - self.synced >= self.disk.sync_every {
            self.sync();
        }
        Ok(self.synced)
    }

    fn progress(&self) -> &Arc<Wake> {
        &self.progress
    }

    fn finish(
        &mut self,
        finish: &Finish,
        alive: &mut dyn FnMut(),
    ) -> Result<SignedReceipt, Refusal> {
        alive();
        let held = u64::try_from(self.kept.image.len()).unwrap();
        if held != finish.image_bytes {
            return Err(Refusal::new(format!("{held} bytes are there")));
        }
        let receipt = Receipt {
            run: self.run,
            image: "x".to_owned(),
            image_bytes: held,
            image_sha256: String::new(),
            manifest_sha256: String::new(),
            artifacts_sha256: None,
            is_verified: true,
            received: String::new(),
        };
        let signed = receipt
            .signed(|bytes| self.disk.identity.sign(bytes))
            .unwrap();
        self.kept.receipt = Some(signed.clone());
        self.sync();
        Ok(signed)
    }
}

/// A receiver that runs until it is dropped.
pub struct Running {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(disk: &Disk, at: SocketAddr, policy: Policy) -> Self {
        let receiver = Receiver::bind(at, &disk.identity, policy).unwrap();
        let address = receiver.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (disk, stopped) = (disk.clone(), Arc::clone(&stop));
        let thread = spawn(move || {
            receiver
                .serve(&disk, &|| stopped.load(Ordering::Relaxed))
                .unwrap();
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }

    pub fn is_running(&self) -> bool {
        !self.thread.as_ref().unwrap().is_finished()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

pub fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub fn many(token: &Token) -> Policy {
    Policy {
        token: token.clone(),
        is_once: false,
    }
}

pub fn address(disk: &Disk, at: SocketAddr, token: &Token) -> Address {
    let key = disk.identity.public_key();
    Address::new("127.0.0.1", at.port(), key, token.clone()).unwrap()
}

pub fn hello(host: &str) -> Hello {
    Hello {
        run: RunId::generate().unwrap(),
        host: host.to_owned(),
        started: "20260131T000000Z".to_owned(),
        extension: "core".to_owned(),
        planned_bytes: 1 << 20,
    }
}

/// Little: what fails here fails at once.
pub fn patience() -> Patience {
    Patience {
        give_up: Duration::from_secs(2),
        is_hurried: Arc::new(|| false),
        watch: Arc::new(|_| {}),
    }
}
