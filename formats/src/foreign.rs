// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of memory that this crate does not read, by name, and what to do with them.

use std::fmt;

/// A file that holds memory and is not an image that this crate reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What it is.
    pub what: &'static str,
    /// What to do with it.
    pub advice: &'static str,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this is {}, which is not read: {}",
            self.what, self.advice
        )
    }
}

/// libvirt's src/qemu/qemu_saveimage.h.
const LIBVIRT_SAVE: Foreign = Foreign {
    what: "a virtual machine that `virsh save` saved",
    advice: "restore it with `virsh restore FILE --paused`, and make an image of its memory with \
             `virsh dump --memory-only DOMAIN OUT`",
};
const LIBVIRT_PART: Foreign = Foreign {
    what: "a virtual machine that `virsh save` did not finish saving",
    advice: "save it again, or make an image of its memory with `virsh dump --memory-only DOMAIN \
             OUT`",
};
/// QEMU's migration/qemu-file.h.
const QEMU_MIGRATION: Foreign = Foreign {
    what: "the migration stream of a QEMU machine, such as `virsh dump` makes without \
           --memory-only",
    advice: "make an image of the machine's memory with `virsh dump --memory-only DOMAIN OUT`; if \
             the machine is gone, start QEMU with its options and `-S -incoming \"exec:cat \
             FILE\"`, and enter `dump-guest-memory OUT` in its monitor",
};
const XEN_SAVE: Foreign = Foreign {
    what: "a Xen guest that `xl save` saved",
    advice: "restore it with `xl restore -p FILE`, and acquire its memory in it with `linpmem-dump \
             OUT`",
};
/// The magic numbers are in open-vm-tools and in the readers of Volatility and LeechCore.
const VMWARE: Foreign = Foreign {
    what: "the state of a suspended or saved VMware machine (.vmss, .vmsn)",
    advice: "make a core of it and the .vmem file that belongs to it with VMware's `vmss2core -N \
             FILE.vmss FILE.vmem`, and use the vmss.core that it writes",
};
const WINDOWS: Foreign = Foreign {
    what: "a crash dump of Windows",
    advice: "linpmem is for memory of Linux; open the dump with WinDbg or Volatility 3 (`vol -f \
             FILE windows.info`)",
};

/// First bytes of such files.
pub(crate) const MAGICS: [(&[u8], Foreign); 11] = [
    (b"LibvirtQemudSave", LIBVIRT_SAVE),
    (b"LibvirtQemudPart", LIBVIRT_PART),
    (b"QEVM", QEMU_MIGRATION),
    (b"Xen saved domain", XEN_SAVE),
    (b"\xd0\xbe\xd0\xbe", VMWARE),
    (b"\xd0\xbe\xd2\xbe", VMWARE),
    (b"\xd1\xba\xd1\xba", VMWARE),
    (b"\xd2\xbe\xd2\xbe", VMWARE),
    (b"\xd3\xbe\xd3\xbe", VMWARE),
    (b"PAGEDU64", WINDOWS),
    (b"PAGEDUMP", WINDOWS),
];
