// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump sockets`: the sockets in an image, and who has them open.

use super::file_tables::FileTables;
use super::machine_in_image::{InspectError, Opened, exit_status, in_words};
use crate::args::InspectArgs;
use crate::text::sockets::{Owner, SocketFoundBy, SocketRow, SocketsDocument};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_inspect::{AllTasks, FoundTask};
use linpmem_inspect::{Socket, Trouble};
use linpmem_manifest::Address;
use linpmem_phys::num::usize_as_u64;
use std::collections::{HashMap, HashSet};

/// Bytes that what the processes have open may take, and those that the sockets and their paths
/// may.
const MAX_BYTES: u64 = 64 << 20;
const MAX_ROWS_BYTES: u64 = 256 << 20;
/// Bytes that a socket takes, besides its path and those who have it open.
const ROW_BYTES: u64 = 384;

/// Lists the sockets in the image of `args`.
///
/// # Errors
/// If the image does not open, or its kernel is not found.
pub fn sockets(
    args: &InspectArgs,
    stderr: Stderr,
) -> Result<(SocketsDocument, ExitStatus), InspectError> {
    let opened = Opened::open(args, stderr)?;
    let machine = opened.machine()?;
    let all = AllTasks::of(&machine)?;
    let mut is_sound = all.is_sound();
    let mut troubles = all.troubles;
    let mut tables = FileTables::default();
    let mut owners: HashMap<u64, Vec<Owner>> = HashMap::new();
    let mut order = Vec::new();
    let mut room = MAX_BYTES;
    for found in &all.tasks {
        let FoundTask { task, .. } = found;
        if room == 0 {
            break;
        }
        if !tables.is_new(&machine, found, &mut troubles)? {
            continue;
        }
        let held = machine.held_sockets(task, &mut room)?;
        troubles.append(held.troubles);
        for held in held.items {
            let of = owners.entry(held.socket).or_insert_with(|| {
                order.push(held.socket);
                Vec::new()
            });
            of.push(Owner {
                pid: task.pid,
                name: task.name.clone(),
                fd: held.fd,
            });
        }
    }
    let listed = machine.table_sockets()?;
    troubles.append(listed.troubles);
    let in_tables: HashSet<u64> = listed.sockets.iter().copied().collect();
    let without_owner = listed.sockets.into_iter();
    order.extend(without_owner.filter(|socket| !owners.contains_key(socket)));
    let mut rows = Vec::new();
    let mut room = MAX_ROWS_BYTES;
    for address in order {
        if let Some(socket) = machine.socket(address, &mut troubles)? {
            let path = socket.path.as_ref().map_or(0, String::len);
            let Some(left) = room.checked_sub(ROW_BYTES + usize_as_u64(path)) else {
                troubles.push(Trouble::TooLong {
                    what: "sockets",
                    limit: MAX_ROWS_BYTES,
                });
                break;
            };
            room = left;
            let owners = owners.remove(&address).unwrap_or_default();
            let found_by = match (owners.is_empty(), in_tables.contains(&address)) {
                (true, _) => SocketFoundBy::Table,
                (false, true) => SocketFoundBy::Both,
                (false, false) => SocketFoundBy::File,
            };
            rows.push(row(socket, owners, found_by));
        }
    }
    is_sound &= troubles.is_empty();
    let document = SocketsDocument {
        image: args.image.to_string_lossy().into_owned(),
        sockets: rows,
        absent_tables: listed.absent,
        troubles: in_words(&troubles),
        more_troubles: troubles.more(),
    };
    Ok((document, exit_status(opened.is_cut_off(), is_sound)))
}

fn row(socket: Socket, owners: Vec<Owner>, found_by: SocketFoundBy) -> SocketRow {
    SocketRow {
        netid: socket.netid(),
        family: socket.family,
        kind: socket.kind_name(),
        protocol: socket.protocol,
        state: socket.state_name(),
        local_address: socket.local.address,
        local_port: socket.local.port,
        peer_address: socket.peer.address,
        peer_port: socket.peer.port,
        path: socket.path,
        peer_inode: socket.peer_inode,
        interface: socket.interface,
        inode: socket.inode.filter(|&inode| inode != 0),
        uid: socket.uid,
        network_namespace: socket.network,
        found_by,
        owners,
        address: Address(socket.address),
    }
}
