// SPDX-License-Identifier: MIT OR Apache-2.0
//! BTF, put together type by type. The kernel's Documentation/bpf/btf.rst defines the
//! numbers of the kinds.

/// BTF that grows. Types count from 1, or from where a base ends.
#[derive(Clone, Debug)]
pub struct Assembler {
    types: Vec<u8>,
    strings: Vec<u8>,
    next: u32,
    first_string: u32,
}

impl Assembler {
    pub fn new() -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
            next: 1,
            first_string: 0,
        }
    }

    /// A module's BTF, which continues `base`.
    pub fn on(base: &Self) -> Self {
        Self {
            types: Vec::new(),
            strings: Vec::new(),
            next: base.next,
            first_string: u32::try_from(base.strings.len()).unwrap(),
        }
    }

    pub fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.first_string + u32::try_from(self.strings.len()).unwrap();
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        at
    }

    /// A record with what follows it; its number.
    pub fn record(&mut self, name: &str, info: u32, size: u32, more: &[u32]) -> u32 {
        let name = self.name(name);
        for word in [name, info, size].iter().chain(more) {
            self.types.extend_from_slice(&word.to_le_bytes());
        }
        self.next += 1;
        self.next - 1
    }

    /// `encoding`: 1 signed, 2 character, 4 truth value.
    pub fn int(&mut self, name: &str, size: u32, encoding: u32) -> u32 {
        self.record(name, 1 << 24, size, &[(encoding << 24) | (size * 8)])
    }

    pub fn pointer(&mut self, to: u32) -> u32 {
        self.record("", 2 << 24, to, &[])
    }

    pub fn array(&mut self, element: u32, count: u32) -> u32 {
        self.record("", 3 << 24, 0, &[element, 1, count])
    }

    /// Members are name, type and first bit; with sizes of bit fields, those are in
    /// the upper byte.
    pub fn composite(
        &mut self,
        name: &str,
        (kind, has_sizes): (u32, bool),
        size: u32,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        let mut more = Vec::new();
        for (name, of, place) in members {
            more.extend([self.name(name), *of, *place]);
        }
        let count = u32::try_from(members.len()).unwrap();
        let info = u32::from(has_sizes) << 31 | kind << 24 | count;
        self.record(name, info, size, &more)
    }

    pub fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.composite(name, (4, false), size, members)
    }

    pub fn enumeration(&mut self, name: &str, is_signed: bool, values: &[(&str, u32)]) -> u32 {
        let mut more = Vec::new();
        for (name, value) in values {
            more.extend([self.name(name), *value]);
        }
        let count = u32::try_from(values.len()).unwrap();
        self.record(name, u32::from(is_signed) << 31 | 6 << 24 | count, 4, &more)
    }

    pub fn forward(&mut self, name: &str) -> u32 {
        self.record(name, 7 << 24, 0, &[])
    }

    pub fn typedef(&mut self, name: &str, of: u32) -> u32 {
        self.record(name, 8 << 24, of, &[])
    }

    pub fn constant(&mut self, of: u32) -> u32 {
        self.record("", 10 << 24, of, &[])
    }

    pub fn prototype(&mut self) -> u32 {
        self.record("", 13 << 24, 0, &[])
    }

    pub fn variable(&mut self, name: &str, of: u32) -> u32 {
        self.record(name, 14 << 24, of, &[1])
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let types = u32::try_from(self.types.len()).unwrap();
        let strings = u32::try_from(self.strings.len()).unwrap();
        for word in [24, 0, types, types, strings] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&self.types);
        bytes.extend_from_slice(&self.strings);
        bytes
    }
}
