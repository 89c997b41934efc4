// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images arrive, whatever happens to the line.

use crate::kept::{Disk, Running, address, hello, loopback, many};
use crate::proxy::Proxy;
use bytes::Bytes;
use linpmem_remote::{
    Finish, LineState, Patience, Policy, Receipt, SendError, Sender, Stream, Token,
};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{scope, sleep, spawn};
use std::time::{Duration, Instant};

const PIECE: usize = 300 << 10;
const PIECES: usize = 30;

fn patience(seconds: u64) -> Patience {
    Patience {
        give_up: Duration::from_secs(seconds),
        is_hurried: Arc::new(|| false),
        watch: Arc::new(|_| {}),
    }
}

/// Bytes that are different everywhere.
fn piece(number: usize) -> Bytes {
    let mut state = u64::try_from(number).unwrap() + 1;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    });
    bytes.take(PIECE).collect()
}

fn expected() -> Vec<u8> {
    let mut all = Vec::new();
    for number in 0..PIECES {
        all.extend_from_slice(&piece(number));
        all.resize(all.len() + 5000, 0);
    }
    all
}

/// Sends the image; `between` is called before each piece.
fn send(sender: Sender, between: impl Fn(usize)) -> Result<Receipt, SendError> {
    for number in 0..PIECES {
        between(number);
        sender.bytes(Stream::Image, &piece(number))?;
        sender.zeros(Stream::Image, 5000)?;
        sender.bytes(Stream::Manifest, &Bytes::from(format!("{number}\n")))?;
    }
    let finish = Finish {
        image_bytes: u64::try_from(expected().len()).unwrap(),
        manifest_bytes: 0,
        artifacts_bytes: None,
        is_whole: true,
        encryption: None,
    };
    sender.finish(&finish).map(|(receipt, _)| receipt)
}

fn arrived(disk: &Disk) {
    let runs = disk.runs.lock().unwrap();
    assert!(!runs.is_empty());
    for kept in runs.values() {
        assert!(kept.image == expected(), "{}", kept.image.len());
        let lines: String = (0..PIECES).map(|number| format!("{number}\n")).collect();
        assert_eq!(kept.manifest, lines.as_bytes());
    }
}

#[test]
fn an_image_arrives_and_is_confirmed() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let to = address(&disk, running.address, &token);
    let sender = Sender::connect(to, hello("a"), patience(5)).unwrap();
    assert_eq!(sender.image(), "a.core");
    let receipt = send(sender, |_| {}).unwrap();
    assert!(receipt.is_verified);
    arrived(&disk);
    assert_eq!(disk.log(), "");
}

#[test]
fn a_line_that_is_cut_ten_times_loses_nothing() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let proxy = Proxy::to(Arc::new(Mutex::new(running.address)));
    let to = address(&disk, proxy.address, &token);
    let states = Arc::<Mutex<Vec<LineState>>>::default();
    let seen = Arc::clone(&states);
    let patience = Patience {
        watch: Arc::new(move |state| seen.lock().unwrap().push(state)),
        ..patience(30)
    };
    let sender = Sender::connect(to, hello("a"), patience).unwrap();
    let cuts = AtomicUsize::new(0);
    let receipt = send(sender, |number| {
        if number % 3 == 1 {
            // The cut before was noticed and is mended, and something was sent since.
            let mended = 2 * cuts.fetch_add(1, Ordering::Relaxed);
            let begun = Instant::now();
            while states.lock().unwrap().len() < mended {
                assert!(
                    begun.elapsed() < Duration::from_secs(60),
                    "it is not mended"
                );
                sleep(Duration::from_millis(1));
            }
            let before = proxy.sent();
            let begun = Instant::now();
            while proxy.sent() == before && begun.elapsed() < Duration::from_millis(200) {
                sleep(Duration::from_millis(1));
            }
            proxy.cut();
        }
    });
    assert!(receipt.unwrap().is_verified);
    arrived(&disk);
    let states = states.lock().unwrap();
    assert_eq!(states.len(), 20);
    for pair in states.chunks(2) {
        assert_eq!(pair, [LineState::Broken, LineState::Back]);
    }
}

#[test]
fn connections_that_break_before_anything_is_sent_are_tried_again() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let closing = TcpListener::bind(loopback()).unwrap();
    let target = Arc::new(Mutex::new(closing.local_addr().unwrap()));
    let proxy = Proxy::to(Arc::clone(&target));
    let to = address(&disk, proxy.address, &token);
    let there = running.address;
    let closed = spawn(move || {
        for _ in 0..3 {
            drop(closing.accept().unwrap());
        }
        *target.lock().unwrap() = there;
    });
    let sender = Sender::connect(to, hello("a"), patience(30)).unwrap();
    closed.join().unwrap();
    assert!(send(sender, |_| {}).unwrap().is_verified);
    arrived(&disk);
}

#[test]
fn a_receiver_that_is_started_anew_goes_on_where_its_disk_ends() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let target = Arc::new(Mutex::new(running.address));
    let proxy = Proxy::to(Arc::clone(&target));
    let to = address(&disk, proxy.address, &token);
    let sender = Sender::connect(to, hello("a"), patience(30)).unwrap();
    let running = Mutex::new(Some(running));
    let receipt = send(sender, |number| {
        if number % 10 == 5 {
            running.lock().unwrap().take();
            // What was not synced is lost with it: the sender still has it.
            let new = Running::start(&disk, loopback(), many(&token));
            *target.lock().unwrap() = new.address;
            *running.lock().unwrap() = Some(new);
        }
    });
    receipt.unwrap();
    arrived(&disk);
    assert!(disk.log().contains("stopped"), "{}", disk.log());
}

#[test]
fn a_receiver_that_lost_its_disk_is_not_believed() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let proxy = Proxy::to(Arc::new(Mutex::new(running.address)));
    let to = address(&disk, proxy.address, &token);
    let sender = Sender::connect(to, hello("a"), patience(10)).unwrap();
    let error = send(sender, |number| {
        if number == 20 {
            disk.is_broken.store(true, Ordering::Relaxed);
            proxy.cut();
        }
    })
    .unwrap_err();
    assert!(matches!(error, SendError::Contradiction(_)), "{error}");
}

#[test]
fn without_a_receiver_the_sender_gives_up_and_says_after_how_long() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let to = address(&disk, running.address, &token);
    let sender = Sender::connect(to.clone(), hello("a"), patience(1)).unwrap();
    drop(running);
    let error = send(sender, |_| {}).unwrap_err();
    assert!(matches!(error, SendError::GaveUp { .. }), "{error}");
    let error = Sender::connect(to, hello("a"), patience(1)).err().unwrap();
    assert!(matches!(error, SendError::Connect { .. }), "{error}");
}

#[test]
fn a_user_who_wants_the_end_does_not_wait_for_all_of_the_patience() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let to = address(&disk, running.address, &token);
    let is_hurried = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_hurried);
    let patience = Patience {
        give_up: Duration::from_secs(3600),
        is_hurried: Arc::new(move || asked.load(Ordering::Relaxed)),
        watch: Arc::new(|_| {}),
    };
    let sender = Sender::connect(to, hello("a"), patience).unwrap();
    drop(running);
    let sending = spawn(move || send(sender, |_| {}));
    sleep(Duration::from_millis(300));
    assert!(!sending.is_finished());
    is_hurried.store(true, Ordering::Relaxed);
    let error = sending.join().unwrap().unwrap_err();
    assert!(matches!(error, SendError::GaveUp { .. }), "{error}");
}

#[test]
fn a_run_that_has_ended_does_not_wait_for_a_receiver_that_is_gone() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let to = address(&disk, running.address, &token);
    let (broken, is_broken) = std::sync::mpsc::channel();
    let patience = Patience {
        watch: Arc::new(move |_| broken.send(()).unwrap_or_default()),
        ..patience(3600)
    };
    let sender = Sender::connect(to, hello("a"), patience).unwrap();
    drop(running);
    is_broken.recv().unwrap();
    let begun = Instant::now();
    drop(sender);
    assert!(begun.elapsed() < Duration::from_secs(60), "it waited");
}

#[test]
fn many_senders_are_served_at_once() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    scope(|scope| {
        for number in 0..20 {
            let to = address(&disk, running.address, &token);
            scope.spawn(move || {
                let hello = hello(&format!("host-{number}"));
                send(Sender::connect(to, hello, patience(30)).unwrap(), |_| {}).unwrap()
            });
        }
    });
    arrived(&disk);
    assert_eq!(disk.runs.lock().unwrap().len(), 20);
}

#[test]
fn a_sender_that_missed_its_receipt_gets_it_again() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let to = address(&disk, running.address, &token);
    let hello = hello("a");
    let first = send(
        Sender::connect(to.clone(), hello.clone(), patience(5)).unwrap(),
        |_| {},
    );
    // A new sender that claims to be the same run, and has nothing.
    let error = Sender::connect(to, hello, patience(5)).err().unwrap();
    assert!(matches!(error, SendError::Contradiction(_)), "{error}");
    assert!(first.unwrap().is_verified);
}

#[test]
fn once_is_once() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let policy = Policy {
        token: token.clone(),
        is_once: true,
    };
    let running = Running::start(&disk, loopback(), policy);
    let to = address(&disk, running.address, &token);
    let sender = Sender::connect(to.clone(), hello("a"), patience(5)).unwrap();
    // A second sender with the same token, while the first is at work.
    let error = Sender::connect(to, hello("b"), patience(5)).err().unwrap();
    assert!(error.to_string().contains("used already"), "{error}");
    assert!(disk.log().contains("used already"), "{}", disk.log());
    assert!(running.is_running());
    send(sender, |_| {}).unwrap();
    running.ended();
    arrived(&disk);
}
