// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump sockets`: the sockets in an image, and who has them open.

use super::troubles;
use linpmem_cli::Document;
use linpmem_cli::table::{self, Align};
use linpmem_manifest::Address;
use serde::Serialize;
use std::io::{self, Write};
use std::net::IpAddr;

/// What netlink's protocols are called in its header, from 0 on.
const NETLINK: [&str; 23] = [
    "route",
    "unused",
    "usersock",
    "firewall",
    "sock-diag",
    "nflog",
    "xfrm",
    "selinux",
    "iscsi",
    "audit",
    "fib-lookup",
    "connector",
    "netfilter",
    "ip6-fw",
    "dnrtmsg",
    "uevent",
    "generic",
    "dm",
    "scsitransport",
    "ecryptfs",
    "rdma",
    "crypto",
    "smc",
];
/// Owners that are shown of a socket; JSON has all.
const SHOWN: usize = 8;

/// The sockets in an image.
#[derive(Debug, Serialize)]
pub struct SocketsDocument {
    /// The image.
    pub image: String,
    /// Those that processes have open, then those that only the kernel's tables have.
    pub sockets: Vec<SocketRow>,
    /// The kernel's tables that were not found.
    pub absent_tables: Vec<&'static str>,
    /// What contradicts itself in memory, a sentence each.
    pub troubles: Vec<String>,
    /// How many more there are.
    pub more_troubles: u64,
}

/// A socket.
#[derive(Debug, Serialize)]
pub struct SocketRow {
    /// As ss(8) calls it: `tcp`, `udp` and so on.
    pub netid: &'static str,
    /// The number of its address family.
    pub family: u64,
    /// `stream`, `dgram`, `raw` and so on.
    #[serde(rename = "type")]
    pub kind: Option<&'static str>,
    /// The number of its protocol.
    pub protocol: Option<u64>,
    /// As ss(8) shows it.
    pub state: &'static str,
    /// Its own address.
    pub local_address: Option<IpAddr>,
    /// Its own port.
    pub local_port: Option<u32>,
    /// The address of its peer.
    pub peer_address: Option<IpAddr>,
    /// The port of its peer.
    pub peer_port: Option<u32>,
    /// The name of a UNIX socket, with `@` in front of an abstract one.
    pub path: Option<String>,
    /// The inode of the socket that a UNIX socket is connected with.
    pub peer_inode: Option<u64>,
    /// The number of the interface that it is bound to.
    pub interface: Option<u64>,
    /// Its inode.
    pub inode: Option<u64>,
    /// Who created it.
    pub uid: Option<u32>,
    /// The inode of its network namespace.
    pub network_namespace: Option<u64>,
    /// Where it was found.
    pub found_by: SocketFoundBy,
    /// Who has it open.
    pub owners: Vec<Owner>,
    /// Where its `struct sock` is.
    pub address: Address,
}

/// Where a socket was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SocketFoundBy {
    /// Among the open files of a process, and in a table of the kernel's.
    Both,
    /// Only among the open files of a process: there is no table for it, or it is not bound.
    File,
    /// Only in a table of the kernel's.
    Table,
}

/// A process that has a socket open.
#[derive(Debug, Serialize)]
pub struct Owner {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// By which number it has the socket open.
    pub fd: u64,
}

impl SocketRow {
    fn local(&self) -> String {
        match self.netid {
            "unix" => self.path.clone().unwrap_or_else(|| "*".to_owned()),
            "netlink" => {
                let protocol = self
                    .protocol
                    .and_then(|number| usize::try_from(number).ok());
                let protocol = protocol.and_then(|number| NETLINK.get(number));
                let port = self.local_port.unwrap_or_default();
                format!("{}:{port}", protocol.unwrap_or(&"?"))
            }
            "packet" => {
                let frames = self.protocol.unwrap_or_default();
                match self.interface {
                    Some(interface) => format!("{frames:#06x}:if{interface}"),
                    None => format!("{frames:#06x}:*"),
                }
            }
            // A raw socket has a protocol and no port.
            "raw" => end(self.local_address, self.protocol, "?"),
            _ => end(self.local_address, self.local_port.map(u64::from), "?"),
        }
    }

    fn peer(&self) -> String {
        match self.netid {
            "unix" => match self.peer_inode {
                Some(inode) => format!("socket:[{inode}]"),
                None => "*".to_owned(),
            },
            _ => end(self.peer_address, self.peer_port.map(u64::from), "*"),
        }
    }

    fn processes(&self) -> String {
        let owners = self.owners.iter().take(SHOWN);
        let mut shown: Vec<String> = owners
            .map(|owner| format!("{}/{} fd {}", owner.pid, owner.name, owner.fd))
            .collect();
        match self.owners.len() {
            0 => "-".to_owned(),
            len => {
                if len > SHOWN {
                    shown.push(format!("{} more", len.saturating_sub(SHOWN)));
                }
                shown.join(", ")
            }
        }
    }
}

/// One end of a connection, as ss(8) shows it.
fn end(address: Option<IpAddr>, port: Option<u64>, unknown: &str) -> String {
    let port = port.filter(|&port| port != 0);
    let port = port.map_or_else(|| "*".to_owned(), |port| port.to_string());
    match address {
        Some(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        Some(IpAddr::V4(address)) => format!("{address}:{port}"),
        None => unknown.to_owned(),
    }
}

impl Document for SocketsDocument {
    const FORMAT: &'static str = "linpmem-dump sockets";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let rows = self.sockets.iter().map(|socket| {
            [
                socket.netid.to_owned(),
                socket.kind.unwrap_or("-").to_owned(),
                socket.state.to_owned(),
                socket.local(),
                socket.peer(),
                number(socket.inode),
                number(socket.network_namespace),
                socket.processes(),
            ]
        });
        let columns = [
            ("NETID", Align::Left),
            ("TYPE", Align::Left),
            ("STATE", Align::Left),
            ("LOCAL", Align::Left),
            ("PEER", Align::Left),
            ("INODE", Align::Right),
            ("NETNS", Align::Right),
            ("PROCESSES", Align::Left),
        ];
        table::write(out, columns, rows)?;
        if !self.absent_tables.is_empty() {
            writeln!(
                out,
                "note: the kernel's tables of these sockets were not found, so that those without a \
                 process are not listed: {}",
                self.absent_tables.join(", ")
            )?;
        }
        troubles::write(&self.troubles, self.more_troubles, out)
    }
}
