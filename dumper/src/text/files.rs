// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump files`: the open files of the processes in an image.

use super::troubles;
use linpmem_cli::Document;
use linpmem_cli::table::{self, Align};
use linpmem_manifest::Address;
use serde::Serialize;
use std::io::{self, Write};

/// The open files in an image.
#[derive(Debug, Serialize)]
pub struct FilesDocument {
    /// The image.
    pub image: String,
    /// The processes, and the threads that have open files of their own.
    pub processes: Vec<ProcessFiles>,
    /// What contradicts itself in memory, a sentence each.
    pub troubles: Vec<String>,
    /// How many more there are.
    pub more_troubles: u64,
}

/// A process, or a thread that has open files of its own.
#[derive(Debug, Serialize)]
pub struct ProcessFiles {
    /// Its number.
    pub pid: i32,
    /// The number of its process.
    pub tgid: i32,
    /// Its name.
    pub name: String,
    /// Its folder, its root, its program, and its open files by their numbers.
    pub files: Vec<FileRow>,
}

/// What a process has a file as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Open, by a number.
    Open,
    /// Its working folder.
    Cwd,
    /// Its root.
    Root,
    /// The program that it runs.
    Exe,
}

/// A file.
#[derive(Debug, Serialize)]
pub struct FileRow {
    /// What the process has it as.
    pub role: Role,
    /// Its number, if it is open by one.
    pub fd: Option<u64>,
    /// As lsof(8) names it: `REG`, `DIR` and so on.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `r`, `w`, `u` for both, or `-` for neither.
    pub access: Option<&'static str>,
    /// How it was opened.
    pub flags: Option<Address>,
    /// Where reading or writing goes on.
    pub position_bytes: Option<u64>,
    /// Its size.
    pub size_bytes: Option<u64>,
    /// The device of its file system, `major:minor`.
    pub device: Option<String>,
    /// The device that it is.
    pub special_device: Option<String>,
    /// Its inode.
    pub inode: Option<u64>,
    /// The type of its file system.
    pub filesystem: Option<String>,
    /// Its path or name, as /proc/PID/fd shows it.
    pub path: Option<String>,
    /// Whether its name was removed.
    #[serde(rename = "deleted")]
    pub is_deleted: bool,
    /// Where its `struct file` is.
    pub address: Option<Address>,
}

impl FileRow {
    /// As lsof(8) shows it: `cwd`, `3u`.
    fn descriptor(&self) -> String {
        match (self.role, self.fd) {
            (Role::Cwd, _) => "cwd".to_owned(),
            (Role::Root, _) => "rtd".to_owned(),
            (Role::Exe, _) => "txt".to_owned(),
            (Role::Open, fd) => {
                format!("{}{}", fd.unwrap_or_default(), self.access.unwrap_or("?"))
            }
        }
    }
}

impl Document for FilesDocument {
    const FORMAT: &'static str = "linpmem-dump files";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let known = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |n| n.to_string());
        let rows = self.processes.iter().flat_map(|process| {
            process.files.iter().map(move |file| {
                let device = file.special_device.as_ref().or(file.device.as_ref());
                [
                    process.pid.to_string(),
                    process.name.clone(),
                    file.descriptor(),
                    file.kind.to_owned(),
                    device.cloned().unwrap_or_else(|| "?".to_owned()),
                    match file.role {
                        Role::Open => known(file.position_bytes),
                        _ => String::new(),
                    },
                    known(file.inode),
                    file.path.clone().unwrap_or_else(|| "?".to_owned()),
                ]
            })
        });
        let columns = [
            ("PID", Align::Right),
            ("COMMAND", Align::Left),
            ("FD", Align::Right),
            ("TYPE", Align::Left),
            ("DEVICE", Align::Right),
            ("POSITION", Align::Right),
            ("INODE", Align::Right),
            ("NAME", Align::Left),
        ];
        table::write(out, columns, rows)?;
        troubles::write(&self.troubles, self.more_troubles, out)
    }
}
