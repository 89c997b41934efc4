// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a shared library needs of the system that loads it, read from the file itself.

use anyhow::{Context, Result, ensure};
use goblin::elf::Elf;
use std::fmt;

/// The GNU C library of Debian 12, the oldest on which the library must load.
const OLDEST: Glibc = Glibc {
    major: 2,
    minor: 36,
};

/// Libraries that every system with a GNU C library has.
const ALLOWED: [&str; 3] = ["ld-linux-x86-64.so.2", "libc.so.6", "libgcc_s.so.1"];

/// A version of the GNU C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc {
    major: u32,
    minor: u32,
}

/// What a library needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The newest version of the GNU C library that one of its symbols names.
    pub glibc: Glibc,
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Glibc {
    /// Parses `GLIBC_2.34`; a third number does not count. `None` for other names.
    fn parse(name: &str) -> Option<Self> {
        let mut numbers = name.strip_prefix("GLIBC_")?.split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl Needs {
    /// What the ELF file `bytes` needs, which must not be more than Debian 12 has.
    pub fn of(bytes: &[u8]) -> Result<Self> {
        let elf = Elf::parse(bytes)?;
        for library in &elf.libraries {
            ensure!(
                ALLOWED.contains(library),
                "the library for C needs {library}, which not every system has"
            );
        }
        let versions = versions(&elf)?;
        let known = versions.iter().filter_map(|name| Glibc::parse(name));
        let glibc = known
            .max()
            .context("the library for C names no version of glibc")?;
        ensure!(
            glibc <= OLDEST,
            "the library for C needs glibc {glibc}, and Debian 12 has {OLDEST}: make releases on a \
             machine whose C library is not newer"
        );
        Ok(Self { glibc })
    }

    /// Where the library loads, as Python packages say it (PEP 600).
    pub fn wheel_platform(&self, machine: &str) -> String {
        let Glibc { major, minor } = self.glibc;
        format!("manylinux_{major}_{minor}_{machine}")
    }
}

/// The names of the versions of all symbols that `elf` imports.
fn versions<'a>(elf: &Elf<'a>) -> Result<Vec<&'a str>> {
    let mut names = Vec::new();
    for library in elf.verneed.iter().flat_map(|needed| needed.iter()) {
        for version in library.iter() {
            let name = elf.dynstrtab.get_at(version.vna_name);
            names.push(name.context("the name of a version is not in the file")?);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let version = |name| Glibc::parse(name).unwrap();
        assert!(version("GLIBC_2.9") < version("GLIBC_2.34"));
        assert_eq!(version("GLIBC_2.2.5").to_string(), "2.2");
        for other in ["GCC_3.0", "GLIBC_PRIVATE", "GLIBC_ABI_DT_RELR"] {
            assert_eq!(Glibc::parse(other), None, "{other}");
        }
    }

    /// As readelf prints them.
    #[test]
    fn versions_are_those_in_the_file() {
        let own = std::env::current_exe().unwrap();
        let output = std::process::Command::new("readelf")
            .args(["--version-info", "--wide"])
            .arg(&own)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let needed = text.split("Version needs section").nth(1).unwrap();
        let listed = needed
            .lines()
            .filter_map(|line| line.split("Name: ").nth(1));
        let listed = listed.filter_map(|rest| Glibc::parse(rest.split_whitespace().next()?));
        let bytes = std::fs::read(&own).unwrap();
        let elf = Elf::parse(&bytes).unwrap();
        let found = versions(&elf).unwrap();
        let found = found.iter().filter_map(|name| Glibc::parse(name)).max();
        assert!(found.is_some());
        assert_eq!(found, listed.max());
    }
}
