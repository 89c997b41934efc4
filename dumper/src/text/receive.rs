// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `receive` prints.

use linpmem_capture::Receipt;
use linpmem_capture::receive::{Arrival, ReceiveEvents};
use linpmem_cli::{Document, ExitStatus, Stderr};
use linpmem_phys::PhysLen;
use serde::Serialize;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The first words, with the line for the target. They go to stdout alone: the address has a
/// secret, which belongs in no log.
#[derive(Serialize)]
pub struct Listening {
    /// Where images go.
    pub folder: String,
    /// Where it listens.
    pub listen: String,
    /// What senders need.
    pub to: String,
    /// Whether one image is all.
    pub once: bool,
}

impl Document for Listening {
    const FORMAT: &'static str = "linpmem-dump receive";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let what = if self.once { "one image" } else { "images" };
        writeln!(
            out,
            "Waiting for {what} at {}. On the machine whose memory is to be read, as root:\n\n  \
             linpmem-dump --to '{}'\n\nThe part behind # is a secret. Other users there can see \
             command lines: to hide it, put the\naddress into a file and type --to @FILE, or set \
             LINPMEM_TO. Ctrl-C ends this receiver.",
            self.listen, self.to
        )?;
        out.flush()
    }
}

/// Says what happens, as it happens.
#[derive(Clone)]
pub struct Log {
    stderr: Stderr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    complete: AtomicUsize,
    incomplete: AtomicUsize,
}

#[derive(Serialize)]
struct ArrivalBody<'a> {
    host: &'a str,
    peer: String,
    image: String,
    planned_bytes: u64,
    image_bytes: u64,
}

#[derive(Serialize)]
struct CompleteBody<'a> {
    host: &'a str,
    peer: String,
    image: String,
    receipt: &'a Receipt,
}

#[derive(Serialize)]
struct LostBody<'a> {
    host: Option<&'a str>,
    peer: String,
    reason: &'a str,
}

#[derive(Serialize)]
struct ProbedBody {
    peer: String,
    bytes: u64,
}

impl Log {
    /// A log on `stderr`.
    #[must_use]
    pub fn new(stderr: Stderr) -> Self {
        Self {
            stderr,
            counts: Arc::default(),
        }
    }

    /// What arrives just now.
    pub fn arrivals(&self, arrivals: &[Arrival]) {
        for arrival in arrivals {
            self.tell("arriving", arrival, || {
                format!(
                    "{} from {} ({}): {} so far, {} of memory announced",
                    name(&arrival.image),
                    arrival.host,
                    arrival.peer.ip(),
                    PhysLen::new(arrival.image_bytes),
                    PhysLen::new(arrival.planned_bytes),
                )
            });
        }
    }

    /// What a receiver that ends has achieved.
    #[must_use]
    pub fn exit_status(&self, is_once: bool) -> ExitStatus {
        let complete = self.counts.complete.load(Ordering::Relaxed);
        let incomplete = self.counts.incomplete.load(Ordering::Relaxed);
        match (is_once && complete == 0) || incomplete > 0 {
            true => ExitStatus::Failed,
            false => ExitStatus::Complete,
        }
    }

    fn tell(&self, event: &'static str, arrival: &Arrival, words: impl FnOnce() -> String) {
        if !self.stderr.is_json {
            return self.stderr.note(&words());
        }
        let body = ArrivalBody {
            host: &arrival.host,
            peer: arrival.peer.to_string(),
            image: name(&arrival.image),
            planned_bytes: arrival.planned_bytes,
            image_bytes: arrival.image_bytes,
        };
        self.stderr.event(event, &body);
    }
}

impl ReceiveEvents for Log {
    fn begun(&self, arrival: &Arrival) {
        self.tell("begun", arrival, || {
            let (image, host, peer) = (name(&arrival.image), &arrival.host, arrival.peer);
            match arrival.image_bytes {
                0 => format!(
                    "{image} begins to arrive from {host} ({peer}): {} of memory announced",
                    PhysLen::new(arrival.planned_bytes)
                ),
                bytes => format!(
                    "{image} goes on from {host} ({peer}), after {}",
                    PhysLen::new(bytes)
                ),
            }
        });
    }

    fn complete(&self, arrival: &Arrival, receipt: &Receipt) {
        self.counts.complete.fetch_add(1, Ordering::Relaxed);
        if self.stderr.is_json {
            let body = CompleteBody {
                host: &arrival.host,
                peer: arrival.peer.to_string(),
                image: name(&arrival.image),
                receipt,
            };
            return self.stderr.event("complete", &body);
        }
        self.stderr.note(&format!(
            "{} is complete and verified: {}, SHA-256 {}",
            name(&arrival.image),
            PhysLen::new(receipt.image_bytes),
            receipt.image_sha256
        ));
    }

    fn incomplete(&self, arrival: &Arrival, path: &Path) {
        self.counts.incomplete.fetch_add(1, Ordering::Relaxed);
        self.tell("incomplete", arrival, || {
            format!(
                "{} ended its run early: what arrived is {}, and `linpmem-dump recover` makes an \
                 image of it",
                arrival.host,
                name(path)
            )
        });
    }

    fn lost(&self, host: &str, peer: SocketAddr, reason: &str) {
        if self.stderr.is_json {
            let body = LostBody {
                host: Some(host),
                peer: peer.to_string(),
                reason,
            };
            return self.stderr.event("lost", &body);
        }
        self.stderr.warn(&format!(
            "the connection from {host} ({peer}) has ended: {reason}"
        ));
    }

    fn probed(&self, peer: SocketAddr, bytes: u64) {
        if self.stderr.is_json {
            let body = ProbedBody {
                peer: peer.to_string(),
                bytes,
            };
            return self.stderr.event("probed", &body);
        }
        self.stderr.note(&format!(
            "{peer} measured the line ({}), and sent no image",
            PhysLen::new(bytes)
        ));
    }

    fn turned_away(&self, peer: SocketAddr, reason: &str) {
        if self.stderr.is_json {
            let body = LostBody {
                host: None,
                peer: peer.to_string(),
                reason,
            };
            return self.stderr.event("turned-away", &body);
        }
        self.stderr.warn(&format!("turned away {peer}: {reason}"));
    }
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
