// SPDX-License-Identifier: MIT OR Apache-2.0
//! A connection that carries frames, encrypted.

use crate::message::invalid;
use crate::wake::Wake;
use crate::wire::{HEADER_BYTES, Kind, MAX_PAYLOAD, header, parse};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustls::Connection;
use serde::Serialize;
use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// For how long the other side may be silent, or take nothing, before the connection counts as
/// broken.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// How often a side that has nothing to say says so.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);

/// The time for a connection, and for the first words.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(15);

/// Bytes that are read from the socket at once.
const READ_BYTES: usize = 32 << 10;

/// A connection, its handshake done.
pub(crate) struct Line {
    socket: BufReader<TcpStream>,
    tls: Connection,
    /// The frame that is being received, its header and its payload, and what is left of longer ones
    /// behind them: bytes are zeroed once, not for each frame.
    frame: Vec<u8>,
    /// Bytes of it that are there.
    filled: usize,
    /// Bytes of it that are known to be needed.
    needed: usize,
    last_heard: Instant,
    last_said: Instant,
}

impl Line {
    /// Makes the handshake over `socket`.
    ///
    /// # Errors
    /// If the other side is not whom it should be, or too slow.
    pub(crate) fn new(socket: TcpStream, mut tls: Connection) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(SILENCE))?;
        // A frame is encrypted as a whole, and goes to the socket at once.
        tls.set_buffer_limit(Some(2 * MAX_PAYLOAD));
        let now = Instant::now();
        let mut line = Self {
            socket: BufReader::with_capacity(READ_BYTES, socket),
            tls,
            frame: Vec::new(),
            filled: 0,
            needed: HEADER_BYTES,
            last_heard: now,
            last_said: now,
        };
        let deadline = now + HANDSHAKE;
        while line.tls.is_handshaking() {
            line.flush()?;
            if line.tls.is_handshaking() && !line.take_in(deadline, None)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        line.flush()?;
        Ok(line)
    }

    /// Sends a frame whose payload is `parts`. The last one, which may be long, begins a record of
    /// its own, and so fills records.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(crate) fn send(&mut self, kind: Kind, parts: &[&[u8]]) -> io::Result<()> {
        let len = parts.iter().map(|part| part.len()).sum();
        let header = header(kind, len)?;
        let (last, first) = match parts.split_last() {
            Some((last, first)) => (*last, first),
            None => Default::default(),
        };
        let mut begin = vec![IoSlice::new(&header)];
        begin.extend(first.iter().map(|part| IoSlice::new(part)));
        self.write(&mut begin)?;
        self.write(&mut [IoSlice::new(last)])?;
        self.flush()?;
        self.last_said = Instant::now();
        Ok(())
    }

    /// Sends a frame whose payload is `value` as JSON.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) fn send_json(&mut self, kind: Kind, value: &impl Serialize) -> io::Result<()> {
        self.send(kind, &[&serde_json::to_vec(value)?])
    }

    /// Says that this side is alive, if it has said nothing for a while.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) fn keep_alive(&mut self) -> io::Result<()> {
        match self.last_said.elapsed() >= HEARTBEAT {
            true => self.send(Kind::Alive, &[]),
            false => Ok(()),
        }
    }

    /// The next frame; `None` if it is not there after `wait`.
    ///
    /// # Errors
    /// If the connection is broken, the other side has been silent for too long, or what it says is
    /// no frame.
    pub(crate) fn receive(&mut self, wait: Duration) -> io::Result<Option<(Kind, &[u8])>> {
        self.receive_unless(wait, None)
    }

    /// The next frame; `None` as well if it was not there when `wake` was woken.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub(crate) fn receive_unless(
        &mut self,
        wait: Duration,
        wake: Option<&Wake>,
    ) -> io::Result<Option<(Kind, &[u8])>> {
        let deadline = Instant::now() + wait;
        loop {
            if self.fill()? {
                let (kind, _) = self.announced()?;
                let end = std::mem::replace(&mut self.needed, HEADER_BYTES);
                self.filled = 0;
                let payload = self.frame.get(HEADER_BYTES..end).unwrap_or_default();
                return Ok(Some((kind, payload)));
            }
            if !self.take_in(deadline, wake)? {
                return match self.last_heard.elapsed() > SILENCE {
                    true => Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "nothing was heard for 30 seconds",
                    )),
                    false => Ok(None),
                };
            }
        }
    }

    /// Takes decrypted bytes for the frame. Returns whether it is whole.
    fn fill(&mut self) -> io::Result<bool> {
        loop {
            if self.filled == self.needed {
                if self.needed > HEADER_BYTES {
                    return Ok(true);
                }
                let (_, len) = self.announced()?;
                self.needed = HEADER_BYTES + len;
                if len == 0 {
                    return Ok(true);
                }
            }
            if self.frame.len() < self.needed {
                self.frame.resize(self.needed, 0);
            }
            let room = self.frame.get_mut(self.filled..self.needed);
            let room = room.unwrap_or_default();
            match self.tls.reader().read(room) {
                Ok(0) => return Err(closed()),
                Ok(len) => self.filled += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(closed()),
                Err(error) => return Err(error),
            }
        }
    }

    fn announced(&self) -> io::Result<(Kind, usize)> {
        let header = self.frame.first_chunk();
        parse(*header.ok_or_else(|| invalid("a frame is too short"))?)
    }

    /// Takes bytes from the socket, waiting until `deadline` or until `wake` is woken. Returns
    /// whether there were any.
    fn take_in(&mut self, deadline: Instant, wake: Option<&Wake>) -> io::Result<bool> {
        if self.socket.buffer().is_empty() && !self.is_readable(deadline, wake)? {
            return Ok(false);
        }
        if self.socket.fill_buf()?.is_empty() {
            return Err(closed());
        }
        // On a slow line, one frame can take long.
        self.last_heard = Instant::now();
        self.tls.read_tls(&mut self.socket)?;
        let processed = self.tls.process_new_packets();
        if self.tls.wants_write() {
            // What went wrong, as an alert for the other side.
            let flushed = self.flush();
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            flushed?;
            return Ok(true);
        }
        processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(true)
    }

    fn is_readable(&self, deadline: Instant, wake: Option<&Wake>) -> io::Result<bool> {
        let socket = PollFd::new(self.socket.get_ref(), PollFlags::IN);
        // Never the socket twice: bytes can arrive when the first one has been looked at.
        let (mut alone, mut both);
        let polled: &mut [PollFd<'_>] = match wake {
            Some(wake) => {
                both = [socket, PollFd::new(wake, PollFlags::IN)];
                &mut both
            }
            None => {
                alone = [socket];
                &mut alone
            }
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(polled, Some(&left)) {
                Ok(_) => {
                    let socket = polled.first();
                    let is_readable = socket.is_some_and(|socket| !socket.revents().is_empty());
                    if let (false, Some(wake)) = (is_readable, wake) {
                        wake.reset();
                    }
                    return Ok(is_readable);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn write(&mut self, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        // Without those that are empty.
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let len = self.tls.writer().write_vectored(parts)?;
            IoSlice::advance_slices(&mut parts, len);
            // Keeps what waits for the socket short; whoever sends last flushes the rest.
            if !parts.is_empty() {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(self.socket.get_mut()) {
                Ok(0) => return Err(closed()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "nothing was taken for 30 seconds",
                    ));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says goodbye. What is on its way still arrives.
    pub(crate) fn close(mut self) {
        self.tls.send_close_notify();
        // It is over either way.
        let _ = self.flush();
    }
}

fn closed() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the other side closed the connection",
    )
}

const _: () = assert!(
    MAX_PAYLOAD < 128 << 10,
    "a frame is kept in memory for each sender"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::tls;
    use std::net::TcpListener;
    use std::thread::spawn;

    const FRAMES: u32 = 300_000;

    /// Bytes can arrive at any moment of a call that waits for them.
    #[test]
    fn what_arrives_is_never_taken_for_silence() {
        let identity = Identity::generate().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = tls::client_config(identity.public_key()).unwrap();
        let sending = spawn(move || -> io::Result<()> {
            let tls = tls::client(&config).map_err(io::Error::other)?;
            let mut line = Line::new(TcpStream::connect(address)?, tls.into())?;
            for number in 0..FRAMES {
                line.send(Kind::Alive, &[])?;
                (0..number % 61).for_each(|_| std::hint::spin_loop());
            }
            line.close();
            Ok(())
        });
        let (socket, _) = listener.accept().unwrap();
        let tls = tls::server(&tls::server_config(&identity).unwrap()).unwrap();
        let mut line = Line::new(socket, tls.into()).unwrap();
        for number in 0..FRAMES {
            let frame = line.receive(SILENCE).unwrap();
            assert_eq!(frame, Some((Kind::Alive, &[][..])), "frame {number}");
        }
        sending.join().unwrap().unwrap();
    }
}
