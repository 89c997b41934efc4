// SPDX-License-Identifier: MIT OR Apache-2.0
//! Archives whose bytes depend on their content alone.

use super::item::{Content, Item, gzip};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use tar::{Builder, EntryType, Header};

/// The mode of folders.
const FOLDER_MODE: u32 = 0o755;

/// A `.tar.gz` of `items` in the folder `top`: sorted, owned by root, and from the time `epoch`.
pub fn pack(top: &str, items: &[Item], epoch: u64) -> Result<Vec<u8>> {
    let mut items: Vec<&Item> = items.iter().collect();
    items.sort_by(|one, other| one.path.cmp(&other.path));
    let mut tar = Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for item in items {
        let path = format!("{top}/{}", item.path);
        for (end, _) in path.match_indices('/') {
            let folder = path.split_at(end + 1).0;
            if folders.insert(folder.to_owned()) {
                let mut header = header(EntryType::Directory, FOLDER_MODE, 0, epoch);
                tar.append_data(&mut header, folder, [].as_slice())?;
            }
        }
        match &item.content {
            Content::File { bytes, mode } => {
                let len = u64::try_from(bytes.len())?;
                let mut header = header(EntryType::Regular, *mode, len, epoch);
                tar.append_data(&mut header, &path, bytes.as_slice())
            }
            Content::Link(to) => {
                let mut header = header(EntryType::Symlink, 0o777, 0, epoch);
                tar.append_link(&mut header, &path, to)
            }
        }
        .with_context(|| format!("cannot pack {path}"))?;
    }
    gzip(&tar.into_inner()?)
}

fn header(kind: EntryType, mode: u32, len: u64, epoch: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(len);
    header.set_mtime(epoch);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read as _;

    #[test]
    fn the_order_of_the_files_does_not_matter_and_all_are_roots() {
        let items = [
            Item::program("bin/b", "run me"),
            Item::link("bin/a", "b"),
            Item::file("README", "read me"),
        ];
        let mut reversed = items.clone();
        reversed.reverse();
        let packed = pack("top", &items, 1_700_000_000).unwrap();
        assert_eq!(packed, pack("top", &reversed, 1_700_000_000).unwrap());
        assert_ne!(packed, pack("top", &items, 1_700_000_001).unwrap());

        let mut archive = tar::Archive::new(GzDecoder::new(packed.as_slice()));
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            assert_eq!(
                (header.uid().unwrap(), header.gid().unwrap()),
                (0, 0),
                "owned by root"
            );
            assert_eq!(header.mtime().unwrap(), 1_700_000_000);
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            found.push((path, header.mode().unwrap(), text));
        }
        let expected = [
            ("top/", 0o755, ""),
            ("top/README", 0o644, "read me"),
            ("top/bin/", 0o755, ""),
            ("top/bin/a", 0o777, ""),
            ("top/bin/b", 0o755, "run me"),
        ]
        .map(|(path, mode, text)| (path.to_owned(), mode, text.to_owned()));
        assert_eq!(found, expected);
    }
}
