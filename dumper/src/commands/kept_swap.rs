// SPDX-License-Identifier: MIT OR Apache-2.0
//! The swap areas among an image's artifacts, for the pages of processes that are there.

use linpmem_capture::artifacts::{self, Artifacts, Gap};
use linpmem_formats::ReadAt;
use linpmem_inspect::{ReadSwap, SwapArea};
use linpmem_phys::num::len_bytes;
use std::sync::Arc;

/// The areas, opened.
#[derive(Default)]
pub(super) struct KeptSwap {
    pub(super) areas: Vec<SwapArea>,
    /// Of each of them.
    contents: Vec<Option<Content>>,
}

struct Content {
    bytes: Arc<dyn ReadAt>,
    /// What could not be read is zero there.
    gaps: Vec<Gap>,
}

impl KeptSwap {
    /// Those that `known` lists. Images of earlier versions list none.
    pub(super) fn of(artifacts: &Artifacts, known: Option<&artifacts::Machine>) -> Self {
        let mut kept = Self::default();
        for listed in known.iter().flat_map(|machine| &machine.swaps) {
            let content = content(artifacts, listed);
            kept.areas.push(SwapArea {
                name: listed.name.clone(),
                size_bytes: listed.size_bytes,
                missing: content.as_ref().err().cloned(),
            });
            kept.contents.push(content.ok());
        }
        kept
    }
}

fn content(artifacts: &Artifacts, listed: &artifacts::SwapArea) -> Result<Content, String> {
    let Some(name) = &listed.artifact else {
        let why = listed.missing.as_deref();
        return Err(why.unwrap_or("it is not said why").to_owned());
    };
    match artifacts.at(name) {
        Ok(Some(bytes)) => Ok(Content {
            bytes,
            gaps: listed.unreadable.clone(),
        }),
        Ok(None) => Err(format!(
            "{name} is compressed as a whole, so that no page of it can be read alone: convert the \
             image"
        )),
        Err(error) => Err(error.to_string()),
    }
}

impl ReadSwap for KeptSwap {
    fn read(&self, area: usize, at: u64, buf: &mut [u8]) -> Result<(), String> {
        let content = self.contents.get(area).and_then(Option::as_ref);
        let content = content.ok_or("it was not kept")?;
        let end = at.saturating_add(len_bytes(buf));
        let is_lost = |gap: &&Gap| {
            let last = gap.start.saturating_add(gap.length);
            gap.start < end && at < last
        };
        if let Some(gap) = content.gaps.iter().find(is_lost) {
            let error = std::io::Error::from_raw_os_error(gap.errno);
            return Err(format!("it could not be read from the area: {error}"));
        }
        let read = content.bytes.read_exact_at(at, buf);
        read.map_err(|error| format!("what was kept of the area cannot be read: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(gaps: Vec<Gap>) -> KeptSwap {
        let bytes: Vec<u8> = (0..16_384_u32).map(|at| at.to_le_bytes()[1]).collect();
        KeptSwap {
            areas: Vec::new(),
            contents: vec![
                None,
                Some(Content {
                    bytes: Arc::new(bytes),
                    gaps,
                }),
            ],
        }
    }

    #[test]
    fn what_could_not_be_read_is_not_taken_for_zeros() {
        let gap = Gap {
            start: 8192,
            length: 4096,
            errno: 5,
        };
        let kept = kept(vec![gap]);
        let mut buf = [0; 512];
        assert_eq!(kept.read(1, 8192 - 512, &mut buf), Ok(()));
        assert_eq!((buf[0], buf[511]), (30, 31));
        for at in [8192 - 511, 8192, 12_288 - 1] {
            let error = kept.read(1, at, &mut buf).unwrap_err();
            assert!(error.contains("could not be read from the area"), "{error}");
        }
        assert_eq!(kept.read(1, 12_288, &mut buf), Ok(()));
    }

    #[test]
    fn areas_that_are_not_there_or_end_are_said() {
        let kept = kept(Vec::new());
        let mut buf = [0; 512];
        for (area, at) in [(0, 0), (2, 0), (1, 16_384 - 511), (1, u64::MAX)] {
            assert!(kept.read(area, at, &mut buf).is_err(), "{area} {at}");
        }
    }
}
