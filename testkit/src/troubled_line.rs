// SPDX-License-Identifier: MIT OR Apache-2.0
//! A line to a server that has troubles: each connection has the next one of a list.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// An answer that is silent for so long is over.
const ANSWERED: Duration = Duration::from_millis(50);

/// How much passes at once.
const PIECE: usize = 1 << 16;

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// Nothing, but it ends after an answer.
    None,
    /// Nothing at all.
    Never,
    /// The server answers with this status, whatever it is asked.
    Answer(u16),
    /// It ends after so many bytes to the server.
    CutAfter(usize),
    /// This byte to the server is another.
    FlipAt(usize),
    /// The answer does not arrive.
    NoAnswer,
    /// Only the first so many bytes of the answer arrive.
    AnswerCutAfter(usize),
    /// 64 KiB pass to the server in this time, and it ends after an answer.
    Slow(Duration),
}

/// A line that listens at an address of its own.
#[derive(Debug)]
pub struct TroubledLine {
    /// Where it listens.
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    bytes: AtomicUsize,
}

impl TroubledLine {
    /// Connects to `server`, with `troubles` on the first connections and none after them.
    ///
    /// # Errors
    /// When no port is free.
    pub fn new(server: SocketAddr, troubles: &[Trouble]) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let (troubles, counted) = (troubles.to_vec(), Arc::clone(&counts));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let number = counted.connections.fetch_add(1, Ordering::SeqCst);
                let trouble = troubles.get(number).copied().unwrap_or(Trouble::Never);
                let counts = Arc::clone(&counted);
                // A connection that ends early ends on both sides: that is all there is to say.
                thread::spawn(move || carry(client, server, trouble, &counts));
            }
        });
        Ok(Self { address, counts })
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// Bytes that have passed to the server so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.counts.bytes.load(Ordering::SeqCst)
    }
}

fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    trouble: Trouble,
    counts: &Counts,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    if let Trouble::Answer(status) = trouble {
        // The request first, so that the answer is not lost with it.
        client.set_read_timeout(Some(Duration::from_millis(200)))?;
        while client.read(&mut buffer).is_ok_and(|count| count > 0) {}
        let answer =
            format!("HTTP/1.1 {status} Trouble\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return client.write_all(answer.as_bytes());
    }
    let mut server = TcpStream::connect(server)?;
    let (back, home) = (server.try_clone()?, client.try_clone()?);
    let answers = thread::spawn(move || answer(back, home, trouble));
    let mut sent = 0;
    while let Ok(mut count @ 1..) = client.read(&mut buffer) {
        match trouble {
            Trouble::CutAfter(most) => count = count.min(most - sent),
            Trouble::FlipAt(at) => {
                if let Some(byte) = at.checked_sub(sent).and_then(|at| buffer.get_mut(at)) {
                    *byte ^= 1;
                }
            }
            Trouble::Slow(pause) => thread::sleep(pause),
            _ => {}
        }
        server.write_all(buffer.get(..count).unwrap_or_default())?;
        sent += count;
        counts.bytes.fetch_add(count, Ordering::SeqCst);
        if matches!(trouble, Trouble::CutAfter(most) if sent == most) {
            break;
        }
    }
    let is_cut = matches!(trouble, Trouble::CutAfter(_));
    let how = if is_cut {
        Shutdown::Both
    } else {
        Shutdown::Write
    };
    let _ = server.shutdown(how);
    if is_cut {
        let _ = client.shutdown(Shutdown::Both);
    }
    answers
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the other direction panicked")))
}

/// Carries what the server says home.
fn answer(mut server: TcpStream, mut client: TcpStream, trouble: Trouble) -> io::Result<()> {
    let mut left = match trouble {
        Trouble::NoAnswer => 0,
        Trouble::AnswerCutAfter(most) => most,
        _ => usize::MAX,
    };
    // After an answer the connection is closed, so that the next request has the next trouble.
    let is_lasting = matches!(trouble, Trouble::Never);
    let mut buffer = vec![0; PIECE];
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        let passing = buffer.get(..count.min(left)).unwrap_or_default();
        left -= passing.len();
        if passing.is_empty() || client.write_all(passing).is_err() {
            break;
        }
        if !is_lasting {
            server.set_read_timeout(Some(ANSWERED))?;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    Ok(())
}

/// Troubles of every kind, each once, for a store that is asked for some parts of a few MiB.
#[must_use]
pub fn every_kind() -> Vec<Trouble> {
    vec![
        Trouble::None,
        Trouble::Answer(500),
        Trouble::CutAfter(100),
        Trouble::Answer(503),
        Trouble::CutAfter(3_000_000),
        Trouble::FlipAt(1_000_000),
        Trouble::NoAnswer,
        Trouble::Answer(429),
        Trouble::FlipAt(2_500_000),
        Trouble::AnswerCutAfter(20),
        Trouble::CutAfter(4_000_000),
        Trouble::Slow(Duration::from_millis(10)),
    ]
}
