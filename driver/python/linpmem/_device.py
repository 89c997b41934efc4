# SPDX-License-Identifier: MIT OR Apache-2.0
"""The device and the functions of the package."""

import ctypes
import errno
import operator
import os
import threading
from collections import namedtuple
from contextlib import contextmanager
from ctypes import byref, c_uint64, c_void_p

from . import _library
from ._library import LIBRARY

_PAGE = 4096
# How much is read before Python looks for Ctrl-C.
_STEP = 16 << 20
_UNKNOWN = 2**64 - 1
_MODES = {"device": 1, "cached": 2, "uncached": 4, "unmapped": 8}
_OUTCOMES = {1: "mapped", 2: "not present", 3: "broken"}
_RIGHTS = {1: "write", 2: "user", 4: "execute", 8: "no access"}

_ARCHITECTURES = {0: "x86_64", 1: "aarch64"}

Machine = namedtuple(
    "Machine", [name for name, _ in _library.Machine._fields_ if name != "reserved"]
)
Machine.__doc__ = """Facts about the module and the machine; None for a value that is not known.
`architecture` is what `uname -m` prints."""

Entry = namedtuple("Entry", "addr value")
Entry.__doc__ = "A page-table entry: its physical address and its value."

Walk = namedtuple("Walk", "outcome error phys page_bytes rights levels page_table entries")
Walk.__doc__ = """A walk through page tables. `outcome` is "mapped", "not present" or
"broken". If it is not "mapped", `phys` and `page_bytes` are None and `rights` is empty."""

Unreadable = namedtuple("Unreadable", "start length errno")
Unreadable.__doc__ = "Bytes that a read could not read, and the errno that says why."


class Error(OSError):
    """A failed call, with its errno."""


def _check(code):
    if code:
        raise Error(-code, LIBRARY.linpmem_last_error().decode(errors="replace"))


def _bits(modes):
    bits = 0
    for mode in modes:
        if mode not in _MODES:
            raise ValueError(f"unknown mode {mode!r}: use {', '.join(_MODES)}")
        bits |= _MODES[mode]
    return bits


def _number(value, bits, name):
    """`value`, which ctypes would otherwise cut to `bits` bits without an error."""
    value = operator.index(value)
    if not 0 <= value < 2**bits:
        raise ValueError(f"{name} is {value}, which does not fit into {bits} bits")
    return value


class Device:
    """The open device. A context manager; also closed when it is garbage collected.
    Threads may share it."""

    def __init__(self, path="/dev/linpmem"):
        self._lock = threading.Lock()
        self._calls = 0
        self._is_closed = False
        self._handle = c_void_p()
        _check(LIBRARY.linpmem_open_path(os.fsencode(path), byref(self._handle)))

    def close(self):
        """Closes the device. Calls that other threads have begun still end as usual; later
        ones fail with EBADF."""
        with self._lock:
            self._is_closed = True
            self._close_if_unused()

    def _close_if_unused(self):
        if self._is_closed and not self._calls:
            handle, self._handle = self._handle, c_void_p()
            LIBRARY.linpmem_close(handle)

    @contextmanager
    def _call(self):
        """The handle, which stays open until the end."""
        with self._lock:
            if self._is_closed:
                raise Error(errno.EBADF, "the device is closed")
            self._calls += 1
        try:
            yield self._handle
        finally:
            with self._lock:
                self._calls -= 1
                self._close_if_unused()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        if getattr(self, "_handle", None):
            self.close()

    def info(self):
        """Facts about the module and the machine: a Machine."""
        machine = _library.Machine()
        with self._call() as handle:
            _check(LIBRARY.linpmem_info(handle, byref(machine)))
        values = {name: getattr(machine, name) for name in Machine._fields}
        values["architecture"] = _ARCHITECTURES.get(machine.architecture)
        for name in ("kaslr_offset", "kernel_page_table"):
            if values[name] == _UNKNOWN:
                values[name] = None
        return Machine(**values)

    def read(self, addr, size, *modes):
        """Reads `size` bytes at physical address `addr`. Raises an Error if any of
        their pages cannot be read. Modes are "device", "cached", "uncached" and
        "unmapped"."""
        data, unreadable = self.read_partial(addr, size, *modes)
        if unreadable:
            first = unreadable[0]
            raise Error(first.errno, f"{first.start:#x} cannot be read: {os.strerror(first.errno)}")
        return data

    def read_partial(self, addr, size, *modes):
        """Like `read`, but returns zeros for pages that cannot be read. Returns the
        bytes and a list of Unreadable."""
        addr = _number(addr, 64, "addr")
        size = operator.index(size)
        if size < 0:
            raise ValueError("size is negative")
        if addr + size > 2**64:
            raise Error(errno.EINVAL, f"{size} bytes from {addr:#x} on pass the last address")
        bits = _bits(modes)
        buffer = bytearray(size)
        unreadable = []
        done = 0
        with self._call() as handle:
            # Pieces end where pages do, so that no page is read twice.
            while True:
                start = addr + done
                length = min(size - done, _STEP - start % _PAGE)
                unreadable += _read(handle, bits, start, length, buffer, done)
                done += length
                if done == size:
                    return bytes(buffer), unreadable

    def load(self, addr, width, *modes):
        """The value that exactly one load of `width` (1, 2, 4 or 8) bytes returns."""
        value = c_uint64()
        addr = _number(addr, 64, "addr")
        width = _number(width, 8, "width")
        with self._call() as handle:
            _check(LIBRARY.linpmem_load(handle, _bits(modes), addr, width, byref(value)))
        return value.value

    def translate(self, virt, pid=0, cr3=None):
        """Translates a virtual address of this process, of process `pid`, or of the
        page table at `cr3`; on arm64, that is TTBR0. Returns a Walk."""
        walk = _library.Walk()
        virt = _number(virt, 64, "virt")
        pid = _number(pid, 31, "pid")
        if cr3 is not None and _number(cr3, 64, "cr3") == 0:
            raise ValueError("cr3 is 0, which is no page table; None means this process's own")
        with self._call() as handle:
            if cr3 is None:
                code = LIBRARY.linpmem_translate(handle, pid, virt, byref(walk))
            else:
                code = LIBRARY.linpmem_translate_by(handle, cr3, virt, byref(walk))
            _check(code)
        is_mapped = walk.outcome == 1
        return Walk(
            outcome=_OUTCOMES.get(walk.outcome, "unknown"),
            error=walk.error or None,
            phys=walk.phys if is_mapped else None,
            page_bytes=walk.page_bytes if is_mapped else None,
            rights=frozenset(name for bit, name in _RIGHTS.items() if walk.rights & bit),
            levels=walk.levels,
            page_table=walk.page_table,
            entries=[Entry(e.addr, e.value) for e in walk.entries[: walk.entry_count]],
        )

    def cr3(self, pid=0):
        """The physical address of a process's top page table, in CR3 or, on arm64, in TTBR0;
        `pid` 0 is this process."""
        kernel = c_uint64()
        pid = _number(pid, 31, "pid")
        with self._call() as handle:
            _check(LIBRARY.linpmem_cr3(handle, pid, byref(kernel), None))
        return kernel.value


def _read(handle, bits, addr, size, buffer, offset):
    """Reads into `buffer` from `offset` on, and returns what could not be read."""
    statuses = bytearray(LIBRARY.linpmem_page_count(addr, size))
    # ctypes cannot take the address of an empty buffer.
    room = (ctypes.c_char * size).from_buffer(buffer, offset) if size else ctypes.c_char()
    pages = (ctypes.c_char * len(statuses)).from_buffer(statuses) if statuses else None
    _check(
        LIBRARY.linpmem_read(
            handle, bits, addr, ctypes.addressof(room), size,
            ctypes.addressof(pages) if pages is not None else None,
        )
    )
    del room, pages
    return _unreadable(addr, size, statuses)


def _unreadable(addr, size, statuses):
    end = addr + size
    for index, errno in enumerate(statuses):
        if errno:
            page = (addr // _PAGE + index) * _PAGE
            start = max(page, addr)
            yield Unreadable(start, min(page + _PAGE, end) - start, errno)


def open(path="/dev/linpmem"):
    """Opens the module's device."""
    return Device(path)


def load_module(path, **parameters):
    """Loads a module file, for example load_module("linpmem.ko", owner_uid=1000)."""
    text = " ".join(f"{name}={value}" for name, value in parameters.items())
    _check(LIBRARY.linpmem_load_module(os.fsencode(path), text.encode()))


def unload_module():
    """Unloads the module."""
    _check(LIBRARY.linpmem_unload_module())


def is_loaded():
    """Whether a module called linpmem is loaded."""
    return bool(LIBRARY.linpmem_is_loaded())
