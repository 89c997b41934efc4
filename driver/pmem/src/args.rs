// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

#![allow(missing_docs, reason = "doc comments would become help text")]

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use linpmem::Width;
use linpmem_cli::{ExitStatus, Section};
use linpmem_phys::parse::number;
use linpmem_phys::{EmptyRangeError, ParseError, PhysAddr, PhysLen, PhysRange};
use std::path::{Path, PathBuf};
use std::str::FromStr;

const EXAMPLES: [(&str, &str); 7] = [
    ("pmem insmod", "load the module, fitted to this kernel"),
    ("pmem info", "describe the module and the machine"),
    (
        "pmem read 0x100000+64",
        "a hexdump, or raw bytes into a pipe",
    ),
    (
        "pmem read 0x100000-0x1fffff",
        "a range; the last byte is included",
    ),
    (
        "pmem vtop 0xffffffff81000000",
        "translate an address, level by level",
    ),
    ("pmem cr3 1 2345", "show the page tables of processes"),
    ("pmem rmmod", "unload the module"),
];

/// How the original's options look.
const ORIGINAL: [(&str, &str); 2] = [
    ("pmem -v 0xffffffff9823bf20", "translate an address"),
    (
        "pmem -a 0x70923bf20 -m buffer -s 0x1000 | xxd",
        "read a buffer",
    ),
];

const NOTATION: [(&str, &str); 3] = [
    ("4096", "decimal, as an address and as a length"),
    (
        "0x1000",
        "hexadecimal; add the 0x to what you copy from /proc/iomem",
    ),
    ("4K, 4KiB", "times a power of 1024; also M, G and T"),
];

/// What the manual page says beyond the options.
pub const SECTIONS: [Section<'_>; 3] = [
    Section {
        title: "EXAMPLES",
        terms: &EXAMPLES,
    },
    Section {
        title: "THE ORIGINAL'S OPTIONS",
        terms: &ORIGINAL,
    },
    Section {
        title: "NUMBERS",
        terms: &NOTATION,
    },
];

/// What `--help` ends with.
fn help_end() -> String {
    let list = |title: &str, terms: &[(&str, &str)], width: usize| {
        let line = |(term, meaning): &(&str, &str)| format!("\n  {term:width$}  {meaning}");
        format!("{title}:{}\n\n", terms.iter().map(line).collect::<String>())
    };
    let original = "The original pmem's options work unchanged";
    list("Examples", &EXAMPLES, 28)
        + &list(original, &ORIGINAL, 45)
        + &list("Numbers", &NOTATION, 8)
        + &ExitStatus::help()
}

/// Reads physical memory through the linpmem module.
#[derive(Debug, Parser)]
#[command(
    name = "pmem",
    version,
    after_long_help = help_end(),
    after_help = "Use --help for details and examples.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub original: OriginalArgs,
}

impl Cli {
    /// Whether everything that the program prints is JSON.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        match &self.command {
            Some(Command::Info(args)) => args.output.json,
            Some(Command::Ranges(args) | Command::Rmmod(args)) => args.json,
            Some(Command::Read(args)) => args.output.json,
            Some(Command::Vtop(args)) => args.output.json,
            Some(Command::Cr3(args)) => args.output.json,
            Some(Command::Insmod(args)) => args.output.json,
            None | Some(Command::Completions { .. } | Command::Man { .. }) => false,
        }
    }
}

/// The original's options.
#[derive(Debug, Args)]
pub struct OriginalArgs {
    /// Read physical memory at ADDRESS in the way that --mode selects
    #[arg(short, long, value_parser = number, requires = "mode")]
    pub address: Option<u64>,

    /// Translate VIRT_ADDRESS in the address space of --pid, or of pmem itself
    #[arg(short, long, value_parser = number)]
    pub virt_address: Option<u64>,

    /// Bytes to read with --mode buffer, to the end of the page at most
    #[arg(short, long, value_parser = number, required_if_eq("mode", "buffer"))]
    pub size: Option<u64>,

    /// How to read: one load of 1, 2, 4 or 8 bytes, or a buffer
    #[arg(short, long, value_enum, requires = "address")]
    pub mode: Option<Mode>,

    /// Process for --cr3 and --virt-address
    #[arg(short, long)]
    pub pid: Option<u32>,

    /// Print the CR3 value (on arm64, TTBR0) of --pid, or of pmem itself
    #[arg(long)]
    pub cr3: bool,

    /// Describe each step on stderr
    #[arg(long)]
    pub verbose: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Describe the module and the machine
    Info(InfoArgs),
    /// Show the kernel's map of physical memory
    Ranges(OutputArgs),
    /// Read physical memory
    ///
    /// Writes a hexdump to a terminal, and raw bytes to a pipe or file. Pages that
    /// cannot be read are listed, never shown as memory, and the exit code is 3.
    Read(ReadArgs),
    /// Translate a virtual address, level by level
    ///
    /// The exit code is 1 if the address is not mapped.
    Vtop(VtopArgs),
    /// Show the page tables of processes: CR3, or TTBR0 on arm64
    #[command(visible_alias = "ttbr0")]
    Cr3(Cr3Args),
    /// Load the module
    Insmod(InsmodArgs),
    /// Unload the module
    Rmmod(OutputArgs),
    /// Write shell completions to stdout
    #[command(hide = true)]
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Write the manual pages to a folder
    #[command(hide = true)]
    Man {
        /// Folder; it is created if necessary
        folder: PathBuf,
    },
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Where the module is.
#[derive(Clone, Debug, Args)]
pub struct DeviceArgs {
    /// Device of the module
    #[arg(long, value_name = "PATH", default_value = linpmem::DEFAULT_PATH)]
    pub device: PathBuf,
}

/// What is to be shown.
#[derive(Debug, Args)]
pub struct InfoArgs {
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is to be read, and how.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// START, START+LENGTH or FIRST-LAST; START alone means 256 bytes, or one load
    #[arg(value_name = "ADDR[+LEN]")]
    pub target: AddressOrRange,

    /// How to read: one exact load of 1, 2, 4 or 8 bytes, or a buffer
    #[arg(short, long, value_enum, default_value = "buffer")]
    pub mode: Mode,

    /// Also read device memory and holes
    ///
    /// Reading a device's registers can have side effects and can hang the machine.
    /// The module has to be loaded with allow_device=1.
    #[arg(long)]
    pub mmio: bool,

    /// Map non-RAM uncached
    #[arg(long, requires = "mmio", conflicts_with = "cached")]
    pub uncached: bool,

    /// Map non-RAM cached
    #[arg(long)]
    pub cached: bool,

    /// Also read RAM that is not in the kernel's direct map (memfd_secret)
    #[arg(long)]
    pub unmapped: bool,

    /// Output format [default: hex on a terminal, otherwise raw]
    #[arg(short, long, value_enum, conflicts_with = "json")]
    pub format: Option<Format>,

    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is to be translated.
#[derive(Debug, Args)]
pub struct VtopArgs {
    /// Virtual address
    #[arg(value_parser = number, value_name = "VADDR")]
    pub virt: u64,

    /// Process whose address space is used [default: pmem itself]
    #[arg(short, long, conflicts_with = "cr3")]
    pub pid: Option<u32>,

    /// CR3 value (on arm64, TTBR0) whose page tables are used
    ///
    /// On arm64, the kernel's own table, TTBR1, translates the kernel's addresses in any case.
    #[arg(long, visible_alias = "ttbr0", value_parser = number)]
    pub cr3: Option<u64>,

    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Whose page tables.
#[derive(Debug, Args)]
pub struct Cr3Args {
    /// Processes [default: pmem itself]
    pub pids: Vec<u32>,

    /// All processes except kernel threads
    #[arg(long, conflicts_with = "pids")]
    pub all: bool,

    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is to be loaded.
#[derive(Debug, Args)]
pub struct InsmodArgs {
    /// Module: linpmem.ko, also compressed with xz, zstd or gzip [default: the module inside
    /// this program, fitted to the running kernel]
    pub path: Option<PathBuf>,

    /// Parameters for the module, such as owner_uid=1000 or allow_device=1
    #[arg(value_name = "NAME=VALUE", value_parser = parameter)]
    pub parameters: Vec<String>,

    /// Unload the module and remove its device, like the original
    ///
    /// Fails also if the device was removed before; `pmem rmmod` does not.
    #[arg(short, long)]
    pub rm: bool,

    /// Describe each step on stderr
    #[arg(short, long)]
    pub verbose: bool,

    #[command(flatten)]
    pub output: OutputArgs,
}

impl InsmodArgs {
    /// The module's file and its parameters. Without a file, the first parameter is in its
    /// place.
    pub fn file_and_parameters(&self) -> (Option<&Path>, Vec<&str>) {
        let mut parameters: Vec<&str> = self.parameters.iter().map(String::as_str).collect();
        let first = self.path.as_deref();
        match first.and_then(Path::to_str) {
            Some(word) if !word.contains('/') && parameter(word).is_ok() => {
                parameters.insert(0, word);
                (None, parameters)
            }
            _ => (first, parameters),
        }
    }
}

/// How memory is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// One load of 1 byte
    Byte,
    /// One load of 2 bytes
    Word,
    /// One load of 4 bytes
    Dword,
    /// One load of 8 bytes
    Qword,
    /// Any number of bytes
    Buffer,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Addresses, bytes and text
    Hex,
    /// The bytes themselves
    Raw,
    /// One 1-byte value per line
    U8,
    /// One little-endian 2-byte value per line
    U16,
    /// One little-endian 4-byte value per line
    U32,
    /// One little-endian 8-byte value per line
    U64,
}

/// What `pmem read` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressOrRange {
    /// From here on, without a length.
    Address(PhysAddr),
    /// These bytes.
    Range(PhysRange),
}

impl AddressOrRange {
    /// What is read of an address without a length.
    const DEFAULT_LEN: PhysLen = PhysLen::new(256);

    /// The first byte.
    #[must_use]
    pub const fn start(self) -> PhysAddr {
        match self {
            Self::Address(addr) => addr,
            Self::Range(range) => range.start(),
        }
    }

    /// The range, or the default length from the address on.
    ///
    /// # Errors
    /// If that passes 2^64.
    pub const fn range(self) -> Result<PhysRange, EmptyRangeError> {
        match self {
            Self::Address(addr) => PhysRange::from_len(addr, Self::DEFAULT_LEN),
            Self::Range(range) => Ok(range),
        }
    }
}

impl FromStr for AddressOrRange {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.contains(['+', '-']) {
            text.parse().map(Self::Range)
        } else {
            text.parse().map(Self::Address)
        }
    }
}

impl Mode {
    /// The width of the load, if it is one.
    #[must_use]
    pub fn width(self) -> Option<Width> {
        match self {
            Self::Byte => Some(Width::Byte),
            Self::Word => Some(Width::Word),
            Self::Dword => Some(Width::Dword),
            Self::Qword => Some(Width::Qword),
            Self::Buffer => None,
        }
    }
}

fn parameter(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() && !text.contains(char::is_whitespace) => {
            Ok(text.to_owned())
        }
        _ => Err("give NAME=VALUE without blanks".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn insmod_without_a_file_takes_parameters() {
        let split = |words: &[&str]| {
            let cli = Cli::parse_from([&["pmem", "insmod"], words].concat());
            let Some(Command::Insmod(args)) = cli.command else {
                panic!("not insmod")
            };
            let (file, parameters) = args.file_and_parameters();
            let file = file.map(|file| file.display().to_string());
            (file, parameters.join(" "))
        };
        let file = |name: &str| Some(name.to_owned());
        assert_eq!(split(&[]), (None, String::new()));
        assert_eq!(split(&["a=1", "b=2"]), (None, "a=1 b=2".to_owned()));
        assert_eq!(split(&["x.ko", "b=2"]), (file("x.ko"), "b=2".to_owned()));
        assert_eq!(split(&["./a=1"]), (file("./a=1"), String::new()));
    }

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_address_alone_has_a_default_length() {
        let read = |text: &str| text.parse::<AddressOrRange>().unwrap();
        let range = |text: &str| read(text).range().unwrap().to_string();
        assert_eq!(range("0x1000"), "0x1000-0x10ff");
        assert_eq!(range("1MiB+4KiB"), "0x100000-0x100fff");
        assert_eq!(range("0x1000-0x1fff"), "0x1000-0x1fff");
        assert_eq!(
            read("0x1000"),
            AddressOrRange::Address(PhysAddr::new(0x1000))
        );
        assert_eq!(read("0x1000+1").start(), PhysAddr::new(0x1000));
        for text in [
            "0x1000+0",
            "0xffffffffffffffff+2",
            "0x1000+",
            "+1",
            "00100000",
            "1000-1fff",
        ] {
            assert!(text.parse::<AddressOrRange>().is_err(), "{text}");
        }
        assert!(read("0xffffffffffffff01").range().is_err());
    }
}
