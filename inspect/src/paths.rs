// SPDX-License-Identifier: MIT OR Apache-2.0
//! The path of an open file, as the machine's first process sees it: from the file's name up,
//! across mounts.

use crate::error::Error;
use crate::machine::{Machine, Struct};

/// Names in a path, and mounts on the way: the kernel limits a path to 4096 bytes.
const MAX_STEPS: usize = 2048;
/// The longest name.
const MAX_NAME: u64 = 255;

impl Machine<'_> {
    /// The path of `file`, a `struct file`. Files that are in no folder, such as `memfd:name`,
    /// have only a name.
    ///
    /// # Errors
    /// If part of it cannot be read, or it leads in a circle.
    pub fn path_of(&self, file: Struct<'_>) -> Result<String, Error> {
        let path = file.field("f_path")?.structure();
        let mut dentry = path.field("dentry")?.follow()?;
        let filesystem = path.field("mnt")?.u64()?;
        let within = self.types().member("mount", "mnt")?.offset;
        let mut mount = self.structure("mount", filesystem.wrapping_sub(within))?;
        let mut names = Vec::new();
        let mut steps = 0;
        loop {
            steps += 1;
            if steps > MAX_STEPS {
                return Err(Error::Endless {
                    at: dentry.address(),
                });
            }
            let root = mount.field("mnt.mnt_root")?.u64()?;
            let parent = dentry.field("d_parent")?.follow()?;
            if dentry.address() == root || parent.address() == dentry.address() {
                let above = mount.field("mnt_parent")?.follow()?;
                if above.address() == mount.address() || dentry.address() != root {
                    // The last mount, or none: a file of the kernel's own file systems.
                    if names.is_empty() || dentry.address() != root {
                        names.push(self.name(dentry)?);
                    }
                    break;
                }
                dentry = mount.field("mnt_mountpoint")?.follow()?;
                mount = above;
                continue;
            }
            names.push(self.name(dentry)?);
            dentry = parent;
        }
        names.reverse();
        let is_rooted = dentry.address() == mount.field("mnt.mnt_root")?.u64()?;
        let joined = names.join("/");
        Ok(match is_rooted && !joined.starts_with('/') {
            true => format!("/{joined}"),
            false => joined,
        })
    }

    fn name(&self, dentry: Struct<'_>) -> Result<String, Error> {
        self.text(dentry.field("d_name.name")?.u64()?, MAX_NAME)
    }
}
