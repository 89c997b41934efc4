// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel calls the mappings of a process that are of no file, as /proc/PID/maps shows
//! them: heap and stack, what it maps into every process itself, and what the process has named.

use crate::error::Error;
use crate::machine::{Machine, Struct};
use crate::troubles::Troubles;

const WHAT: &str = "name of a mapping";
/// A process may give a mapping a name of 80 bytes, with the zero byte at its end.
const MAX_NAME: u64 = 80;
/// By these operations, the kernel tells what it has mapped itself.
const SPECIAL: &str = "special_mapping_vmops";

/// What the names of a process's mappings follow from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Landmarks {
    /// Where the heap began, and where it ends.
    heap: Option<(u64, u64)>,
    /// Where the stack began.
    stack: Option<u64>,
    /// The operations of what the kernel has mapped itself.
    special: Option<u64>,
}

/// A mapping, and what was read of it before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area<'m> {
    pub(crate) at: Struct<'m>,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) is_file: bool,
}

impl Machine<'_> {
    /// What the names of the mappings of `mm` follow from. What a kernel does not have, or what
    /// cannot be read, names no mapping.
    pub(crate) fn landmarks(
        &self,
        mm: Struct<'_>,
        troubles: &mut Troubles,
    ) -> Result<Landmarks, Error> {
        let mut number = |member| match mm.has(member) {
            true => troubles.number(WHAT, mm, member),
            false => Ok(None),
        };
        let [start, end, stack] = [number("start_brk")?, number("brk")?, number("start_stack")?];
        Ok(Landmarks {
            heap: start.zip(end),
            stack: stack.filter(|&at| at != 0),
            special: self.symbol(SPECIAL).ok(),
        })
    }

    /// What the kernel calls `area`, if anything.
    pub(crate) fn mapping_name(
        &self,
        area: Area<'_>,
        landmarks: &Landmarks,
    ) -> Result<Option<String>, Error> {
        if area.is_file {
            // Shared memory is a file to the kernel.
            let given = self.given_name(area)?;
            return Ok(given.map(|name| format!("[anon_shmem:{name}]")));
        }
        if let Some(name) = self.special_name(area.at, landmarks)? {
            return Ok(Some(name));
        }
        let is_heap = |(start, end)| area.start < end && area.end > start;
        if landmarks.heap.is_some_and(is_heap) {
            return Ok(Some("[heap]".to_owned()));
        }
        let is_stack = |at| (area.start..=area.end).contains(&at);
        if landmarks.stack.is_some_and(is_stack) {
            return Ok(Some("[stack]".to_owned()));
        }
        let given = self.given_name(area)?;
        Ok(given.map(|name| format!("[anon:{name}]")))
    }

    /// The name of what the kernel has mapped itself, such as `[vdso]`.
    fn special_name(
        &self,
        area: Struct<'_>,
        landmarks: &Landmarks,
    ) -> Result<Option<String>, Error> {
        let is_known = area.has("vm_ops") && area.has("vm_private_data");
        if !is_known || landmarks.special.is_none() {
            return Ok(None);
        }
        if Some(area.field("vm_ops")?.u64()?) != landmarks.special {
            return Ok(None);
        }
        let at = area.field("vm_private_data")?.u64()?;
        let mapping = self.structure("vm_special_mapping", at)?;
        let name = mapping.field("name")?.u64()?;
        let name = self.text(name, MAX_NAME)?;
        Ok(Some(name).filter(|name| !name.is_empty()))
    }

    /// The name that the process itself has given.
    fn given_name(&self, area: Area<'_>) -> Result<Option<String>, Error> {
        let Area { at, is_file, .. } = area;
        if !at.has("anon_name") {
            return Ok(None);
        }
        let name = at.field("anon_name")?;
        // Until Linux 6.2, what is mapped of a file has something else in the place of a name.
        if is_file && at.has("shared") && at.field("shared")?.address() == name.address() {
            return Ok(None);
        }
        let Some(name) = name.follow_if_any()? else {
            return Ok(None);
        };
        let at = name.field("name")?.address();
        Ok(Some(self.text(at, MAX_NAME)?))
    }
}
