// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is tested on x86-64 as well. On arm64 the parameter `copy` chooses nothing.

use crate::kmod::{ask, device_semantics, hotplug, machine, memory, pages, storm};
use anyhow::{Result, ensure};
use linpmem_testkit::arch::Arch::Aarch64;
use linpmem_testkit::artifacts;

#[test]
fn it_loads_and_unloads_but_not_while_it_is_open() -> Result<()> {
    device_semantics::reloads(Aarch64)
}

#[test]
fn lockdown_stops_open_files_immediately() -> Result<()> {
    device_semantics::locks_down(Aarch64)
}

#[test]
fn only_the_owner_may_open_it() -> Result<()> {
    device_semantics::has_an_owner(Aarch64)
}

#[test]
fn by_default_it_serves_the_originals_device_number_too() -> Result<()> {
    device_semantics::serves_both_numbers(Aarch64)
}

#[test]
fn a_reserved_range_is_exact_in_every_mode_and_never_wrong() -> Result<()> {
    memory::is_exact(Aarch64)
}

/// A load from a device that does not answer would stop the machine, so no parameter of the
/// module permits it.
#[test]
fn devices_are_refused_in_any_case() -> Result<()> {
    memory::refuses_devices(Aarch64)?;
    let vm = machine(Aarch64, |machine| machine, "")?;
    ask(&vm, "unload 0")?;
    let module = artifacts::module(vm.kernel())?;
    let refused = vm.insmod(&module, "allow_device=1");
    ensure!(refused.is_err(), "the module accepts allow_device=1");
    let log = vm.kernel_log()?;
    ensure!(log.contains("allow_device=1 is not supported"), "{log}");
    vm.shutdown()
}

#[test]
fn a_hundred_thousand_ioctls() -> Result<()> {
    storm::survives_ioctls(Aarch64, "")
}

#[test]
fn poisoned_and_secret_pages_have_their_errors() -> Result<()> {
    pages::refuses_poisoned_and_secret_pages(Aarch64)
}

#[test]
fn a_fault_costs_no_byte_before_it() -> Result<()> {
    pages::stops_at_a_fault(Aarch64, &[""])
}

#[test]
fn ballooned_pages_have_their_error() -> Result<()> {
    pages::refuses_ballooned_pages(Aarch64)
}

#[test]
fn offline_memory_has_its_error() -> Result<()> {
    pages::refuses_offline_memory(Aarch64)
}

#[test]
fn memory_that_goes_offline_while_the_buffer_is_absent_is_not_read() -> Result<()> {
    hotplug::loses_no_race(Aarch64, &[""])
}

#[test]
fn readers_survive_memory_that_goes_offline_and_comes_back() -> Result<()> {
    hotplug::survives_offline_memory(Aarch64)
}

#[test]
fn readers_survive_a_hypervisor_that_takes_memory_back() -> Result<()> {
    hotplug::survives_a_taking_hypervisor(Aarch64)
}
