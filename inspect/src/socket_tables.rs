// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables in which the kernel looks up sockets for what arrives. A socket can be in one of
//! them and be no task's file: it is ending, was handed over and not taken yet, or belongs to the
//! kernel or to something that hides.

use crate::error::Error;
use crate::machine::{Machine, Struct};
use crate::trouble::Trouble;
use crate::troubles::Troubles;
use linpmem_phys::PAGE_SIZE;
use std::collections::HashSet;

const TCP: &str = "table of TCP sockets";
const UDP: &str = "table of UDP sockets";
const RAW: &str = "table of raw sockets";
const UNIX: &str = "table of UNIX sockets";
const PACKET: &str = "list of packet sockets";
const NAMESPACES: &str = "list of network namespaces";

const PAGE: u64 = PAGE_SIZE.get();

/// No kernel has more sockets than this.
const MAX_SOCKETS: usize = 1 << 20;
/// Chains of a table: the largest one has half a million unless someone asks for more.
const MAX_CHAINS: u64 = 1 << 22;
/// Chains of all tables together.
const MAX_ALL_CHAINS: u64 = 1 << 24;
/// No machine has more network namespaces.
const MAX_NAMESPACES: usize = 1 << 16;
/// Chains of UNIX sockets: twice 256 in every kernel so far, which does not say so itself.
const UNIX_CHAINS: u64 = 512;
/// In the links of some chains, marks the end.
const END: u64 = 1;

/// What the kernel's tables of sockets have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSockets {
    /// Where the `struct sock` of each is, or the less that there is of it in some states.
    pub sockets: Vec<u64>,
    /// What was wrong, in the order in which it was met.
    pub troubles: Troubles,
    /// The tables that were not found: `tcp`, `udp`, `raw`, `unix` or `packet`.
    pub absent: Vec<&'static str>,
}

/// Chains whose heads are one after the other.
#[derive(Clone, Copy)]
struct Chains {
    what: &'static str,
    /// Where the first head's pointer is.
    at: u64,
    count: u64,
    /// Bytes from one head to the next.
    stride: u64,
    /// Bytes from the start of a socket to its link.
    link: u64,
}

/// What an element of a table is, and the names of its member that a chain begins with.
struct Bucket {
    name: &'static str,
    heads: [&'static str; 2],
}

const CONNECTED: Bucket = Bucket {
    name: "inet_ehash_bucket",
    heads: ["chain"; 2],
};
const LISTENING: Bucket = Bucket {
    name: "inet_listen_hashbucket",
    heads: ["nulls_head", "head"],
};
const DATAGRAMS: Bucket = Bucket {
    name: "udp_hslot",
    heads: ["head"; 2],
};

impl Machine<'_> {
    /// The sockets in the tables of TCP, UDP, raw, UNIX and packet sockets, of all network
    /// namespaces.
    ///
    /// # Errors
    /// If this kernel keeps them in another way.
    pub fn table_sockets(&self) -> Result<TableSockets, Error> {
        let mut found = TableSockets::default();
        self.read_tables(&mut found)?;
        Ok(found)
    }

    fn read_tables(&self, found: &mut TableSockets) -> Result<(), Error> {
        let networks = self.networks(found)?;
        let mut all = Vec::new();
        self.tcp_chains(&networks, &mut all, found)?;
        self.udp_chains(&networks, &mut all, found)?;
        self.raw_chains(&mut all, found)?;
        self.unix_chains(&networks, &mut all, found)?;
        self.packet_chains(&networks, &mut all, found)?;
        let mut seen = HashSet::new();
        let mut left = MAX_ALL_CHAINS;
        for chains in all {
            if !self.follow_chains(chains, &mut left, &mut seen, found) {
                break;
            }
        }
        Ok(())
    }

    /// Where the `struct net` of each network namespace is.
    fn networks(&self, found: &mut TableSockets) -> Result<Vec<u64>, Error> {
        let Ok(head) = self.symbol("net_namespace_list") else {
            return Ok(Vec::new());
        };
        let link = self.types().member("net", "list")?;
        let mut listed = self.list(NAMESPACES, head, link.offset);
        found.troubles.append(listed.troubles);
        if listed.items.len() > MAX_NAMESPACES {
            listed.items.truncate(MAX_NAMESPACES);
            found.troubles.push(Trouble::TooMany {
                what: NAMESPACES,
                limit: MAX_NAMESPACES,
            });
        }
        Ok(listed.items)
    }

    /// Where the structs are that the variable `symbol` or the pointer `member` of each namespace
    /// leads to.
    fn tables(
        &self,
        what: &'static str,
        symbol: &'static str,
        member: &'static str,
        networks: &[u64],
        troubles: &mut Troubles,
    ) -> Result<Vec<u64>, Error> {
        let mut tables: Vec<u64> = self.symbol(symbol).into_iter().collect();
        let mut seen: HashSet<u64> = tables.iter().copied().collect();
        for &network in networks {
            // Since Linux 6.1 and 6.2 a namespace may have its own.
            let network = self.structure("net", network)?;
            if !network.has(member) {
                break;
            }
            let table = troubles.number(what, network, member)?;
            if let Some(table) = table.filter(|&table| table != 0) {
                if seen.insert(table) {
                    tables.push(table);
                }
            }
        }
        Ok(tables)
    }

    fn tcp_chains(
        &self,
        networks: &[u64],
        all: &mut Vec<Chains>,
        found: &mut TableSockets,
    ) -> Result<(), Error> {
        const MEMBER: &str = "ipv4.tcp_death_row.hashinfo";
        let tables = self.tables(TCP, "tcp_hashinfo", MEMBER, networks, &mut found.troubles)?;
        if tables.is_empty() {
            found.absent.push("tcp");
        }
        for at in tables {
            let table = self.structure("inet_hashinfo", at)?;
            self.add_hash(TCP, table, ["ehash", "ehash_mask"], &CONNECTED, all, found)?;
            if !table.has("listening_hash") {
                self.add_hash(
                    TCP,
                    table,
                    ["lhash2", "lhash2_mask"],
                    &LISTENING,
                    all,
                    found,
                )?;
                continue;
            }
            // Before Linux 5.19; since then, the other table is linked in the same way.
            let heads = table.field("listening_hash")?;
            all.push(self.chains(TCP, heads.address(), heads.count()?, &LISTENING)?);
        }
        Ok(())
    }

    fn udp_chains(
        &self,
        networks: &[u64],
        all: &mut Vec<Chains>,
        found: &mut TableSockets,
    ) -> Result<(), Error> {
        const MEMBER: &str = "ipv4.udp_table";
        let tables = self.tables(UDP, "udp_table", MEMBER, networks, &mut found.troubles)?;
        if tables.is_empty() {
            found.absent.push("udp");
        }
        for at in tables {
            let table = self.structure("udp_table", at)?;
            self.add_hash(UDP, table, ["hash", "mask"], &DATAGRAMS, all, found)?;
        }
        Ok(())
    }

    /// Adds the chains of a table that has a pointer to the first and a mask of their numbers.
    fn add_hash(
        &self,
        what: &'static str,
        table: Struct<'_>,
        [first, mask]: [&'static str; 2],
        bucket: &Bucket,
        all: &mut Vec<Chains>,
        found: &mut TableSockets,
    ) -> Result<(), Error> {
        let first = found.troubles.number(what, table, first)?;
        let mask = found.troubles.number(what, table, mask)?;
        if let (Some(first), Some(mask)) = (first, mask) {
            all.push(self.chains(what, first, mask.saturating_add(1), bucket)?);
        }
        Ok(())
    }

    /// The chains whose first head is that of the bucket at `first`.
    fn chains(
        &self,
        what: &'static str,
        first: u64,
        count: u64,
        bucket: &Bucket,
    ) -> Result<Chains, Error> {
        let of = self.types().find(bucket.name)?;
        let [head, other] = bucket.heads;
        let head = self.types().field(of, head);
        let head = head.or_else(|_| self.types().field(of, other))?.offset;
        Ok(Chains {
            what,
            at: first.wrapping_add(head),
            count,
            stride: self.types().size(of)?,
            link: self.link()?,
        })
    }

    fn raw_chains(&self, all: &mut Vec<Chains>, found: &mut TableSockets) -> Result<(), Error> {
        let symbols = ["raw_v4_hashinfo", "raw_v6_hashinfo"];
        let tables = symbols.map(|symbol| self.symbol(symbol).ok());
        if tables == [None; 2] {
            found.absent.push("raw");
        }
        for at in tables.into_iter().flatten() {
            let heads = self.structure("raw_hashinfo", at)?.field("ht")?;
            all.push(Chains {
                what: RAW,
                at: heads.address(),
                count: heads.count()?,
                stride: heads.index(1)?.address().wrapping_sub(heads.address()),
                link: self.link()?,
            });
        }
        Ok(())
    }

    fn unix_chains(
        &self,
        networks: &[u64],
        all: &mut Vec<Chains>,
        found: &mut TableSockets,
    ) -> Result<(), Error> {
        const MEMBER: &str = "unx.table.buckets";
        let symbol = "unix_socket_table";
        let tables = self.tables(UNIX, symbol, MEMBER, networks, &mut found.troubles)?;
        if tables.is_empty() {
            found.absent.push("unix");
        }
        for at in tables {
            all.push(Chains {
                what: UNIX,
                at,
                count: UNIX_CHAINS,
                stride: 8,
                link: self.link()?,
            });
        }
        Ok(())
    }

    fn packet_chains(
        &self,
        networks: &[u64],
        all: &mut Vec<Chains>,
        found: &mut TableSockets,
    ) -> Result<(), Error> {
        // A kernel without packet sockets has no such list.
        if networks.is_empty() || self.types().member("net", "packet.sklist").is_err() {
            found.absent.push("packet");
            return Ok(());
        }
        for &network in networks {
            let head = self.structure("net", network)?.field("packet.sklist")?;
            all.push(Chains {
                what: PACKET,
                at: head.address(),
                count: 1,
                stride: 8,
                link: self.link()?,
            });
        }
        Ok(())
    }

    /// Adds the sockets in `chains`; returns whether more can be added.
    fn follow_chains(
        &self,
        chains: Chains,
        left: &mut u64,
        seen: &mut HashSet<u64>,
        found: &mut TableSockets,
    ) -> bool {
        let what = chains.what;
        let count = chains.count.min(MAX_CHAINS).min(*left);
        *left -= count;
        if count < chains.count {
            let limit = usize::try_from(count).unwrap_or(usize::MAX);
            found.troubles.push(Trouble::TooMany { what, limit });
        }
        let mut index = 0;
        while index < count {
            let head = chains.at.wrapping_add(index.wrapping_mul(chains.stride));
            index += 1;
            let mut at = head;
            loop {
                let next = match self.read_u64(at) {
                    Ok(next) => next,
                    Err(error) => {
                        let error = Error::from(error);
                        let is_end = error.is_too_much();
                        found.troubles.push(Trouble::Unreadable { what, error });
                        if is_end {
                            return false;
                        }
                        if at == head {
                            // So are the others in this page.
                            let rest = PAGE - head % PAGE;
                            index += (rest - 1) / chains.stride.max(1);
                        }
                        break;
                    }
                };
                if next == 0 || next & END != 0 {
                    break;
                }
                let socket = next.wrapping_sub(chains.link);
                if !seen.insert(socket) {
                    found.troubles.push(Trouble::Circle { what, at: socket });
                    break;
                }
                if found.sockets.len() == MAX_SOCKETS {
                    let limit = MAX_SOCKETS;
                    found.troubles.push(Trouble::TooMany { what, limit });
                    return false;
                }
                found.sockets.push(socket);
                at = next;
            }
        }
        true
    }

    /// Where a socket has its link: the kernel has two kinds of them in the same place.
    fn link(&self) -> Result<u64, Error> {
        Ok(self.types().member("sock_common", "skc_node")?.offset)
    }
}

#[cfg(test)]
mod tests;
