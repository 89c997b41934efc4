// SPDX-License-Identifier: MIT OR Apache-2.0
//! A module that was fitted to another kernel than the one that loads it.

use super::machine;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::artifacts::{self, ModuleKind};
use std::fs;

/// Kernels that check imports by sums accept another release in the vermagic, and the sums do
/// not cover the structs that the module reads: it looks for itself.
#[test]
fn the_module_refuses_a_kernel_that_it_was_not_fitted_to() -> Result<()> {
    let vm = machine(|machine| machine.memory_mib(512).scratch_gib(None))?;
    let release = vm.kernel().release().to_owned();
    let module = fs::read(artifacts::module_of(ModuleKind::Fitted, vm.kernel())?)?;
    let folder = tempfile::tempdir()?;
    let other = folder.path().join("other.ko");
    fs::write(&other, of_another_kernel(&module, &release)?)?;
    let refused = vm.insmod(&other, "");
    ensure!(refused.is_err(), "it was loaded");
    let log = vm.kernel_log()?;
    ensure!(log.contains("was fitted to another kernel"), "{log}");
    vm.shutdown()
}

/// The module with another release in its facts. Its vermagic stays, so that the kernel has
/// no objection.
fn of_another_kernel(module: &[u8], release: &str) -> Result<Vec<u8>> {
    let mut module = module.to_vec();
    let text = format!("{release}\0");
    let at = module
        .windows(text.len())
        .position(|part| part == text.as_bytes())
        .context("the module does not know its kernel")?;
    let first = module.get_mut(at).context("no byte there")?;
    *first = b'9';
    Ok(module)
}
