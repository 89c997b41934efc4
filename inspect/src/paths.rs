// SPDX-License-Identifier: MIT OR Apache-2.0
//! The path of an open file within the mount namespace of the file: from its name up, across
//! mounts. That of a container's file looks like one of the host's.

use crate::error::Error;
use crate::machine::{Machine, Struct};

/// Names in a path, and mounts on the way.
const MAX_STEPS: usize = 2048;
/// Bytes of a path that are kept: the kernel takes no longer one. Folders that were made one
/// within the other have longer ones.
const MAX_BYTES: usize = 4096;
/// Stands for the names that are left out.
const CUT: &str = "\u{2026}";
/// The longest name.
const MAX_NAME: u64 = 255;

impl Machine<'_> {
    /// Where a `struct path` leads. Of a path of more than 4096 bytes, the first names are left out,
    /// and "…" stands for them. An error if part of it cannot be read, or it leads in a circle.
    pub(crate) fn path(&self, path: Struct<'_>) -> Result<String, Error> {
        let dentry = path.field("dentry")?.follow()?;
        let filesystem = path.field("mnt")?.u64()?;
        let within = self.types().member("mount", "mnt")?.offset;
        let mount = self.structure("mount", filesystem.wrapping_sub(within))?;
        self.path_from(dentry, mount)
    }

    /// The same of `dentry` in `mount`, a `struct mount`.
    pub(crate) fn path_from<'m>(
        &'m self,
        mut dentry: Struct<'m>,
        mut mount: Struct<'m>,
    ) -> Result<String, Error> {
        let mut names = Names::default();
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
                    if names.last_first.is_empty() || dentry.address() != root {
                        names.push(|| self.name(dentry))?;
                    }
                    break;
                }
                dentry = mount.field("mnt_mountpoint")?.follow()?;
                mount = above;
                continue;
            }
            names.push(|| self.name(dentry))?;
            dentry = parent;
        }
        let is_rooted = dentry.address() == mount.field("mnt.mnt_root")?.u64()?;
        let joined = names.joined();
        Ok(match is_rooted && !joined.starts_with(['/', '\u{2026}']) {
            true => format!("/{joined}"),
            false => joined,
        })
    }

    /// The path of `top` within its file system, whatever is mounted where: `/` for what is at the
    /// top of it.
    pub(crate) fn path_within(&self, top: Struct<'_>) -> Result<String, Error> {
        let mut names = Names::default();
        let mut dentry = self.structure("dentry", top.address())?;
        for _ in 0..MAX_STEPS {
            let parent = dentry.field("d_parent")?.u64()?;
            if parent == dentry.address() {
                return Ok(format!("/{}", names.joined()));
            }
            names.push(|| self.name(dentry))?;
            dentry = self.structure("dentry", parent)?;
        }
        Err(Error::Endless {
            at: dentry.address(),
        })
    }

    /// The name of a `struct dentry` alone.
    pub(crate) fn name(&self, dentry: Struct<'_>) -> Result<String, Error> {
        self.text(dentry.field("d_name.name")?.u64()?, MAX_NAME)
    }
}

/// The names of a path, the last one first.
#[derive(Default)]
struct Names {
    last_first: Vec<String>,
    bytes: usize,
    is_cut: bool,
}

impl Names {
    /// Adds the name in front of the others, if there is room.
    fn push(&mut self, name: impl FnOnce() -> Result<String, Error>) -> Result<(), Error> {
        if !self.is_cut {
            let name = name()?;
            self.bytes += name.len() + 1;
            match self.bytes > MAX_BYTES {
                true => self.is_cut = true,
                false => self.last_first.push(name),
            }
        }
        Ok(())
    }

    fn joined(mut self) -> String {
        if self.is_cut {
            self.last_first.push(CUT.to_owned());
        }
        self.last_first.reverse();
        self.last_first.join("/")
    }
}
