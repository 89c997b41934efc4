// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decompression of LZO1X, which RHEL's kdump uses by default.
//!
//! The format is that of Documentation/staging/lzo.rst in Linux, version 0. A block is a
//! series of instructions. Each copies bytes from what was decompressed before, and then up to
//! three bytes from the block; some only copy bytes from the block.

/// Decompresses `block` into `target`, and returns how many bytes it had. `None` if it is
/// damaged, or has more than there is room for.
pub(crate) fn decompress(block: &[u8], target: &mut [u8]) -> Option<usize> {
    let mut input = Input(block);
    let mut output = Output {
        bytes: target,
        len: 0,
    };
    // The literals that the last instruction copied; 4 for more than three.
    let mut last = 0;
    if let Some(literals) = block.first().and_then(|first| first.checked_sub(17)) {
        if literals > 0 {
            input.byte()?;
            output.append(input.bytes(usize::from(literals))?)?;
            last = literals.min(4);
        }
    }
    loop {
        let code = input.byte()?;
        let (distance, len, literals) = match code {
            0..=15 if last == 0 => {
                let len = input.len(code, 15, output.room())?.checked_add(3)?;
                output.append(input.bytes(len)?)?;
                last = 4;
                continue;
            }
            0..=15 => {
                let (least, len) = if last == 4 { (2049, 3) } else { (1, 2) };
                let high = usize::from(input.byte()?);
                (high * 4 + usize::from(code >> 2) + least, len, code & 3)
            }
            16..=31 => {
                let len = input.len(code & 7, 7, output.room())?.checked_add(2)?;
                let (within, literals) = input.operand()?;
                let distance = 16384 + usize::from(code & 8) * 2048 + within;
                if distance == 16384 {
                    return input.0.is_empty().then_some(output.len);
                }
                (distance, len, literals)
            }
            32..=63 => {
                let len = input.len(code & 31, 31, output.room())?.checked_add(2)?;
                let (within, literals) = input.operand()?;
                (within + 1, len, literals)
            }
            64..=255 => {
                // Of 64 to 127, one bit is the length, above two: 3 to 8 in all.
                let len = usize::from(code >> 5) + 1;
                let high = usize::from(input.byte()?);
                let low = usize::from((code >> 2) & 7);
                (high * 8 + low + 1, len, code & 3)
            }
        };
        output.repeat(distance, len)?;
        output.append(input.bytes(usize::from(literals))?)?;
        last = literals;
    }
}

/// What is left of a block.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The length that begins with the bits in `low`. If they are 0, it is `most` of them,
    /// 255 for each zero byte that follows, and the byte after those. `None` if that is more
    /// than `limit`.
    fn len(&mut self, low: u8, most: u8, limit: usize) -> Option<usize> {
        if low > 0 {
            return Some(usize::from(low));
        }
        let mut len = usize::from(most);
        loop {
            let byte = self.byte()?;
            if byte > 0 {
                return len.checked_add(usize::from(byte));
            }
            len = len.checked_add(255).filter(|len| *len <= limit)?;
        }
    }

    /// An operand of 16 bits: a distance, and the number of literals in its lowest bits.
    fn operand(&mut self) -> Option<(usize, u8)> {
        let (low, high) = (self.byte()?, self.byte()?);
        Some((usize::from(high) * 64 + usize::from(low >> 2), low & 3))
    }
}

struct Output<'a> {
    bytes: &'a mut [u8],
    /// How many of them were decompressed.
    len: usize,
}

impl Output<'_> {
    fn room(&self) -> usize {
        self.bytes.len() - self.len
    }

    fn append(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    /// Appends `len` bytes that begin `distance` bytes back. Where that is less than `len`,
    /// they repeat.
    fn repeat(&mut self, distance: usize, len: usize) -> Option<()> {
        let start = self.len.checked_sub(distance)?;
        let end = self.len.checked_add(len)?;
        let bytes = self.bytes.get_mut(start..end)?;
        // What was copied already is as good a source: it doubles.
        let mut there = distance;
        while there < bytes.len() {
            let (source, target) = bytes.split_at_mut(there);
            let count = target.len().min(source.len() / distance * distance);
            let (target, _) = target.split_at_mut(count);
            target.copy_from_slice(source.get(..count)?);
            there += count;
        }
        self.len = end;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// testdata/lzo/README.md says where the blocks are from.
    fn text() -> Vec<u8> {
        let words = ["kernel", "page", "fault", "at", "address", "task", "cpu"];
        let mut text = String::new();
        let mut index = 0;
        while text.len() < 4096 {
            text += words[(index * index + index / 3) % 7];
            text += &format!(" {} ", index % 13);
            index += 1;
        }
        text.truncate(4096);
        text.into_bytes()
    }

    fn pointers() -> Vec<u8> {
        let number = |n: u64| match n % 5 {
            0 => 0xffff_8880_0000_0000 + ((n * 2_654_435_761) & 0xff_ffff),
            _ => n % 3,
        };
        (0..512).flat_map(|n| number(n).to_le_bytes()).collect()
    }

    fn far() -> Vec<u8> {
        let mut state: u64 = 1;
        let noise: Vec<u8> = (0..60)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        let mut far = Vec::new();
        for n in 0..6_u8 {
            far.extend_from_slice(&noise[usize::from(n)..]);
            far.resize(far.len() + 3000 * usize::from(n) + 1000, n);
        }
        far
    }

    macro_rules! block {
        ($name:literal) => {
            &include_bytes!(concat!("../../testdata/lzo/", $name, ".lzo"))[..]
        };
    }

    fn blocks() -> Vec<(&'static [u8], Vec<u8>)> {
        vec![
            (block!("text-1"), text()),
            (block!("text-9"), text()),
            (block!("zero-1"), vec![0; 4096]),
            (block!("zero-9"), vec![0; 4096]),
            (block!("pointers-1"), pointers()),
            (block!("pointers-9"), pointers()),
            (block!("far-1"), far()),
            (block!("far-9"), far()),
            (block!("empty"), Vec::new()),
        ]
    }

    #[test]
    fn what_liblzo2_compressed_comes_back() {
        for (index, (block, content)) in blocks().into_iter().enumerate() {
            let mut target = vec![0xee; content.len() + 10];
            assert_eq!(
                decompress(block, &mut target),
                Some(content.len()),
                "{index}"
            );
            assert!(target[..content.len()] == content, "{index}");
            assert!(target[content.len()..].iter().all(|&byte| byte == 0xee));
        }
    }

    #[test]
    fn a_block_is_refused_if_it_is_cut_off_or_goes_on_or_has_no_room() {
        for (block, content) in blocks() {
            let mut target = vec![0; content.len()];
            for cut in 0..block.len() {
                assert_eq!(decompress(&block[..cut], &mut target), None, "{cut}");
            }
            let longer = [block, &[0]].concat();
            assert_eq!(decompress(&longer, &mut target), None);
            if let Some(shorter) = content.len().checked_sub(1) {
                assert_eq!(decompress(block, &mut target[..shorter]), None);
            }
        }
    }

    #[test]
    fn a_repeat_from_before_the_beginning_is_refused() {
        let mut target = [0; 64];
        // One literal, and three bytes from 1, 2 and 16385 bytes before it.
        let end = [0x11, 0, 0];
        let near = [&[18, b'a', 0x40, 0][..], &end].concat();
        assert_eq!(decompress(&near, &mut target), Some(4));
        assert_eq!(&target[..4], b"aaaa");
        let before = [&[18, b'a', 0x44, 0][..], &end].concat();
        assert_eq!(decompress(&before, &mut target), None);
        let far = [&[18, b'a', 0x11, 4, 0][..], &end].concat();
        assert_eq!(decompress(&far, &mut target), None);
    }

    #[test]
    fn a_length_of_many_zero_bytes_ends_where_the_room_does() {
        let mut block = vec![0; 1 << 20];
        block[0] = 0;
        assert_eq!(decompress(&block, &mut [0; 4096]), None);
        assert_eq!(decompress(&[0x20; 1], &mut [0; 4096]), None);
    }
}
