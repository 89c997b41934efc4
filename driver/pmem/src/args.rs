// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be typed.

use crate::notation::{Place, number, place};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use linpmem::Width;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  pmem insmod linpmem.ko            load the module
  pmem info                         what it and the machine are
  pmem read 0x100000+64             a hexdump; raw bytes into a pipe
  pmem vtop 0xffffffff81000000      page-table entries, level by level
  pmem cr3 1 2345                   the page tables of processes
  pmem rmmod

As the original pmem, whose options work unchanged:
  pmem -v 0xffffffff9823bf20
  pmem -a 0x70923bf20 -m buffer -s 0x1000 | xxd

Numbers are decimal, hexadecimal with 0x, or decimal with KiB, MiB, GiB or TiB.
Exit codes: 0 done; 1 failed; 2 wrong usage; 3 (read) some pages could not be
read: they are zero in raw output, and named on stderr.";

/// Reads physical memory through the linpmem module.
#[derive(Debug, Parser)]
#[command(
    name = "pmem",
    version,
    after_long_help = EXAMPLES,
    after_help = "--help tells more, with examples.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The original's options.
    #[command(flatten)]
    pub original: OriginalArgs,
}

/// The original's options.
#[derive(Debug, Args)]
pub struct OriginalArgs {
    /// Read physical memory at ADDRESS, as --mode says
    #[arg(short, long, value_parser = number, requires = "mode")]
    pub address: Option<u64>,

    /// Translate VIRT_ADDRESS, in the address space of --pid or of pmem itself
    #[arg(short, long, value_parser = number)]
    pub virt_address: Option<u64>,

    /// Bytes to read with --mode buffer; at most to the end of the page
    #[arg(short, long, value_parser = number, required_if_eq("mode", "buffer"))]
    pub size: Option<u64>,

    /// How to read: one load of 1, 2, 4 or 8 bytes, or a buffer
    #[arg(short, long, value_enum, requires = "address")]
    pub mode: Option<Mode>,

    /// The process that --cr3 and --virt-address mean
    #[arg(short, long)]
    pub pid: Option<u32>,

    /// Print the CR3 value of --pid, or of pmem itself
    #[arg(long)]
    pub cr3: bool,

    /// Say on stderr what is done
    #[arg(long)]
    pub verbose: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what the module and the machine are
    Info(InfoArgs),
    /// Show the kernel's map of physical memory
    Ranges(OutputArgs),
    /// Read physical memory
    ///
    /// A hexdump on a terminal, raw bytes into a pipe or file. What cannot be
    /// read is never shown as memory: it is named, and the exit code is 3.
    Read(ReadArgs),
    /// Translate a virtual address, level by level
    ///
    /// Exit code 1 if it is not mapped.
    Vtop(VtopArgs),
    /// Show the page tables of processes
    Cr3(Cr3Args),
    /// Load the module
    Insmod(InsmodArgs),
    /// Unload the module
    Rmmod(OutputArgs),
    /// Write completions for a shell to stdout
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder, which is made
        folder: PathBuf,
    },
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

/// Where the module is.
#[derive(Clone, Debug, Args)]
pub struct DeviceArgs {
    /// The module's device
    #[arg(long, value_name = "PATH", default_value = linpmem::DEFAULT_PATH)]
    pub device: PathBuf,
}

/// What is to be shown.
#[derive(Debug, Args)]
pub struct InfoArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub device: DeviceArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub output: OutputArgs,
}

/// What is to be read, and how.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// Where: ADDRESS or ADDRESS+LENGTH; without a length, 256 bytes or one load
    #[arg(value_parser = place, value_name = "ADDR[+LEN]")]
    pub place: Place,

    /// One exact load of 1, 2, 4 or 8 bytes, or a buffer
    #[arg(short, long, value_enum, default_value = "buffer")]
    pub mode: Mode,

    /// Read device memory and holes as well
    ///
    /// Reading a device's registers can have effects, and can hang the machine.
    /// The module has to be loaded with allow_device=1.
    #[arg(long)]
    pub mmio: bool,

    /// Map what is not RAM uncached
    #[arg(long, requires = "mmio", conflicts_with = "cached")]
    pub uncached: bool,

    /// Map what is not RAM cached
    #[arg(long)]
    pub cached: bool,

    /// Read RAM that has left the kernel's map (memfd_secret)
    #[arg(long)]
    pub unmapped: bool,

    /// How bytes are shown [default: hex on a terminal, else raw]
    #[arg(short, long, value_enum, conflicts_with = "json")]
    pub format: Option<Format>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub device: DeviceArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub output: OutputArgs,
}

/// What is to be translated.
#[derive(Debug, Args)]
pub struct VtopArgs {
    /// The virtual address
    #[arg(value_parser = number, value_name = "VADDR")]
    pub virt: u64,

    /// In the address space of this process [default: pmem's own]
    #[arg(short, long, conflicts_with = "cr3")]
    pub pid: Option<u32>,

    /// By the page table at this CR3 value
    #[arg(long, value_parser = number)]
    pub cr3: Option<u64>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub device: DeviceArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub output: OutputArgs,
}

/// Whose page tables.
#[derive(Debug, Args)]
pub struct Cr3Args {
    /// Processes [default: pmem itself]
    pub pids: Vec<u32>,

    /// All processes that have memory of their own
    #[arg(long, conflicts_with = "pids")]
    pub all: bool,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub device: DeviceArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub output: OutputArgs,
}

/// What is to be loaded.
#[derive(Debug, Args)]
pub struct InsmodArgs {
    /// The module: linpmem.ko, also packed by xz, zstd or gzip
    #[arg(required_unless_present = "rm")]
    pub path: Option<PathBuf>,

    /// Parameters for the module, such as owner_uid=1000 or allow_device=1
    #[arg(value_name = "NAME=VALUE", value_parser = parameter)]
    pub parameters: Vec<String>,

    /// Unload the module and remove its device, as the original has it
    ///
    /// Exit code 1 also if the device was gone already; `pmem rmmod` does not mind.
    #[arg(short, long)]
    pub rm: bool,

    /// Say on stderr what is done
    #[arg(short, long)]
    pub verbose: bool,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub output: OutputArgs,
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

/// How bytes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Addresses, bytes and text
    Hex,
    /// As they are
    Raw,
    /// A value of 1 byte a line
    U8,
    /// A little-endian value of 2 bytes a line
    U16,
    /// A little-endian value of 4 bytes a line
    U32,
    /// A little-endian value of 8 bytes a line
    U64,
}

impl Mode {
    /// The load, if it is one.
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
        _ => Err("give NAME=VALUE, without blanks".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }
}
