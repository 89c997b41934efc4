// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the module returns through the kernel's thunk.
//!
//! A kernel patches these places when it loads a module, as its processor needs it, and
//! warns when one is reached that it did not patch. The list of them is made by the
//! kernel's build, out of the finished code: the section `.return_sites` has the distance
//! from each of its words to a jump.

use object::build::elf::{Builder, Relocation, SectionData, SectionId, SymbolId};
use object::elf;

/// The thunk.
pub(crate) const THUNK: &str = "__x86_return_thunk";

/// The section.
pub(crate) const SITES: &str = ".return_sites";

/// `jmp` with a distance of 32 bits, which stands where a return stood.
const JUMP: u8 = 0xe9;

/// A jump to the thunk, or something else that refers to it.
pub(crate) enum Site {
    /// The jump's section, and where it is in there.
    Jump(SectionId, i64),
    /// Not a jump, so that the kernel cannot patch it.
    Other,
}

/// Everything that refers to the symbol of the thunk.
pub(crate) fn sites(builder: &Builder<'_>, thunk: SymbolId) -> Vec<Site> {
    let mut sites = Vec::new();
    for table in &builder.sections {
        let SectionData::Relocation(places) = &table.data else {
            continue;
        };
        let code = table.sh_info_section;
        for place in places.iter().filter(|place| place.symbol == Some(thunk)) {
            sites.push(code.map_or(Site::Other, |code| site(builder, code, place)));
        }
    }
    sites
}

fn site(builder: &Builder<'_>, code: SectionId, place: &Relocation) -> Site {
    let SectionData::Data(bytes) = &builder.sections.get(code).data else {
        return Site::Other;
    };
    let at = place.r_offset.checked_sub(1);
    let opcode = at
        .and_then(|at| usize::try_from(at).ok())
        .and_then(|at| bytes.get(at));
    let is_relative = matches!(place.r_type, elf::R_X86_64_PC32 | elf::R_X86_64_PLT32);
    let at = at.and_then(|at| i64::try_from(at).ok());
    match (opcode, at) {
        (Some(&JUMP), Some(at)) if is_relative && place.r_addend == -4 => Site::Jump(code, at),
        _ => Site::Other,
    }
}
