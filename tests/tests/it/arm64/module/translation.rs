// SPDX-License-Identifier: MIT OR Apache-2.0
//! Translations, as on x86-64, and what the tables of two registers bring with them.

use super::super::acquired::address_bits;
use crate::kmod::{ask, machine, translation};
use anyhow::Result;
use linpmem_testkit::arch::Arch;

fn agrees(is_max: bool) -> Result<()> {
    let vm = machine(
        Arch::Aarch64,
        |machine| {
            let machine = machine.memory_mib(3072).append("hugepagesz=1G hugepages=1");
            match is_max {
                true => machine.cpu("max"),
                false => machine,
            }
        },
        "",
    )?;
    let kernel = vm.kernel();
    // With pages of 16 KiB there is no entry that maps 1 GiB.
    let with_gigantic = !kernel.release().ends_with("-16k");
    translation::agrees(&vm, with_gigantic, address_bits(kernel, is_max)?)?;
    ask(&vm, "original-translations")?;
    vm.shutdown()
}

/// Addresses of 48 bits.
#[test]
fn addresses_translate_as_linux_and_qemu_say() -> Result<()> {
    agrees(false)
}

/// 52 bits, and entries that have room for them.
#[test]
fn addresses_translate_with_every_feature_of_a_processor() -> Result<()> {
    agrees(true)
}
