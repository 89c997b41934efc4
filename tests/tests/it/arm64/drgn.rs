// SPDX-License-Identifier: MIT OR Apache-2.0
//! An examiner's debugger can navigate the image.

use super::target;
use crate::vm::drgn::finds_the_planted_process;
use anyhow::Result;

#[test]
fn drgn_finds_the_planted_process_and_its_memory() -> Result<()> {
    finds_the_planted_process(target(|machine| machine.memory_mib(256))?)
}
