// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which source to read.

use std::path::PathBuf;
use std::str::FromStr;

/// Where memory is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    /// The best one that works.
    Auto,
    /// The linpmem module, through this device node.
    Device(PathBuf),
    /// /proc/kcore.
    Kcore,
    /// /dev/crash.
    Crash,
    /// /dev/mem.
    DevMem,
    /// /proc/vmcore.
    Vmcore,
    /// An image.
    Image(PathBuf),
}

impl FromStr for SourceSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "auto" => Ok(Self::Auto),
            _ if text == "linpmem" => Ok(Self::Device(PathBuf::from(linpmem::DEFAULT_PATH))),
            _ if ["kcore", "/proc/kcore"].contains(&text) => Ok(Self::Kcore),
            _ if ["crash", "/dev/crash"].contains(&text) => Ok(Self::Crash),
            _ if ["devmem", "/dev/mem"].contains(&text) => Ok(Self::DevMem),
            _ if ["vmcore", "/proc/vmcore"].contains(&text) => Ok(Self::Vmcore),
            Some(("file", path)) if !path.is_empty() => Ok(Self::Image(PathBuf::from(path))),
            _ if text.starts_with('/') => Ok(Self::Device(PathBuf::from(text))),
            _ => Err(
                "give auto, linpmem, kcore, crash, devmem, vmcore, a device node's full path, or \
                 file:IMAGE"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        assert_eq!("auto".parse(), Ok(SourceSpec::Auto));
        assert_eq!("file:a:b".parse(), Ok(SourceSpec::Image("a:b".into())));
        assert_eq!("kcore".parse(), Ok(SourceSpec::Kcore));
        assert_eq!("/dev/mem".parse(), Ok(SourceSpec::DevMem));
        assert_eq!("vmcore".parse(), Ok(SourceSpec::Vmcore));
        assert_eq!("/proc/vmcore".parse(), Ok(SourceSpec::Vmcore));
        assert_eq!("/dev/x".parse(), Ok(SourceSpec::Device("/dev/x".into())));
        for text in ["", "file:", "kcor", "dev/x"] {
            assert!(text.parse::<SourceSpec>().is_err(), "{text}");
        }
    }
}
