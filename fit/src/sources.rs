// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a kernel's files are.

use crate::error::FitError;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The files that tell about a kernel, each kind in the order in which they are tried.
///
/// Nothing is read before it is needed: what a module takes to be fitted comes from few
/// and small files on most systems, which matters where memory is about to be acquired.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub(crate) release: Option<String>,
    pub(crate) btf: Place,
    pub(crate) kernel: Place,
    pub(crate) modules: Place,
    pub(crate) symvers: Place,
    pub(crate) config: Place,
    pub(crate) kallsyms: Place,
    pub(crate) vmcoreinfo: Place,
    pub(crate) kcore: Place,
}

/// Where a file may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    paths: Vec<PathBuf>,
    /// Whether the caller named it, so that it must exist.
    is_given: bool,
}

impl Place {
    fn of<const N: usize>(first: [PathBuf; N], then: [PathBuf; 2]) -> Self {
        Self {
            paths: first.into_iter().chain(then).collect(),
            is_given: false,
        }
    }

    fn given(path: &Path) -> Self {
        Self {
            paths: vec![path.to_path_buf()],
            is_given: true,
        }
    }

    /// Whether the caller named it.
    pub(crate) fn is_given(&self) -> bool {
        self.is_given
    }

    /// The first path at which there is something.
    pub(crate) fn path(&self) -> Option<&Path> {
        let mut paths = self.paths.iter();
        let found = match self.is_given {
            true => paths.next(),
            false => paths.find(|path| path.exists()),
        };
        found.map(PathBuf::as_path)
    }

    /// The first file that can be opened.
    pub(crate) fn open(&self) -> Result<Option<(&Path, File)>, FitError> {
        let Some(path) = self.path() else {
            return Ok(None);
        };
        match File::open(path) {
            Ok(file) => Ok(Some((path, file))),
            Err(source) => Err(FitError::File {
                path: path.to_path_buf(),
                source,
            }),
        }
    }

    /// The content of that file, `limit` bytes at most.
    pub(crate) fn read(&self, limit: u64) -> Result<Option<(&Path, Vec<u8>)>, FitError> {
        let Some((path, file)) = self.open()? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let unreadable = |source| FitError::File {
            path: path.to_path_buf(),
            source,
        };
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if linpmem_phys::num::usize_as_u64(bytes.len()) > limit {
            let why = format!("it has more than {} MiB", limit >> 20);
            return Err(FitError::unusable(path.display().to_string(), why));
        }
        Ok(Some((path, bytes)))
    }

    /// What was tried, for an error.
    pub(crate) fn tried(&self) -> String {
        let paths: Vec<_> = self
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        match paths.is_empty() {
            true => "none was named".to_owned(),
            false => format!("tried {}", paths.join(", ")),
        }
    }
}

impl Sources {
    /// The running kernel's files.
    #[must_use]
    pub fn live() -> Self {
        let release = rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned();
        Self::running_at(Path::new("/"), &release)
    }

    /// The files of the kernel `release`, which runs the system whose root is at `root`: not
    /// `/` in a container that sees the machine's root elsewhere.
    #[must_use]
    pub fn running_at(root: &Path, release: &str) -> Self {
        let mut installed = Self::installed(root, release);
        let first = |place: &mut Place, path: &str| place.paths.insert(0, root.join(path));
        first(&mut installed.btf, "sys/kernel/btf/vmlinux");
        first(&mut installed.config, "proc/config.gz");
        first(&mut installed.kallsyms, "proc/kallsyms");
        first(&mut installed.vmcoreinfo, "sys/kernel/vmcoreinfo");
        first(&mut installed.kcore, "proc/kcore");
        installed
    }

    /// The files of the kernel `release` that is installed below `root`: of a system, or of
    /// unpacked packages. It need not run.
    #[must_use]
    pub fn installed(root: &Path, release: &str) -> Self {
        let modules = |file: &str| {
            ["lib/modules", "usr/lib/modules"].map(|folder| {
                let folder = root.join(folder).join(release);
                if file.is_empty() {
                    folder
                } else {
                    folder.join(file)
                }
            })
        };
        let boot = |name: &str| root.join("boot").join(format!("{name}-{release}"));
        let headers = root
            .join("usr/src")
            .join(format!("linux-headers-{release}"));
        Self {
            release: Some(release.to_owned()),
            kernel: Place::of([boot("vmlinuz")], modules("vmlinuz")),
            modules: Place::of([], modules("")),
            symvers: Place::of(
                [headers.join("Module.symvers")],
                modules("build/Module.symvers"),
            ),
            config: Place::of([boot("config")], modules("config")),
            ..Self::default()
        }
    }

    /// No files yet.
    #[must_use]
    pub fn of_files() -> Self {
        Self::default()
    }

    /// The kernel's release, as `uname -r` prints it. Every file must be of that kernel.
    #[must_use]
    pub fn release(mut self, release: &str) -> Self {
        self.release = Some(release.to_owned());
        self
    }

    /// The kernel's types: BTF, or an ELF file with a section `.BTF`.
    #[must_use]
    pub fn btf(mut self, path: &Path) -> Self {
        self.btf = Place::given(path);
        self
    }

    /// The kernel: its boot image, or an ELF file.
    #[must_use]
    pub fn kernel(mut self, path: &Path) -> Self {
        self.kernel = Place::given(path);
        self
    }

    /// The folder with its modules, /lib/modules/RELEASE where it is installed.
    #[must_use]
    pub fn modules(mut self, path: &Path) -> Self {
        self.modules = Place::given(path);
        self
    }

    /// Its Module.symvers.
    #[must_use]
    pub fn symvers(mut self, path: &Path) -> Self {
        self.symvers = Place::given(path);
        self
    }

    /// Its configuration.
    #[must_use]
    pub fn config(mut self, path: &Path) -> Self {
        self.config = Place::given(path);
        self
    }
}
