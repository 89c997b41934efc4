// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages of the guest with known content, at known addresses.

use crate::vm::{Process, Vm};
use anyhow::{Context, Result, ensure};
use linpmem_guest::content;
use linpmem_phys::{PAGE_SIZE, PhysAddr, PhysRange, ReadPhys, Unreadables};

/// 2 MiB that a program of the guest holds, for as long as this lives. The kernel does not
/// move them of its own accord.
#[derive(Debug)]
pub struct HeldPages<'vm> {
    _holder: Process<'vm>,
    pages: Vec<PhysRange>,
}

impl<'vm> HeldPages<'vm> {
    /// Ordinary memory.
    ///
    /// # Errors
    /// When the guest cannot.
    pub fn ordinary(vm: &'vm Vm) -> Result<Self> {
        Self::hold(vm, &["hold", "/tmp/held"])
    }

    /// One huge page of hugetlbfs.
    ///
    /// # Errors
    /// When the guest cannot.
    pub fn huge(vm: &'vm Vm) -> Result<Self> {
        Self::hold(vm, &["hold", "/tmp/held-huge", "huge"])
    }

    fn hold(vm: &'vm Vm, argv: &[&str]) -> Result<Self> {
        let mut holder = vm.command(argv).start()?;
        holder.wait_for("held")?;
        let list = argv.get(1).context("no list")?;
        let mut pages = Vec::new();
        for line in String::from_utf8(vm.read(list)?)?.lines() {
            pages.extend(crate::vm::iomem::range(line)?.pieces(PAGE_SIZE));
        }
        Ok(Self {
            _holder: holder,
            pages,
        })
    }

    /// The pages, in the order of their content.
    #[must_use]
    pub fn pages(&self) -> &[PhysRange] {
        &self.pages
    }

    /// The address of page `number`.
    ///
    /// # Errors
    /// When there are not so many.
    pub fn page(&self, number: usize) -> Result<PhysAddr> {
        let page = self.pages.get(number).context("no such page is held")?;
        Ok(page.start())
    }

    /// Requires that `image` has the pages' content, but for the pages at `absent`.
    ///
    /// # Errors
    /// When another page differs or is missing, or one that is absent is not zero.
    pub fn require_in(&self, image: &dyn ReadPhys, absent: &[PhysAddr]) -> Result<()> {
        for (number, page) in (0..).zip(&self.pages) {
            let (mut found, mut wanted) = (vec![0x55; 4096], vec![0; 4096]);
            let mut unreadable = Unreadables::new();
            image.read_phys(page.start(), &mut found, &mut unreadable)?;
            if !absent.contains(&page.start()) {
                content::hold(&mut wanted, number);
            }
            ensure!(
                unreadable.is_empty() && found == wanted,
                "page {number} at {page} has other content in the image"
            );
        }
        Ok(())
    }
}
