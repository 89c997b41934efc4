# SPDX-License-Identifier: MIT OR Apache-2.0
"""ctypes declarations of the C library; linpmem.h documents each of them."""

import ctypes
import os
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p


class Machine(ctypes.Structure):
    """struct linpmem_machine."""

    _fields_ = [
        ("abi_version", c_uint32),
        ("module_version", c_uint32),
        ("features", c_uint64),
        ("phys_bits", c_uint32),
        ("paging_levels", c_uint32),
        ("page_offset_base", c_uint64),
        ("phys_base", c_int64),
        ("kaslr_offset", c_uint64),
        ("kernel_page_table", c_uint64),
        ("vmcoreinfo_addr", c_uint64),
        ("vmcoreinfo_len", c_uint64),
        ("encryption_mask", c_uint64),
        ("architecture", c_uint32),
        ("reserved", c_uint32),
    ]


class Entry(ctypes.Structure):
    """struct linpmem_walk_entry."""

    _fields_ = [("addr", c_uint64), ("value", c_uint64)]


class Walk(ctypes.Structure):
    """struct linpmem_walk."""

    _fields_ = [
        ("outcome", c_uint32),
        ("error", c_uint32),
        ("phys", c_uint64),
        ("page_bytes", c_uint64),
        ("rights", c_uint32),
        ("levels", c_uint32),
        ("page_table", c_uint64),
        ("entry_count", c_uint32),
        ("reserved", c_uint32),
        ("entries", Entry * 5),
    ]


_FUNCTIONS = {
    "linpmem_last_error": (c_char_p, []),
    "linpmem_open_path": (c_int, [c_char_p, POINTER(c_void_p)]),
    "linpmem_close": (None, [c_void_p]),
    "linpmem_info": (c_int, [c_void_p, POINTER(Machine)]),
    "linpmem_read": (c_int, [c_void_p, c_uint32, c_uint64, c_void_p, c_size_t, c_void_p]),
    "linpmem_page_count": (c_size_t, [c_uint64, c_size_t]),
    "linpmem_load": (c_int, [c_void_p, c_uint32, c_uint64, c_uint32, POINTER(c_uint64)]),
    "linpmem_translate": (c_int, [c_void_p, c_uint32, c_uint64, POINTER(Walk)]),
    "linpmem_translate_by": (c_int, [c_void_p, c_uint64, c_uint64, POINTER(Walk)]),
    "linpmem_cr3": (c_int, [c_void_p, c_uint32, POINTER(c_uint64), POINTER(c_uint64)]),
    "linpmem_load_module": (c_int, [c_char_p, c_char_p]),
    "linpmem_unload_module": (c_int, []),
    "linpmem_is_loaded": (c_int, []),
}


def _load():
    own = os.path.join(os.path.dirname(os.path.abspath(__file__)), "liblinpmem.so")
    library = ctypes.CDLL(own if os.path.exists(own) else "liblinpmem.so.0")
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


LIBRARY = _load()
