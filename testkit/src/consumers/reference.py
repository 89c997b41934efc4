# SPDX-License-Identifier: MIT OR Apache-2.0
"""Compare a symbol file with one made from DWARF, and with System.map.

OURS REFERENCE SYSTEM-MAP; prints JSON. Types without a name are compared by their
content. BTF describes an array of arrays as one array, and names a type by its typedef
where DWARF leaves it without a name.
"""

import collections
import json
import lzma
import sys


def load(path):
    with lzma.open(path) as file:
        return json.load(file)


def described(file, of):
    kind = of["kind"]
    if kind in ("struct", "union"):
        return (kind, of["name"]) if is_named(of) else (kind, body(file, of["name"]))
    if kind == "enum":
        return (kind, values(file, of["name"]))
    if kind == "pointer":
        return (kind, described(file, of["subtype"]))
    if kind == "array":
        count, inner = of["count"], of["subtype"]
        while inner["kind"] == "array":
            count, inner = count * inner["count"], inner["subtype"]
        return (kind, count, described(file, inner))
    if kind == "bitfield":
        return (kind, of["bit_position"], of["bit_length"], described(file, of["type"]))
    return (kind, of.get("name"))


def is_named(of):
    return not of["name"].startswith("unnamed_")


def values(file, name):
    found = file["enums"].get(name)
    return found and (found["size"], tuple(sorted(found["constants"].items())))


def body(file, name):
    found = file["user_types"].get(name)
    if found is None:
        return None
    fields = (
        (field, at["offset"], at.get("anonymous", False), described(file, at["type"]))
        for field, at in found["fields"].items()
    )
    return (found["size"], found["kind"], tuple(sorted(fields, key=repr)))


def tally(pairs):
    """How many are equal, and the names of those that are not."""
    same, different = 0, []
    for name, one, other in pairs:
        if one == other:
            same += 1
        else:
            different.append(name)
    return {"same": same, "different": sorted(different)}


def typed(file):
    void = {"kind": "base", "name": "void"}
    return {name: at["type"] for name, at in file["symbols"].items() if at["type"] != void}


def shape(file, of):
    """As described() does, without the length of an array: declarations often lack it."""
    if of["kind"] == "array":
        return ("array", described(file, of["subtype"]))
    return described(file, of)


ours, reference = load(sys.argv[1]), load(sys.argv[2])
both = [name for name in reference["user_types"] if name in ours["user_types"]]
both = [name for name in both if not name.startswith("unnamed_")]
named = [name for name in reference["enums"] if name in ours["enums"]]
our_symbols, their_symbols = typed(ours), typed(reference)

places = collections.defaultdict(set)
with open(sys.argv[3]) as file:
    for line in file:
        address, _, name = line.rstrip("\n").split(" ", 2)
        places[name].add(int(address, 16))
unique = {name: at for name, at in places.items() if len(at) == 1}

print(
    json.dumps(
        {
            "types": tally((n, body(ours, n), body(reference, n)) for n in both),
            "enums": tally((n, values(ours, n), values(reference, n)) for n in named),
            "base_types": tally(
                (n, ours["base_types"].get(n, {}).get("size"), base["size"])
                for n, base in reference["base_types"].items()
                if n != "ssizetype"
            ),
            "symbol_types": tally(
                (n, shape(ours, of), shape(reference, their_symbols[n]))
                for n, of in our_symbols.items()
                if n in their_symbols
            ),
            "addresses": tally(
                (n, {symbol["address"]}, unique[n])
                for n, symbol in ours["symbols"].items()
                if n in unique
            ),
            "lacking": sorted(set(unique) - set(ours["symbols"]))[:50],
            "lacks": len(set(unique) - set(ours["symbols"])),
        }
    )
)
