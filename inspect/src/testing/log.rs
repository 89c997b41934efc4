// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log of a kernel in the making.

use super::{Btf, Kernel, Of};

/// A record that is complete.
const STATE: u64 = 2 << 62;

/// Adds the types of a log to `btf`.
pub fn log_types(btf: &mut Btf) {
    btf.structure("atomic_t", 8, &[("counter", Of::Number(8), 0)])
        .structure(
            "lpos",
            16,
            &[("begin", Of::Number(8), 0), ("next", Of::Number(8), 8)],
        )
        .structure(
            "prb_desc",
            24,
            &[
                ("state_var", Of::Struct("atomic_t"), 0),
                ("text_blk_lpos", Of::Struct("lpos"), 8),
            ],
        )
        .structure(
            "printk_info",
            32,
            &[
                ("seq", Of::Number(8), 0),
                ("ts_nsec", Of::Number(8), 8),
                ("text_len", Of::Number(2), 16),
                ("facility", Of::Number(1), 18),
                ("level", Of::Bits(3), 19 * 8 + 5),
            ],
        )
        .structure(
            "desc_ring",
            40,
            &[
                ("count_bits", Of::Number(4), 0),
                ("descs", Of::Pointer("prb_desc"), 8),
                ("infos", Of::Pointer("printk_info"), 16),
                ("head_id", Of::Struct("atomic_t"), 24),
                ("tail_id", Of::Struct("atomic_t"), 32),
            ],
        )
        .structure(
            "data_ring",
            16,
            &[
                ("size_bits", Of::Number(4), 0),
                ("data", Of::Pointer("char"), 8),
            ],
        )
        .structure(
            "printk_ringbuffer",
            64,
            &[
                ("desc_ring", Of::Struct("desc_ring"), 0),
                ("text_data_ring", Of::Struct("data_ring"), 40),
            ],
        );
}

/// A log with room for four records and 64 bytes of text.
pub struct LogRing {
    pub ring: u64,
    pub descriptors: u64,
    pub infos: u64,
    pub text: u64,
}

impl LogRing {
    pub fn new(kernel: &mut Kernel) -> Self {
        let variable = kernel.allocate(8);
        let [ring, descriptors, infos, text] = [64, 96, 128, 64].map(|size| kernel.allocate(size));
        kernel.symbol("prb", variable);
        kernel.put(variable, ring);
        kernel.put_u32(ring, 2);
        kernel.put(ring + 8, descriptors);
        kernel.put(ring + 16, infos);
        kernel.put_u32(ring + 40, 6);
        kernel.put(ring + 48, text);
        Self {
            ring,
            descriptors,
            infos,
            text,
        }
    }

    /// Writes a record whose text is between these positions.
    pub fn record(&self, kernel: &mut Kernel, id: u64, [begin, next]: [u64; 2], text: &str) {
        let descriptor = self.descriptors + id % 4 * 24;
        kernel.put(descriptor, id | STATE);
        kernel.put(descriptor + 8, begin);
        kernel.put(descriptor + 16, next);
        let infos = self.infos + id % 4 * 32;
        kernel.put(infos, id);
        kernel.put(infos + 8, id * 1000);
        // Facility 3, level 6.
        let len = text.len() as u32;
        kernel.put_u32(infos + 16, len | 3 << 16 | 6 << 29);
        let start = if begin >> 6 == (next - 1) >> 6 {
            begin % 64
        } else {
            0
        };
        kernel.put(self.text + start, id);
        kernel.text(self.text + start + 8, text);
    }

    pub fn range(&self, kernel: &mut Kernel, tail: u64, head: u64) {
        kernel.put(self.ring + 24, head | STATE);
        kernel.put(self.ring + 32, tail);
    }
}
