// SPDX-License-Identifier: MIT OR Apache-2.0
//! Structs in memory, and what their members hold.

use super::Machine;
use crate::error::Error;
use linpmem_kinfo::btf::{Kind, TypeRef};
use linpmem_phys::num::u64_as_usize;

/// A longer text is cut here: these are names of tasks and modules, and there may be a million.
const MAX_TEXT: u64 = 256;

/// A struct or union at an address. Nothing is read yet.
#[derive(Clone, Copy, Debug)]
pub struct Struct<'m> {
    machine: &'m Machine<'m>,
    type_ref: TypeRef,
    address: u64,
}

/// A member at an address. Nothing is read yet.
#[derive(Clone, Copy, Debug)]
pub struct Value<'m> {
    machine: &'m Machine<'m>,
    type_ref: TypeRef,
    address: u64,
    bits: Option<(u32, u32)>,
}

impl<'m> Struct<'m> {
    pub(crate) const fn new(machine: &'m Machine<'m>, type_ref: TypeRef, address: u64) -> Self {
        Self {
            machine,
            type_ref,
            address,
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Its member `path`: see [`Types::field`](crate::Types::field).
    ///
    /// # Errors
    /// If there is none.
    pub fn field(&self, path: &'static str) -> Result<Value<'m>, Error> {
        let field = self.machine.types().field(self.type_ref, path)?;
        Ok(Value {
            machine: self.machine,
            type_ref: field.type_ref,
            address: self.address.wrapping_add(field.offset),
            bits: field.bits,
        })
    }

    /// Whether it has the member `path`.
    #[must_use]
    pub fn has(&self, path: &'static str) -> bool {
        self.machine.types().field(self.type_ref, path).is_ok()
    }

    /// The first of these members that it has: kernels give them different names.
    ///
    /// # Errors
    /// If it has none of them.
    pub fn first_of(&self, paths: &[&'static str]) -> Result<Value<'m>, Error> {
        let mut last = Error::Null { at: self.address };
        for path in paths {
            match self.field(path) {
                Ok(value) => return Ok(value),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl<'m> Value<'m> {
    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// The number, the enumeration or the pointer that it holds.
    ///
    /// # Errors
    /// If it is none, or cannot be read.
    pub fn u64(&self) -> Result<u64, Error> {
        let kind = self.machine.types().btf().bare(self.type_ref)?.kind;
        let size = match kind {
            Kind::Int { size, .. } | Kind::Enum { size, .. } => u64::from(size),
            Kind::Pointer(_) => 8,
            _ => return Err(self.kind("a number")),
        };
        let mut bytes = [0; 8];
        match self.bits {
            None => {
                let (target, _) = bytes.split_at_mut(u64_as_usize(size.min(8)));
                self.machine.read(self.address, target)?;
                Ok(u64::from_le_bytes(bytes))
            }
            Some((shift, count)) => {
                let end = u64::from(shift.saturating_add(count)).div_ceil(8);
                let (target, _) = bytes.split_at_mut(u64_as_usize(end.min(8)));
                self.machine.read(self.address, target)?;
                let mask = u64::MAX.checked_shr(64_u32.saturating_sub(count));
                let value = u64::from_le_bytes(bytes).checked_shr(shift).unwrap_or(0);
                Ok(value & mask.unwrap_or(0))
            }
        }
    }

    /// The number, which may be negative and has at most 32 bits.
    ///
    /// # Errors
    /// If it is none, or cannot be read.
    pub fn i32(&self) -> Result<i32, Error> {
        let low = self.u64()? & u64::from(u32::MAX);
        let low = u32::try_from(low).unwrap_or(0);
        Ok(i32::from_le_bytes(low.to_le_bytes()))
    }

    /// The struct that the pointer leads to.
    ///
    /// # Errors
    /// If this is no pointer, or is null, or cannot be read.
    pub fn follow(&self) -> Result<Struct<'m>, Error> {
        self.follow_if_any()?
            .ok_or(Error::Null { at: self.address })
    }

    /// The struct that the pointer leads to; `None` if it is null.
    ///
    /// # Errors
    /// If this is no pointer, or cannot be read.
    pub fn follow_if_any(&self) -> Result<Option<Struct<'m>>, Error> {
        let Kind::Pointer(target) = self.machine.types().btf().bare(self.type_ref)?.kind else {
            return Err(self.kind("a pointer"));
        };
        let address = self.u64()?;
        Ok((address != 0).then(|| Struct::new(self.machine, target, address)))
    }

    /// The struct that this member is.
    #[must_use]
    pub const fn structure(&self) -> Struct<'m> {
        Struct::new(self.machine, self.type_ref, self.address)
    }

    /// How many elements the array has.
    ///
    /// # Errors
    /// If it is none.
    pub fn count(&self) -> Result<u64, Error> {
        match self.machine.types().btf().bare(self.type_ref)?.kind {
            Kind::Array { count, .. } => Ok(u64::from(count)),
            _ => Err(self.kind("an array")),
        }
    }

    /// The element `index` of the array, which may be one past its declared end.
    ///
    /// # Errors
    /// If it is none.
    pub fn index(&self, index: u64) -> Result<Value<'m>, Error> {
        let Kind::Array { element, .. } = self.machine.types().btf().bare(self.type_ref)?.kind
        else {
            return Err(self.kind("an array"));
        };
        let size = self.machine.types().size(element)?;
        Ok(Value {
            machine: self.machine,
            type_ref: element,
            address: self.address.wrapping_add(size.wrapping_mul(index)),
            bits: None,
        })
    }

    /// The text in the array of characters, up to its end or its first zero byte.
    ///
    /// # Errors
    /// If it is no array, or cannot be read.
    pub fn text(&self) -> Result<String, Error> {
        let len = self.count()?;
        self.machine.text(self.address, len.min(MAX_TEXT))
    }

    fn kind(&self, wanted: &'static str) -> Error {
        Error::Kind {
            at: self.address,
            found: self.machine.types().describe(self.type_ref),
            wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::testing::{Btf, Image, Kernel, Of};

    /// A `thing` with a member of every kind, at the symbol `modules`.
    fn image() -> (Image, u64) {
        let mut btf = Btf::new();
        btf.structure("other", 8, &[("inner", Of::Number(8), 0)])
            .structure("?deep", 8, &[("deep", Of::Number(4), 4)])
            .structure(
                "?nested",
                16,
                &[("", Of::Struct("?deep"), 8), ("near", Of::Number(2), 0)],
            )
            .structure(
                "thing",
                96,
                &[
                    ("wide", Of::Number(8), 0),
                    ("signed", Of::Signed(4), 8),
                    ("low", Of::Bits(3), 96),
                    ("high", Of::Bits(13), 99),
                    ("", Of::Struct("?nested"), 16),
                    ("other", Of::Struct("other"), 32),
                    ("link", Of::Pointer("other"), 40),
                    ("name", Of::Array("char", 16), 48),
                    ("words", Of::Pointer("char"), 64),
                    ("table", Of::Array("other", 2), 72),
                ],
            );
        let mut kernel = Kernel::new(&btf);
        let at = kernel.allocate(96);
        kernel.put(at, 0x1122_3344_5566_7788);
        kernel.put_u32(at + 8, u32::MAX - 1);
        kernel.put_u32(at + 12, 0b101 | 0x1abc << 3 | 0xffff << 16);
        kernel.put_u32(at + 16, 0xaaaa_1234);
        kernel.put_u32(at + 28, 77);
        kernel.put(at + 32, 32);
        kernel.put(at + 40, at + 32);
        kernel.text(at + 48, "sixteen letters!");
        let words = kernel.allocate(16);
        kernel.text(words, "a\u{e4}");
        kernel.put(at + 64, words);
        kernel.put(at + 80, 99);
        kernel.symbol("modules", at);
        (kernel.image(), at)
    }

    #[test]
    fn members_of_every_kind_are_read() {
        let (image, at) = image();
        let machine = image.machine();
        let thing = machine.variable("modules", "thing").unwrap();
        let number = |path| thing.field(path).unwrap().u64().unwrap();
        assert_eq!(thing.address(), at);
        assert_eq!(number("wide"), 0x1122_3344_5566_7788);
        assert_eq!(thing.field("signed").unwrap().i32(), Ok(-2));
        assert_eq!(number("low"), 0b101);
        assert_eq!(number("high"), 0x1abc);
        // In structs without a name.
        assert_eq!((number("near"), number("deep")), (0x1234, 77));
        assert_eq!(number("other.inner"), 32);
        let other = thing.field("link").unwrap().follow().unwrap();
        assert_eq!(other.address(), at + 32);
        assert_eq!(other.field("inner").unwrap().u64(), Ok(32));
        // No zero byte at its end.
        let name = thing.field("name").unwrap();
        assert_eq!(name.text().unwrap(), "sixteen letters!");
        let words = machine.text(number("words"), 9).unwrap();
        assert_eq!(words, "a\u{e4}");
        let table = thing.field("table").unwrap();
        assert_eq!(table.count(), Ok(2));
        let second = table.index(1).unwrap().structure();
        assert_eq!(second.field("inner").unwrap().u64(), Ok(99));
        assert_eq!(thing.first_of(&["absent", "wide"]).unwrap().address(), at);
    }

    #[test]
    fn what_is_missing_is_named() {
        let (image, at) = image();
        let machine = image.machine();
        let thing = machine.structure("thing", at).unwrap();
        for _ in 0..2 {
            let error = thing.field("other.absent").unwrap_err();
            let text = error.to_string();
            assert_eq!(text, "the kernel's struct thing has no member other.absent");
        }
        assert!(!thing.has("wide.more") && thing.has("other.inner"));
        let error = machine.structure("nothing", at).unwrap_err();
        assert_eq!(error, Error::NoStruct("nothing"));
        let error = machine.types().member("nothing", "wide").unwrap_err();
        assert_eq!(error, Error::NoStruct("nothing"));
        let error = machine.variable("prb", "thing").unwrap_err();
        assert_eq!(error, Error::NoSymbol("prb"));
        for (path, wanted) in [("name", "a number"), ("other", "a number")] {
            let error = thing.field(path).unwrap().u64().unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
        }
        let error = thing.field("wide").unwrap().follow().unwrap_err();
        assert!(error.to_string().contains("a pointer"), "{error}");
        assert!(thing.field("wide").unwrap().index(0).is_err());
        assert!(thing.field("wide").unwrap().count().is_err());
        let null = machine.structure("thing", at + 0x1000).unwrap();
        let link = null.field("link").unwrap();
        assert_eq!(link.follow().unwrap_err(), Error::Null { at: at + 0x1028 });
    }
}
