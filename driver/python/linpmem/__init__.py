# SPDX-License-Identifier: MIT OR Apache-2.0
"""Read physical memory through the linpmem kernel module.

    import linpmem

    with linpmem.open() as device:
        data = device.read(0x100000, 4096)
        walk = device.translate(0x7ffc12345000, pid=1234)
        print(hex(device.cr3(1234)), device.info().phys_bits)

Every failure is a linpmem.Error: an OSError with its errno, whose text says
what failed, on what, and what to do. Threads may share a device, and reads
release the interpreter's lock. Close a device only after every thread has
finished with it.
"""

from ._device import (
    Device,
    Entry,
    Error,
    Machine,
    Unreadable,
    Walk,
    is_loaded,
    load_module,
    open,
    unload_module,
)

__all__ = [
    "Device",
    "Entry",
    "Error",
    "Machine",
    "Unreadable",
    "Walk",
    "is_loaded",
    "load_module",
    "open",
    "unload_module",
]
