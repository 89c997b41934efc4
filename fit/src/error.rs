// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why the module cannot be fitted to a kernel, and what to do about it.

use linpmem_kinfo::btf::BtfError;
use std::io;
use std::path::PathBuf;

/// What a build without a prebuilt module says.
const NO_OBJECT: &str = "this build carries no prebuilt module, which exists for x86-64 alone: build \
                         one there with `cargo xtask dist`, or name one (--object FILE)";

/// Fitting failed. Nothing was written, and nothing was loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// A file that the caller named, or that the kernel provides, could not be read.
    #[error("{path} cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is damaged, or not what it should be.
    #[error("{origin} cannot be used: {why}")]
    Unusable {
        /// The file, or the part of one.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
    /// The kernel's types cannot be read.
    #[error("the BTF of {origin} cannot be used: {source}")]
    Btf {
        /// Where it came from.
        origin: String,
        /// What is wrong with it.
        source: BtfError,
    },
    /// No source tells a fact.
    #[error("{what} cannot be established ({tried}): {advice}")]
    Unknown {
        /// The fact.
        what: &'static str,
        /// The sources that were tried, and why each has no answer.
        tried: String,
        /// What the user can do.
        advice: &'static str,
    },
    /// A struct of this kernel is not as the module needs it.
    #[error(
        "{place} of this kernel has {found}, but linpmem needs {expected}: this version of \
         linpmem does not support this kernel"
    )]
    Layout {
        /// The struct and its member, as `struct file.private_data`.
        place: String,
        /// What the kernel has.
        found: String,
        /// What the module can work with.
        expected: String,
    },
    /// The kernel lacks functions or variables that the module uses.
    #[error(
        "this kernel does not export {} ({origin}): this version of linpmem does not support it",
        .names.join(", ")
    )]
    Imports {
        /// What is missing; alternatives are joined by ` or `.
        names: Vec<String>,
        /// What told so.
        origin: String,
    },
    /// The checksums of imports are not known.
    #[error(
        "this kernel checks the types of what modules import (CONFIG_MODVERSIONS), and the \
         checksums of {} are in none of: {tried}; name the kernel's Module.symvers or its \
         vmlinuz (--symvers, --vmlinuz)",
        .names.join(", ")
    )]
    Checksums {
        /// The imports.
        names: Vec<String>,
        /// The sources that were tried.
        tried: String,
    },
    /// Two sources contradict each other.
    #[error(
        "{what} is {first} according to {first_source}, but {second} according to \
         {second_source}: these are not files of one kernel"
    )]
    Disagreement {
        /// The fact.
        what: String,
        /// What one says.
        first: String,
        /// Which one.
        first_source: String,
        /// What the other says.
        second: String,
        /// Which one.
        second_source: String,
    },
    /// A kernel that checks the types of functions that it calls by pointer.
    #[error(
        "this kernel checks the target of every indirect call (kCFI: {0}), and would stop at the \
         first call into a prebuilt module: build linpmem.ko with this kernel's own compiler, \
         or read memory without the module (--source kcore)"
    )]
    Cfi(String),
    /// A kernel that can load no modules at all.
    #[error(
        "this kernel was built without loadable modules ({0}): read memory without the module \
         (--source kcore)"
    )]
    NoModules(String),
    /// The prebuilt module itself is damaged, or not one.
    #[error("the prebuilt module cannot be used: {0}")]
    Object(String),
    /// This build has no prebuilt module inside.
    #[error("{NO_OBJECT}")]
    NoObject,
}

impl FitError {
    /// A file, or a part of one, that cannot be used.
    pub(crate) fn unusable(origin: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unusable {
            origin: origin.into(),
            why: why.into(),
        }
    }
}
