// SPDX-License-Identifier: GPL-2.0-only
//! What `modinfo` shows. Fitting adds the name and the kernel's version.

macro_rules! modinfo {
    ($name:ident, $text:literal) => {
        #[used]
        #[link_section = ".modinfo"]
        static $name: [u8; $text.len() + 1] = *concat_bytes(concat!($text, "\0"));
    };
}

/// The bytes of a text whose length is known.
const fn concat_bytes<const N: usize>(text: &str) -> &[u8; N] {
    match text.as_bytes().first_chunk() {
        Some(bytes) => bytes,
        None => panic!("the text is shorter than that"),
    }
}

modinfo!(LICENSE, "license=GPL");
modinfo!(AUTHOR, "author=The linpmem developers");
modinfo!(
    DESCRIPTION,
    "description=Reads physical memory: /dev/linpmem"
);
modinfo!(MAJOR_TYPE, "parmtype=major:uint");
modinfo!(
    MAJOR,
    "parm=major:register this character device number and no /dev/linpmem (default: register /dev/linpmem, and number 42 if it is free)"
);
modinfo!(OWNER_TYPE, "parmtype=owner_uid:uint");
modinfo!(
    OWNER,
    "parm=owner_uid:id of a user who may open the device without CAP_SYS_RAWIO (default: none)"
);
modinfo!(DEVICE_TYPE, "parmtype=allow_device:uint");
modinfo!(
    DEVICE,
    "parm=allow_device:1: allow requests to read device memory and holes (default: 0)"
);
modinfo!(COPY_TYPE, "parmtype=copy:uint");
modinfo!(
    COPY,
    "parm=copy:how memory is copied: 1: the string instruction, 2: the module's loop (default: 0, whichever is faster and safe)"
);
