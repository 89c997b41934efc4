// SPDX-License-Identifier: MIT OR Apache-2.0
//! Folders that others may write to.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Why `folder` does not protect a file in it, if it does not: others may rename what is
/// in it.
#[must_use]
pub fn exposure(folder: &Path) -> Option<String> {
    let exposed = exposed_folder(folder)?;
    Some(format!(
        "{exposed}: somebody else can replace the files of this run; write to a folder that only \
         root can write to, or compare the hash that is shown at the end"
    ))
}

/// The first of `folder` and the folders above it that others may write to, and why.
#[must_use]
pub fn exposed_folder(folder: &Path) -> Option<String> {
    let absolute = fs::canonicalize(folder).ok()?;
    absolute.ancestors().find_map(|ancestor| {
        let metadata = fs::metadata(ancestor).ok()?;
        let owner = metadata.uid();
        let is_trusted = owner == 0 || owner == rustix::process::geteuid().as_raw();
        let (others, sticky) = (metadata.mode() & 0o022 != 0, metadata.mode() & 0o1000 != 0);
        let reason = match (is_trusted, others && !sticky) {
            (false, _) => format!("belongs to the user {owner}"),
            (true, true) => "can be written to by others".to_owned(),
            (true, false) => return None,
        };
        Some(format!("{} {reason}", ancestor.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_that_others_may_write_to_is_exposed() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("out");
        fs::create_dir(&folder).unwrap();
        let mode = |mode| fs::set_permissions(top.path(), fs::Permissions::from_mode(mode));
        mode(0o700).unwrap();
        assert_eq!(exposure(&folder), None);
        mode(0o777).unwrap();
        let reason = exposure(&folder).unwrap();
        assert!(reason.contains("can be written to by others"), "{reason}");
        // As in /tmp: nobody can rename what is not theirs.
        mode(0o1777).unwrap();
        assert_eq!(exposure(&folder), None);
    }
}
