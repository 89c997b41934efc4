// SPDX-License-Identifier: MIT OR Apache-2.0
//! A line to a server that has troubles: each connection has the next one of a list.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// An answer that is silent for so long is over.
const ANSWERED: Duration = Duration::from_millis(50);

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
}

/// A line that listens at an address of its own.
pub struct TroubledLine {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl TroubledLine {
    /// Connects to `server`, with `troubles` on the first connections and none after them.
    pub fn new(server: SocketAddr, troubles: &[Trouble]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (troubles, counted) = (troubles.to_vec(), Arc::clone(&connections));
        thread::spawn(move || {
            for client in listener.incoming() {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let trouble = troubles.get(number).copied().unwrap_or(Trouble::Never);
                let client = client.unwrap();
                thread::spawn(move || carry(client, server, trouble));
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn carry(mut client: TcpStream, server: SocketAddr, trouble: Trouble) -> Option<()> {
    if let Trouble::Answer(status) = trouble {
        // The request first, so that the answer is not lost with it.
        client
            .set_read_timeout(Some(Duration::from_millis(200)))
            .ok()?;
        let mut buffer = [0; 1 << 16];
        while client.read(&mut buffer).is_ok_and(|count| count > 0) {}
        let answer =
            format!("HTTP/1.1 {status} Trouble\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return client.write_all(answer.as_bytes()).ok();
    }
    let mut server = TcpStream::connect(server).ok()?;
    let (mut back, mut home) = (server.try_clone().ok()?, client.try_clone().ok()?);
    let is_heard = !matches!(trouble, Trouble::NoAnswer);
    let is_lasting = matches!(trouble, Trouble::Never);
    let answers = thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while let Ok(count @ 1..) = back.read(&mut buffer) {
            if !is_heard || home.write_all(&buffer[..count]).is_err() {
                break;
            }
            // After an answer the connection is closed, so that the next request has the next
            // trouble.
            if !is_lasting {
                let _ = back.set_read_timeout(Some(ANSWERED));
            }
        }
        let _ = home.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 1 << 16];
    let mut sent = 0;
    while let Ok(mut count @ 1..) = client.read(&mut buffer) {
        match trouble {
            Trouble::CutAfter(most) => count = count.min(most - sent),
            Trouble::FlipAt(at) if (sent..sent + count).contains(&at) => buffer[at - sent] ^= 1,
            _ => {}
        }
        server.write_all(&buffer[..count]).ok()?;
        sent += count;
        if matches!(trouble, Trouble::CutAfter(most) if sent == most) {
            break;
        }
    }
    let cut = matches!(trouble, Trouble::CutAfter(_));
    let how = if cut { Shutdown::Both } else { Shutdown::Write };
    let _ = server.shutdown(how);
    if cut {
        let _ = client.shutdown(Shutdown::Both);
    }
    answers.join().ok()
}

/// Troubles of every kind, each once.
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
        Trouble::CutAfter(4_000_000),
    ]
}
