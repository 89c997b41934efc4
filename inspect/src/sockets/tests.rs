// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::testing::{DIRECT, Files, Image};

/// The socket at `address`, and what was wrong with it.
fn socket(image: &Image, address: u64) -> (Option<Socket>, Troubles) {
    let machine = image.machine();
    let mut troubles = Troubles::default();
    let socket = machine.socket(address, &mut troubles).unwrap();
    (socket, troubles)
}

fn whole(image: &Image, address: u64) -> Socket {
    let (socket, troubles) = socket(image, address);
    assert_eq!(troubles, []);
    socket.unwrap()
}

fn end(address: &str, port: Option<u32>) -> Endpoint {
    Endpoint {
        address: Some(address.parse().unwrap()),
        port,
    }
}

#[test]
fn connections_have_their_ends_state_and_namespace() {
    let mut files = Files::new();
    let tcp = files.sock(2, 1, 6, 1);
    files.open_socket(tcp, 77);
    files.connect(tcp, ([10, 0, 0, 1], 22), ([10, 0, 0, 2], 40_000));
    files.kernel().put_u32(tcp + 20, 3);
    let udp = files.sock(10, 2, 17, 7);
    files.connect(udp, ([0; 4], 53), ([0; 4], 0));
    // In the order of the network: 127.0.0.1 behind ffff, and 80fe.
    files.kernel().put(udp + 56, 0x0100_007f_ffff_0000);
    files.kernel().put(udp + 32, 0xfe80);
    let raw = files.sock(2, 3, 1, 7);
    files.connect(raw, ([0; 4], 1), ([0; 4], 0));
    let image = files.tasks.kernel.image();
    let found = whole(&image, tcp);
    assert_eq!((found.netid(), found.kind_name()), ("tcp", Some("stream")));
    assert_eq!(found.state_name(), "ESTAB");
    assert_eq!(found.local, end("10.0.0.1", Some(22)));
    assert_eq!(found.peer, end("10.0.0.2", Some(40_000)));
    assert_eq!((found.inode, found.uid), (Some(77), Some(1000)));
    assert_eq!(found.network, Some(4_026_531_840));
    assert_eq!(found.interface, Some(3));
    let found = whole(&image, udp);
    assert_eq!((found.netid(), found.state_name()), ("udp", "UNCONN"));
    assert_eq!(found.local, end("::ffff:127.0.0.1", Some(53)));
    assert_eq!(found.peer, end("80fe::", Some(0)));
    assert_eq!((found.inode, found.interface), (None, None));
    let found = whole(&image, raw);
    assert_eq!((found.netid(), found.local), ("raw", end("0.0.0.0", None)));
}

#[test]
fn of_a_connection_that_is_ending_nothing_is_read_that_it_does_not_have() {
    let mut files = Files::new();
    let waiting = files.sock(2, 0, 0, 6);
    files.kernel().put_u8(waiting + 128, 6);
    let half = files.sock(2, 0, 0, 6);
    files.kernel().put_u8(half + 128, 5);
    let request = files.sock(10, 0, 0, 12);
    for at in [waiting, half, request] {
        // Where a whole one has its file.
        files.kernel().put(at + 144, DIRECT + (1 << 45));
    }
    let image = files.tasks.kernel.image();
    let states = [waiting, half, request].map(|at| {
        let found = whole(&image, at);
        assert_eq!((found.netid(), found.inode, found.uid), ("tcp", None, None));
        found.state_name()
    });
    assert_eq!(states, ["TIME-WAIT", "FIN-WAIT-2", "SYN-RECV"]);
}

#[test]
fn unix_sockets_have_names_and_peers() {
    let mut files = Files::new();
    let [bound, hidden, unnamed] = [(); 3].map(|()| files.sock(1, 1, 0, 10));
    files.name_socket(bound, b"/run/x\0and more");
    files.name_socket(hidden, b"\0a\0b");
    files.name_socket(unnamed, b"");
    files.open_socket(hidden, 5);
    files.kernel().put(bound + 200, hidden);
    let image = files.tasks.kernel.image();
    let found = whole(&image, bound);
    assert_eq!((found.netid(), found.state_name()), ("unix", "LISTEN"));
    assert_eq!(found.path.as_deref(), Some("/run/x"));
    assert_eq!(found.peer_inode, Some(5));
    let found = whole(&image, hidden);
    assert_eq!(found.path.as_deref(), Some("@a@b"));
    assert_eq!((found.peer_inode, found.inode), (None, Some(5)));
    assert_eq!(whole(&image, unnamed).path, None);
}

#[test]
fn a_name_that_claims_to_be_longer_than_any_is_cut() {
    let mut files = Files::new();
    let socket = files.sock(1, 2, 0, 7);
    files.name_socket(socket, &[b'x'; 109]);
    let name = files.kernel().get(socket + 192);
    files.kernel().put_u32(name + 4, u32::MAX);
    let image = files.tasks.kernel.image();
    let found = whole(&image, socket);
    assert_eq!(found.path.map(|path| path.len()), Some(108));
}

#[test]
fn netlink_and_packet_sockets_have_what_is_theirs() {
    let mut files = Files::new();
    let netlink = files.sock(16, 3, 15, 7);
    files.kernel().put_u32(netlink + 192, 1234);
    let packet = files.sock(17, 3, 0, 7);
    files.kernel().put_u32(packet + 192, 2);
    files.kernel().put_u32(packet + 196, 0x0300);
    let other = files.sock(38, 5, 0, 0);
    let image = files.tasks.kernel.image();
    let found = whole(&image, netlink);
    assert_eq!((found.netid(), found.protocol), ("netlink", Some(15)));
    assert_eq!((found.local.port, found.peer.port), (Some(1234), Some(0)));
    let found = whole(&image, packet);
    assert_eq!((found.netid(), found.protocol), ("packet", Some(3)));
    assert_eq!(found.interface, Some(2));
    assert_eq!(whole(&image, other).netid(), "alg");
}

#[test]
fn a_socket_that_is_missing_is_said() {
    let mut files = Files::new();
    let lost = files.sock(2, 1, 6, 1);
    files.kernel().lose(lost);
    let image = files.tasks.kernel.image();
    let (found, troubles) = socket(&image, lost);
    assert_eq!(found, None);
    let is_said = matches!(troubles[..], [Trouble::Unreadable { what: WHAT, .. }]);
    assert!(is_said, "{troubles:?}");
}

/// What the task has open.
fn held(image: &Image, task: u64, room: &mut u64) -> Found<HeldSocket> {
    let machine = image.machine();
    let task = machine.task(task, &mut Troubles::default()).unwrap();
    machine.held_sockets(&task, room).unwrap()
}

#[test]
fn sockets_are_found_among_the_open_files() {
    let mut files = Files::new();
    let task = files.tasks.process(1, "init");
    let root = files.root;
    let [one, two, torn] = [(); 3].map(|()| files.sock(2, 1, 6, 10));
    let opened = [(one, 7), (two, 8), (torn, 9)];
    let opened = opened.map(|(sock, number)| files.open_socket(sock, number));
    // The name of a socket in a folder is none.
    let name = files.on_disk(root, "name", 0o140_600, 5);
    let name = files.open(name);
    files.kernel().put(name + 40, DIRECT + (1 << 45));
    let folder = files.open(root);
    for (fd, file) in [(0, folder), (1, name)]
        .into_iter()
        .chain((3..).zip(opened))
    {
        files.give(task, fd, file);
    }
    let both = files.kernel().get(opened[2] + 40);
    files.kernel().put(both + 8, 0x1234);
    // It is being closed.
    let both = files.kernel().get(opened[1] + 40);
    files.kernel().put(both + 16, 0);
    let image = files.tasks.kernel.image();
    let found = held(&image, task, &mut (1 << 20));
    let sockets = [(3, one), (5, torn)].map(|(fd, socket)| HeldSocket { fd, socket });
    assert_eq!(found.items, sockets);
    let [Trouble::Wild { value, .. }] = found.troubles[..] else {
        panic!("{:?}", found.troubles);
    };
    assert_eq!(value, 0x1234);
    let mut room = 75 + 96 + 95;
    let found = held(&image, task, &mut room);
    assert_eq!((found.items.len(), room), (1, 0));
    let is_cut = matches!(found.troubles.last(), Some(Trouble::TooLong { .. }));
    assert!(is_cut, "{:?}", found.troubles);
}
