// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shows the memory at a physical address: `read_at IMAGE ADDRESS [LENGTH]`. Bytes that
//! the image does not hold are shown as `--`.

use linpmem_formats::open_image;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{PhysAddr, PhysLen, Unreadables};
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

const BYTES_PER_LINE: usize = 16;
const MAX_LEN: PhysLen = PhysLen::new(1 << 20);

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (image, addr, len) = match words.as_slice() {
        [image, addr] => (image, addr.parse()?, PhysLen::new(256)),
        [image, addr, len] => (image, addr.parse()?, len.parse()?),
        _ => return Err("usage: read_at IMAGE ADDRESS [LENGTH], such as 0x1000 and 64".into()),
    };
    read_at(Path::new(image), addr, len, &mut io::stdout().lock())
}

fn read_at(
    path: &Path,
    addr: PhysAddr,
    len: PhysLen,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error>> {
    if len > MAX_LEN {
        return Err(format!("{len} is too much to show: the most is {MAX_LEN}").into());
    }
    let image = open_image(path)?;
    let mut memory = vec![0; u64_as_usize(len.get())];
    let mut unreadable = Unreadables::new();
    image.read_phys(addr, &mut memory, &mut unreadable)?;
    for (number, line) in memory.chunks(BYTES_PER_LINE).enumerate() {
        let start = addr.get() + usize_as_u64(number * BYTES_PER_LINE);
        write!(out, "{start:#x}:")?;
        for (byte, at) in line.iter().zip(start..) {
            let ranges = unreadable.as_slice().iter().map(|item| item.range);
            if ranges
                .into_iter()
                .any(|range| range.contains(PhysAddr::new(at)))
            {
                write!(out, " --")?;
            } else {
                write!(out, " {byte:02x}")?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_what_is_missing_are_told_apart() {
        for name in ["elf.core", "pages.lime", "pages.kdump"] {
            let mut out = Vec::new();
            let path = Path::new("testdata/golden").join(name);
            let (addr, len) = (PhysAddr::new(0x2ff8), PhysLen::new(18));
            read_at(&path, addr, len, &mut out).unwrap();
            // The page at 0x2000 is zero, and the one at 0x3000 is not in the image.
            assert_eq!(
                String::from_utf8(out).unwrap(),
                "0x2ff8: 00 00 00 00 00 00 00 00 -- -- -- -- -- -- -- --\n0x3008: -- --\n",
                "{name}"
            );
        }
    }

    #[test]
    fn so_much_is_not_shown() {
        let path = Path::new("testdata/golden/elf.core");
        let len = PhysLen::new(MAX_LEN.get() + 1);
        assert!(read_at(path, PhysAddr::ZERO, len, &mut Vec::new()).is_err());
    }
}
