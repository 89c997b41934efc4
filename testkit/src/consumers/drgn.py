# SPDX-License-Identifier: MIT OR Apache-2.0
"""Examine an image with drgn: IMAGE VMLINUX NAME TOKEN ADDRESS; prints JSON."""

import json
import sys

import drgn
from drgn.helpers.linux.mm import access_process_vm, cmdline
from drgn.helpers.linux.pid import for_each_task

image, vmlinux, name, token, address = sys.argv[1:]
prog = drgn.Program()
prog.set_core_dump(image)
prog.load_debug_info([vmlinux], main=True)

tasks = list(for_each_task(prog))
found = [task for task in tasks if task.comm.string_().decode() == name]
planted = []
for task in found:
    memory = access_process_vm(task, int(address, 16), len(token))
    planted.append(
        {
            "stack": [frame.name for frame in prog.stack_trace(task)],
            "pid": task.pid.value_(),
            "cmdline": [word.decode() for word in cmdline(task)],
            "token_in_memory": memory.decode(errors="replace") == token,
        }
    )
print(
    json.dumps(
        {
            "drgn": drgn.__version__,
            "release": prog["UTS_RELEASE"].string_().decode(),
            "tasks": len(tasks),
            "init": next(t.comm.string_().decode() for t in tasks if t.pid.value_() == 1),
            "planted": planted,
        }
    )
)
