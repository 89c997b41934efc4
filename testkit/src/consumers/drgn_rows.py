# SPDX-License-Identifier: MIT OR Apache-2.0
"""List what drgn finds in an image: IMAGE VMLINUX; prints JSON."""

import json
import sys

import drgn
from drgn.helpers.linux.fs import d_path, for_each_file
from drgn.helpers.linux.mm import for_each_vma, vma_name
from drgn.helpers.linux.module import for_each_module, module_address_regions
from drgn.helpers.linux.pid import for_each_task

image, vmlinux = sys.argv[1:]
prog = drgn.Program()
prog.set_core_dump(image)
prog.load_debug_info([vmlinux], main=True)


def known(read):
    """What a task that is just beginning or ending lacks is null."""
    try:
        return read()
    except drgn.FaultError:
        return None


def text(name):
    return name.decode(errors="replace")


tasks = []
mappings = []
files = []
for task in for_each_task(prog):
    pid = task.pid.value_()
    tasks.append(
        {
            "pid": pid,
            "tgid": task.tgid.value_(),
            "ppid": known(lambda: task.real_parent.tgid.value_()),
            "uid": known(lambda: task.cred.euid.val.value_()),
            "name": text(task.comm.string_()),
            "address": task.value_(),
        }
    )
    if task.pid != task.tgid:
        continue
    for fd, file in for_each_file(task):
        path = text(d_path(file.f_path))
        files.append({"pid": pid, "fd": fd, "address": file.value_(), "path": path})
    if not task.mm:
        continue
    for vma in for_each_vma(task.mm):
        mappings.append(
            {
                "pid": pid,
                "start": vma.vm_start.value_(),
                "end": vma.vm_end.value_(),
                "flags": vma.vm_flags.value_(),
                "page_offset": vma.vm_pgoff.value_() if vma.vm_file else None,
                "address": vma.value_(),
                "name": text(vma_name(vma)),
            }
        )
modules = [
    {
        "name": text(module.name.string_()),
        "address": module.value_(),
        "base": module_address_regions(module)[0][0],
    }
    for module in for_each_module(prog)
]
print(json.dumps({"tasks": tasks, "mappings": mappings, "files": files, "modules": modules}))
