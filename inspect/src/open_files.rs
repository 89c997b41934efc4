// SPDX-License-Identifier: MIT OR Apache-2.0
//! The open files of a task, as lsof(8) and /proc/PID/fd show them.

use crate::error::Error;
use crate::file_names::FileName;
use crate::found::Found;
use crate::machine::{Machine, Struct};
use crate::tasks::Task;
use crate::trouble::Trouble;
use crate::troubles::Troubles;
use linpmem_phys::num::usize_as_u64;

const WHAT: &str = "open files of a task";
const FILE: &str = "open file";

/// `NR_OPEN`: the most files that a process may have open, unless someone raised that. What
/// claims to have more was torn, or is one of a few processes in the world.
const MAX_FDS: u64 = 1 << 20;
/// Pointers that are read at once.
const STEP: usize = 512;
/// Bytes that an open file takes in memory, besides its path.
const FILE_BYTES: u64 = 256;

/// `FMODE_READ` and `FMODE_WRITE`.
const READ: u64 = 1;
const WRITE: u64 = 2;
/// Bits of `i_mode` that say what a file is, and some of their values.
const KIND: u64 = 0o170_000;
const CHARACTERS: u64 = 0o020_000;
const BLOCKS: u64 = 0o060_000;
const SOCKET: u64 = 0o140_000;
/// A file system's name is longer than this in no kernel.
const MAX_NAME: u64 = 64;
/// Bits of a `dev_t` below the major number.
const MINOR_BITS: u32 = 20;

/// What a task has a file as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// Open, by this number.
    Open(u64),
    /// Its working folder.
    Cwd,
    /// Its root.
    Root,
    /// The program that it runs.
    Exe,
}

/// Which of the things that a file lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether it may be read.
    pub read: bool,
    /// Whether it may be written.
    pub write: bool,
}

/// A number of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// A file that a task has open, or that it needs to run. What is `None` could not be read, or
/// there is no such thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// What the task has it as.
    pub role: FileRole,
    /// Where its `struct file` is; a working folder and a root have none.
    pub address: Option<u64>,
    /// `REG`, `DIR`, `CHR`, `BLK`, `FIFO`, `SOCK`, `LNK`, `a_inode` for what is in no file system
    /// (an eventfd, a pidfd and so on), or `unknown`.
    pub kind: &'static str,
    /// What it lets its holder do; neither for one that was opened with `O_PATH`.
    pub access: Option<Access>,
    /// `f_flags`: how it was opened.
    pub flags: Option<u64>,
    /// Where reading or writing goes on.
    pub position: Option<u64>,
    /// Bytes of the file.
    pub size: Option<u64>,
    /// The number of its inode.
    pub inode: Option<u64>,
    /// The device of its file system.
    pub device: Option<Device>,
    /// The device that it is.
    pub special: Option<Device>,
    /// The type of its file system, such as `ext4`.
    pub filesystem: Option<String>,
    /// Its path or name, as /proc/PID/fd shows it.
    pub path: Option<String>,
    /// Whether its name was removed.
    pub is_deleted: bool,
}

/// A number of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The number.
    pub fd: u64,
    /// Where its `struct file` is.
    pub file: u64,
}

impl OpenFile {
    const fn new(role: FileRole, address: Option<u64>) -> Self {
        Self {
            role,
            address,
            kind: "unknown",
            access: None,
            flags: None,
            position: None,
            size: None,
            inode: None,
            device: None,
            special: None,
            filesystem: None,
            path: None,
            is_deleted: false,
        }
    }
}

impl Machine<'_> {
    /// Where the table of `task`'s open files is (`struct files_struct`); `None` if it has none,
    /// as a task that has ended. Threads share that of their process, unless they asked for one
    /// of their own.
    ///
    /// # Errors
    /// If this kernel keeps it in another way.
    pub fn files_table(&self, task: &Task, troubles: &mut Troubles) -> Result<Option<u64>, Error> {
        let task = self.structure("task_struct", task.address)?;
        let files = troubles.number(WHAT, task, "files")?;
        Ok(files.filter(|&files| files != 0))
    }

    /// The files of `task`: its working folder, its root and its program, then the open ones by
    /// their numbers. Of the kernel's own tasks, only the open ones. No more are read than there
    /// is room for: `room` are the bytes that they and their paths may take, and what is left of
    /// them.
    ///
    /// # Errors
    /// If this kernel keeps them in another way.
    pub fn open_files(&self, task: &Task, room: &mut u64) -> Result<Found<OpenFile>, Error> {
        let mut found = self.needed_files(task, room)?;
        let open = self.descriptors(task, room)?;
        found.troubles.append(open.troubles);
        for Descriptor { fd, file } in open.items {
            let file = self.file_at(FileRole::Open(fd), file, &mut found.troubles)?;
            if !keep(file, room, &mut found) {
                break;
            }
        }
        Ok(found)
    }

    /// The file of `task` by this number.
    ///
    /// # Errors
    /// If this kernel keeps files in another way.
    pub fn open_file(&self, open: Descriptor) -> Result<Found<OpenFile>, Error> {
        let mut found = Found::default();
        let role = FileRole::Open(open.fd);
        let file = self.file_at(role, open.file, &mut found.troubles)?;
        found.items.push(file);
        Ok(found)
    }

    /// The working folder, the root and the program of `task`; none of the kernel's own tasks.
    /// `room` is as in [`open_files`](Self::open_files).
    ///
    /// # Errors
    /// If this kernel keeps them in another way.
    pub fn needed_files(&self, task: &Task, room: &mut u64) -> Result<Found<OpenFile>, Error> {
        let mut found = Found::default();
        if task.is_kernel_thread {
            return Ok(found);
        }
        let at = self.structure("task_struct", task.address)?;
        let folders = at.field("fs")?.follow_if_any();
        if let Some(folders) = found.troubles.known(WHAT, folders)?.flatten() {
            for (role, member) in [(FileRole::Cwd, "pwd"), (FileRole::Root, "root")] {
                let path = folders.field(member)?.structure();
                let mut folder = OpenFile::new(role, None);
                let inode = path.field("dentry")?.follow();
                let inode = inode.and_then(|dentry| dentry.field("d_inode")?.follow());
                if let Some(inode) = found.troubles.known(WHAT, inode)? {
                    self.describe(path, inode, &mut folder, &mut found.troubles)?;
                }
                keep(folder, room, &mut found);
            }
        }
        let Some(mm) = task.mm else {
            return Ok(found);
        };
        let mm = self.structure("mm_struct", mm)?;
        match found.troubles.number(WHAT, mm, "exe_file")? {
            Some(0) | None => {}
            Some(file) => {
                let file = self.file_at(FileRole::Exe, file, &mut found.troubles)?;
                keep(file, room, &mut found);
            }
        }
        Ok(found)
    }

    /// The numbers of `task`'s open files. The kernel looks up a number in the table of pointers
    /// alone, so that this table says what is open, not the bits next to it. Each takes a bit of
    /// `room`, whether it is in use or not.
    ///
    /// # Errors
    /// If this kernel keeps them in another way.
    pub fn descriptors(&self, task: &Task, room: &mut u64) -> Result<Found<Descriptor>, Error> {
        let mut found = Found::default();
        let Some(files) = self.files_table(task, &mut found.troubles)? else {
            return Ok(found);
        };
        let table = self
            .structure("files_struct", files)?
            .field("fdt")?
            .follow();
        let Some(table) = found.troubles.known(WHAT, table)? else {
            return Ok(found);
        };
        let count = found.troubles.number(WHAT, table, "max_fds")?;
        let first = found.troubles.number(WHAT, table, "fd")?;
        let (Some(mut count), Some(first)) = (count, first) else {
            return Ok(found);
        };
        if count > MAX_FDS {
            count = MAX_FDS;
            found.troubles.push(Trouble::TooMany {
                what: WHAT,
                limit: 1 << 20,
            });
        }
        let Some(left) = room.checked_sub(count / 8) else {
            let limit = std::mem::take(room);
            found.troubles.push(Trouble::TooLong { what: WHAT, limit });
            return Ok(found);
        };
        *room = left;
        let mut bytes = [0; STEP * 8];
        for start in (0..count).step_by(STEP) {
            let len = usize_as_u64(STEP).min(count - start);
            let len = usize::try_from(len).unwrap_or(0);
            let (part, _) = bytes.split_at_mut(len * 8);
            if let Err(error) = self.read(first.wrapping_add(start * 8), part) {
                let error = Error::from(error);
                let is_end = error.is_too_much();
                found
                    .troubles
                    .push(Trouble::Unreadable { what: WHAT, error });
                match is_end {
                    true => break,
                    false => continue,
                }
            }
            for (fd, pointer) in (start..).zip(part.chunks_exact(8)) {
                let file = pointer
                    .first_chunk()
                    .map_or(0, |at| u64::from_le_bytes(*at));
                if file != 0 {
                    found.items.push(Descriptor { fd, file });
                }
            }
        }
        Ok(found)
    }

    /// The `struct file` at `at`.
    fn file_at(&self, role: FileRole, at: u64, troubles: &mut Troubles) -> Result<OpenFile, Error> {
        let mut shown = OpenFile::new(role, Some(at));
        let file = self.structure("file", at)?;
        // If this one cannot be read, nothing of the file can.
        let Some(mode) = troubles.number(FILE, file, "f_mode")? else {
            return Ok(shown);
        };
        shown.access = Some(Access {
            read: mode & READ != 0,
            write: mode & WRITE != 0,
        });
        shown.flags = troubles.number(FILE, file, "f_flags")?;
        shown.position = troubles.number(FILE, file, "f_pos")?;
        let inode = file.field("f_inode")?.follow();
        if let Some(inode) = troubles.known(FILE, inode)? {
            let path = file.field("f_path")?.structure();
            self.describe(path, inode, &mut shown, troubles)?;
        }
        Ok(shown)
    }

    /// Fills in what `inode` and the `struct path` that leads to it say.
    fn describe(
        &self,
        path: Struct<'_>,
        inode: Struct<'_>,
        shown: &mut OpenFile,
        troubles: &mut Troubles,
    ) -> Result<(), Error> {
        let Some(mode) = troubles.number(FILE, inode, "i_mode")? else {
            return Ok(());
        };
        shown.inode = troubles.number(FILE, inode, "i_ino")?;
        shown.size = troubles.number(FILE, inode, "i_size")?;
        if matches!(mode & KIND, CHARACTERS | BLOCKS) {
            let device = troubles.number(FILE, inode, "i_rdev")?;
            shown.special = device.map(device_of);
        }
        let of = troubles.known(FILE, inode.field("i_sb")?.follow())?;
        if let Some(of) = of {
            let device = troubles.number(FILE, of, "s_dev")?;
            shown.device = device.map(device_of);
            shown.filesystem = troubles.known(FILE, self.filesystem(of))?;
        }
        let filesystem = shown.filesystem.as_deref().unwrap_or("");
        shown.kind = kind(mode, filesystem);
        let name = self.file_name(path, inode, filesystem);
        let name = troubles.known("path of an open file", name)?;
        if let Some(FileName {
            path, is_deleted, ..
        }) = name
        {
            shown.path = Some(path);
            shown.is_deleted = is_deleted;
        }
        Ok(())
    }

    /// The type of the file system of a `struct super_block`.
    pub(crate) fn filesystem(&self, of: Struct<'_>) -> Result<String, Error> {
        let name = of.field("s_type")?.follow()?.field("name")?.u64()?;
        self.text(name, MAX_NAME)
    }

    /// Whether `inode` is that of a socket, and not of its name in a folder.
    pub(crate) fn is_socket(&self, inode: Struct<'_>) -> Result<bool, Error> {
        if inode.field("i_mode")?.u64()? & KIND != SOCKET {
            return Ok(false);
        }
        let of = inode.field("i_sb")?.follow()?;
        Ok(self.filesystem(of)? == "sockfs")
    }
}

/// Adds `file` to `found`, unless there is no more room; returns whether there was.
fn keep(file: OpenFile, room: &mut u64, found: &mut Found<OpenFile>) -> bool {
    let path = file.path.as_ref().map_or(0, String::len);
    let taken = FILE_BYTES + usize_as_u64(path);
    match room.checked_sub(taken) {
        Some(left) => {
            *room = left;
            found.items.push(file);
            true
        }
        None => {
            let limit = std::mem::take(room);
            found.troubles.push(Trouble::TooLong { what: WHAT, limit });
            false
        }
    }
}

fn kind(mode: u64, filesystem: &str) -> &'static str {
    // Since Linux 6.15, their mode claims that they are regular files.
    if matches!(filesystem, "anon_inodefs" | "pidfs") {
        return "a_inode";
    }
    match mode & KIND {
        0o010_000 => "FIFO",
        CHARACTERS => "CHR",
        0o040_000 => "DIR",
        BLOCKS => "BLK",
        0o100_000 => "REG",
        0o120_000 => "LNK",
        SOCKET => "SOCK",
        _ => "unknown",
    }
}

pub(crate) fn device_of(number: u64) -> Device {
    let minor = number & ((1 << MINOR_BITS) - 1);
    Device {
        major: u32::try_from(number >> MINOR_BITS).unwrap_or(u32::MAX),
        minor: u32::try_from(minor).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests;
