// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages of processes that the kernel has written to swap, read from the areas that were kept with
//! the image, or from where the kernel still has them in memory.
//!
//! An area's page is what a process had only if nothing newer is in memory: the kernel keeps pages
//! in its swap cache, compressed (zswap), or not at all if they are zero. Where that cannot be
//! told, nothing is read.

use crate::address_space::AddressSpace;
use crate::error::{Error, MemoryError, Reason};
use crate::machine::{Machine, Struct};
use linpmem_phys::PAGE_SIZE;
use std::cell::OnceCell;
use std::fmt;

const PAGE: u64 = PAGE_SIZE.get();

/// `2^MAX_SWAPFILES_SHIFT`: some of the types are never areas.
const TYPES: u64 = 32;
/// Bits of an entry in a page table of x86-64 below its offset, and of its type above it.
const OFFSET_SHIFT: u32 = 9;
const TYPE_SHIFT: u32 = 59;
/// The bits of a type in the kernel's own form of an entry are above these.
const OFFSET_BITS: u32 = 58;
/// `PROT_NONE`, which is in memory.
const PROT_NONE: u64 = 1 << 8;
/// `SWP_USED`.
const USED: u64 = 1;
/// Pages of an area in one tree of the swap cache or of zswap, as a power of two.
const TREE_SHIFT: u32 = 14;
/// The largest folio in the swap cache has as many pages as a huge page.
const MAX_FOLIO_PAGES: u64 = 512;
/// Bits of a page's number, in an entry of a swap table.
const PFN_BITS: u64 = (1 << 40) - 1;
/// What marks slots that cannot be used.
const BAD_SLOT: u64 = u64::MAX << 3;
/// Of a slot whose page is zero, where that is in its entry.
const ZERO_FLAG: u64 = 1 << 59;
/// The kernel's half of all addresses begins here, however many levels page tables have.
const KERNEL: u64 = 1 << 63;

/// Reads the areas that were kept with an image.
pub trait ReadSwap {
    /// Fills `buf` from the byte `at` of an area on, by its index among them.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, area: usize, at: u64, buf: &mut [u8]) -> Result<(), String>;
}

/// A swap area that the machine had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwapArea {
    /// Its path.
    pub name: String,
    /// Bytes of the pages that can be used, without the header's.
    pub size_bytes: u64,
    /// Why its pages cannot be read, if that is so.
    pub missing: Option<String>,
}

/// The areas of an image's machine.
pub(crate) struct Swap<'a> {
    areas: &'a [SwapArea],
    reader: &'a dyn ReadSwap,
    types: OnceCell<Vec<Option<Type>>>,
}

/// An area that the kernel has in memory.
#[derive(Clone, Debug)]
struct Type {
    /// Its `swap_info_struct`.
    at: u64,
    name: String,
    /// Its slots.
    max: u64,
    /// Its index among the areas that were kept, or why there is none.
    kept: Result<usize, String>,
}

/// Where the newest content of a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newest {
    /// On the disk.
    Area,
    /// In memory, at this physical address.
    Memory(u64),
    /// Nowhere: it is zero.
    Zero,
}

/// A place in a swap area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    kind: u64,
    page: u64,
}

impl fmt::Debug for Swap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swap")
            .field("areas", &self.areas)
            .finish_non_exhaustive()
    }
}

impl<'a> Swap<'a> {
    pub(crate) fn new(areas: &'a [SwapArea], reader: &'a dyn ReadSwap) -> Self {
        Self {
            areas,
            reader,
            types: OnceCell::new(),
        }
    }
}

impl Slot {
    /// The place that an entry of an x86-64 page table is for, unless it is of another kind.
    const fn new(entry: u64) -> Option<Self> {
        if entry == 0 || entry & PROT_NONE != 0 {
            return None;
        }
        let bits = 64 - TYPE_SHIFT;
        Some(Self {
            kind: entry >> TYPE_SHIFT,
            page: !entry << bits >> (bits + OFFSET_SHIFT),
        })
    }
}

impl Machine<'_> {
    /// Fills `buf` from `at` on, where `space` says that the page of `at` is not in memory. It is
    /// all within that page.
    pub(crate) fn read_swapped(
        &self,
        space: AddressSpace,
        at: u64,
        buf: &mut [u8],
    ) -> Result<(), MemoryError> {
        let failed = |reason| MemoryError {
            address: at,
            reason,
        };
        let slot = space.not_present(self.memory(), at).and_then(Slot::new);
        let slot = slot.ok_or(failed(Reason::SwappedOut))?;
        self.read_slot(slot, at % PAGE, buf).map_err(failed)
    }

    /// Whether the page of `at`, which is not in memory, is in an area that was kept.
    pub(crate) fn is_swap_kept(&self, space: AddressSpace, at: u64) -> bool {
        let slot = space.not_present(self.memory(), at).and_then(Slot::new);
        let (Some(slot), Some(types)) = (slot, self.swap_types()) else {
            return false;
        };
        let area = usize::try_from(slot.kind)
            .ok()
            .and_then(|kind| types.get(kind)?.as_ref());
        area.is_some_and(|area| slot.page < area.max && area.kept.is_ok())
    }

    fn read_slot(&self, slot: Slot, within: u64, buf: &mut [u8]) -> Result<(), Reason> {
        let (Some(swap), Some(types)) = (self.swap(), self.swap_types()) else {
            return Err(Reason::SwappedOut);
        };
        let kind = usize::try_from(slot.kind).ok();
        let Some(area) = kind.and_then(|kind| types.get(kind)?.as_ref()) else {
            return Err(Reason::NotSwap { kind: slot.kind });
        };
        let failed = |why: String| Reason::InSwap {
            page: slot.page,
            area: area.name.clone(),
            why,
        };
        if slot.page == 0 || slot.page >= area.max {
            return Err(failed(format!("the area has only {} pages", area.max)));
        }
        let newest = match self.newest(slot, area) {
            Ok(found) => found.map_err(|why| failed(why.to_owned()))?,
            Err(Error::Memory(error)) if error.reason == Reason::TooMuch => {
                return Err(Reason::TooMuch);
            }
            Err(error) => {
                return Err(failed(format!(
                    "whether memory has something newer cannot be told: {error}"
                )));
            }
        };
        match newest {
            Newest::Zero => buf.fill(0),
            Newest::Memory(page) => self.memory().read(page + within, buf)?,
            Newest::Area => {
                let index = area.kept.as_ref().map_err(|why| failed(why.clone()))?;
                let at = slot.page.saturating_mul(PAGE).saturating_add(within);
                swap.reader.read(*index, at, buf).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The areas that the kernel has, by their types; `None` if it does not say.
    fn swap_types(&self) -> Option<&[Option<Type>]> {
        let swap = self.swap()?;
        let all = self.symbol("swap_info").ok()?;
        let types = swap.types.get_or_init(|| {
            let types = 0..TYPES;
            types
                .map(|kind| self.swap_type(all, kind, swap).ok().flatten())
                .collect()
        });
        Some(types)
    }

    fn swap_type(&self, all: u64, kind: u64, swap: &Swap<'_>) -> Result<Option<Type>, Error> {
        let at = self.read_u64(all.wrapping_add(kind * 8))?;
        if at < KERNEL {
            return Ok(None);
        }
        let info = self.structure("swap_info_struct", at)?;
        // What is behind the last area is something else.
        let is_one = info.field("type")?.u64()? == kind && info.field("flags")?.u64()? & USED != 0;
        if !is_one {
            return Ok(None);
        }
        let file = info.field("swap_file")?.follow();
        let path = file.and_then(|file| self.path(file.field("f_path")?.structure()));
        let name = match path {
            Ok(name) => name,
            Err(error) => {
                return Ok(Some(Type {
                    at,
                    name: "?".to_owned(),
                    max: info.field("max")?.u64()?,
                    kept: Err(format!("which area it is cannot be told: {error}")),
                }));
            }
        };
        let bytes = info.field("pages")?.u64()?.saturating_mul(PAGE);
        let mut named = (0_usize..).zip(swap.areas);
        let kept = match named.find(|(_, area)| area.name == name) {
            None => Err("no such area was kept with the image".to_owned()),
            Some((_, area)) if area.size_bytes != bytes => Err(format!(
                "the area of that name that was listed with the image is another one: it has {} \
                 bytes, not {bytes}",
                area.size_bytes
            )),
            Some((index, area)) => match &area.missing {
                None => Ok(index),
                Some(why) => Err(format!("it was not kept: {why}")),
            },
        };
        Ok(Some(Type {
            at,
            name,
            max: info.field("max")?.u64()?,
            kept,
        }))
    }

    /// Where the newest content of a slot is, or why that is out of reach.
    fn newest(&self, slot: Slot, area: &Type) -> Result<Result<Newest, &'static str>, Error> {
        let info = self.structure("swap_info_struct", area.at)?;
        let has_table = self.types().member("swap_cluster_info", "table").is_ok();
        let (cached, is_zero) = match has_table {
            true => match self.in_table(slot, info)? {
                Ok(found) => found,
                Err(why) => return Ok(Err(why)),
            },
            false => {
                if self.is_free(slot, info)? {
                    return Ok(Err(FREE));
                }
                (self.in_tree(slot)?, false)
            }
        };
        if let Some(page) = cached {
            return self.cached(slot, page);
        }
        if is_zero || self.is_zero_by_map(slot, info)? {
            return Ok(Ok(Newest::Zero));
        }
        Ok(match self.is_compressed(slot)? {
            Some(why) => Err(why),
            None => Ok(Newest::Area),
        })
    }

    /// Since Linux 6.18: the page of a slot in the swap cache, if there is one, and whether it is
    /// zero. Each cluster of slots has a table.
    fn in_table(&self, slot: Slot, info: Struct<'_>) -> Result<InTable, Error> {
        let entries = self.types().member("swap_table", "entries");
        let entries = entries.or_else(|_| self.types().member("swap_memcg_table", "id"));
        let per_cluster = self.types().count(entries?.type_ref)?;
        let (cluster, within) = match slot.page.checked_div(per_cluster) {
            Some(cluster) => (cluster, slot.page % per_cluster),
            None => return Err(Error::NoStruct("swap_table")),
        };
        let size = self.types().size(self.types().find("swap_cluster_info")?)?;
        let clusters = info.field("cluster_info")?.u64()?;
        let at = clusters.wrapping_add(cluster.wrapping_mul(size));
        let cluster = self.structure("swap_cluster_info", at)?;
        let table = cluster.field("table")?.u64()?;
        if table == 0 {
            return Ok(Err(FREE));
        }
        let entry = self.read_u64(table.wrapping_add(within * 8))?;
        if entry == 0 || entry == BAD_SLOT {
            return Ok(Err(FREE));
        }
        // Where the number of users is in the entry, so is this, unless there is a map.
        let has_flags = cluster.has("extend_table");
        let is_zero = match cluster.has("zero_bitmap") {
            true => self.bit(cluster.field("zero_bitmap")?.u64()?, within)?,
            false => has_flags && !info.has("zeromap") && entry & ZERO_FLAG != 0,
        };
        Ok(Ok(match entry & 3 {
            // A page's number.
            2 => (Some(self.page_struct((entry >> 2) & PFN_BITS)?), is_zero),
            // A page, in the first kernels that have tables.
            0 => (Some(entry), is_zero),
            // How long ago it was written.
            _ => (None, is_zero),
        }))
    }

    /// Before Linux 6.18: the page of a slot in the swap cache, if there is one. It has a tree for
    /// each 64 MiB of an area.
    fn in_tree(&self, slot: Slot) -> Result<Option<u64>, Error> {
        let spaces = self.symbol("swapper_spaces")?.wrapping_add(slot.kind * 8);
        let spaces = self.read_u64(spaces)?;
        if spaces == 0 {
            return Ok(None);
        }
        let size = self.types().size(self.types().find("address_space")?)?;
        let at = spaces.wrapping_add((slot.page >> TREE_SHIFT).wrapping_mul(size));
        let tree = self.structure("address_space", at)?.field("i_pages")?;
        // Linux 6.12 begins to count in each tree.
        for index in [slot.page, slot.page & ((1 << TREE_SHIFT) - 1)] {
            let entry = self.xarray_entry(tree.structure(), index)?;
            // Others are not pages, but how long ago they were written.
            if entry != 0 && entry & 3 == 0 {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Whether nobody uses a slot any more, as the map of users says.
    fn is_free(&self, slot: Slot, info: Struct<'_>) -> Result<bool, Error> {
        let mut users = [0];
        let map = info.field("swap_map")?.u64()?;
        self.read(map.wrapping_add(slot.page), &mut users)?;
        Ok(users == [0])
    }

    fn is_zero_by_map(&self, slot: Slot, info: Struct<'_>) -> Result<bool, Error> {
        // Since Linux 6.12, and until it came to the tables.
        match info.has("zeromap") {
            true => self.bit(info.field("zeromap")?.u64()?, slot.page),
            false => Ok(false),
        }
    }

    /// The bit `number` of the map at `map`, if there is one.
    fn bit(&self, map: u64, number: u64) -> Result<bool, Error> {
        if map == 0 {
            return Ok(false);
        }
        let word = self.read_u64(map.wrapping_add(number / 64 * 8))?;
        Ok(word >> (number % 64) & 1 == 1)
    }

    /// Why a slot's content is not on the disk, if zswap has it.
    fn is_compressed(&self, slot: Slot) -> Result<Option<&'static str>, Error> {
        // A kernel without zswap.
        let Ok(trees) = self.symbol("zswap_trees") else {
            return Ok(None);
        };
        let trees = self.read_u64(trees.wrapping_add(slot.kind * 8))?;
        if trees == 0 {
            return Ok(None);
        }
        let has_arrays = self.types().find("zswap_entry").is_ok()
            && self.types().member("zswap_entry", "rbnode").is_err();
        if !has_arrays {
            // Linux 6.8 and before.
            let mut enabled = [0];
            self.read(self.symbol("zswap_enabled")?, &mut enabled)?;
            return Ok((enabled != [0]).then_some(
                "zswap is on, and what it has compressed in memory is not known of this kernel",
            ));
        }
        let mut count = [0; 4];
        let counts = self.symbol("nr_zswap_trees")?;
        self.read(counts.wrapping_add(slot.kind * 4), &mut count)?;
        let number = slot.page >> TREE_SHIFT;
        if number >= u64::from(u32::from_le_bytes(count)) {
            return Ok(None);
        }
        let size = self.types().size(self.types().find("xarray")?)?;
        let at = trees.wrapping_add(number.wrapping_mul(size));
        let entry = self.xarray_entry(self.structure("xarray", at)?, slot.page)?;
        Ok((entry != 0).then_some(
            "it is compressed in memory (zswap), where it is not followed, and was not written to \
             the area",
        ))
    }

    /// The `struct page` with this number.
    fn page_struct(&self, number: u64) -> Result<u64, Error> {
        let size = self.types().size(self.types().find("page")?)?;
        let base = self.read_u64(self.symbol("vmemmap_base")?)?;
        Ok(base.wrapping_add(number.wrapping_mul(size)))
    }

    /// Where the page of a slot is in memory: in the folio whose first `struct page` is at `at`.
    fn cached(&self, slot: Slot, at: u64) -> Result<Result<Newest, &'static str>, Error> {
        let size = self.types().size(self.types().find("page")?)?;
        let base = self.read_u64(self.symbol("vmemmap_base")?)?;
        let page = self.structure("page", at)?;
        let first = page.field("private")?.u64()?;
        let number = at.wrapping_sub(base).checked_div(size);
        // The folio says what it is of. What was taken from the cache while memory was read does
        // not.
        let within = slot.page.checked_sub(first & ((1 << OFFSET_BITS) - 1));
        let within =
            within.filter(|&within| first >> OFFSET_BITS == slot.kind && within < MAX_FOLIO_PAGES);
        let (Some(number), Some(within)) = (number, within) else {
            return Ok(Err(
                "its page in the swap cache is another one by now, as memory changed while it was \
                 read",
            ));
        };
        let flags = page.first_of(&["flags.f", "flags"])?.u64()?;
        let is_read = self.types().constant("pageflags", "PG_uptodate");
        match is_read.and_then(|bit| flags.checked_shr(bit)) {
            Some(flag) if flag & 1 == 1 => {
                let number = number.wrapping_add(within) & PFN_BITS;
                Ok(Ok(Newest::Memory(number * PAGE)))
            }
            _ => Ok(Err("it was being read from the area")),
        }
    }
}

/// Of a slot in a table: the first `struct page` of its folio, and whether it is zero; or why
/// nothing is known of it.
type InTable = Result<(Option<u64>, bool), &'static str>;

const FREE: &str = "its place there was free: memory changed while it was read";

#[cfg(test)]
mod tests;
