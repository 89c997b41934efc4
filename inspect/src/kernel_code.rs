// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the kernel's own code is in the image: it is in memory from the boot on, never moves,
//! and none of its pages is empty.

use crate::error::{Error, Reason};
use crate::machine::Machine;
use linpmem_phys::PAGE_SIZE;
use linpmem_phys::num::u64_as_usize;

const PAGE: u64 = PAGE_SIZE.get();
/// How many pages are looked at, evenly among all.
const MAX_LOOKED_AT: u64 = 2048;
/// No kernel has more code; the symbols may be anything.
const MAX_PAGES: u64 = 1 << 20;

/// Pages of the kernel's code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCode {
    /// Those that were looked at.
    pub pages: u64,
    /// Those with zeros alone.
    pub empty: u64,
    /// Those that cannot be read.
    pub unreadable: u64,
}

impl Machine<'_> {
    /// Looks at pages of the kernel's code.
    ///
    /// # Errors
    /// If the kernel's symbols do not say where it is.
    pub fn kernel_code(&self) -> Result<KernelCode, Error> {
        let [start, end] = [self.symbol("_stext")?, self.symbol("_etext")?];
        // What shares its page with something else is left out.
        let first = start.div_ceil(PAGE);
        let count = (end / PAGE).saturating_sub(first).min(MAX_PAGES);
        let step = count.div_ceil(MAX_LOOKED_AT).max(1);
        let mut code = KernelCode::default();
        let mut page = [0; u64_as_usize(PAGE)];
        for index in (0..count).step_by(u64_as_usize(step)) {
            code.pages += 1;
            match self.read((first + index).wrapping_mul(PAGE), &mut page) {
                Ok(()) if page.iter().all(|&byte| byte == 0) => code.empty += 1,
                Ok(()) => {}
                Err(error) if error.reason == Reason::TooMuch => return Err(error.into()),
                Err(_) => code.unreadable += 1,
            }
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Btf, DIRECT, IMAGE, Kernel};

    #[test]
    fn pages_that_are_empty_or_missing_are_counted() {
        let mut kernel = Kernel::new(&Btf::new());
        let first = kernel.aligned_page();
        for _ in 0..9 {
            kernel.aligned_page();
        }
        kernel.symbol("_stext", first - DIRECT + IMAGE);
        // Ends within the tenth page.
        kernel.symbol("_etext", first - DIRECT + IMAGE + 0x9800);
        for page in [0, 1, 2, 4, 6, 8, 9] {
            kernel.put(first + page * 0x1000 + 0x800, 0xcc);
        }
        kernel.lose(first + 0x4000);
        let code = kernel.image().machine().kernel_code().unwrap();
        // Empty are the fourth, sixth and eighth.
        let expected = KernelCode {
            pages: 9,
            empty: 3,
            unreadable: 1,
        };
        assert_eq!(code, expected);
    }

    #[test]
    fn symbols_that_are_far_apart_or_the_wrong_way_round_end() {
        for (start, end, pages) in [(IMAGE, u64::MAX, 2048), (IMAGE + 0x9000, IMAGE, 0)] {
            let mut kernel = Kernel::new(&Btf::new());
            kernel.symbol("_stext", start);
            kernel.symbol("_etext", end);
            assert_eq!(kernel.image().machine().kernel_code().unwrap().pages, pages);
        }
    }
}
