// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a process has open, as links whose targets are the names of these files.
//!
//! The names are those of files on the machine that the image is of. A link that had such a name as
//! its target would lead whoever follows it, `cat` or `grep -R`, to the file of that name on the
//! machine of the analyst. So all targets lead to a folder which the mount does not have.

use crate::names::{file_name, shown_in_a_name};
use linpmem_inspect::{Descriptor, Error, FileRole, Machine, OpenFile, Task};
use linpmem_phys::Errno;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};

/// The folder of the open files.
pub(super) const FOLDER: &str = "fd";
/// The links next to it.
pub(super) const NEEDED: [(&str, FileRole); 3] = [
    ("cwd", FileRole::Cwd),
    ("exe", FileRole::Exe),
    ("root", FileRole::Root),
];
/// The folder that does not exist, from the root of the mount.
pub(crate) const NOWHERE: &str = "not-in-image";
/// Bytes of a name that are shown; a page has room for a target and its zero byte.
const MAX_BYTES: usize = 4000;
/// Bytes that a table of numbers, or three names, may take.
const ROOM: u64 = 1 << 20;

/// The open files of a process, by their numbers.
#[derive(Debug)]
pub(super) struct Descriptors(Vec<Descriptor>);

impl Descriptors {
    pub(super) fn of(machine: &Machine<'_>, task: &Task) -> Result<Self, Error> {
        // What is wrong with them is said where they are listed as a text.
        let found = machine.descriptors(task, &mut ROOM.clone())?;
        Ok(Self(found.items))
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.len().saturating_mul(size_of::<Descriptor>())
    }

    pub(super) fn len(&self) -> u64 {
        usize_as_u64(self.0.len())
    }

    pub(super) fn get(&self, index: u64) -> Result<Descriptor, Errno> {
        let found = self.0.get(u64_as_usize(index)).copied();
        found.ok_or(Errno::ENOENT)
    }

    pub(super) fn find(&self, name: &str) -> Option<u64> {
        let fd: u64 = name.parse().ok()?;
        let index = self.0.binary_search_by_key(&fd, |open| open.fd).ok()?;
        (fd.to_string() == name).then(|| usize_as_u64(index))
    }
}

/// Where the link of an open file leads.
pub(super) fn of_open(machine: &Machine<'_>, open: Descriptor) -> Result<String, Errno> {
    let found = machine.open_file(open).map_err(|_| Errno::EIO)?;
    Ok(target("../../..", found.items.first()))
}

/// Where the links next to the folder lead: as many as the process has.
pub(super) fn of_needed(machine: &Machine<'_>, task: &Task) -> Vec<(usize, String)> {
    let Ok(found) = machine.needed_files(task, &mut ROOM.clone()) else {
        return Vec::new();
    };
    let needed = NEEDED.iter().enumerate();
    needed
        .filter_map(|(index, (_, role))| {
            let file = found.items.iter().find(|file| file.role == *role)?;
            Some((index, target("../..", Some(file))))
        })
        .collect()
}

/// `above` leads to the root of the mount.
fn target(above: &str, file: Option<&OpenFile>) -> String {
    match file.and_then(|file| file.path.as_deref()) {
        // As `socket:[12]`. Nothing in these folders has a colon in its name.
        Some(name) if name.contains(':') && !name.contains('/') => file_name(name),
        Some(name) => format!("{above}/{NOWHERE}{}", path(name)),
        None => "?".to_owned(),
    }
}

/// The path `name` without what leads upwards, for programs that take a target apart without
/// asking for its folders.
fn path(name: &str) -> String {
    let mut path = String::new();
    for part in name.split('/').filter(|part| !part.is_empty()) {
        path.push('/');
        if matches!(part, "." | "..") {
            path.push('_');
        }
        path.extend(part.chars().map(shown_in_a_name));
    }
    if path.is_empty() {
        path.push('/');
    }
    // The end of a long one says more than its beginning.
    let mut from = path.len().saturating_sub(MAX_BYTES);
    if from == 0 {
        return path;
    }
    while !path.is_char_boundary(from) {
        from = from.saturating_add(1);
    }
    format!("/\u{2026}{}", path.get(from..).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_anywhere() {
        for (name, shown) in [
            ("/etc/shadow", "/etc/shadow"),
            ("/tmp/a b (deleted)", "/tmp/a b (deleted)"),
            ("/", "/"),
            ("", "/"),
            ("mem", "/mem"),
            ("../../../../etc/shadow", "/_../_../_../_../etc/shadow"),
            ("/./x//y/", "/_./x/y"),
            ("/a\n\u{1b}[2J\u{202e}", "/a\u{fffd}\u{fffd}[2J\u{fffd}"),
        ] {
            assert_eq!(path(name), shown, "{name:?}");
        }
    }

    #[test]
    fn the_end_of_a_long_name_is_shown() {
        for name in [
            format!("/{}/end", "\u{1}".repeat(4000)),
            format!("{}/end", "/\u{e4}".repeat(3000)),
        ] {
            let path = path(&name);
            assert!(path.starts_with("/\u{2026}"), "{path}");
            assert!(path.ends_with("/end"), "{path}");
            assert!(path.len() <= MAX_BYTES + 4, "{}", path.len());
        }
        let most = path(&format!("/{}", "x".repeat(MAX_BYTES - 1)));
        assert_eq!(most.len(), MAX_BYTES);
    }
}
