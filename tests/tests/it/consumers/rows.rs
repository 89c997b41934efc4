// SPDX-License-Identifier: MIT OR Apache-2.0
//! The images, and the programs that open them.

use std::fmt;

/// The image that was acquired.
pub const ELF: &str = "elf.core";
/// With nearly as many artifacts as fit into the note.
pub const ARTIFACTS: &str = "artifacts.core";
pub const ZLIB: &str = "zlib.kdump";
pub const SNAPPY: &str = "snappy.kdump";
pub const REARRANGED: &str = "rearranged";
pub const PADDED: &str = "raw.padded";
/// The command that opens the padded image in crash, as the dumper printed it.
pub const COMMAND: &str = "crash.command";

/// A program, in the order of the table's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    Crash,
    Drgn,
    Gdb,
    LeechCore,
    Libkdumpfile,
    Makedumpfile,
    Volatility,
}

pub const TOOLS: &[Tool] = &[
    Tool::Crash,
    Tool::Drgn,
    Tool::Gdb,
    Tool::LeechCore,
    Tool::Libkdumpfile,
    Tool::Makedumpfile,
    Tool::Volatility,
];

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crash => "crash",
            Self::Drgn => "drgn",
            Self::Gdb => "gdb",
            Self::LeechCore => "LeechCore",
            Self::Libkdumpfile => "libkdumpfile",
            Self::Makedumpfile => "makedumpfile",
            Self::Volatility => "Volatility 3",
        })
    }
}

/// A row of the table: how the image is made from the ELF core, and which programs open
/// it.
pub struct Row {
    pub about: &'static str,
    pub file: &'static str,
    pub words: &'static [&'static str],
    pub tools: &'static [Tool],
}

impl Row {
    /// Whether `tool` opens it. As crash is slow, on the newest kernel it opens only one
    /// of the kdump images.
    pub fn is_for(&self, tool: Tool, is_newest: bool) -> bool {
        let is_left_out =
            is_newest && tool == Tool::Crash && [ARTIFACTS, ZLIB, SNAPPY].contains(&self.file);
        self.tools.contains(&tool) && !is_left_out
    }
}

const OF_KDUMP: &[Tool] = &[Tool::Crash, Tool::Drgn, Tool::Libkdumpfile];

pub const ROWS: &[Row] = &[
    Row {
        about: "ELF core",
        file: ELF,
        words: &[],
        tools: TOOLS,
    },
    Row {
        about: "ELF core with 28 MiB of artifacts",
        file: ARTIFACTS,
        words: &["--bundle", "--add"],
        tools: &[
            Tool::Crash,
            Tool::Drgn,
            Tool::Gdb,
            Tool::LeechCore,
            Tool::Libkdumpfile,
            Tool::Makedumpfile,
        ],
    },
    Row {
        about: "LiME",
        file: "memory.lime",
        words: &[],
        tools: &[Tool::LeechCore, Tool::Volatility],
    },
    Row {
        about: "raw, padded; crash with the command that is printed",
        file: PADDED,
        words: &[],
        tools: &[Tool::Crash, Tool::LeechCore, Tool::Volatility],
    },
    Row {
        about: "kdump, zlib, flattened as we write it",
        file: ZLIB,
        words: &[],
        tools: OF_KDUMP,
    },
    Row {
        about: "kdump, Snappy, flattened as we write it",
        file: SNAPPY,
        words: &["--compress", "snappy"],
        tools: OF_KDUMP,
    },
    Row {
        about: "kdump, zstd, flattened as we write it",
        file: "zstd.kdump",
        words: &["--compress", "zstd"],
        tools: OF_KDUMP,
    },
    Row {
        about: "kdump, zlib, after `makedumpfile -R`",
        file: REARRANGED,
        words: &[],
        tools: &[Tool::Drgn, Tool::Libkdumpfile, Tool::Makedumpfile],
    },
];
