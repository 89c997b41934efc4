// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs run inside a Debian tree of the cache.

use crate::arch::Arch;
use crate::cache::Cache;
use crate::checkout;
use anyhow::{Result, ensure};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Debian tree, with what its programs need of the machine around it.
#[derive(Clone, Debug)]
pub struct DebianTree {
    dir: PathBuf,
    binds: Vec<PathBuf>,
    /// Where programs find what others have changed, if the tree itself has to stay as it is.
    changes: Option<PathBuf>,
}

/// Makes the program root of a mount namespace of its own, which ends with it. The
/// program is killed when the thread that started it ends, however that happens.
/// Arguments: the tree, the folder for changes or nothing, the paths to bind, `--`, the
/// program and its arguments.
const ENTER: &str = r#"
root=$1; changes=$2; shift 2
if [ -n "$changes" ]; then
    mkdir -p "$changes/upper" "$changes/work" "$changes/root"
    mount -t overlay overlay \
        -o "lowerdir=$root,upperdir=$changes/upper,workdir=$changes/work" "$changes/root"
    root=$changes/root
fi
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$root$1"
    else mkdir -p "$root${1%/*}"; [ -e "$root$1" ] || : > "$root$1"; fi
    mount --rbind "$1" "$root$1"
    shift
done
shift
exec setpriv --pdeathsig KILL chroot "$root" /usr/bin/env -C "$WORKDIR" -u WORKDIR "$@"
"#;

/// Variables passed on to the tree: how to reach the network.
const PASSED: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "PIP_CONFIG_FILE",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "PIP_NO_INDEX",
    "PIP_PROXY",
    "PIP_TRUSTED_HOST",
    "TERM",
];

/// Files that say how to reach the network and whom to trust there. Programs in the
/// tree see the machine's own.
const NETWORK_FILES: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/pip.conf",
    "/etc/ssl/certs/ca-certificates.crt",
];

impl DebianTree {
    /// The tree with compilers and QEMU.
    ///
    /// # Errors
    /// When the set-up has not made it yet.
    pub fn open(cache: &Cache) -> Result<Self> {
        Self::of(Arch::HOST, cache)
    }

    /// The tree with QEMU for an architecture.
    ///
    /// # Errors
    /// When the set-up has not made it yet.
    pub fn of(arch: Arch, cache: &Cache) -> Result<Self> {
        let dir = arch.tree(cache);
        ensure!(
            dir.join("usr/bin/env").exists(),
            "no Debian tree in {}: run `cargo xtask setup`",
            dir.display()
        );
        Ok(Self::at(&dir, cache))
    }

    /// The tree in `dir`, which need not be complete yet.
    #[must_use]
    pub fn at(dir: &Path, cache: &Cache) -> Self {
        let mut binds: Vec<PathBuf> = ["/proc", "/sys", "/dev"].map(PathBuf::from).to_vec();
        binds.push(std::env::temp_dir());
        binds.push(checkout::dir());
        binds.push(checkout::target_dir());
        binds.push(cache.dir().to_path_buf());
        // Some of these variables name files.
        let named = PASSED.iter().filter_map(std::env::var_os);
        binds.extend(named.map(PathBuf::from).filter(|path| path.is_absolute()));
        binds.extend(NETWORK_FILES.iter().map(PathBuf::from));
        Self {
            dir: dir.to_path_buf(),
            binds,
            changes: None,
        }
    }

    /// The same tree, whose programs put all that they change into the folder `changes`, and
    /// find it there. That has to be in a file system which overlays can be in.
    #[must_use]
    pub fn changed_in(mut self, changes: &Path) -> Self {
        self.changes = Some(changes.to_path_buf());
        self
    }

    /// The file or folder `path` of the tree, as the machine outside sees it; with
    /// [`changed_in`](Self::changed_in), only if it was changed.
    #[must_use]
    pub fn outside(&self, path: &str) -> PathBuf {
        let path = path.trim_start_matches('/');
        match &self.changes {
            Some(changes) => changes.join("upper").join(path),
            None => self.dir.join(path),
        }
    }

    /// A command that runs `program` in the tree. The checkout, its target folder, the
    /// cache, the temporary folder and `binds` have the same absolute paths inside as
    /// outside. It starts in `/` with a small environment: set its working directory
    /// with the variable `WORKDIR`, not with `current_dir`.
    ///
    /// The child's process id is the program's own.
    pub fn command(&self, program: impl AsRef<OsStr>, binds: &[&Path]) -> Command {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command.args([
            "--mount",
            "--propagation",
            "private",
            "--",
            "/bin/sh",
            "-ec",
            ENTER,
            "enter",
        ]);
        command.arg(&self.dir);
        command.arg(self.changes.as_deref().unwrap_or(Path::new("")));
        let all = self
            .binds
            .iter()
            .map(PathBuf::as_path)
            .chain(binds.iter().copied());
        let mut bound: Vec<&Path> = Vec::new();
        for path in all.filter(|path| path.exists()) {
            // A folder inside one that is bound comes along with it.
            if !bound.iter().any(|above| path.starts_with(above)) {
                bound.push(path);
                command.arg(path);
            }
        }
        command.arg("--").arg(program);
        command.env_clear();
        command.env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .env("WORKDIR", "/");
        for name in PASSED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }
}
