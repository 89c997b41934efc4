// SPDX-License-Identifier: MIT OR Apache-2.0
//! One connection to the receiver.

use crate::admission::Admission;
use crate::broken::Broken;
use crate::line::{HANDSHAKE, Line};
use crate::message::{
    Finish, FromSender, Greeting, Hello, PROTOCOL, ProbeGreeting, SignedReceipt, Welcome,
    from_json, invalid,
};
use crate::probe;
use crate::refusal::Refusal;
use crate::store::{Opened, Session, Store};
use crate::tls;
use crate::wire::Kind;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the next frame is waited for, unless the disk is done with something.
const LOOK: Duration = Duration::from_millis(100);

/// For how long a sender may take to close the connection when all is said.
const GOODBYE: Duration = Duration::from_secs(10);

pub(crate) struct Serving<'a> {
    pub(crate) admission: &'a Admission,
    pub(crate) store: &'a dyn Store,
    pub(crate) peer: SocketAddr,
    pub(crate) is_ended: &'a (dyn Fn() -> bool + Sync),
}

/// What a sender has come for.
enum Purpose {
    /// To send this image.
    Image(Hello),
    /// To measure the line.
    Probe,
}

impl Serving<'_> {
    pub(crate) fn serve(&self, socket: TcpStream) {
        let (mut line, hello) = match self.greeted(socket) {
            Some((line, Purpose::Image(hello))) => (line, hello),
            Some((line, Purpose::Probe)) => return self.probed(line),
            None => return,
        };
        let ended = self.receive(&mut line, &hello);
        let lost = |reason: &str| self.store.lost(&hello, self.peer, reason);
        match ended {
            Ok(()) => {}
            Err(Broken::Line(error)) => lost(&error.to_string()),
            Err(Broken::Superseded) => lost("its sender has connected again"),
            Err(Broken::Ended) => lost("this receiver was stopped"),
            Err(Broken::Refused(refusal)) => {
                lost(&format!("it was refused: {refusal}"));
                refuse(line, &refusal);
            }
        }
    }

    /// Counts the bytes of a probe.
    fn probed(&self, mut line: Line) {
        let turned_away = |reason: &str| self.store.turned_away(self.peer, reason);
        match probe::count(&mut line) {
            Ok(bytes) => {
                self.store.probed(self.peer, bytes);
                is_closed(&mut line);
            }
            Err(Broken::Refused(refusal)) => {
                turned_away(&refusal.reason);
                refuse(line, &refusal);
            }
            Err(Broken::Line(error)) => turned_away(&error.to_string()),
            Err(Broken::Superseded | Broken::Ended) => turned_away("this receiver was stopped"),
        }
    }

    /// The handshake, and the sender's first words; `None` if it was turned away.
    fn greeted(&self, socket: TcpStream) -> Option<(Line, Purpose)> {
        let turned_away = |reason: &str| {
            self.store.turned_away(self.peer, reason);
            None
        };
        let Some(_seat) = self.admission.stranger() else {
            return turned_away("too many connections that have not shown a token");
        };
        let line = tls::server(&self.admission.config)
            .map_err(io::Error::other)
            .and_then(|tls| Line::new(socket, tls.into()));
        let mut line = match line {
            Ok(line) => line,
            Err(error) => return turned_away(&error.to_string()),
        };
        match self.greeting(&mut line) {
            Ok(purpose) => Some((line, purpose)),
            Err(Broken::Refused(refusal)) => {
                turned_away(&refusal.reason);
                refuse(line, &refusal);
                None
            }
            Err(Broken::Line(error)) => turned_away(&error.to_string()),
            Err(Broken::Superseded | Broken::Ended) => turned_away("this receiver was stopped"),
        }
    }

    fn greeting(&self, line: &mut Line) -> Result<Purpose, Broken> {
        let silent = || io::Error::new(io::ErrorKind::TimedOut, "it says nothing");
        let (kind, payload) = line.receive(HANDSHAKE)?.ok_or_else(silent)?;
        match kind {
            Kind::Hello => {
                let greeting: Greeting = from_json(payload)?;
                same_protocol(greeting.protocol)?;
                self.admission
                    .lets_in(&greeting.token, greeting.hello.run)
                    .map_err(Refusal::new)?;
                Ok(Purpose::Image(greeting.hello))
            }
            Kind::Probe => {
                let greeting: ProbeGreeting = from_json(payload)?;
                same_protocol(greeting.protocol)?;
                self.admission
                    .knows(&greeting.token)
                    .map_err(Refusal::new)?;
                Ok(Purpose::Probe)
            }
            _ => Err(invalid("its first word is no greeting").into()),
        }
    }

    fn receive(&self, line: &mut Line, hello: &Hello) -> Result<(), Broken> {
        let claim = self
            .admission
            .claims
            .take(hello.run)
            .ok_or_else(|| Refusal::for_now("another connection sends the same image"))?;
        let (image, mut next, mut session) = match self.store.open(hello, self.peer)? {
            Opened::Done(receipt) => return self.confirm(line, &receipt),
            Opened::Running {
                image,
                next,
                session,
            } => (image, next, session),
        };
        line.send_json(Kind::Welcome, &Welcome { image, next })?;
        let progress = Arc::clone(session.progress());
        let mut said = next;
        loop {
            if claim.is_superseded() {
                return Err(Broken::Superseded);
            }
            if (self.is_ended)() {
                return Err(Broken::Ended);
            }
            let durable = session.durable()?;
            if durable > said {
                line.send(Kind::Durable, &[&durable.to_le_bytes()])?;
                said = durable;
            }
            line.keep_alive()?;
            let Some((kind, payload)) = line.receive_unless(LOOK, Some(&progress))? else {
                continue;
            };
            match FromSender::parse(kind, payload)? {
                FromSender::Alive => continue,
                FromSender::Data {
                    number,
                    stream,
                    bytes,
                } => {
                    expect(number, next)?;
                    session.data(stream, bytes)?;
                }
                FromSender::Zeros {
                    number,
                    stream,
                    len,
                } => {
                    expect(number, next)?;
                    session.zeros(stream, len)?;
                }
                FromSender::Finish { number, finish } => {
                    expect(number, next)?;
                    let receipt = finished(&mut *session, &finish, line)?;
                    return self.confirm(line, &receipt);
                }
            }
            next += 1;
        }
    }

    fn confirm(&self, line: &mut Line, receipt: &SignedReceipt) -> Result<(), Broken> {
        let said = line.send_json(Kind::Receipt, receipt);
        let is_heard = said.is_ok() && is_closed(line);
        self.admission.completed(is_heard);
        Ok(said?)
    }
}

/// Both sides have to speak the same protocol.
fn same_protocol(theirs: u32) -> Result<(), Refusal> {
    match theirs == PROTOCOL {
        true => Ok(()),
        false => Err(Refusal::new(format!(
            "this receiver speaks version {PROTOCOL} of the protocol, and the sender version \
             {theirs}: use the same linpmem-dump on both sides"
        ))),
    }
}

/// Every message has the number after that of the one before.
fn expect(number: u64, next: u64) -> Result<(), Refusal> {
    match number == next {
        true => Ok(()),
        false => Err(Refusal::new(format!(
            "message {number} came where {next} was expected"
        ))),
    }
}

fn finished(
    session: &mut dyn Session,
    finish: &Finish,
    line: &mut Line,
) -> Result<SignedReceipt, Refusal> {
    // If the line is broken, the sender will come again for the receipt.
    session.finish(finish, &mut || {
        let _ = line.keep_alive();
        // What it says meanwhile is that it is alive.
        let _ = line.receive(Duration::ZERO);
    })
}

/// Waits until the sender has closed the connection: closing it first could destroy what is on
/// its way to it. Returns whether it has.
fn is_closed(line: &mut Line) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < GOODBYE {
        match line.receive(LOOK) {
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::UnexpectedEof,
        }
    }
    false
}

/// Says why not, and goodbye. If it is not heard, the sender asks again.
fn refuse(mut line: Line, refusal: &Refusal) {
    if line.send_json(Kind::Refused, refusal).is_ok() && !is_closed(&mut line) {
        line.close();
    }
}
