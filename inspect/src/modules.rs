// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loaded modules.

use crate::error::Error;
use crate::found::Found;
use crate::machine::{Machine, Struct};
use crate::trouble::Trouble;

/// `enum module_state`.
const STATES: [&str; 4] = ["live", "loading", "unloading", "unformed"];

/// More than `MOD_MEM_NUM_TYPES` of any kernel.
const MAX_PARTS: u64 = 64;

/// `struct taint_flag` of kernel/panic.c: the letters of taints, from bit 0 on.
const TAINTS: &str = "PFSRMBUDAWCIOELKXTNJ";

/// A module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Where its `struct module` is.
    pub address: u64,
    /// Its name.
    pub name: String,
    /// Where its code is.
    pub base: u64,
    /// Bytes of all its memory, as in /proc/modules.
    pub size: u64,
    /// `live`, `loading`, `unloading` or `unformed`.
    pub state: &'static str,
    /// The letters of its taints, such as `OE`.
    pub taints: String,
}

impl Machine<'_> {
    /// The modules, the one that was loaded last first.
    ///
    /// # Errors
    /// If the kernel has no list of modules.
    pub fn modules(&self) -> Result<Found<Module>, Error> {
        const WHAT: &str = "list of modules";
        let head = self.symbol("modules")?;
        let link = self.types().member("module", "list")?;
        let listed = self.list(WHAT, head, link.offset);
        let mut found = Found {
            items: Vec::new(),
            troubles: listed.troubles,
        };
        for at in listed.items {
            match self.module(at) {
                Ok(module) => found.items.push(module),
                Err(error @ (Error::Memory(_) | Error::Null { .. })) => found
                    .troubles
                    .push(Trouble::Unreadable { what: WHAT, error }),
                Err(other) => return Err(other),
            }
        }
        Ok(found)
    }

    fn module(&self, address: u64) -> Result<Module, Error> {
        let module = self.structure("module", address)?;
        let (base, size) = memory(module)?;
        let state = usize::try_from(module.field("state")?.u64()?).unwrap_or(usize::MAX);
        let taints = module.field("taints")?.u64()?;
        let letters = (0..).zip(TAINTS.chars());
        Ok(Module {
            address,
            name: module.field("name")?.text()?,
            base,
            size,
            state: STATES.get(state).copied().unwrap_or("unknown"),
            taints: letters
                .filter(|(bit, _)| taints >> bit & 1 != 0)
                .map(|(_, letter)| letter)
                .collect(),
        })
    }
}

/// Where the module's code is, and bytes of everything.
fn memory(module: Struct<'_>) -> Result<(u64, u64), Error> {
    if module.has("mem") {
        let parts = module.field("mem")?;
        let mut size = 0_u64;
        for part in 0..parts.count()?.min(MAX_PARTS) {
            let part = parts.index(part)?.structure();
            size = size.saturating_add(part.field("size")?.u64()?);
        }
        let code = parts.index(0)?.structure();
        return Ok((code.field("base")?.u64()?, size));
    }
    let core = module.field("core_layout.size")?.u64()?;
    let init = module.field("init_layout.size")?.u64()?;
    let base = module.field("core_layout.base")?.u64()?;
    Ok((base, core.saturating_add(init)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Btf, Kernel, MemberOf, Of, PARTS, module_types};

    /// Three modules, the second of them in a page of its own; `more` are the members that
    /// kernels differ in, from byte 96 on.
    fn kernel(more: &[MemberOf]) -> (Kernel, Vec<u64>) {
        let mut btf = Btf::new();
        btf.structure("list_head", 16, &[]);
        module_types(&mut btf, more);
        let mut kernel = Kernel::new(&btf);
        let head = kernel.allocate(16);
        kernel.symbol("modules", head);
        let modules: Vec<u64> = (0..3).map(|_| kernel.aligned_page()).collect();
        let links: Vec<u64> = modules.iter().map(|module| module + 8).collect();
        kernel.link(head, &links);
        for (module, name) in modules.iter().zip(["c", "b", "a"]) {
            kernel.text(module + 24, name);
            kernel.put(module + 96, module + 0x100);
            kernel.put_u32(module + 104, 0x2000);
            kernel.put_u32(module + 120, 0x3000);
        }
        (kernel, modules)
    }

    #[test]
    fn modules_are_read_whichever_way_the_kernel_keeps_their_memory() {
        let layouts: [MemberOf; 2] = [
            ("core_layout", Of::Struct("part"), 96),
            ("init_layout", Of::Struct("part"), 112),
        ];
        for more in [&PARTS[..], &layouts] {
            let (mut kernel, modules) = kernel(more);
            kernel.put_u32(modules[1], 2);
            kernel.put(modules[1] + 80, 1 << 12 | 1 << 13);
            let image = kernel.image();
            let found = image.machine().modules().unwrap();
            assert_eq!(found.troubles, []);
            let names: Vec<_> = found.items.iter().map(|one| one.name.as_str()).collect();
            assert_eq!(names, ["c", "b", "a"]);
            assert_eq!(
                found.items[1],
                Module {
                    address: modules[1],
                    name: "b".to_owned(),
                    base: modules[1] + 0x100,
                    size: 0x5000,
                    state: "unloading",
                    taints: "OE".to_owned(),
                }
            );
            assert_eq!(
                (found.items[0].state, found.items[0].taints.as_str()),
                ("live", "")
            );
        }
    }

    #[test]
    fn a_missing_module_is_said_and_the_others_are_listed() {
        let (mut kernel, modules) = kernel(&PARTS);
        kernel.lose(modules[1]);
        let image = kernel.image();
        let found = image.machine().modules().unwrap();
        assert_eq!((found.items.len(), found.troubles.len()), (2, 1));
    }

    #[test]
    fn a_kernel_with_another_struct_is_an_error_that_names_the_member() {
        let (kernel, _) = kernel(&[]);
        let image = kernel.image();
        let error = image.machine().modules().unwrap_err();
        assert!(error.to_string().contains("core_layout.size"), "{error}");
    }
}
