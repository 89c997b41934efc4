// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as what a sender says: as frames, or, after a line with a hello, as the messages of a
//! run that a folder takes. Nothing may come to be outside of that folder, and no more in it than
//! was sent.
#![no_main]

#[path = "../../../formats/fuzz/fuzz_targets/allocations.rs"]
mod allocations;

use libfuzzer_sys::fuzz_target;
use linpmem_capture::Silent;
use linpmem_capture::receive::ReceiveFolder;
use linpmem_capture::sink::Limits;
use linpmem_phys::PhysLen;
use linpmem_remote::{Hello, Identity, Opened, Session, Store, Stream};
use std::fs;

/// No image becomes larger.
const MOST_BYTES: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|&byte| byte == b'\n');
    let (hello, messages) = data.split_at(at.unwrap_or_default());
    let Ok(hello) = serde_json::from_slice::<Hello>(hello) else {
        linpmem_remote::fuzzing::read_frames(data);
        return;
    };
    let outside = tempfile::tempdir().expect("the folder for temporary files takes folders");
    let folder = outside.path().join("in");
    fs::create_dir(&folder).expect("it is new");
    let limits = Limits {
        max_size: Some(PhysLen::new(MOST_BYTES)),
        min_free: PhysLen::ZERO,
    };
    let identity = Identity::generate().expect("there are random numbers");
    let receiver = ReceiveFolder::new(folder.clone(), identity, limits, Box::new(Silent));
    let peer = "127.0.0.1:1".parse().expect("an address");
    if let Ok(Opened::Running { image, session, .. }) = receiver.open(&hello, peer) {
        assert!(!image.contains('/') && !image.starts_with('.'), "{image:?}");
        take(session, messages.get(1..).unwrap_or_default());
    }
    let around = fs::read_dir(outside.path()).expect("it is there").count();
    assert_eq!(around, 1, "something is outside");
    for entry in fs::read_dir(&folder).expect("it is there") {
        let found = entry.expect("it is there").metadata().expect("it is there");
        assert!(found.is_file());
        assert!(found.len() <= MOST_BYTES + (1 << 17), "{}", found.len());
    }
});

/// A byte for the kind of a message and the stream, one for its length in 16 bytes, and its
/// content.
fn take(mut session: Box<dyn Session>, mut messages: &[u8]) {
    while let [kind, len, rest @ ..] = messages {
        let len = usize::from(*len) * 16;
        let (content, rest) = rest.split_at(len.min(rest.len()));
        messages = rest;
        let stream = Stream::ALL[usize::from(*kind) % 3];
        let taken = match kind / 3 % 3 {
            0 => session.data(stream, content).is_ok(),
            1 => {
                let mut len = [0; 8];
                let known = content.len().min(8);
                len[..known].copy_from_slice(&content[..known]);
                session.zeros(stream, u64::from_le_bytes(len)).is_ok()
            }
            _ => {
                if let Ok(finish) = serde_json::from_slice(content) {
                    let _ = session.finish(&finish, &mut || {});
                }
                false
            }
        };
        if !taken || session.durable().is_err() {
            return;
        }
    }
}
