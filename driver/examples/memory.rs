// SPDX-License-Identifier: MIT OR Apache-2.0
//! Describes the machine, reads memory at a physical address, and translates an
//! address of this program: `memory 0x100000`. `examples/c/memory.c` does the same in
//! C.

use linpmem::{Access, AddressSpace, Device, Width};
use linpmem_phys::PhysAddr;
use linpmem_phys::num::usize_as_u64;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let text = std::env::args().nth(1);
    let address: PhysAddr = text.as_deref().unwrap_or("0x100000").parse()?;

    let device = Device::open()?;
    let info = device.info()?;
    println!(
        "{} address bits, {} paging levels",
        info.phys_bits, info.paging_levels
    );

    let mut buf = vec![0; 4 * 4096];
    let unreadable = device.read_with(Access::default(), address, &mut buf)?;
    for bad in unreadable.as_slice() {
        println!("{} was not read: {}", bad.range, bad.errno);
    }
    let bytes: Vec<String> = buf.iter().take(8).map(|b| format!("{b:02x}")).collect();
    println!("{address}: {}", bytes.join(" "));

    let known = Box::new(0x0123_4567_89ab_cdef_u64);
    let virt = usize_as_u64((&raw const *known).addr());
    let walk = device.translate(AddressSpace::Caller, virt)?;
    let page = walk.mapped().ok_or("not mapped")?;
    let found = device.load(page.phys, Width::Qword)? == *std::hint::black_box(known);
    println!(
        "a value of this program, in a page of {}: {}",
        page.page,
        if found { "found" } else { "NOT FOUND" }
    );
    if found {
        Ok(())
    } else {
        Err("the value is not at the translated address".into())
    }
}
