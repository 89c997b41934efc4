// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whoever is not known, or claims what cannot be, is refused; and it is logged.

use crate::kept::{Disk, Running, address, hello, loopback, many, patience};
use bytes::Bytes;
use linpmem_remote::{Identity, SendError, Sender, Stream, Token};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

#[test]
fn another_key_is_noticed_before_anything_is_sent() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let mut other = disk.clone();
    other.identity = Arc::new(Identity::generate().unwrap());
    let to = address(&other, running.address, &token);
    let error = Sender::connect(to, hello("a"), patience()).err().unwrap();
    assert!(matches!(error, SendError::WrongKey { .. }), "{error}");
    drop(running);
    assert!(disk.log().contains("turned away"), "{}", disk.log());
    assert!(disk.runs.lock().unwrap().is_empty());
}

#[test]
fn a_wrong_token_is_refused_and_not_repeated() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let wrong = Token::generate().unwrap();
    let to = address(&disk, running.address, &wrong);
    let error = Sender::connect(to, hello("a"), patience()).err().unwrap();
    assert!(matches!(error, SendError::Refused(_)), "{error}");
    let log = disk.log();
    assert!(log.contains("token is wrong"), "{log}");
    for secret in [&token, &wrong] {
        assert!(!log.contains(&secret.reveal()));
        assert!(!error.to_string().contains(&secret.reveal()));
    }
}

#[test]
fn an_image_of_2_to_the_63_bytes_is_refused() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let to = address(&disk, running.address, &token);
    let sender = Sender::connect(to, hello("a"), patience()).unwrap();
    sender.zeros(Stream::Image, 1 << 63).unwrap();
    let error = loop {
        if let Err(error) = sender.bytes(Stream::Image, &Bytes::from_static(b"x")) {
            break error;
        }
    };
    assert_eq!(
        error,
        SendError::Refused("the image is too long".to_owned())
    );
}

#[test]
fn noise_in_place_of_a_handshake_ends_the_connection() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    for noise in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 4096],
        &[0x16, 3, 1, 255, 255],
    ] {
        let mut socket = TcpStream::connect(running.address).unwrap();
        socket.write_all(noise).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // An alert or a reset, and then the end.
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.len() < 100);
    }
    // And it still serves.
    let to = address(&disk, running.address, &token);
    Sender::connect(to, hello("a"), patience()).unwrap();
    drop(running);
    assert_eq!(disk.log().matches("turned away").count(), 3);
}
