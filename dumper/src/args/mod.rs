// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: the arguments, and the [`Plan`](linpmem_capture::Plan) that they
//! stand for.

#![allow(
    missing_docs,
    reason = "a doc comment on a flattened group of options would become help text"
)]

mod acquire;
mod commands;
mod custody;
mod doctor;
mod encryption;
mod image;
#[cfg(feature = "stores")]
mod index;
#[cfg(feature = "inspect")]
mod inspect;
#[cfg(feature = "mount")]
mod mount;
mod plan;
#[cfg(feature = "stores")]
mod presign;
mod reading;
#[cfg(feature = "remote")]
mod receive;
mod remote;
#[cfg(feature = "report")]
mod report;
mod run;
mod selection;
mod shape;

pub use acquire::{AcquireArgs, ConvertArgs, OnError, Order};
pub use commands::{
    CompareArgs, ExtractArgs, InfoArgs, ListArgs, RangesArgs, RecoverArgs, SymbolsArgs, TrustArgs,
    VerifyArgs,
};
#[cfg(feature = "timestamp")]
pub use custody::TimestampArgs;
pub use custody::{CustodyAddArgs, CustodyCommand, CustodyRunArgs, CustodyShowArgs};
#[cfg(feature = "sign")]
pub use custody::{SignArgs, SignRunArgs};
pub use doctor::DoctorArgs;
pub use encryption::{EncryptArgs, IdentityArgs};
pub use image::{
    ArtifactsArgs, CaseArgs, CompressSpec, Format, HashArgs, HashName, ImageArgs, Layout,
    LinearArgs,
};
#[cfg(feature = "stores")]
pub use index::IndexArgs;
#[cfg(feature = "inspect")]
pub use inspect::{FilesArgs, InspectArgs, MapsArgs, PsArgs};
#[cfg(feature = "mount")]
pub use mount::MountArgs;
pub use plan::UsageError;
#[cfg(feature = "stores")]
pub use presign::PresignArgs;
pub use reading::{MemoryArgs, RawInputArgs, ReadingArgs};
#[cfg(feature = "remote")]
pub use receive::ReceiveArgs;
pub use remote::{RemoteArgs, stored_at, without_secret};
#[cfg(feature = "report")]
pub use report::ReportArgs;
pub use run::{ImpactArgs, ProgressStyle, RunArgs};
pub use selection::SelectionArgs;
pub use shape::ShapeError;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use linpmem_cli::{ExitStatus, Section};
use std::ffi::OsStr;
use std::path::PathBuf;

/// What people do with the program, and how.
const EXAMPLES: &[(&str, &str)] = &[
    ("linpmem-dump", "HOSTNAME-TIME.core in the current folder"),
    (
        "linpmem-dump /mnt/usb/host.core",
        "ELF core: crash, drgn, gdb, Volatility 3",
    ),
    (
        "linpmem-dump /mnt/usb/host.core.zst --compress zstd",
        "compressed; `zstd -d` reads it",
    ),
    (
        "linpmem-dump --include-reserved host.raw --raw-layout padded",
        "reserved memory too; offsets are addresses",
    ),
    (
        "linpmem-dump - --manifest host.jsonl | ssh keep 'cat > host.core'",
        "nothing but the manifest on this disk",
    ),
    #[cfg(feature = "remote")]
    (
        "linpmem-dump receive --out /evidence",
        "wait for images; prints the address for --to",
    ),
    #[cfg(feature = "remote")]
    (
        "linpmem-dump --to 'linpmem://lab:4444#…'",
        "send the image there, and write nothing here",
    ),
    #[cfg(feature = "encrypt")]
    (
        "linpmem-dump --encrypt-to age1… host.core",
        "host.core.age, for the holder of a key alone",
    ),
    (
        "linpmem-dump --driver linpmem.ko",
        "load the module for this run",
    ),
    (
        "linpmem-dump --source kcore host.core",
        "without the module, System RAM only",
    ),
    (
        "linpmem-dump verify /mnt/usb/host.core",
        "check the image against its manifest",
    ),
    (
        "linpmem-dump ranges",
        "what would be read, and what would not",
    ),
    (
        "linpmem-dump doctor /mnt/usb",
        "before the day: would it work, how long would it take",
    ),
];

/// The files that a run leaves.
const FILES: &[(&str, &str)] = &[
    (
        "OUTPUT",
        "the image; it has this name only when everything is on disk",
    ),
    (
        "OUTPUT.partial",
        "the image until then; an interrupted or failed run leaves it",
    ),
    (
        "OUTPUT.manifest.jsonl",
        "ranges, hashes, times, unreadable pages",
    ),
    #[cfg(feature = "sign")]
    (
        "OUTPUT.manifest.jsonl.minisig",
        "a signature of the manifest",
    ),
    #[cfg(feature = "timestamp")]
    (
        "OUTPUT.manifest.jsonl.tsr",
        "when the manifest existed, by an authority",
    ),
    (
        "OUTPUT.manifest.jsonl.custody",
        "what happened to the image since",
    ),
    ("OUTPUT.sha256", "the hash of the image, for sha256sum -c"),
    #[cfg(feature = "encrypt")]
    (
        "OUTPUT.age.json",
        "what is known without a key, if all others are encrypted (.age)",
    ),
    (
        "OUTPUT.artifacts.tar.zst",
        "kernel symbols, types and so on; ELF and AFF4 images hold them",
    ),
];

/// What the manual page says beyond the options.
pub const SECTIONS: [Section<'_>; 2] = [
    Section {
        title: "EXAMPLES",
        terms: EXAMPLES,
    },
    Section {
        title: "FILES",
        terms: FILES,
    },
];

/// What `--help` ends with.
fn help_end() -> String {
    let mut text = String::from("Examples:\n");
    for (command, purpose) in EXAMPLES {
        // An explanation that does not fit next to its command goes below it.
        if command.len() <= 39 {
            text.push_str(&format!("  {command:<39}  {purpose}\n"));
        } else {
            text.push_str(&format!("  {command}\n  {:39}  {purpose}\n", ""));
        }
    }
    text.push_str("\nFiles:\n");
    for (name, content) in FILES {
        text.push_str(&format!("  {name:<29}  {content}\n"));
    }
    text + "\n" + &ExitStatus::help()
}

/// Acquires the physical memory of a running Linux machine.
#[derive(Debug, Parser)]
#[command(
    name = "linpmem-dump",
    version,
    after_long_help = help_end(),
    after_help = "--help shows more, with examples.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub acquire: AcquireArgs,
}

/// What else can be done; without a command, memory is acquired.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Recompute every hash of an image and report what differs
    ///
    /// Compares IMAGE with its manifest: each chunk, everything outside the chunks, and
    /// with --full the file as a whole. Every hash inside an AFF4 image is checked too,
    /// with or without a manifest. Exit code 0 if everything matches, 1 if anything
    /// differs, is missing or was appended, or if what vouches for the manifest is wrong, 3 if the manifest of a run that was killed ends
    /// early and what it lists matches.
    Verify(VerifyArgs),
    /// Show what an image contains
    Info(InfoArgs),
    /// List the images in a store, and which are complete
    #[cfg(feature = "stores")]
    Index(IndexArgs),
    /// Sign requests with which a machine without credentials stores one image in S3
    ///
    /// Begins an upload with the credentials of this machine, and writes a bundle: a file with
    /// which another machine stores that image (--to @FILE) until it expires, and can neither read
    /// nor replace anything. See docs/stores.md.
    #[cfg(feature = "stores")]
    Presign(PresignArgs),
    /// List the artifacts stored with an image
    Ls(ListArgs),
    /// Make a complete image of what an interrupted run left
    ///
    /// A new file gets what is left of IMAGE, in the same format; its manifest lists what
    /// is missing (exit code 3). IMAGE is not modified, unless it turns out to be whole:
    /// then it gets its final name.
    Recover(RecoverArgs),
    /// Take images that other machines send (--to)
    ///
    /// Prints the line to type there. Both sides know each other by the address in it, and
    /// everything is encrypted. A connection that breaks goes on where it was. Each image is
    /// compared with its manifest before it gets its name, and its sender gets a signed
    /// receipt. See docs/remote.md.
    #[cfg(feature = "remote")]
    Receive(ReceiveArgs),
    /// Show whether this machine is ready for an acquisition, and what to prepare
    ///
    /// Before the day: which sources of memory work and what they reach, whether the module can be
    /// loaded, how fast memory is read and FOLDER or ADDRESS takes it, whether the image fits, and
    /// which programs will open it. Memory is read and let go of; nothing stays on a disk. Exit
    /// code 0 if the machine is ready, 1 if it is not. See docs/doctor.md.
    Doctor(DoctorArgs),
    /// Show which memory of this machine would be read
    Ranges(RangesArgs),
    /// Convert an image to another format
    ///
    /// Keeps all ranges, their kinds and what could not be read, parts of pages too, as
    /// far as the image and its manifest record them: in the new image if its format can,
    /// and always in the new manifest, which also names the SHA-256 of the old file. ELF
    /// and kdump keep the registers of the processors (NT_PRSTATUS) and other notes; for
    /// other formats, a warning names what is lost. An image that was cut off is converted
    /// as far as it goes, and the rest is listed (exit code 3).
    Convert(Box<ConvertArgs>),
    /// Write a page about an acquisition, for people: what, where, when, who, and what is missing
    ///
    /// FILE is one page of HTML that needs no network, no script and no other file, and can be
    /// printed. It is made from the manifest; --verify compares the image first, and says on the
    /// page what was found. See docs/report.md.
    #[cfg(feature = "report")]
    Report(ReportArgs),
    /// Copy a range of addresses, or an artifact, out of an image
    Extract(ExtractArgs),
    /// Show which ranges, pages and bytes of two images differ
    ///
    /// The images may have different formats. Exit code 0 if both hold the same
    /// addresses, the same bytes and the same unreadable pages; 1 if anything differs.
    Compare(CompareArgs),
    /// Write a symbol file for Volatility 3
    ///
    /// From what the kernel says about itself (BTF, kallsyms, banner): the artifacts of
    /// IMAGE, or this machine with --live. No debug package is needed. Prints the
    /// command that uses the file.
    Symbols(SymbolsArgs),
    /// Check whether an image can be analysed, by what is in it
    ///
    /// Finds the kernel, its processes, modules and processors, follows the page tables of
    /// processes, and compares all that with what the machine itself said when it was acquired: in
    /// one sentence, and in figures. An acquisition does this at its end, while there is still time
    /// to repeat it. Exit code 0 if the image can be analysed, 3 if only in part, or if something
    /// is in it that the machine did not list; 1 if it cannot be. See docs/inspect.md.
    #[cfg(feature = "inspect")]
    Check(InspectArgs),
    /// List the processes in an image, as ps does on a running machine
    ///
    /// By the kernel's own structures in memory, which its artifacts (VMCOREINFO, BTF, kallsyms)
    /// describe. Each task is looked for in the kernel's list and by its number: one that is only
    /// in one of the two was ending or beginning, or is hidden. Memory that was read while the
    /// machine ran can contradict itself: what could be followed is listed, the rest is said, and
    /// the exit code is then 3. See docs/inspect.md.
    #[cfg(feature = "inspect")]
    Ps(PsArgs),
    /// List the kernel modules in an image
    #[cfg(feature = "inspect")]
    Modules(InspectArgs),
    /// Show the kernel's log in an image
    #[cfg(feature = "inspect")]
    Dmesg(InspectArgs),
    /// List the mappings of the processes in an image
    ///
    /// As in /proc/PID/maps, but with the last address of each instead of the end after it, and without
    /// the names of heap and stack. A file whose path cannot be read is shown as ?.
    #[cfg(feature = "inspect")]
    Maps(MapsArgs),
    /// List the open files of the processes in an image, as lsof does on a running machine
    ///
    /// Of each process: its working folder, root and program, and its open files by number, with the
    /// names that /proc/PID/fd has. A name that cannot be read is shown as ?.
    #[cfg(feature = "inspect")]
    Files(FilesArgs),
    /// List the sockets in an image and who has them open, as ss does on a running machine
    ///
    /// Sockets are looked for among the open files of all processes, and in the tables in which the
    /// kernel looks them up: one that is only there has no process. It was ending, or not taken
    /// yet, or is the kernel's own, or something hides who has it.
    #[cfg(feature = "inspect")]
    Sockets(InspectArgs),
    /// List what is mounted where in an image, as findmnt does on a running machine
    ///
    /// In each mount namespace that a process is in: containers have their own. Paths are those from
    /// the first mount of the namespace on. Of a file system's own options, those are shown that all
    /// of them have. What cannot be read is shown as ?.
    #[cfg(feature = "inspect")]
    Mounts(InspectArgs),
    /// Show an image as a folder, for any program
    ///
    /// DIR shows, as long as this runs, the memory as one raw file (memory.raw: offsets are addresses,
    /// and what the image does not have is zero) and as an ELF core (memory.elf), a file for each range,
    /// the artifacts and info.json. Where the kernel is found in the image, there are also its log,
    /// its modules, and a folder for each process, with its memory. Nothing is written, and no image is
    /// unpacked: what is read is made while it is read. Needs root. `umount DIR`, Ctrl-C or SIGTERM
    /// unmounts it. See docs/mount.md.
    #[cfg(feature = "mount")]
    Mount(MountArgs),
    /// Record what happens to an image after it was acquired, and show it
    ///
    /// IMAGE.manifest.jsonl.custody has a line of JSON for each event, with the SHA-256 of
    /// the line before; the first has that of the manifest. `verify` checks that too. See
    /// docs/custody.md.
    #[command(subcommand)]
    Custody(CustodyCommand),
    /// Sign the manifest of an image, in minisign's format
    ///
    /// The manifest has the hash of every part of the image, so that its signature,
    /// IMAGE.manifest.jsonl.minisig, is one of the whole image. What is in IMAGE is not
    /// compared: `verify` does that. See docs/custody.md.
    #[cfg(feature = "sign")]
    Sign(SignArgs),
    /// Have an authority state when the manifest of an image existed (RFC 3161)
    ///
    /// Its answer is checked and kept as IMAGE.manifest.jsonl.tsr, which `openssl ts -verify`
    /// and `verify --tsa-ca` check. See docs/custody.md.
    #[cfg(feature = "timestamp")]
    Timestamp(TimestampArgs),
    /// Write completions for a shell to stdout
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder; it is created if it does not exist
        folder: PathBuf,
    },
    /// Thaw programs when --freeze cannot; for this program's own use
    #[command(hide = true)]
    ThawWatchdog,
    /// Look for files to --add, and read them; for this program's own use
    #[command(hide = true)]
    ReadAdded,
}

impl Cli {
    /// Whether everything the program prints is JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        match &self.command {
            None => self.acquire.run.is_json(),
            #[cfg(feature = "remote")]
            Some(Command::Receive(args)) => args.json,
            Some(Command::Convert(args)) => args.run.is_json(),
            Some(Command::Verify(args)) => args.progress.is_json(args.json),
            Some(Command::Info(args)) => args.json,
            #[cfg(feature = "stores")]
            Some(Command::Index(args)) => args.json,
            #[cfg(feature = "stores")]
            Some(Command::Presign(args)) => args.json,
            Some(Command::Ls(args)) => args.json,
            Some(Command::Recover(args)) => args.json,
            #[cfg(feature = "report")]
            Some(Command::Report(args)) => args.json,
            Some(Command::Doctor(args)) => args.json,
            Some(Command::Ranges(args)) => args.json,
            Some(Command::Extract(args)) => args.json,
            Some(Command::Compare(args)) => args.json,
            Some(Command::Symbols(args)) => args.json,
            #[cfg(feature = "inspect")]
            Some(Command::Ps(args)) => args.inspect.json,
            #[cfg(feature = "inspect")]
            Some(
                Command::Check(args)
                | Command::Modules(args)
                | Command::Dmesg(args)
                | Command::Sockets(args)
                | Command::Mounts(args),
            ) => args.json,
            #[cfg(feature = "inspect")]
            Some(Command::Maps(args)) => args.inspect.json,
            #[cfg(feature = "inspect")]
            Some(Command::Files(args)) => args.inspect.json,
            #[cfg(feature = "mount")]
            Some(Command::Mount(args)) => args.json,
            Some(Command::Custody(CustodyCommand::Add(args))) => args.json,
            Some(Command::Custody(CustodyCommand::Show(args))) => args.json,
            #[cfg(feature = "sign")]
            Some(Command::Sign(args)) => args.json,
            #[cfg(feature = "timestamp")]
            Some(Command::Timestamp(args)) => args.json,
            Some(
                Command::Completions { .. }
                | Command::Man { .. }
                | Command::ThawWatchdog
                | Command::ReadAdded,
            ) => false,
        }
    }

    /// Whether `words`, which the parser refused, ask for JSON: the answer to a mistake
    /// has the form that was asked for.
    #[must_use]
    pub fn asks_for_json<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> bool {
        let mut before = None;
        words.into_iter().any(|word| {
            let before = before.replace(word);
            word == "--json"
                || word == "--progress=json"
                || (word == "json" && before == Some(OsStr::new("--progress")))
        })
    }
}
