# SPDX-License-Identifier: MIT OR Apache-2.0
"""Examine an image with LeechCore: IMAGE TEXT...; prints JSON."""

import hashlib
import json
import sys

import leechcorepyc

image, *texts = sys.argv[1:]
memory = leechcorepyc.LeechCore(image)
STEP = 4 << 20
ranges = []
found = {text: False for text in texts}
for entry in memory.memmap:
    start, size = entry["base"], entry["size"]
    digest = hashlib.sha256()
    tail = b""
    for at in range(start, start + size, STEP):
        data = memory.read(at, min(STEP, start + size - at))
        digest.update(data)
        for text in texts:
            found[text] |= text.encode() in tail + data
        tail = data[-256:]
    ranges.append({"start": start, "size": size, "sha256": digest.hexdigest()})
print(json.dumps({"ranges": ranges, "found": [t for t in texts if found[t]]}))
