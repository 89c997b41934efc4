// SPDX-License-Identifier: MIT OR Apache-2.0
//! A line between the two that can be cut.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

pub struct Proxy {
    pub address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
    /// Bytes that went from the sender to the receiver.
    pub sent: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Proxy {
    /// Forwards to whatever `target` says at the time of each connection.
    pub fn to(target: Arc<Mutex<SocketAddr>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::<Mutex<Vec<TcpStream>>>::default();
        let sent = Arc::<AtomicU64>::default();
        let is_over = Arc::<AtomicBool>::default();
        let (keep, count, over) = (Arc::clone(&open), Arc::clone(&sent), Arc::clone(&is_over));
        spawn(move || {
            while !over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((near, _)) => {
                        near.set_nonblocking(false).unwrap();
                        let target = *target.lock().unwrap();
                        let Ok(far) = TcpStream::connect(target) else {
                            continue;
                        };
                        let mut open = keep.lock().unwrap();
                        open.extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                        forward(&near, &far, Some(Arc::clone(&count)));
                        forward(&far, &near, None);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        sleep(Duration::from_millis(2));
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        Self {
            address,
            open,
            sent,
            is_over,
        }
    }

    /// Cuts all connections, wherever they are.
    pub fn cut(&self) {
        for socket in self.open.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.cut();
    }
}

fn forward(from: &TcpStream, to: &TcpStream, count: Option<Arc<AtomicU64>>) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    spawn(move || {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..len]).is_err() {
                break;
            }
            if let Some(count) = &count {
                count.fetch_add(u64::try_from(len).unwrap(), Ordering::Relaxed);
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
