// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump mounts`: what is mounted where, for which processes.

use super::troubles;
use linpmem_cli::Document;
use linpmem_cli::table::{self, Align};
use linpmem_manifest::Address;
use serde::Serialize;
use std::io::{self, Write};

/// Processes that are named of a namespace; JSON has all.
const SHOWN: usize = 8;

/// The mounts in an image.
#[derive(Debug, Serialize)]
pub struct MountsDocument {
    /// The image.
    pub image: String,
    /// The mount namespaces of the processes.
    pub namespaces: Vec<NamespaceRow>,
    /// What contradicts itself in memory, a sentence each.
    pub troubles: Vec<String>,
    /// How many more there are.
    pub more_troubles: u64,
}

/// A mount namespace.
#[derive(Debug, Serialize)]
pub struct NamespaceRow {
    /// Its inode, as in /proc/PID/ns/mnt.
    pub inode: Option<u64>,
    /// The processes that are in it.
    pub processes: Vec<i32>,
    /// Its mounts, each before those that are on it.
    pub mounts: Vec<MountRow>,
    /// Where its `struct mnt_namespace` is.
    pub address: Address,
}

/// A mount. What is `None` could not be read.
#[derive(Debug, Serialize)]
pub struct MountRow {
    /// Its number.
    pub id: i32,
    /// That of the mount that it is on.
    pub parent: Option<i32>,
    /// `major:minor` of its file system.
    pub device: Option<String>,
    /// What of the file system is mounted.
    pub root: Option<String>,
    /// Where.
    pub mount_point: Option<String>,
    /// Its own options.
    pub options: Option<String>,
    /// The type of its file system.
    pub filesystem: Option<String>,
    /// What was mounted.
    pub source: Option<String>,
    /// Options of the file system.
    pub filesystem_options: Option<String>,
    /// Where its `struct mount` is.
    pub address: Address,
}

impl MountRow {
    /// As findmnt(8) shows it: `/dev/sda1[/folder]`.
    fn shown_source(&self) -> String {
        let source = self.source.as_deref().unwrap_or("?");
        match self.root.as_deref() {
            Some("/") => source.to_owned(),
            root => format!("{source}[{}]", root.unwrap_or("?")),
        }
    }
}

impl NamespaceRow {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let inode = self.inode.map_or_else(|| "?".to_owned(), |n| n.to_string());
        let shown = self.processes.iter().take(SHOWN);
        let mut shown: Vec<String> = shown.map(i32::to_string).collect();
        let more = self.processes.len().saturating_sub(SHOWN);
        if more > 0 {
            shown.push(format!("{more} more"));
        }
        writeln!(
            out,
            "mount namespace {inode}, of these processes: {}",
            shown.join(", ")
        )?;
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        let rows = self.mounts.iter().map(|mount| {
            [
                mount.id.to_string(),
                mount
                    .parent
                    .map_or_else(|| "?".to_owned(), |n| n.to_string()),
                text(&mount.mount_point),
                mount.shown_source(),
                text(&mount.filesystem),
                text(&mount.options),
                text(&mount.filesystem_options),
            ]
        });
        let columns = [
            ("ID", Align::Right),
            ("PARENT", Align::Right),
            ("TARGET", Align::Left),
            ("SOURCE", Align::Left),
            ("FSTYPE", Align::Left),
            ("OPTIONS", Align::Left),
            ("FS-OPTIONS", Align::Left),
        ];
        table::write(out, columns, rows)
    }
}

impl Document for MountsDocument {
    const FORMAT: &'static str = "linpmem-dump mounts";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for (index, namespace) in self.namespaces.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            namespace.write_text(out)?;
        }
        troubles::write(&self.troubles, self.more_troubles, out)
    }
}
