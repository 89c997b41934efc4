// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes in readable form.

use linpmem_phys::hex;
use linpmem_phys::num::usize_as_u64;
use std::io::{self, Write};

const ROW: usize = 16;

/// Writes the `bytes` at `address` in rows of 16.
pub fn write(out: &mut dyn Write, address: u64, bytes: &[u8]) -> io::Result<()> {
    let mut at = address;
    for row in bytes.chunks(ROW) {
        let mut digits = String::new();
        for (index, byte) in row.iter().enumerate() {
            let gap = if index == ROW / 2 { "  " } else { " " };
            digits.push_str(gap);
            digits.push_str(&hex::encode(&[*byte]));
        }
        let text: String = row
            .iter()
            .map(|&byte| match byte {
                0x20..=0x7e => char::from(byte),
                _ => '.',
            })
            .collect();
        writeln!(out, "{at:#018x} {digits:<49}  |{text}|")?;
        // Addresses may wrap after the last row.
        at = at.wrapping_add(usize_as_u64(row.len()));
    }
    Ok(())
}

/// Writes the `bytes` at `address` as little-endian values of `width` bytes, one per
/// line. What is left at the end is shown byte by byte.
pub fn write_values(
    out: &mut dyn Write,
    address: u64,
    bytes: &[u8],
    width: usize,
) -> io::Result<()> {
    let mut at = address;
    for chunk in bytes.chunks(width.max(1)) {
        let sizes = if chunk.len() == width { width } else { 1 };
        for part in chunk.chunks(sizes) {
            let value = part
                .iter()
                .rev()
                .fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
            let digits = 2 + part.len() * 2;
            writeln!(out, "{at:#018x} {value:#0digits$x}")?;
            at = at.wrapping_add(usize_as_u64(part.len()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_show_address_bytes_and_text() {
        let mut out = Vec::new();
        write(&mut out, 0x1000, b"Linux version 6.\x00\xff").unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "0x0000000000001000  4c 69 6e 75 78 20 76 65  72 73 69 6f 6e 20 36 2e  |Linux version 6.|\n\
             0x0000000000001010  00 ff                                             |..|\n"
        );
    }

    #[test]
    fn values_are_little_endian() {
        let mut out = Vec::new();
        write_values(&mut out, 0x10, &[1, 2, 3, 4, 5], 4).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "0x0000000000000010 0x04030201\n0x0000000000000014 0x05\n"
        );
    }
}
