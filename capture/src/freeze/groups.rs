// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which control groups may be suspended, and how
//! (Documentation/admin-guide/cgroup-v2.rst, "cgroup.freeze").

use super::FreezeError;
use procfs::process::Process;
use std::fs;
use std::path::{Path, PathBuf};

/// The control groups of other programs.
#[derive(Debug)]
pub(super) struct Groups {
    /// The topmost folders without anything that must keep running.
    pub(super) paths: Vec<PathBuf>,
}

impl Groups {
    /// All groups without this program and PID 1 that are not suspended already.
    pub(super) fn of_others() -> Result<Self, FreezeError> {
        let failed = |what| move |source| FreezeError::Proc { what, source };
        let me = Process::myself().map_err(failed("/proc/self"))?;
        let root = hierarchy(&me)?;
        let own = me.cgroups().map_err(failed("/proc/self/cgroup"))?;
        let own = own
            .into_iter()
            .find(|group| group.hierarchy == 0)
            .ok_or(FreezeError::NoHierarchy)?;
        let own = root.join(own.pathname.trim_start_matches('/'));
        let mut paths = Vec::new();
        collect(&root, &own, &mut paths).map_err(|source| FreezeError::Group {
            path: root.clone(),
            source,
        })?;
        Ok(Self { paths })
    }
}

/// The folder of the topmost group.
pub(super) fn hierarchy(me: &Process) -> Result<PathBuf, FreezeError> {
    let mounts = me.mountinfo().map_err(|source| FreezeError::Proc {
        what: "/proc/self/mountinfo",
        source,
    })?;
    mounts
        .into_iter()
        .find(|mount| mount.fs_type == "cgroup2")
        .map(|mount| mount.mount_point)
        .ok_or(FreezeError::NoHierarchy)
}

/// Adds the topmost groups below `folder` that may be suspended.
fn collect(folder: &Path, own: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for group in children(folder)? {
        if own.starts_with(&group) || holds_init(&group) {
            collect(&group, own, paths)?;
        } else if fs::read_to_string(control(&group)).is_ok_and(|state| state.trim() == "0") {
            // A group that another program has suspended stays so.
            paths.push(group);
        }
    }
    Ok(())
}

fn children(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut groups = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            groups.push(entry.path());
        }
    }
    groups.sort();
    Ok(groups)
}

fn holds_init(group: &Path) -> bool {
    let processes = fs::read_to_string(group.join("cgroup.procs"));
    // A group whose processes are unknown is not suspended.
    processes.map_or(true, |list| list.lines().any(|pid| pid == "1"))
        || children(group).is_ok_and(|groups| groups.iter().any(|group| holds_init(group)))
}

/// The file that suspends a group.
pub(super) fn control(group: &Path) -> PathBuf {
    group.join("cgroup.freeze")
}

/// Suspends or resumes a group. It is not an error if the group no longer exists.
pub(super) fn set(group: &Path, suspended: bool) -> Result<(), FreezeError> {
    let path = control(group);
    let written = fs::write(&path, if suspended { "1" } else { "0" });
    match written {
        Err(source) if group.exists() => Err(FreezeError::Group { path, source }),
        _ => Ok(()),
    }
}

/// Whether all processes of a group are suspended.
pub(super) fn is_suspended(group: &Path) -> bool {
    match fs::read_to_string(group.join("cgroup.events")) {
        Ok(events) => events.lines().any(|line| line == "frozen 1"),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(root: &Path, name: &str, processes: &str, state: &str) -> PathBuf {
        let path = root.join(name);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("cgroup.procs"), processes).unwrap();
        fs::write(control(&path), state).unwrap();
        path
    }

    #[test]
    fn neither_this_program_nor_its_parent_groups_nor_init_is_suspended() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        group(root, "init.scope", "1\n", "0\n");
        group(root, "system.slice", "", "0\n");
        group(root, "system.slice/ssh.service", "11\n", "0\n");
        group(root, "user.slice", "", "0\n");
        group(root, "user.slice/user-0.slice", "", "0\n");
        let own = group(
            root,
            "user.slice/user-0.slice/session-1.scope",
            "100\n",
            "0\n",
        );
        group(
            root,
            "user.slice/user-0.slice/session-2.scope",
            "21\n101\n",
            "0\n",
        );
        group(root, "user.slice/user-7.slice", "", "0\n");
        group(root, "stopped", "31\n", "1\n");
        group(root, "nested", "", "0\n");
        group(root, "nested/init", "1\n", "0\n");
        group(root, "nested/other", "41\n", "0\n");
        let mut found = Vec::new();
        collect(root, &own, &mut found).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(root).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "nested/other",
                "system.slice",
                "user.slice/user-0.slice/session-2.scope",
                "user.slice/user-7.slice"
            ]
        );
        set(&found[1], true).unwrap();
        assert_eq!(fs::read(control(&found[1])).unwrap(), b"1");
        set(&found[1], false).unwrap();
        assert_eq!(fs::read(control(&found[1])).unwrap(), b"0");
        // A group that has ended is not an error.
        set(&root.join("gone"), true).unwrap();
        assert!(is_suspended(&root.join("gone")));
    }
}
