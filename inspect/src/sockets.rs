// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sockets: what a `struct sock` says, as ss(8) shows it.

use crate::error::Error;
use crate::found::Found;
use crate::machine::{Machine, Struct};
use crate::open_files::Descriptor;
use crate::tasks::Task;
use crate::trouble::Trouble;
use crate::troubles::Troubles;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const WHAT: &str = "socket";
const HELD: &str = "socket that a task has open";
/// Bytes that a socket of a task takes in memory.
const HELD_BYTES: u64 = 96;

/// `AF_UNIX` and so on.
const UNIX: u64 = 1;
const INET: u64 = 2;
const INET6: u64 = 10;
const NETLINK: u64 = 16;
const PACKET: u64 = 17;
/// `SOCK_STREAM` and `SOCK_RAW`.
const STREAM: u64 = 1;
const RAW: u64 = 3;
/// `IPPROTO_TCP`.
const TCP: u64 = 6;
/// States of sockets of which there is less than a `struct sock`.
const TIME_WAIT: u64 = 6;
const NEW_SYN_RECV: u64 = 12;
/// The longest name of a UNIX socket, and the bytes in front of it.
const MAX_NAME: u64 = 108;
const FAMILY_BYTES: u64 = 2;

/// A socket. What is `None` could not be read, or there is no such thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// Where its `struct sock` is, or the less that there is of it in some states.
    pub address: u64,
    /// Its address family: `AF_INET` is 2.
    pub family: u64,
    /// Its type: `SOCK_STREAM` is 1.
    pub kind: Option<u64>,
    /// Its protocol within the family; of a packet socket, the type of the frames.
    pub protocol: Option<u64>,
    /// The number of its state: that of a TCP connection, which other families use as well.
    pub state: u64,
    /// Its own address and port; of a netlink socket, the port alone.
    pub local: Endpoint,
    /// Those of its peer.
    pub peer: Endpoint,
    /// The name of a UNIX socket: a path, or `@` and an abstract name, whose zero bytes are
    /// shown as `@`.
    pub path: Option<String>,
    /// The inode of the socket that a UNIX socket is connected with.
    pub peer_inode: Option<u64>,
    /// The number of the interface that it is bound to.
    pub interface: Option<u64>,
    /// Its inode; without one, no file leads to it.
    pub inode: Option<u64>,
    /// The user who created it.
    pub uid: Option<u32>,
    /// The inode of its network namespace.
    pub network: Option<u64>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: Option<u32>,
}

/// A socket that a task has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldSocket {
    /// By which number.
    pub fd: u64,
    /// Where its `struct sock` is.
    pub socket: u64,
}

impl Socket {
    /// What ss(8) calls its kind: `tcp`, `udp`, `raw`, `unix`, `netlink`, `packet` and so on.
    #[must_use]
    pub fn netid(&self) -> &'static str {
        match (self.family, self.kind, self.protocol) {
            (INET | INET6, Some(RAW), _) => "raw",
            (INET | INET6, _, Some(protocol)) => match protocol {
                1 | 58 => "icmp",
                TCP => "tcp",
                17 => "udp",
                33 => "dccp",
                132 => "sctp",
                136 => "udplite",
                262 => "mptcp",
                _ => "inet",
            },
            (INET | INET6, ..) => "inet",
            (UNIX, ..) => "unix",
            (NETLINK, ..) => "netlink",
            (PACKET, ..) => "packet",
            (15, ..) => "key",
            (29, ..) => "can",
            (30, ..) => "tipc",
            (31, ..) => "bluetooth",
            (38, ..) => "alg",
            (40, ..) => "vsock",
            (44, ..) => "xdp",
            _ => "other",
        }
    }

    /// Its type in words.
    #[must_use]
    pub const fn kind_name(&self) -> Option<&'static str> {
        Some(match self.kind {
            Some(STREAM) => "stream",
            Some(2) => "dgram",
            Some(RAW) => "raw",
            Some(4) => "rdm",
            Some(5) => "seqpacket",
            Some(6) => "dccp",
            Some(10) => "packet",
            _ => return None,
        })
    }

    /// Its state, as ss(8) shows it.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        match self.state {
            1 => "ESTAB",
            2 => "SYN-SENT",
            3 | NEW_SYN_RECV => "SYN-RECV",
            4 => "FIN-WAIT-1",
            5 => "FIN-WAIT-2",
            TIME_WAIT => "TIME-WAIT",
            // Not connected: also netlink's own number for that, and that of a TCP socket that
            // is bound alone.
            0 | 7 | 13 => "UNCONN",
            8 => "CLOSE-WAIT",
            9 => "LAST-ACK",
            10 => "LISTEN",
            11 => "CLOSING",
            _ => "UNKNOWN",
        }
    }
}

impl Machine<'_> {
    /// The sockets that `task` has open. No more are read than there is room for: `room` are the
    /// bytes that they may take, and what is left of them.
    ///
    /// # Errors
    /// If this kernel keeps them in another way.
    pub fn held_sockets(&self, task: &Task, room: &mut u64) -> Result<Found<HeldSocket>, Error> {
        let open = self.descriptors(task, room)?;
        let mut found = Found {
            items: Vec::new(),
            troubles: open.troubles,
        };
        for Descriptor { fd, file } in open.items {
            let file = self.structure("file", file)?;
            let inode = file.field("f_inode")?.follow();
            let is_socket = inode.and_then(|inode| self.is_socket(inode));
            if found.troubles.known(HELD, is_socket)? != Some(true) {
                continue;
            }
            let at = found.troubles.number(HELD, file, "private_data")?;
            let Some(at) = at.filter(|&at| at != 0) else {
                continue;
            };
            let socket = self.structure("socket", at)?;
            let back = found.troubles.number(HELD, socket, "file")?;
            if let Some(value) = back.filter(|&back| back != file.address()) {
                let what = HELD;
                found.troubles.push(Trouble::Wild { what, at, value });
            }
            let socket = found.troubles.number(HELD, socket, "sk")?;
            // One that is being closed has none.
            let Some(socket) = socket.filter(|&socket| socket != 0) else {
                continue;
            };
            let Some(left) = room.checked_sub(HELD_BYTES) else {
                let limit = std::mem::take(room);
                found.troubles.push(Trouble::TooLong { what: HELD, limit });
                break;
            };
            *room = left;
            found.items.push(HeldSocket { fd, socket });
        }
        Ok(found)
    }

    /// The socket whose `struct sock` is at `address`; `None` if it cannot be read, which is
    /// said among `troubles`.
    ///
    /// # Errors
    /// If this kernel has another one.
    pub fn socket(&self, address: u64, troubles: &mut Troubles) -> Result<Option<Socket>, Error> {
        let common = self.structure("sock_common", address)?;
        let Some(family) = troubles.number(WHAT, common, "skc_family")? else {
            return Ok(None);
        };
        let Some(state) = troubles.number(WHAT, common, "skc_state")? else {
            return Ok(None);
        };
        let mut socket = Socket {
            address,
            family,
            state,
            ..Socket::default()
        };
        let interface = troubles.number(WHAT, common, "skc_bound_dev_if")?;
        socket.interface = interface.filter(|&interface| interface != 0);
        // Without CONFIG_NET_NS there are no others.
        if common.has("skc_net.net") {
            let network = common.field("skc_net.net")?.follow();
            let network = network.and_then(|network| network.field("ns.inum")?.u64());
            socket.network = troubles.known(WHAT, network)?;
        }
        match state {
            TIME_WAIT | NEW_SYN_RECV if matches!(family, INET | INET6) => {
                socket.kind = Some(STREAM);
                socket.protocol = Some(TCP);
                if state == TIME_WAIT {
                    // The peer may not have closed its end yet.
                    let rest = self.structure("inet_timewait_sock", address)?;
                    let state = troubles.number(WHAT, rest, "tw_substate")?;
                    socket.state = state.unwrap_or(socket.state);
                }
            }
            _ => self.whole(address, &mut socket, troubles)?,
        }
        match family {
            INET | INET6 => {
                let ends = ends(self, common, family, socket.kind == Some(RAW));
                if let Some((local, peer)) = troubles.known(WHAT, ends)? {
                    (socket.local, socket.peer) = (local, peer);
                }
            }
            UNIX => self.unix(address, &mut socket, troubles)?,
            NETLINK => {
                let whole = self.structure("netlink_sock", address)?;
                for (member, end) in [
                    ("portid", &mut socket.local),
                    ("dst_portid", &mut socket.peer),
                ] {
                    let port = troubles.number(WHAT, whole, member)?;
                    end.port = port.and_then(|port| u32::try_from(port).ok());
                }
            }
            PACKET => self.packet(address, &mut socket, troubles)?,
            _ => {}
        }
        Ok(Some(socket))
    }

    /// What only a whole `struct sock` has.
    fn whole(
        &self,
        address: u64,
        socket: &mut Socket,
        troubles: &mut Troubles,
    ) -> Result<(), Error> {
        let whole = self.structure("sock", address)?;
        // A bit field before Linux 5.6.
        socket.kind = troubles.number(WHAT, whole, "sk_type")?;
        socket.protocol = troubles.number(WHAT, whole, "sk_protocol")?;
        let uid = troubles.number(WHAT, whole, "sk_uid.val")?;
        socket.uid = uid.and_then(|uid| u32::try_from(uid).ok());
        socket.inode = troubles.known(WHAT, self.inode_of_socket(whole))?.flatten();
        Ok(())
    }

    /// The inode of a `struct sock`: both are parts of one `struct socket_alloc`.
    fn inode_of_socket(&self, whole: Struct<'_>) -> Result<Option<u64>, Error> {
        let socket = whole.field("sk_socket")?.u64()?;
        if socket == 0 {
            return Ok(None);
        }
        let before = self.types().member("socket_alloc", "socket")?.offset;
        let both = self.structure("socket_alloc", socket.wrapping_sub(before))?;
        both.field("vfs_inode.i_ino")?.u64().map(Some)
    }

    /// A kernel whose UNIX sockets are a module has no types for them here.
    fn unix(
        &self,
        address: u64,
        socket: &mut Socket,
        troubles: &mut Troubles,
    ) -> Result<(), Error> {
        let Ok(whole) = self.structure("unix_sock", address) else {
            return Ok(());
        };
        let named = troubles.known(WHAT, whole.field("addr")?.follow_if_any())?;
        if let Some(named) = named.flatten() {
            let name = unix_name(self, named);
            socket.path = troubles.known(WHAT, name)?.flatten();
        }
        let peer = troubles.known(WHAT, whole.field("peer")?.follow_if_any())?;
        if let Some(peer) = peer.flatten() {
            let inode = self.inode_of_socket(peer);
            socket.peer_inode = troubles.known(WHAT, inode)?.flatten();
        }
        Ok(())
    }

    /// The same holds for these.
    fn packet(
        &self,
        address: u64,
        socket: &mut Socket,
        troubles: &mut Troubles,
    ) -> Result<(), Error> {
        let Ok(whole) = self.structure("packet_sock", address) else {
            return Ok(());
        };
        let frames = troubles.number(WHAT, whole, "num")?;
        socket.protocol = frames.map(from_network);
        let interface = troubles.number(WHAT, whole, "ifindex")?;
        socket.interface = interface.filter(|&interface| interface != 0);
        Ok(())
    }
}

/// Both ends of a socket of IPv4 or IPv6.
fn ends(
    machine: &Machine<'_>,
    common: Struct<'_>,
    family: u64,
    is_raw: bool,
) -> Result<(Endpoint, Endpoint), Error> {
    let members = match family {
        INET => ["skc_rcv_saddr", "skc_daddr"],
        _ => ["skc_v6_rcv_saddr", "skc_v6_daddr"],
    };
    let [local, peer] = members.map(|member| -> Result<IpAddr, Error> {
        let at = common.field(member)?.address();
        let mut bytes = [0; 16];
        if family == INET {
            let mut bytes = [0; 4];
            machine.read(at, &mut bytes)?;
            return Ok(Ipv4Addr::from(bytes).into());
        }
        machine.read(at, &mut bytes)?;
        Ok(Ipv6Addr::from(bytes).into())
    });
    // A raw socket has its protocol in the place of a port.
    let port = |port: u64| match is_raw {
        true => None,
        false => u32::try_from(port).ok(),
    };
    let own = Endpoint {
        address: Some(local?),
        port: port(common.field("skc_num")?.u64()?),
    };
    let other = Endpoint {
        address: Some(peer?),
        port: port(from_network(common.field("skc_dport")?.u64()?)),
    };
    Ok((own, other))
}

/// A number of 16 bits, whose bytes are in the order of the network.
fn from_network(number: u64) -> u64 {
    let number = u16::try_from(number & 0xffff).unwrap_or(0);
    u64::from(number.swap_bytes())
}

/// The name in a `struct unix_address`; `None` if it is empty.
fn unix_name(machine: &Machine<'_>, named: Struct<'_>) -> Result<Option<String>, Error> {
    let len = named.field("len")?.u64()?;
    let len = len.saturating_sub(FAMILY_BYTES).min(MAX_NAME);
    let name = named.field("name")?.index(0)?.structure();
    let at = name.field("sun_path")?.address();
    let mut bytes = [0; 108];
    let (name, _) = bytes.split_at_mut(usize::try_from(len).unwrap_or(0));
    machine.read(at, name)?;
    let Some((first, rest)) = name.split_first() else {
        return Ok(None);
    };
    if *first != 0 {
        let mut parts = name.split(|&byte| byte == 0);
        let path = parts.next().unwrap_or(&[]);
        return Ok(Some(String::from_utf8_lossy(path).into_owned()));
    }
    let rest = String::from_utf8_lossy(rest).replace('\0', "@");
    Ok(Some(format!("@{rest}")))
}

#[cfg(test)]
mod tests;
