// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of the machine that this program runs on, and which of them are artifacts.
//!
//! None of them is trusted: each is read up to a limit and abandoned when it hangs.

use super::Missing;
use super::kernel_log::KernelLog;
use crate::timeout::{Patience, TimeoutFile};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Texts that are facts, like /proc/version, are cut off here.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// Further files in a folder are ignored.
const MAX_FILES: usize = 8192;

/// The machine's files: those below `/`, or below a test's folder.
#[derive(Clone, Debug)]
pub(super) struct MachineFiles {
    root: PathBuf,
    patience: Patience,
}

impl MachineFiles {
    /// This machine's. What does not answer within `timeout` is abandoned.
    pub(super) fn of_this_machine(timeout: Option<Duration>) -> Self {
        Self::at(PathBuf::from("/"), timeout)
    }

    pub(super) fn at(root: PathBuf, timeout: Option<Duration>) -> Self {
        Self {
            root,
            patience: Patience::new(timeout),
        }
    }

    /// Opens the file `name`, such as `proc/version`.
    pub(super) fn open(&self, name: &str) -> io::Result<TimeoutFile> {
        let path = self.root.join(name);
        if name == KERNEL_LOG {
            return TimeoutFile::open_by(move || KernelLog::open(&path), &self.patience);
        }
        TimeoutFile::open(&path, &self.patience)
    }

    pub(super) fn bytes(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        TimeoutFile::all(&self.root.join(name), limit, &self.patience)
    }

    /// A text file, without white space at its end.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let bytes = self.bytes(name, MAX_TEXT_BYTES).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        Some(text.trim_end().to_owned())
    }

    /// What `question` finds out about the file or folder `name`, unless that takes too long.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        name: &str,
        question: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let path = self.root.join(name);
        self.patience.ask(move || question(&path))
    }

    /// Whether there is a file or anything else of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.look_for(name).is_ok_and(|is_there| is_there)
    }

    /// The same; an error if the system does not say.
    fn look_for(&self, name: &str) -> io::Result<bool> {
        let path = self.root.join(name);
        match self.patience.ask(move || path.symlink_metadata()) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the file `name` is there and has not a single byte, or is a device such as
    /// /dev/null.
    fn is_masked(&self, name: &str) -> bool {
        let path = self.root.join(name);
        let masked = self.patience.ask(move || {
            let is_file = path.metadata()?.is_file();
            Ok(!is_file || File::open(&path)?.read(&mut [0])? == 0)
        });
        masked.is_ok_and(|is_masked| is_masked)
    }

    /// The names in a folder, sorted, without those that are not UTF-8: the kernel has
    /// none.
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let path = self.root.join(folder);
        let mut names = self.patience.ask(move || {
            let entries = path.read_dir()?.take(MAX_FILES);
            let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
            let names: Vec<Option<String>> = names.collect::<io::Result<_>>()?;
            Ok(names.into_iter().flatten().collect::<Vec<String>>())
        })?;
        names.sort_unstable();
        Ok(names)
    }
}

pub(super) const KALLSYMS: &str = "proc/kallsyms";
pub(super) const MODULES: &str = "proc/modules";
pub(super) const VMLINUX_BTF: &str = "sys/kernel/btf/vmlinux";
pub(super) const KERNEL_LOG: &str = "dev/kmsg";
const BTF_FOLDER: &str = "sys/kernel/btf";

/// A large kernel has 15 MiB of symbols and 10 MiB of types.
const LARGE: u64 = 64 << 20;
const SMALL: u64 = 4 << 20;

/// Files that have the same name on every machine.
const SMALL_FILES: [(&str, TrueOf); 13] = [
    ("proc/version", TrueOf::Build),
    ("proc/cmdline", TrueOf::Boot),
    ("proc/iomem", TrueOf::Boot),
    (MODULES, TrueOf::Boot),
    ("proc/cpuinfo", TrueOf::Boot),
    ("proc/meminfo", TrueOf::Boot),
    ("proc/uptime", TrueOf::Boot),
    ("proc/swaps", TrueOf::Boot),
    ("proc/self/mountinfo", TrueOf::Boot),
    ("proc/sys/kernel/tainted", TrueOf::Boot),
    ("sys/kernel/notes", TrueOf::Build),
    ("sys/kernel/vmcoreinfo", TrueOf::Boot),
    ("etc/os-release", TrueOf::Boot),
];

/// Files in which the kernel always has something. One that is empty is masked: containers hide
/// files by mounting /dev/null or an empty file over them.
const NEVER_EMPTY: [&str; 12] = [
    "proc/version",
    "proc/cmdline",
    "proc/iomem",
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/uptime",
    "proc/self/mountinfo",
    "proc/sys/kernel/tainted",
    "sys/kernel/notes",
    "sys/kernel/vmcoreinfo",
    KALLSYMS,
    VMLINUX_BTF,
];

/// Why a file that is masked is missing.
pub(super) const MASKED: &str = "it is empty, as if something else were mounted over it: run this \
    outside the container, or unmount what hides it";

/// Why everything below /sys is missing.
const NO_SYS: &str = "/sys is not mounted (mount -t sysfs sysfs /sys)";

/// Files that a machine need not have: what protects the kernel, and what it has measured
/// since the boot.
const SECURITY_FILES: [(&str, u64); 4] = [
    ("sys/kernel/security/lockdown", SMALL),
    ("sys/kernel/security/lsm", SMALL),
    (
        "sys/kernel/security/integrity/ima/ascii_runtime_measurements",
        LARGE,
    ),
    (
        "sys/kernel/security/integrity/ima/binary_runtime_measurements",
        LARGE,
    ),
];

/// The folder of `tpm0` and so on, each of which has the event log of its boot.
const SECURITY_FOLDER: &str = "sys/kernel/security";
const TPM_LOG: &str = "binary_bios_measurements";

/// EFI's variables: a file each, named after the variable and its vendor.
const EFI_FOLDER: &str = "sys/firmware/efi/efivars";
/// Those that decide what the machine may boot. shim's begin with `Mok` and `Sbat`.
const EFI_VARIABLES: [&str; 10] = [
    "SecureBoot",
    "SetupMode",
    "AuditMode",
    "DeployedMode",
    "PK",
    "KEK",
    "db",
    "dbx",
    "dbt",
    "dbr",
];
const SHIM_VARIABLES: [&str; 2] = ["Mok", "Sbat"];
/// `-` and a GUID.
const VENDOR_BYTES: usize = 37;
/// No machine has more of these.
const MAX_EFI_VARIABLES: usize = 64;

/// Where distributions put what belongs to a kernel; the first that exists is taken.
const CONFIG: [&str; 3] = [
    "boot/config-RELEASE",
    "lib/modules/RELEASE/config",
    "proc/config.gz",
];
const SYSTEM_MAP: [&str; 2] = ["boot/System.map-RELEASE", "lib/modules/RELEASE/System.map"];

/// The name of a file to collect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Such as `proc/version`.
    pub(super) name: String,
    /// A file with more bytes is left out.
    pub(super) limit: u64,
    pub(super) true_of: TrueOf,
}

/// What a file describes: it is the same wherever that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrueOf {
    /// The machine, whichever kernel runs on it.
    Machine,
    /// A build of the kernel.
    Build,
    /// The kernel that runs now.
    Boot,
}

/// What `files` have that is an artifact of a kernel of this `release`.
#[derive(Debug)]
pub(super) struct Items {
    /// The files to collect.
    pub(super) found: Vec<Item>,
    /// Files that should be there and are not.
    pub(super) missing: Vec<Missing>,
}

impl Items {
    pub(super) fn of(files: &MachineFiles, release: &str) -> Self {
        let mut items = Self {
            found: Vec::new(),
            missing: Vec::new(),
        };
        for (name, true_of) in SMALL_FILES {
            items.add(name, SMALL, true_of);
        }
        items.add_first(files, &CONFIG, release, SMALL);
        items.add(KALLSYMS, LARGE, TrueOf::Boot);
        items.add_first(files, &SYSTEM_MAP, release, LARGE);
        items.add_types(files);
        items.add(KERNEL_LOG, LARGE, TrueOf::Boot);
        for (name, limit) in SECURITY_FILES {
            items.add_if_there(files, name, limit, TrueOf::Boot);
        }
        items.add_tpm_logs(files);
        items.add_efi_variables(files);
        items.set_masked_apart(files);
        items
    }

    /// Lists files as missing that are there and have been made empty.
    fn set_masked_apart(&mut self, files: &MachineFiles) {
        let is_masked =
            |item: &Item| NEVER_EMPTY.contains(&&*item.name) && files.is_masked(&item.name);
        let found = std::mem::take(&mut self.found);
        let (masked, found) = found.into_iter().partition::<Vec<Item>, _>(is_masked);
        self.found = found;
        for item in masked {
            self.lack(&item.name, MASKED.to_owned());
        }
    }

    fn add(&mut self, name: &str, limit: u64, true_of: TrueOf) {
        self.found.push(Item {
            name: name.to_owned(),
            limit,
            true_of,
        });
    }

    /// Adds a file that a machine need not have.
    fn add_if_there(&mut self, files: &MachineFiles, name: &str, limit: u64, true_of: TrueOf) {
        match files.look_for(name) {
            Ok(true) => self.add(name, limit, true_of),
            Ok(false) => {}
            Err(error) => self.lack(name, error.to_string()),
        }
    }

    fn add_types(&mut self, files: &MachineFiles) {
        match files.list(BTF_FOLDER) {
            Ok(names) => {
                if !names.iter().any(|name| name == "vmlinux") {
                    self.lack(VMLINUX_BTF, format!("/{BTF_FOLDER}: {MASKED}"));
                }
                for name in names {
                    let name = format!("{BTF_FOLDER}/{name}");
                    // Another kernel of the same build may have loaded other modules.
                    let true_of = match &*name {
                        VMLINUX_BTF => TrueOf::Build,
                        _ => TrueOf::Boot,
                    };
                    self.add(&name, LARGE, true_of);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let reason = match files.look_for("sys/kernel") {
                    Ok(false) => NO_SYS,
                    _ => "the kernel was built without CONFIG_DEBUG_INFO_BTF",
                };
                self.lack(VMLINUX_BTF, reason.to_owned());
            }
            Err(error) => self.lack(VMLINUX_BTF, error.to_string()),
        }
    }

    /// The names in a folder that a machine need not have.
    fn list_if_there(&mut self, files: &MachineFiles, folder: &str) -> Vec<String> {
        files.list(folder).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                self.lack(folder, error.to_string());
            }
            Vec::new()
        })
    }

    fn add_tpm_logs(&mut self, files: &MachineFiles) {
        for folder in self.list_if_there(files, SECURITY_FOLDER) {
            if folder.starts_with("tpm") {
                let name = format!("{SECURITY_FOLDER}/{folder}/{TPM_LOG}");
                self.add_if_there(files, &name, SMALL, TrueOf::Machine);
            }
        }
    }

    fn add_efi_variables(&mut self, files: &MachineFiles) {
        let all = self.list_if_there(files, EFI_FOLDER);
        let wanted: Vec<&String> = all.iter().filter(|name| is_about_boot(name)).collect();
        for name in wanted.iter().take(MAX_EFI_VARIABLES) {
            self.add(&format!("{EFI_FOLDER}/{name}"), SMALL, TrueOf::Machine);
        }
        if wanted.len() > MAX_EFI_VARIABLES {
            self.lack(
                EFI_FOLDER,
                format!(
                    "only the first {MAX_EFI_VARIABLES} of {} were read",
                    wanted.len()
                ),
            );
        }
    }

    fn lack(&mut self, name: &str, reason: String) {
        self.missing.push(Missing {
            name: name.to_owned(),
            reason,
        });
    }

    /// Adds the first of `patterns` that exists.
    fn add_first<const N: usize>(
        &mut self,
        files: &MachineFiles,
        patterns: &[&str; N],
        release: &str,
        limit: u64,
    ) {
        // A release with a slash would name other files.
        let release = release.replace('/', "_");
        let names = patterns.map(|pattern| pattern.replace("RELEASE", &release));
        match names.iter().find(|name| files.has(name)) {
            Some(name) => self.add(name, limit, TrueOf::Build),
            None => {
                let reason = format!("none of these exists: {}", names.join(", "));
                if let Some(first) = names.first() {
                    self.lack(first, reason);
                }
            }
        }
    }
}

/// Whether a file of [`EFI_FOLDER`] is a variable that decides what the machine may boot.
fn is_about_boot(file: &str) -> bool {
    let name = file.len().checked_sub(VENDOR_BYTES);
    let name = name.and_then(|end| file.split_at_checked(end));
    name.is_some_and(|(name, vendor)| {
        vendor.starts_with('-')
            && (EFI_VARIABLES.contains(&name)
                || SHIM_VARIABLES.iter().any(|start| name.starts_with(start)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_not_there_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let files = MachineFiles::at(folder.path().to_path_buf(), None);
        let items = Items::of(&files, "6.1/../x");
        assert!(items.found.iter().any(|item| item.name == KALLSYMS));
        let names: Vec<&str> = items.missing.iter().map(|gap| gap.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "boot/config-6.1_.._x",
                "boot/System.map-6.1_.._x",
                "sys/kernel/btf/vmlinux"
            ]
        );
    }

    #[test]
    fn no_sys_and_no_types_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let reason = || {
            let files = MachineFiles::at(folder.path().to_path_buf(), None);
            let items = Items::of(&files, "6.1");
            let mut gaps = items.missing.into_iter();
            gaps.find(|gap| gap.name == VMLINUX_BTF).unwrap().reason
        };
        assert_eq!(reason(), NO_SYS);
        // An empty mount point is there as well.
        fs::create_dir_all(folder.path().join("sys")).unwrap();
        assert_eq!(reason(), NO_SYS);
        fs::create_dir_all(folder.path().join("sys/kernel")).unwrap();
        assert!(reason().contains("CONFIG_DEBUG_INFO_BTF"));
        // An empty file system over the folder.
        fs::create_dir_all(folder.path().join(BTF_FOLDER)).unwrap();
        assert!(reason().contains("mounted over it"));
    }

    #[test]
    fn a_file_that_is_masked_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        for name in NEVER_EMPTY.iter().chain(&["proc/modules", "proc/swaps"]) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // As containers do it, and as those do it who cannot mount.
            match name.len() % 2 {
                0 => std::os::unix::fs::symlink("/dev/null", path).unwrap(),
                _ => fs::write(path, b"").unwrap(),
            }
        }
        let files = MachineFiles::at(folder.path().to_path_buf(), None);
        let items = Items::of(&files, "6.1");
        for name in NEVER_EMPTY {
            let gap = items.missing.iter().find(|gap| gap.name == name);
            assert_eq!(gap.map(|gap| &*gap.reason), Some(MASKED), "{name}");
            assert!(!items.found.iter().any(|item| item.name == name), "{name}");
        }
        // A machine may have neither modules nor swap.
        for name in ["proc/modules", "proc/swaps"] {
            assert!(items.found.iter().any(|item| item.name == name), "{name}");
        }
    }

    #[test]
    fn the_first_place_counts_and_every_modules_types_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "lib/modules/6.1/config",
            "proc/config.gz",
            "boot/System.map-6.1",
            "sys/kernel/btf/vmlinux",
            "sys/kernel/btf/e1000",
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        let files = MachineFiles::at(folder.path().to_path_buf(), None);
        let items = Items::of(&files, "6.1");
        assert_eq!(items.missing, []);
        let has = |name| items.found.iter().any(|item| item.name == name);
        assert!(has("lib/modules/6.1/config") && !has("proc/config.gz"));
        assert!(has("sys/kernel/btf/e1000") && has("boot/System.map-6.1"));
    }

    const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

    #[test]
    fn security_files_are_taken_where_a_machine_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let files = MachineFiles::at(folder.path().to_path_buf(), None);
        let optional = |items: &Items| -> Vec<String> {
            let names = items.found.iter().map(|item| item.name.clone());
            names
                .filter(|name| name.contains("security") || name.contains("efi"))
                .collect()
        };
        fs::create_dir_all(folder.path().join("sys/kernel")).unwrap();
        let before = Items::of(&files, "6.1");
        assert_eq!(optional(&before), [""; 0]);
        let mut expected = vec![
            "sys/kernel/security/lockdown".to_owned(),
            "sys/kernel/security/lsm".to_owned(),
            "sys/kernel/security/integrity/ima/ascii_runtime_measurements".to_owned(),
            "sys/kernel/security/integrity/ima/binary_runtime_measurements".to_owned(),
            "sys/kernel/security/tpm0/binary_bios_measurements".to_owned(),
        ];
        for variable in ["MokListRT", "SecureBoot", "db", "dbx"] {
            expected.push(format!("{EFI_FOLDER}/{variable}-{GLOBAL}"));
        }
        let others = [
            format!("{EFI_FOLDER}/Boot0000-{GLOBAL}"),
            format!("{EFI_FOLDER}/dbDefault-{GLOBAL}"),
            format!("{EFI_FOLDER}/db"),
            "sys/kernel/security/tpm1/ascii_bios_measurements".to_owned(),
        ];
        for name in expected.iter().chain(&others) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        let items = Items::of(&files, "6.1");
        assert_eq!(optional(&items), expected);
        // What a machine need not have is not missing.
        assert_eq!(items.missing, before.missing);
    }

    #[test]
    fn a_security_file_that_cannot_be_looked_for_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        // A file in place of a folder: ENOTDIR, whoever asks.
        fs::create_dir_all(folder.path().join("sys/kernel")).unwrap();
        fs::write(folder.path().join(SECURITY_FOLDER), b"x").unwrap();
        let files = MachineFiles::at(folder.path().to_path_buf(), None);
        let missing = Items::of(&files, "6.1").missing;
        for name in ["sys/kernel/security/lsm", SECURITY_FOLDER] {
            assert!(missing.iter().any(|gap| gap.name == name), "{missing:?}");
        }
    }

    #[test]
    fn the_kernel_log_is_read_though_it_is_a_device() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("dev")).unwrap();
        let files = MachineFiles::at(folder.path().to_path_buf(), None);
        let read = || {
            let mut text = String::new();
            let log = files.open(KERNEL_LOG);
            log.and_then(|mut log| io::Read::read_to_string(&mut log, &mut text))
                .map(|_| text)
        };
        assert_eq!(read().unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(
            folder.path().join(KERNEL_LOG),
            "6,1,0,-;Linux version 6.1\n",
        )
        .unwrap();
        assert_eq!(read().unwrap(), "6,1,0,-;Linux version 6.1\n");
    }
}
