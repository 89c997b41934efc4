# SPDX-License-Identifier: MIT OR Apache-2.0
"""Examine an image with pyaff4: IMAGE [hashes]; prints JSON.

With `hashes`, its validator of block hashes checks the image too. It counts chunks over
all segments of a stream, so it only works on images of one segment.
"""

import hashlib
import json
import sys

from pyaff4 import block_hasher, container, lexicon, rdfvalue

path = sys.argv[1]
urn = rdfvalue.URN.FromFileName(path)
# Closing it fails while anything is in use, so nothing is closed.
volume = container.Container.openURNtoContainer(urn)
stream = volume.image.dataStream
runs = [(run.map_offset, run.length) for run in stream.GetRanges()]
size = max(offset + length for offset, length in runs)

digest = hashlib.sha256()
stream.SeekRead(0, 0)
left = size
while left:
    piece = stream.Read(min(left, 1 << 20))
    assert piece, "nothing to read %d bytes before the end" % left
    digest.update(piece)
    left -= len(piece)


class Listener(block_hasher.ValidationListener):
    """Collects the results of a validator."""

    def __init__(self):
        self.valid = []
        self.invalid = []

    def onValidBlockHash(self, digest):
        self.valid.append("block")

    def onInvalidBlockHash(self, stated, found, where, offset):
        self.invalid.append("block %s %s" % (where, offset))

    def onValidHash(self, kind, digest, where):
        self.valid.append(str(kind))

    def onInvalidHash(self, kind, stated, found, where):
        self.invalid.append("%s %s" % (kind, where))


listener = Listener()
if "hashes" in sys.argv[2:]:
    block_hasher.Validator(listener).validateContainer(urn)
# The hashes over all addresses are stated on the map.
stated = stream.resolver.QuerySubjectPredicate(volume.urn, stream.urn, lexicon.standard.hash)

counts = {}
for kind in listener.valid:
    counts[kind] = counts.get(kind, 0) + 1
json.dump(
    {
        "runs": runs,
        "size": size,
        "sha256": digest.hexdigest(),
        "stated": {hash.shortName(): hash.value for hash in stated},
        "valid": counts,
        "invalid": listener.invalid,
    },
    sys.stdout,
)
