// SPDX-License-Identifier: MIT OR Apache-2.0
//! The name of an open file, as /proc/PID/fd shows it: a path, or what the file system makes up
//! for files that are in no folder. The functions by which it does that cannot be called, so the
//! type of the file system decides.

use crate::error::Error;
use crate::machine::{Machine, Struct};

/// What the kernel puts behind the path of a file whose name was removed.
const DELETED: &str = " (deleted)";
/// The name of a kind of namespace, such as `net`.
const MAX_NAMESPACE: u64 = 32;

/// The name of a file.
pub(crate) struct FileName {
    /// As /proc/PID/fd shows it.
    pub(crate) path: String,
    /// Whether it was removed.
    pub(crate) is_deleted: bool,
    /// Whether it is in a folder, or was.
    has_folder: bool,
}

impl FileName {
    /// Without what the kernel adds for files whose names were removed, or that never were in a
    /// folder: `memfd:name`.
    pub(crate) fn bare(&self) -> &str {
        let path = match self.is_deleted {
            true => self.path.strip_suffix(DELETED),
            false => None,
        };
        match (path, self.has_folder) {
            (None, _) => &self.path,
            (Some(path), true) => path,
            (Some(path), false) => path.strip_prefix('/').unwrap_or(path),
        }
    }
}

impl Machine<'_> {
    /// The name of what `path`, a `struct path`, leads to: `inode`, in a file system of type
    /// `filesystem`.
    pub(crate) fn file_name(
        &self,
        path: Struct<'_>,
        inode: Struct<'_>,
        filesystem: &str,
    ) -> Result<FileName, Error> {
        let dentry = path.field("dentry")?.follow()?;
        match is_in_a_folder(path, dentry)? {
            true => self.in_a_folder(path, dentry),
            false => self.made_up(dentry, inode, filesystem),
        }
    }

    /// The name of `file`, a `struct file`.
    pub(crate) fn name_of(&self, file: Struct<'_>) -> Result<FileName, Error> {
        let path = file.field("f_path")?.structure();
        let dentry = path.field("dentry")?.follow()?;
        // The path of most files says it all, whatever became of their inodes.
        if is_in_a_folder(path, dentry)? {
            return self.in_a_folder(path, dentry);
        }
        let inode = file.field("f_inode")?.follow()?;
        let filesystem = self.filesystem(inode.field("i_sb")?.follow()?)?;
        self.made_up(dentry, inode, &filesystem)
    }

    fn in_a_folder(&self, path: Struct<'_>, dentry: Struct<'_>) -> Result<FileName, Error> {
        let is_top = dentry.field("d_parent")?.u64()? == dentry.address();
        let is_deleted = !is_top && dentry.field("d_hash.pprev")?.u64()? == 0;
        let mut path = self.path(path)?;
        if is_deleted {
            path.push_str(DELETED);
        }
        Ok(FileName {
            path,
            is_deleted,
            has_folder: true,
        })
    }

    /// The name of a file that is in no folder.
    pub(crate) fn made_up(
        &self,
        dentry: Struct<'_>,
        inode: Struct<'_>,
        filesystem: &str,
    ) -> Result<FileName, Error> {
        let numbered = |kind: &str| -> Result<String, Error> {
            Ok(format!("{kind}:[{}]", inode.field("i_ino")?.u64()?))
        };
        let path = match filesystem {
            "sockfs" => numbered("socket")?,
            "pipefs" => numbered("pipe")?,
            // Since Linux 6.9; before, they were in anon_inodefs.
            "pidfs" => "anon_inode:[pidfd]".to_owned(),
            "anon_inodefs" => format!("anon_inode:{}", self.name(dentry)?),
            // Behind it, the kernel shows the name that its driver gave it.
            "dmabuf" => "/dmabuf:".to_owned(),
            "nsfs" => numbered(&self.namespace_kind(inode)?)?,
            // What the kernel calls `simple_dname`: memfd, shared memory, and so on. They never
            // had a name that could have been removed.
            _ => {
                let name = self.name(dentry)?;
                let path = match name.starts_with('/') {
                    true => name,
                    false => format!("/{name}{DELETED}"),
                };
                let is_deleted = path.ends_with(DELETED);
                return Ok(FileName {
                    path,
                    is_deleted,
                    has_folder: false,
                });
            }
        };
        Ok(FileName {
            path,
            is_deleted: false,
            has_folder: false,
        })
    }

    /// The kind of the namespace that `inode` stands for.
    fn namespace_kind(&self, inode: Struct<'_>) -> Result<String, Error> {
        let namespace = self.structure("ns_common", inode.field("i_private")?.u64()?)?;
        let name = namespace.field("ops")?.follow()?.field("name")?.u64()?;
        self.text(name, MAX_NAMESPACE)
    }
}

/// Whether the `dentry` of a `struct path` is in a folder, or is the top of what is mounted.
fn is_in_a_folder(path: Struct<'_>, dentry: Struct<'_>) -> Result<bool, Error> {
    let parent = dentry.field("d_parent")?.u64()?;
    let top = path.field("mnt")?.follow()?.field("mnt_root")?.u64()?;
    Ok(parent != dentry.address() || dentry.address() == top)
}
