// SPDX-License-Identifier: MIT OR Apache-2.0
//! The side of the machine whose memory is read.

use crate::address::Address;
use crate::dial::{Failure, connect};
use crate::error::SendError;
use crate::identity::PublicKey;
use crate::line::{HANDSHAKE, HEARTBEAT, Line};
use crate::message::{
    Finish, FromReceiver, Greeting, Hello, Receipt, SignedReceipt, Stream, Welcome, from_json,
    invalid, numbered,
};
use crate::queue::{Item, Next, Queue};
use crate::secret::fill_random;
use crate::tls;
use crate::wire::Kind;
use bytes::Bytes;
use rustls::ClientConfig;
use std::io;
use std::sync::mpsc::{Receiver as Inbox, RecvTimeoutError, Sender as Outbox, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// The first pause between two attempts to connect, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(10)];

/// For how long connections that break at once are tried again before anything was read.
const BEGINNING: Duration = Duration::from_secs(10);

/// For how long a connection is tried again when the run is to end.
const HURRIED: Duration = Duration::from_secs(10);

/// How often a pause looks whether there is still time.
const LOOK: Duration = Duration::from_millis(100);

/// What happens when a connection breaks.
#[derive(Clone)]
pub struct Patience {
    /// It is tried again for this long.
    pub give_up: Duration,
    /// Whether the user wants the run to end: then it is tried for a moment only.
    pub is_hurried: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Is told whenever the line breaks, and whenever it is back.
    pub watch: Arc<dyn Fn(LineState) + Send + Sync>,
}

/// How the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineState {
    /// There is no connection.
    Broken,
    /// There is one again.
    Back,
}

/// An image on its way.
pub struct Sender {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    receipt: Mutex<Inbox<SignedReceipt>>,
    hello: Hello,
    image: String,
    key: PublicKey,
}

impl Sender {
    /// Connects to the receiver at `address`, and announces the image as `hello` says.
    ///
    /// # Errors
    /// If it cannot be reached, is another one, or does not want the image.
    pub fn connect(address: Address, hello: Hello, patience: Patience) -> Result<Self, SendError> {
        let key = address.key();
        let config = tls::client_config(key).map_err(|error| SendError::Machine {
            action: "preparing the encryption",
            reason: error.to_string(),
        })?;
        let queue = Queue::new().map_err(|error| SendError::Machine {
            action: "preparing to send",
            reason: error.to_string(),
        })?;
        let queue = Arc::new(queue);
        let dialer = Dialer {
            queue: Arc::clone(&queue),
            greeting: Greeting::new(address.token(), &hello),
            address,
            config,
            patience,
        };
        let (line, welcome) = dialer.first()?;
        if welcome.next != 0 {
            return Err(SendError::Contradiction("it has parts of a new image"));
        }
        let (done, receipt) = channel();
        let worker = Worker {
            queue: Arc::clone(&queue),
            dialer,
            done,
        };
        let thread = Builder::new()
            .name("send".to_owned())
            .spawn(move || worker.run(line))
            .map_err(|error| SendError::Machine {
                action: "starting a thread",
                reason: error.to_string(),
            })?;
        Ok(Self {
            queue,
            thread: Some(thread),
            receipt: Mutex::new(receipt),
            hello,
            image: welcome.image,
            key,
        })
    }

    /// The name that the receiver gives the image. Nothing is known about its characters.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Sends the next bytes of `stream`, as soon as there is room: a few MiB are on their way at
    /// most.
    ///
    /// # Errors
    /// If nothing can be sent any more.
    pub fn bytes(&self, stream: Stream, bytes: &Bytes) -> Result<(), SendError> {
        self.queue.bytes(stream, bytes)
    }

    /// Sends `len` zero bytes of `stream`, which take nothing.
    ///
    /// # Errors
    /// If nothing can be sent any more.
    pub fn zeros(&self, stream: Stream, len: u64) -> Result<(), SendError> {
        self.queue.push(Item::Zeros(stream, len))
    }

    /// Waits until the receiver has all that was sent on its disk.
    ///
    /// # Errors
    /// If nothing can be sent any more.
    pub fn drained(&self) -> Result<(), SendError> {
        self.queue.drained()
    }

    /// Says that this was all, and waits for the receipt.
    ///
    /// # Errors
    /// If the receiver does not confirm it.
    pub fn finish(&self, finish: &Finish) -> Result<(Receipt, SignedReceipt), SendError> {
        let message = serde_json::to_vec(finish).map_err(|error| SendError::Machine {
            action: "writing the last message",
            reason: error.to_string(),
        })?;
        self.queue.push(Item::Finish(message))?;
        let inbox = self.receipt.lock().unwrap_or_else(PoisonError::into_inner);
        let signed = loop {
            match inbox.recv_timeout(LOOK) {
                Ok(signed) => break signed,
                Err(RecvTimeoutError::Timeout) => {}
                // The thread ended without a receipt, and has said why.
                Err(RecvTimeoutError::Disconnected) => {
                    self.queue.drained()?;
                    return Err(SendError::Contradiction("it ended without a receipt"));
                }
            }
        };
        let receipt = signed.check(self.key).ok_or(SendError::Receipt(
            "it is not signed with the receiver's key",
        ))?;
        if receipt.run != self.hello.run {
            return Err(SendError::Receipt("it is for another acquisition"));
        }
        if receipt.image_bytes != finish.image_bytes {
            return Err(SendError::Receipt("its image has another length"));
        }
        if finish.is_whole && !receipt.is_verified {
            return Err(SendError::Receipt(
                "it does not say that the sums are right",
            ));
        }
        Ok((receipt, signed))
    }

    fn end(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // It would have told the queue why it failed.
            let _ = thread.join();
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.queue
            .fail(SendError::Contradiction("the run has ended"));
        self.end();
    }
}

/// Makes connections.
struct Dialer {
    queue: Arc<Queue>,
    address: Address,
    config: Arc<ClientConfig>,
    greeting: Greeting,
    patience: Patience,
}

/// What the receiver answers.
enum Answer {
    Welcome(Box<Line>, Welcome),
    Done(SignedReceipt),
}

impl Dialer {
    /// The first connection. A receiver that is busy is asked again, and for some seconds one
    /// whose connections break; one that cannot be reached is not: nothing has been read yet, and
    /// the user is there.
    fn first(&self) -> Result<(Line, Welcome), SendError> {
        let begun = Instant::now();
        let mut pause = PAUSES[0];
        loop {
            match self.dial() {
                Ok(Answer::Welcome(line, welcome)) => return Ok((*line, welcome)),
                Ok(Answer::Done(_)) => {
                    return Err(SendError::Contradiction("it has a new image already"));
                }
                Err(Failure::Busy(_)) if begun.elapsed() < self.patience_now() => {}
                Err(Failure::Again(_)) if begun.elapsed() < self.patience_now().min(BEGINNING) => {}
                Err(failure) => return Err(failure.into_error(&self.address)),
            }
            self.pause(&mut pause, begun);
        }
    }

    /// Another connection, after one that broke.
    fn again(&self) -> Result<Answer, SendError> {
        (self.patience.watch)(LineState::Broken);
        let broken = Instant::now();
        let mut pause = PAUSES[0];
        loop {
            let after = broken.elapsed();
            let reason = match self.dial() {
                Ok(answer) => {
                    (self.patience.watch)(LineState::Back);
                    return Ok(answer);
                }
                Err(Failure::Never(error)) => return Err(error),
                Err(Failure::Unreachable(why) | Failure::Again(why) | Failure::Busy(why)) => why,
            };
            if after >= self.patience_now() {
                return Err(SendError::GaveUp {
                    address: self.address.to_string(),
                    after,
                    reason,
                });
            }
            self.pause(&mut pause, broken);
        }
    }

    fn patience_now(&self) -> Duration {
        match (self.patience.is_hurried)() {
            // The run has ended: nobody waits for what could still be sent.
            _ if self.queue.is_closed() => Duration::ZERO,
            true => HURRIED.min(self.patience.give_up),
            false => self.patience.give_up,
        }
    }

    /// Waits, each time longer, and not as long as another sender: they may all have been cut off
    /// by the same event.
    fn pause(&self, pause: &mut Duration, since: Instant) {
        let mut random = [0];
        // Without random numbers all wait the same.
        let _ = fill_random(&mut random);
        let share = u32::from(random[0]) + 128;
        let end = Instant::now() + *pause * share / 256;
        *pause = PAUSES[1].min(*pause * 2);
        while Instant::now() < end && since.elapsed() < self.patience_now() {
            sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
        }
    }

    fn dial(&self) -> Result<Answer, Failure> {
        let mut line = connect(&self.address, &self.config)?;
        line.send_json(Kind::Hello, &self.greeting)?;
        let Some((kind, payload)) = line.receive(HANDSHAKE)? else {
            return Err(Failure::Again("the receiver does not answer".to_owned()));
        };
        match kind {
            Kind::Welcome => {
                let welcome = from_json(payload)?;
                Ok(Answer::Welcome(Box::new(line), welcome))
            }
            kind => match FromReceiver::parse(kind, payload)? {
                FromReceiver::Receipt(receipt) => {
                    line.close();
                    Ok(Answer::Done(receipt))
                }
                FromReceiver::Refused(refusal) => Err(refusal.into()),
                _ => Err(invalid("an answer that is none").into()),
            },
        }
    }
}

/// The thread that sends.
struct Worker {
    queue: Arc<Queue>,
    dialer: Dialer,
    done: Outbox<SignedReceipt>,
}

impl Worker {
    fn run(self, line: Line) {
        match self.carry(line) {
            Ok(Some(receipt)) => {
                // Nobody waits for it if the run was dropped.
                let _ = self.done.send(receipt);
                // Who still adds something would wait for ever.
                self.queue.fail(SendError::Contradiction(
                    "it confirms more than it was sent",
                ));
            }
            Ok(None) => {}
            Err(error) => self.queue.fail(error),
        }
    }

    /// Sends everything, over as many connections as it takes. `None` if nobody wants it any
    /// more.
    fn carry(&self, mut line: Line) -> Result<Option<SignedReceipt>, SendError> {
        loop {
            match self.converse(&mut line) {
                Ok(ended) => {
                    line.close();
                    return Ok(ended);
                }
                Err(Failure::Never(error)) => return Err(error),
                // The next attempt says more.
                Err(Failure::Unreachable(_) | Failure::Again(_) | Failure::Busy(_)) => {}
            }
            drop(line);
            match self.dialer.again()? {
                Answer::Done(receipt) => return Ok(Some(receipt)),
                Answer::Welcome(new, welcome) => {
                    if !self.queue.resume(welcome.next) {
                        return Err(SendError::Contradiction(
                            "it no longer has what it had on its disk",
                        ));
                    }
                    line = *new;
                }
            }
        }
    }

    fn converse(&self, line: &mut Line) -> Result<Option<SignedReceipt>, Failure> {
        loop {
            let wait = match self.queue.next(HEARTBEAT / 10) {
                Next::Item(number, item) => {
                    send(line, number, &item)?;
                    Duration::ZERO
                }
                // More to send ends it earlier.
                Next::Unacknowledged => LOOK,
                Next::Nothing => Duration::ZERO,
                Next::Closed => return Ok(None),
            };
            line.keep_alive()?;
            let mut wait = wait;
            while let Some((kind, payload)) = line.receive_unless(wait, Some(self.queue.wake()))? {
                wait = Duration::ZERO;
                match FromReceiver::parse(kind, payload)? {
                    FromReceiver::Alive => {}
                    FromReceiver::Durable(number) => {
                        if !self.queue.acknowledge(number) {
                            let what = "it acknowledges what it was not sent";
                            return Err(Failure::Never(SendError::Contradiction(what)));
                        }
                    }
                    FromReceiver::Receipt(receipt) => return Ok(Some(receipt)),
                    FromReceiver::Refused(refusal) => return Err(refusal.into()),
                }
            }
        }
    }
}

fn send(line: &mut Line, number: u64, item: &Item) -> io::Result<()> {
    match item {
        Item::Bytes(stream, bytes) => line.send(Kind::Data, &[&numbered(number, *stream), bytes]),
        Item::Zeros(stream, len) => {
            let place = numbered(number, *stream);
            line.send(Kind::Zeros, &[&place, &len.to_le_bytes()])
        }
        Item::Finish(message) => line.send(Kind::Finish, &[&number.to_le_bytes(), message]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::run_id::RunId;
    use crate::secret::Token;
    use std::net::TcpListener;
    use std::thread::spawn;

    /// A receiver that is let down by nothing but itself must not keep the run waiting.
    #[test]
    fn a_receipt_that_comes_too_early_ends_the_run() {
        let identity = Identity::generate().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let token = Token::generate().unwrap();
        let to = Address::new("127.0.0.1", port, identity.public_key(), token).unwrap();
        let hello = Hello {
            run: RunId::generate().unwrap(),
            host: "a".to_owned(),
            started: "20260131T000000Z".to_owned(),
            extension: "core".to_owned(),
            planned_bytes: 0,
        };
        let receipt = Receipt {
            run: hello.run,
            image: "a".to_owned(),
            image_bytes: 0,
            image_sha256: String::new(),
            manifest_sha256: String::new(),
            artifacts_sha256: None,
            is_verified: true,
            received: String::new(),
        };
        let receiver = spawn(move || {
            let config = tls::server_config(&identity).unwrap();
            let (socket, _) = listener.accept().unwrap();
            let mut line = Line::new(socket, tls::server(&config).unwrap().into()).unwrap();
            line.receive(HANDSHAKE).unwrap().unwrap();
            let image = "a".to_owned();
            line.send_json(Kind::Welcome, &Welcome { image, next: 0 })
                .unwrap();
            let signed = receipt.signed(|bytes| identity.sign(bytes)).unwrap();
            line.send_json(Kind::Receipt, &signed).unwrap();
            while line.receive(HANDSHAKE).is_ok() {}
        });
        let patience = Patience {
            give_up: Duration::from_secs(5),
            is_hurried: Arc::new(|| false),
            watch: Arc::new(|_| {}),
        };
        let sender = Sender::connect(to, hello, patience).unwrap();
        let piece = Bytes::from(vec![1; 1 << 20]);
        let error = loop {
            if let Err(error) = sender.bytes(Stream::Image, &piece) {
                break error;
            }
        };
        assert!(matches!(error, SendError::Contradiction(_)), "{error}");
        drop(sender);
        receiver.join().unwrap();
    }
}
