# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tests every call of the package on known memory: in_guest.py ADDRESS. Each word
from ADDRESS on holds its own address times a constant."""

import ctypes
import errno
import os
import signal
import struct
import sys
import threading
import time

import linpmem

AT = int(sys.argv[1], 0)


def pattern(start, size):
    words = ((at * 0x9E3779B97F4A7C15) % 2**64 for at in range(start, start + size, 8))
    return b"".join(struct.pack("<Q", word) for word in words)


def fails(number, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except linpmem.Error as error:
        assert error.errno == number, error
        assert error.strerror, "an error without a message"
        return error
    raise AssertionError(f"{call} did not fail")


with linpmem.open() as device:
    assert device.info().abi_version == 1
    assert device.info().paging_levels in (4, 5)
    assert device.info().architecture == os.uname().machine
    assert device.read(AT, 16384) == pattern(AT, 16384)
    assert device.read(AT + 3, 5) == pattern(AT, 8)[3:]
    assert device.read(AT, 0) == b""
    assert device.load(AT, 8) == struct.unpack("<Q", pattern(AT, 8))[0]
    data, unreadable = device.read_partial(0x9F800, 0x1000)
    assert len(data) == 0x1000 and not any(data[0x800:])
    assert unreadable == [(0xA0000, 0x800, errno.EACCES)], unreadable
    assert "0xa0000" in str(fails(errno.EACCES, device.read, 0x9F800, 0x1000))
    fails(errno.EACCES, device.read, 0xB8000, 8, "device")
    fails(errno.EINVAL, device.load, AT + 1, 8)
    fails(errno.ESRCH, device.cr3, 2)

    held = ctypes.create_string_buffer(b"a string of this process")
    walk = device.translate(ctypes.addressof(held))
    assert walk.outcome == "mapped" and "user" in walk.rights, walk
    assert walk.page_table == device.cr3()
    assert device.read(walk.phys, 8) == b"a string"
    assert device.translate(ctypes.addressof(held), cr3=device.cr3()).phys == walk.phys
    assert device.translate(0x1000, pid=1).outcome == "not present"
    fails(errno.EINVAL, device.translate, 1 << 63)
    for wrong in ((-1, 8), (2**64, 8), (AT, -1), (AT, 8, "loud")):
        try:
            device.read(*wrong)
        except ValueError:
            continue
        raise AssertionError(f"read accepted {wrong}")
    # What does not fit its C type is an error, not another number.
    for call, arguments, named in (
        (device.translate, (0x1000,), {"pid": 2**32 + 1}),
        (device.translate, (0x1000,), {"pid": -1}),
        (device.translate, (0x1000,), {"cr3": 2**64 + 4096}),
        (device.translate, (0x1000,), {"cr3": 0}),
        (device.cr3, (2**32,), {}),
        (device.load, (AT, 2**32 + 4), {}),
        (device.load, (AT, 260), {}),
    ):
        try:
            call(*arguments, **named)
        except ValueError:
            continue
        raise AssertionError(f"{call} accepted {arguments} {named}")
    # Longer than one piece, and across pieces.
    long = (16 << 20) + 12345
    data, unreadable = device.read_partial(0x1000001, long)
    assert len(data) == long and not unreadable, unreadable
    assert linpmem.is_loaded()
    fails(errno.EBUSY, linpmem.unload_module)
    fails(errno.EEXIST, linpmem.load_module, "/tmp/linpmem.ko", owner_uid=5)

fails(errno.EBADF, device.read, AT, 8)

# Closed while other threads read from it: every call ends as usual or is refused.
ends = []


def reads_until_closed(shared):
    try:
        while True:
            assert shared.read(AT, 16384) == pattern(AT, 16384)
    except linpmem.Error as error:
        ends.append(error.errno)


for _ in range(50):
    shared = linpmem.open()
    threads = [threading.Thread(target=reads_until_closed, args=(shared,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.01)
    shared.close()
    for thread in threads:
        thread.join()
assert ends == [errno.EBADF] * 200, ends


# Ctrl-C during a long read, which would otherwise go on for minutes.
class Interrupted(Exception):
    pass


def interrupt(*_):
    raise Interrupted


signal.signal(signal.SIGALRM, interrupt)
with linpmem.open() as device:
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    begun = time.monotonic()
    try:
        while True:
            device.read_partial(0x1000000, 48 << 20)
    except Interrupted:
        assert time.monotonic() - begun < 10
fails(errno.ENOENT, linpmem.open, "/nowhere")
print("every call works")
