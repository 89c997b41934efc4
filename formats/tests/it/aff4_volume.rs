// SPDX-License-Identifier: MIT OR Apache-2.0
//! AFF4 volumes as other programs write them, or as no program should: plain zip with
//! 32-bit sizes.

/// A volume being written.
pub struct Volume {
    urn: String,
    bytes: Vec<u8>,
    directory: Vec<u8>,
    members: u16,
}

const PREFIXES: &str = "@prefix aff4: <http://aff4.org/Schema#> .\n\
                        @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .\n";

impl Volume {
    pub fn new(urn: &str) -> Self {
        let volume = Self {
            urn: urn.to_owned(),
            bytes: Vec::new(),
            directory: Vec::new(),
            members: 0,
        };
        volume.member("container.description", urn.as_bytes())
    }

    pub fn member(self, name: &str, content: &[u8]) -> Self {
        self.add(
            name,
            content,
            0,
            u32::try_from(content.len()).unwrap(),
            None,
        )
    }

    fn add(mut self, name: &str, stored: &[u8], method: u16, len: u32, wide: Option<u64>) -> Self {
        let offset = u32::try_from(self.bytes.len()).unwrap();
        let mut common = Vec::new();
        common.extend([20, 0, 0, 0]);
        common.extend(method.to_le_bytes());
        common.extend([0; 4]);
        common.extend(crc32fast::hash(stored).to_le_bytes());
        common.extend(u32::try_from(stored.len()).unwrap().to_le_bytes());
        common.extend(len.to_le_bytes());
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        let extra = wide.map_or(Vec::new(), |len| {
            [&[1, 0, 8, 0][..], &len.to_le_bytes()].concat()
        });
        common.extend(u16::try_from(extra.len()).unwrap().to_le_bytes());
        self.bytes.extend(b"PK\x03\x04");
        self.bytes.extend(&common);
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(&extra);
        self.bytes.extend(stored);
        self.directory.extend(b"PK\x01\x02\x14\0");
        self.directory.extend(&common);
        self.directory.extend([0; 10]);
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.directory.extend(&extra);
        self.members += 1;
        self
    }

    /// Adds a deflated member that claims to be `len` bytes long, and closes the volume.
    pub fn deflated(self, name: &str, deflated: &[u8], len: u64) -> Vec<u8> {
        self.add(name, deflated, 8, u32::MAX, Some(len)).close()
    }

    /// Adds a description and closes the volume.
    pub fn finish(self, turtle: &str) -> Vec<u8> {
        let turtle = format!("{PREFIXES}{turtle}");
        self.member("information.turtle", turtle.as_bytes()).close()
    }

    pub fn close(mut self) -> Vec<u8> {
        let offset = u32::try_from(self.bytes.len()).unwrap();
        self.bytes.extend(&self.directory);
        self.bytes.extend(b"PK\x05\x06\0\0\0\0");
        self.bytes.extend(self.members.to_le_bytes());
        self.bytes.extend(self.members.to_le_bytes());
        self.bytes
            .extend(u32::try_from(self.directory.len()).unwrap().to_le_bytes());
        self.bytes.extend(offset.to_le_bytes());
        // Some writers end the comment with a zero.
        let comment = [self.urn.as_bytes(), &[0]].concat();
        self.bytes
            .extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
        self.bytes.extend(comment);
        self.bytes
    }
}
