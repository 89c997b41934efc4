// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::testing::{DIRECT, Files};

/// A kernel with two sockets of each table but that of raw ones, which has one.
struct World {
    files: Files,
    tcp: [u64; 2],
    listening: [u64; 2],
    udp: [u64; 2],
    raw: u64,
    unix: [u64; 2],
    packet: [u64; 2],
}

fn world(mut files: Files) -> World {
    let mut pair =
        |family, kind, protocol, state| [(); 2].map(|()| files.sock(family, kind, protocol, state));
    let tcp = pair(2, 1, 6, 1);
    let listening = pair(2, 1, 6, 10);
    let udp = pair(2, 2, 17, 7);
    let unix = pair(1, 1, 0, 10);
    let packet = pair(17, 3, 0, 7);
    let raw = files.sock(2, 3, 1, 7);
    let [connected, heads] = [files.connected, files.listening];
    files.chain(connected, &tcp, 1);
    files.chain(connected + 8, &[], 3);
    files.chain(heads, &listening[..1], 1);
    files.chain(heads + 16, &listening[1..], 3);
    let [udp_at, raw_at, unix_at, packet_at] = [files.udp, files.raw, files.unix, files.packet];
    files.chain(udp_at + 16, &udp, 0);
    files.chain(raw_at, &[raw], 0);
    files.chain(unix_at, &unix[..1], 0);
    files.chain(unix_at + 511 * 8, &unix[1..], 0);
    files.chain(packet_at, &packet, 0);
    World {
        files,
        tcp,
        listening,
        udp,
        raw,
        unix,
        packet,
    }
}

impl World {
    fn all(&self) -> Vec<u64> {
        let raw = [self.raw];
        [
            &self.tcp[..],
            &self.listening,
            &self.udp,
            &raw,
            &self.unix,
            &self.packet,
        ]
        .concat()
    }

    fn found(self) -> TableSockets {
        let image = self.files.tasks.kernel.image();
        image.machine().table_sockets().unwrap()
    }
}

#[test]
fn every_table_is_read_whichever_way_the_kernel_keeps_what_listens() {
    for files in [Files::new(), Files::before_5_19()] {
        let world = world(files);
        let all = world.all();
        let found = world.found();
        assert_eq!(found.sockets, all);
        assert_eq!(found.troubles, []);
        assert_eq!(found.absent, [""; 0]);
    }
}

#[test]
fn a_table_that_namespaces_share_is_read_once_and_the_list_of_each_too() {
    let mut world = world(Files::new());
    let [net, unix] = [world.files.net, world.files.unix];
    let other = world.files.kernel().allocate(64);
    let sniffer = world.files.sock(17, 3, 0, 7);
    let head = world.files.kernel().get(net);
    world.files.kernel().link(head, &[net, other]);
    world.files.kernel().put(other + 40, unix);
    world.files.chain(other + 32, &[sniffer], 0);
    let mut all = world.all();
    all.push(sniffer);
    let found = world.found();
    assert_eq!(found.sockets, all);
    assert_eq!(found.troubles, []);
}

#[test]
fn tables_whose_symbols_are_missing_are_named() {
    let mut btf = crate::testing::Btf::new();
    btf.structure("hlist_node", 16, &[]).structure(
        "sock_common",
        16,
        &[
            ("skc_node", crate::testing::Of::Struct("hlist_node"), 0),
            (
                "skc_nulls_node",
                crate::testing::Of::Struct("hlist_node"),
                0,
            ),
        ],
    );
    let image = crate::testing::Kernel::new(&btf).image();
    let found = image.machine().table_sockets().unwrap();
    assert_eq!(found.absent, ["tcp", "udp", "raw", "unix", "packet"]);
    assert_eq!((found.sockets.len(), found.troubles.len()), (0, 0));
}

#[test]
fn a_chain_in_a_circle_ends_and_the_others_are_read() {
    let mut world = world(Files::new());
    let [first, second] = world.tcp;
    world.files.kernel().put(second + 64, first + 64);
    let all = world.all();
    let found = world.found();
    assert_eq!(found.sockets, all);
    let (what, at) = (TCP, first);
    assert_eq!(found.troubles, [Trouble::Circle { what, at }]);
}

#[test]
fn a_chain_that_leads_nowhere_is_said_and_the_others_are_read() {
    let mut world = world(Files::new());
    let wild = DIRECT + (1 << 45);
    world.files.kernel().put(world.udp[0] + 64, wild + 64);
    let mut all = world.all();
    all.retain(|&socket| socket != world.udp[1]);
    let found = world.found();
    let others: Vec<u64> = found.sockets.into_iter().filter(|&at| at != wild).collect();
    assert_eq!(others, all);
    let is_said = matches!(found.troubles[..], [Trouble::Unreadable { what: UDP, .. }]);
    assert!(is_said, "{:?}", found.troubles);
}

#[test]
fn a_table_that_claims_to_be_endless_is_read_for_a_while_and_the_others_too() {
    let mut world = world(Files::new());
    let tcp = world.files.tcp;
    world.files.kernel().put_u32(tcp + 8, u32::MAX);
    let others = world.all().split_off(2);
    let found = world.found();
    assert!(others.iter().all(|socket| found.sockets.contains(socket)));
    let (what, limit) = (TCP, 1 << 22);
    assert_eq!(
        found.troubles.first(),
        Some(&Trouble::TooMany { what, limit })
    );
    // What follows the machine's memory is said once a page.
    let pages = (1 << 22) * 8 / 0x1000;
    let count = u64::try_from(found.troubles.len()).unwrap() + found.troubles.more();
    assert!((pages - 1024..pages + 64).contains(&count), "{count}");
}

#[test]
fn a_page_of_a_table_that_is_missing_is_said_once() {
    let mut world = world(Files::new());
    // In a page of its own, of which nothing else is in use.
    let table = world.files.kernel().aligned_page();
    world.files.kernel().aligned_page();
    let tcp = world.files.tcp;
    world.files.kernel().put(tcp, table);
    world.files.kernel().put_u32(tcp + 8, 600 - 1);
    world.files.kernel().lose(table);
    let mut all = world.all();
    let connected = all.drain(..2).next().unwrap();
    // The first one of the second page.
    world.files.chain(table + 0x1000, &[connected], 1);
    all.insert(0, connected);
    let found = world.found();
    assert_eq!(found.sockets, all);
    assert_eq!(found.troubles.len(), 1, "{:?}", found.troubles);
}
