// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is mounted where, in the mount namespaces of the processes.

use crate::bounded::Bounded;
use crate::error::Error;
use crate::found::Found;
use crate::list::MAX_ITEMS;
use crate::machine::{Machine, Struct};
use crate::open_files::{Device, device_of};
use crate::tasks::Task;
use crate::trouble::Trouble;
use crate::troubles::Troubles;
use linpmem_phys::num::usize_as_u64;

const WHAT: &str = "mount";
const TREE: &str = "tree of mounts";
/// The type of the file system of namespaces, which are mounted to keep them.
const NAMESPACES: &str = "nsfs";
/// What the kernel puts behind the path of a folder whose name was removed.
const DELETED: &str = "//deleted";
/// Bytes that a mount takes, besides its texts.
const MOUNT_BYTES: u64 = 256;
/// Bytes of a device's name: a path, or what a network file system is mounted from.
const MAX_SOURCE: u64 = 4096;
const MAX_SUBTYPE: u64 = 64;

/// `MNT_…`: what /proc/PID/mountinfo shows of a mount, in its order.
const OPTIONS: [(u64, &str); 7] = [
    (0x01, "nosuid"),
    (0x02, "nodev"),
    (0x04, "noexec"),
    (0x08, "noatime"),
    (0x10, "nodiratime"),
    (0x20, "relatime"),
    (0x80, "nosymfollow"),
];
const READ_ONLY: u64 = 0x40;
/// `SB_…`: what it shows of every file system.
const FILE_SYSTEM_OPTIONS: [(u64, &str); 4] = [
    (1 << 4, "sync"),
    (1 << 7, "dirsync"),
    (1 << 6, "mand"),
    (1 << 25, "lazytime"),
];
const FILE_SYSTEM_READ_ONLY: u64 = 1;

/// A mount, as a line of /proc/PID/mountinfo. What is `None` could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where its `struct mount` is.
    pub address: u64,
    /// The inode of its namespace, as in /proc/PID/ns/mnt.
    pub namespace: Option<u64>,
    /// Its number.
    pub id: i32,
    /// That of the mount that it is on; its own if it is on none.
    pub parent: Option<i32>,
    /// The device of its file system.
    pub device: Option<Device>,
    /// What of the file system is mounted: `/`, or a folder or file in it.
    pub root: Option<String>,
    /// Where it is mounted, from the first mount of its namespace on.
    pub mount_point: Option<String>,
    /// Its own options, such as `rw,nosuid`.
    pub options: Option<String>,
    /// The type of its file system, such as `ext4` or `fuse.sshfs`.
    pub filesystem: Option<String>,
    /// What was mounted: a device, a server's folder, or what somebody wrote there.
    pub source: Option<String>,
    /// Those of the options of its file system that all of them have.
    pub filesystem_options: Option<String>,
}

impl Machine<'_> {
    /// Where the mount namespace of `task` is; `None` for one that has ended.
    ///
    /// # Errors
    /// If this kernel keeps it in another way.
    pub fn mount_namespace(
        &self,
        task: &Task,
        troubles: &mut Troubles,
    ) -> Result<Option<u64>, Error> {
        let task = self.structure("task_struct", task.address)?;
        let namespaces = task.field("nsproxy")?.follow_if_any();
        let Some(namespaces) = troubles.known(WHAT, namespaces)?.flatten() else {
            return Ok(None);
        };
        let namespace = troubles.number(WHAT, namespaces, "mnt_ns")?;
        Ok(namespace.filter(|&namespace| namespace != 0))
    }

    /// The mounts in the namespace at `namespace`, each before those that are on it. No more are
    /// read than there is room for: `room` are the bytes that they may take, and what is left of
    /// them.
    ///
    /// # Errors
    /// If this kernel keeps them in another way.
    pub fn mounts(&self, namespace: u64, room: &mut u64) -> Result<Found<Mount>, Error> {
        let namespace = self.structure("mnt_namespace", namespace)?;
        let mut troubles = Troubles::default();
        let number = troubles.number(WHAT, namespace, "ns.inum")?;
        let root = troubles.number(WHAT, namespace, "root")?;
        let mut walk = Bounded::new(TREE, MAX_ITEMS);
        let child = self.types().member("mount", "mnt_child")?.offset;
        // With the mount that each is listed at.
        let mut left: Vec<(u64, Option<u64>)> = root
            .into_iter()
            .filter(|&root| root != 0)
            .map(|root| (root, None))
            .collect();
        while let Some((at, below)) = left.pop() {
            if !walk.enters(at, false) {
                continue;
            }
            let mount = self.structure("mount", at)?;
            let parent = troubles.number(WHAT, mount, "mnt_parent")?;
            if let Some(other) = parent.filter(|&parent| below.is_some_and(|at| at != parent)) {
                // The list was followed to that of another mount, or out of all of them.
                walk.wild(at, other);
                continue;
            }
            let Some(read) = self.mount(mount, number, &mut troubles)? else {
                continue;
            };
            let Some(rest) = room.checked_sub(read.bytes()) else {
                let limit = std::mem::take(room);
                troubles.push(Trouble::TooLong { what: TREE, limit });
                break;
            };
            *room = rest;
            walk.keep(read);
            let children = self.list(TREE, mount.field("mnt_mounts")?.address(), child);
            troubles.append(children.troubles);
            left.extend(children.items.iter().rev().map(|&child| (child, Some(at))));
        }
        let mut found = walk.found;
        found.troubles.append(troubles);
        Ok(found)
    }

    /// `None` if not even its number can be read.
    fn mount(
        &self,
        mount: Struct<'_>,
        namespace: Option<u64>,
        troubles: &mut Troubles,
    ) -> Result<Option<Mount>, Error> {
        let Some(id) = troubles.known(WHAT, mount.field("mnt_id")?.i32())? else {
            return Ok(None);
        };
        let parent = troubles.known(WHAT, mount.field("mnt_parent")?.follow())?;
        let mut shown = Mount {
            address: mount.address(),
            namespace,
            id,
            parent: None,
            device: None,
            root: None,
            mount_point: None,
            options: None,
            filesystem: None,
            source: None,
            filesystem_options: None,
        };
        if let Some(parent) = parent {
            shown.parent = troubles.known(WHAT, parent.field("mnt_id")?.i32())?;
            let at = match parent.address() == mount.address() {
                true => Ok("/".to_owned()),
                false => mount
                    .field("mnt_mountpoint")?
                    .follow()
                    .and_then(|dentry| self.path_from(dentry, parent)),
            };
            shown.mount_point = troubles.known(WHAT, at)?;
        }
        let flags = troubles.number(WHAT, mount, "mnt.mnt_flags")?;
        shown.options = flags.map(|flags| options(flags, READ_ONLY, &OPTIONS));
        shown.source = match troubles.number(WHAT, mount, "mnt_devname")? {
            None => None,
            // As the kernel shows it.
            Some(0) => Some("none".to_owned()),
            Some(at) => troubles.known(WHAT, self.text(at, MAX_SOURCE))?,
        };
        let of = mount.field("mnt.mnt_sb")?.follow();
        if let Some(of) = troubles.known(WHAT, of)? {
            shown.device = troubles.number(WHAT, of, "s_dev")?.map(device_of);
            shown.filesystem = troubles.known(WHAT, self.full_type(of))?;
            let flags = troubles.number(WHAT, of, "s_flags")?;
            shown.filesystem_options =
                flags.map(|flags| options(flags, FILE_SYSTEM_READ_ONLY, &FILE_SYSTEM_OPTIONS));
        }
        let top = mount.field("mnt.mnt_root")?.follow();
        let filesystem = shown.filesystem.as_deref().unwrap_or("");
        let root = top.and_then(|top| self.root_of(top, filesystem));
        shown.root = troubles.known(WHAT, root)?;
        Ok(Some(shown))
    }

    /// What of a file system of type `filesystem` is mounted whose top is `top`.
    fn root_of(&self, top: Struct<'_>, filesystem: &str) -> Result<String, Error> {
        let is_alone = top.field("d_parent")?.u64()? == top.address();
        if is_alone && filesystem == NAMESPACES {
            let inode = top.field("d_inode")?.follow()?;
            return Ok(self.made_up(top, inode, filesystem)?.path);
        }
        let mut path = self.path_within(top)?;
        if !is_alone && top.field("d_hash.pprev")?.u64()? == 0 {
            path.push_str(DELETED);
        }
        Ok(path)
    }

    /// The type of the file system `of`, with what it says of itself: `fuse.sshfs`.
    fn full_type(&self, of: Struct<'_>) -> Result<String, Error> {
        let mut name = self.filesystem(of)?;
        let further = of.field("s_subtype")?.u64()?;
        if further != 0 {
            let further = self.text(further, MAX_SUBTYPE)?;
            name = format!("{name}.{further}");
        }
        Ok(name)
    }
}

impl Mount {
    fn bytes(&self) -> u64 {
        let texts = [
            &self.root,
            &self.mount_point,
            &self.options,
            &self.filesystem,
            &self.source,
            &self.filesystem_options,
        ];
        let bytes = texts
            .into_iter()
            .flatten()
            .map(|text| usize_as_u64(text.len()));
        MOUNT_BYTES + bytes.sum::<u64>()
    }
}

fn options(flags: u64, read_only: u64, known: &[(u64, &str)]) -> String {
    let mut text = match flags & read_only {
        0 => "rw",
        _ => "ro",
    }
    .to_owned();
    for &(flag, name) in known {
        if flags & flag != 0 {
            text.push(',');
            text.push_str(name);
        }
    }
    text
}

#[cfg(test)]
mod tests;
