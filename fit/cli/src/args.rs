// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

#![allow(missing_docs, reason = "doc comments would become help text")]

use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;
use linpmem_cli::{ExitStatus, Section};
use linpmem_fit::Sources;
use std::path::{Path, PathBuf};

const EXAMPLES: [(&str, &str); 5] = [
    (
        "linpmem-fit",
        "say whether the module can be fitted to the running kernel, and on what that rests",
    ),
    (
        "linpmem-fit -o linpmem.ko",
        "write it, to be signed or loaded",
    ),
    (
        "linpmem-fit --release 6.12.9 -o linpmem.ko",
        "for another kernel that is installed here",
    ),
    (
        "linpmem-fit --vmlinuz vmlinuz --modules lib/modules/6.12.9 -o linpmem.ko",
        "for the kernel of another machine, from its files",
    ),
    (
        "linpmem-fit --fleet kernels -o fitted",
        "for every kernel whose files are in a folder below kernels",
    ),
];

/// What the manual page says beyond the options.
pub const SECTIONS: [Section<'_>; 1] = [Section {
    title: "EXAMPLES",
    terms: &EXAMPLES,
}];

/// What `--help` ends with.
fn help_end() -> String {
    let line = |(term, meaning): &(&str, &str)| format!("\n  {term}\n          {meaning}");
    let examples: String = EXAMPLES.iter().map(line).collect();
    format!("Examples:{examples}\n\n{}", ExitStatus::help())
}

/// Fits linpmem's prebuilt kernel module to a kernel.
///
/// The module needs no kernel headers and no compiler: what differs between kernels is
/// worked out from what a kernel tells about itself. Without options, that is the running
/// kernel. What cannot be established is refused, because a wrong layout would crash the
/// machine.
#[derive(Debug, Parser)]
#[command(
    name = "linpmem-fit",
    version,
    after_long_help = help_end(),
    after_help = "Use --help for details and examples.",
    group = ArgGroup::new("file").multiple(true),
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Write the module here, as for insmod; with --fleet, a folder [default: write
    /// nothing, only say what it would rest on]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Name the source of every fact, also where a module is written
    #[arg(long)]
    pub explain: bool,

    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,

    /// The prebuilt module [default: the one inside this program]
    #[arg(long, value_name = "FILE")]
    pub object: Option<PathBuf>,

    /// The kernel's release, as `uname -r` prints it; without files, that of a kernel that
    /// is installed here
    #[arg(long, value_name = "RELEASE")]
    pub release: Option<String>,

    /// Fit the module to every kernel whose files are in a folder below FOLDER, and write
    /// linpmem-RELEASE.ko into the folder that -o names: unpacked packages (boot/ and
    /// lib/modules/), or vmlinuz, modules/, Module.symvers, config and btf side by side
    #[arg(long, value_name = "FOLDER", requires = "output", conflicts_with_all = ["file", "release"])]
    pub fleet: Option<PathBuf>,

    #[command(flatten)]
    pub files: FileArgs,
}

/// What packages are made of.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write shell completions to stdout
    #[command(hide = true)]
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Write the manual page to a folder
    #[command(hide = true)]
    Man {
        /// Folder; it is created if necessary
        folder: PathBuf,
    },
}

/// The files of a kernel; if one is given, nothing is taken from this system.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// Its types: BTF, such as /sys/kernel/btf/vmlinux, or a vmlinux that contains it
    #[arg(long, value_name = "FILE", group = "file")]
    pub btf: Option<PathBuf>,

    /// The kernel itself: its vmlinuz, or a vmlinux
    #[arg(long, value_name = "FILE", group = "file")]
    pub vmlinuz: Option<PathBuf>,

    /// The folder with its modules, such as /lib/modules/RELEASE
    #[arg(long, value_name = "FOLDER", group = "file")]
    pub modules: Option<PathBuf>,

    /// Its Module.symvers
    #[arg(long, value_name = "FILE", group = "file")]
    pub symvers: Option<PathBuf>,

    /// Its configuration, such as /boot/config-RELEASE or a copy of /proc/config.gz
    #[arg(long, value_name = "FILE", group = "file")]
    pub config: Option<PathBuf>,
}

impl Cli {
    /// Whether the module is for the running kernel.
    pub fn is_live(&self) -> bool {
        self.files.is_empty() && self.release.is_none() && self.fleet.is_none()
    }

    /// Where the kernel's files are.
    pub fn sources(&self) -> Sources {
        match &self.release {
            None if self.files.is_empty() => Sources::live(),
            Some(release) if self.files.is_empty() => Sources::installed(Path::new("/"), release),
            release => {
                let files = self.files.sources();
                match release {
                    Some(release) => files.release(release),
                    None => files,
                }
            }
        }
    }
}

impl FileArgs {
    fn is_empty(&self) -> bool {
        let Self {
            btf,
            vmlinuz,
            modules,
            symvers,
            config,
        } = self;
        [btf, vmlinuz, modules, symvers, config]
            .into_iter()
            .all(Option::is_none)
    }

    fn sources(&self) -> Sources {
        type Add = fn(Sources, &Path) -> Sources;
        let places: [(&Option<PathBuf>, Add); 5] = [
            (&self.btf, Sources::btf),
            (&self.vmlinuz, Sources::kernel),
            (&self.modules, Sources::modules),
            (&self.symvers, Sources::symvers),
            (&self.config, Sources::config),
        ];
        let given = places.into_iter();
        given.fold(Sources::of_files(), |sources, (path, add)| match path {
            Some(path) => add(sources, path),
            None => sources,
        })
    }
}
