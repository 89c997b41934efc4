# SPDX-License-Identifier: MIT OR Apache-2.0
"""Compare a symbol file with the same kernel's DWARF, as drgn reads it, and its System.map.

FILE VMLINUX SYSTEM_MAP ARCHITECTURE; prints JSON.
"""

import json
import lzma
import sys

import drgn

with lzma.open(sys.argv[1]) as file:
    ours = json.load(file)
prog = drgn.Program(drgn.Platform(drgn.Architecture[sys.argv[4].upper()]))
found = prog.extra_module("vmlinux", create=True)
module = found[0] if isinstance(found, tuple) else found
module.try_file(sys.argv[2], force=True)
NUMBERS = (drgn.TypeKind.INT, drgn.TypeKind.ENUM, drgn.TypeKind.BOOL)


def bare(of):
    while of.kind == drgn.TypeKind.TYPEDEF:
        of = of.type
    return of


def looked_up(kind, name):
    for text in (f"{kind} {name}", name):
        try:
            return bare(prog.type(text))
        except LookupError:
            pass
    return None


def composite(name, entry):
    of = looked_up(entry["kind"], name)
    if of is None or not of.is_complete():
        return None
    wrong = [] if of.size == entry["size"] else ["its size"]
    fields = dict(entry["fields"])
    for member in of.members:
        if member.name is None:
            continue
        field = fields.pop(member.name, None)
        kind = field and field["type"]
        place = field and field["offset"] * 8
        if field and kind["kind"] == "bitfield":
            place += kind["bit_position"]
            if kind["bit_length"] != member.bit_field_size:
                wrong.append(member.name)
        if place != member.bit_offset:
            wrong.append(member.name)
    inner = [m for m in of.members if m.name is None and m.type.kind not in NUMBERS]
    if len(inner) != sum(field.get("anonymous", False) for field in fields.values()):
        wrong.append("its anonymous members")
    return wrong + [name for name in fields if not fields[name].get("anonymous")]


def enumeration(name, entry):
    of = looked_up("enum", name)
    if of is None or not of.is_complete():
        return None
    bits = (1 << 8 * entry["size"]) - 1
    # gcc and BTF may disagree on the sign of a value that fills its bytes.
    theirs = {value.name: value.value & bits for value in of.enumerators}
    constants = {name: value & bits for name, value in entry["constants"].items()}
    # Old BTF has the lower halves of such values alone, so the file has none of them.
    if not constants and entry["size"] > 4 and any(value >> 32 for value in theirs.values()):
        theirs = {}
    return [] if drgn.sizeof(of) == entry["size"] and theirs == constants else ["its constants"]


def symbol(name, of):
    try:
        theirs = bare(prog.object(name, drgn.FindObjectFlags.VARIABLE).type_)
    except LookupError:
        return None
    kinds = []
    while of["kind"] in ("pointer", "array"):
        kinds.append(of["kind"])
        of = of["subtype"]
    for kind in kinds:
        if theirs.kind.name.lower() != kind:
            return [f"{theirs} is not a {kind}"]
        theirs = bare(theirs.type)
    if of["kind"] in ("struct", "union", "enum"):
        entry = ours["enums" if of["kind"] == "enum" else "user_types"].get(of["name"])
        size = entry and entry["size"]
        tag = getattr(theirs, "tag", None) if theirs.kind.name.lower() == of["kind"] else "?"
        named_so = looked_up(of["kind"], of["name"])
        if tag not in (None, of["name"]) and getattr(named_so, "tag", None) != tag:
            return [f"{theirs} is not {of['name']}"]
    elif of["kind"] == "base":
        size = ours["base_types"][of["name"]]["size"]
    else:
        return [] if theirs.kind == drgn.TypeKind.FUNCTION else [str(theirs)]
    their_size = 0 if theirs.kind == drgn.TypeKind.VOID else drgn.sizeof(theirs)
    return [] if their_size == size else [f"{theirs} is not of {size} bytes"]


def tally(pairs):
    same, different, unknown = 0, {}, []
    for name, wrong in pairs:
        if wrong is None:
            unknown.append(name)
        elif wrong:
            different[name] = wrong
        else:
            same += 1
    return {"same": same, "different": different, "unknown": unknown}


def named(entries):
    """Entries with a name of their own that no other entry has."""
    twice = {name.split("___")[0] for name in entries if "___" in name}
    return {
        name: entry
        for name, entry in entries.items()
        if name.split("___")[0] not in twice and not name.startswith("unnamed_")
    }


def linked(path):
    """Addresses of the symbols that the linker knows by one name each."""
    found = {}
    with open(path) as lines:
        for address, _, name in (line.split() for line in lines):
            found.setdefault(name, set()).add(int(address, 16))
    return {name: one.pop() for name, one in found.items() if len(one) == 1}


def address(name, entry):
    if name not in ADDRESSES:
        return None
    wrong = entry["address"] != ADDRESSES[name]
    return [f"{entry['address']:#x} is not {ADDRESSES[name]:#x}"] if wrong else []


ADDRESSES = linked(sys.argv[3])
VOID = {"kind": "base", "name": "void"}
typed = {n: s["type"] for n, s in ours["symbols"].items() if s["type"] != VOID}
print(
    json.dumps(
        {
            "types": tally((n, composite(n, e)) for n, e in named(ours["user_types"]).items()),
            "enums": tally((n, enumeration(n, e)) for n, e in named(ours["enums"]).items()),
            "symbols": tally((n, symbol(n, of)) for n, of in typed.items()),
            "addresses": tally((n, address(n, e)) for n, e in ours["symbols"].items()),
        }
    )
)
