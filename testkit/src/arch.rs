// SPDX-License-Identifier: MIT OR Apache-2.0
//! The architectures of test machines, and all that differs between them.

use crate::cache::Cache;
use std::path::PathBuf;
use std::str::FromStr;

/// The architecture of a kernel and of the programs that run on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// x86-64, the architecture of the host.
    X86_64,
    /// arm64: programs are cross-built, machines emulated.
    Aarch64,
}

impl Arch {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The architecture that this program was built for. No other builds linpmem's tests.
    pub const HOST: Self = Self::X86_64;

    /// As `uname -m` prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Debian's name.
    #[must_use]
    pub const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// Rust's target triple. Named explicitly in every build, so that the flags for static
    /// programs do not apply to build scripts.
    #[must_use]
    pub const fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The architecture that Debian's kernel package or release `name` is for:
    /// `linux-image-arm64-16k`, `7.3.4+deb13-cloud-amd64`.
    #[must_use]
    pub fn of_kernel(name: &str) -> Self {
        let is = |arch: &Self| name.split('-').any(|word| word == arch.debian());
        Self::ALL.into_iter().find(is).unwrap_or(Self::HOST)
    }

    /// The Debian tree with QEMU for this architecture.
    #[must_use]
    pub fn tree(self, cache: &Cache) -> PathBuf {
        match self {
            Self::X86_64 => cache.tree(),
            Self::Aarch64 => cache.arm64(),
        }
    }

    /// The program that emulates a whole machine.
    #[must_use]
    pub const fn qemu(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-system-x86_64",
            Self::Aarch64 => "qemu-system-aarch64",
        }
    }

    /// The program that emulates a single program.
    #[must_use]
    pub const fn emulator(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-x86_64",
            Self::Aarch64 => "qemu-aarch64",
        }
    }

    /// QEMU's `-machine`, unless a test asks for another.
    #[must_use]
    pub const fn machine(self) -> &'static str {
        match self {
            Self::X86_64 => "q35",
            Self::Aarch64 => "virt",
        }
    }

    /// QEMU's `-cpu` for the kernel `release`, unless a test asks for another. For arm64,
    /// emulating `max` takes several times as long as a processor without pointer
    /// authentication; but kernels with pages of 16 KiB do not run on that one.
    #[must_use]
    pub fn cpu(self, release: &str) -> &'static str {
        match self {
            Self::X86_64 => "max",
            Self::Aarch64 if release.ends_with("-16k") => "max,lpa2=off",
            Self::Aarch64 => "cortex-a72",
        }
    }

    /// UEFI for emulated machines, a file of the Debian tree with QEMU.
    #[must_use]
    pub const fn firmware(self) -> Option<&'static str> {
        match self {
            Self::X86_64 => None,
            Self::Aarch64 => Some("/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"),
        }
    }

    /// The kernel's name of the serial port.
    #[must_use]
    pub const fn console(self) -> &'static str {
        match self {
            Self::X86_64 => "ttyS0",
            Self::Aarch64 => "ttyAMA0",
        }
    }
}

/// Parses the name that `uname -m` prints, or Debian's.
impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is = |arch: &Self| [arch.name(), arch.debian()].contains(&text);
        let found = Self::ALL.into_iter().find(is);
        found.ok_or_else(|| "expected x86_64 or aarch64".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_kernel_tells_its_architecture() {
        for name in [
            "linux-image-cloud-arm64",
            "linux-image-arm64-16k",
            "7.3.4+deb13-arm64-16k",
            "6.1.0-56-cloud-arm64",
        ] {
            assert_eq!(Arch::of_kernel(name), Arch::Aarch64, "{name}");
        }
        for name in ["linux-image-rt-amd64", "5.10.0-46-amd64"] {
            assert_eq!(Arch::of_kernel(name), Arch::X86_64, "{name}");
        }
    }

    #[test]
    fn both_names_of_an_architecture_are_understood() {
        for arch in Arch::ALL {
            assert_eq!(arch.name().parse(), Ok(arch));
            assert_eq!(arch.debian().parse(), Ok(arch));
        }
        assert!("riscv64".parse::<Arch>().is_err());
    }
}
