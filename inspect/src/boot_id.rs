// SPDX-License-Identifier: MIT OR Apache-2.0
//! The number that a kernel gives each boot of its own: /proc/sys/kernel/random/boot_id.

use crate::error::Error;
use crate::machine::Machine;

impl Machine<'_> {
    /// The id of the boot, as /proc has it; `None` if nobody has asked for it yet, because the
    /// kernel makes it then.
    ///
    /// # Errors
    /// If its symbol is missing, or it cannot be read.
    pub fn boot_id(&self) -> Result<Option<String>, Error> {
        let mut bytes = [0; 16];
        self.read(self.symbol("sysctl_bootid")?, &mut bytes)?;
        Ok((bytes != [0; 16]).then(|| in_groups(bytes)))
    }
}

/// Hexadecimal, in groups of 4, 2, 2, 2 and 6 bytes.
fn in_groups(bytes: [u8; 16]) -> String {
    let mut text = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::testing::{Btf, Kernel};

    fn boot_id(low: u64, high: u64) -> Option<String> {
        let mut kernel = Kernel::new(&Btf::new());
        let at = kernel.allocate(16);
        kernel.symbol("sysctl_bootid", at);
        kernel.put(at, low);
        kernel.put(at + 8, high);
        kernel.image().machine().boot_id().unwrap()
    }

    #[test]
    fn it_is_written_as_proc_has_it_and_is_unknown_until_it_is_made() {
        assert_eq!(boot_id(0, 0), None);
        let id = boot_id(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(id.as_deref(), Some("00010203-0405-0607-0809-0a0b0c0d0e0f"));
    }
}
