# SPDX-License-Identifier: MIT
"""Is a file a statically linked program of an ISA? Read from its ELF header and program headers only."""

import struct

MACHINES = {62: "x86_64", 183: "aarch64", 243: "riscv"}
ET_REL, ET_EXEC, ET_DYN, ET_CORE = 1, 2, 3, 4
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3


class Refused(Exception):
    """The file cannot be run; the message says why."""


def check(data, isa):
    """Raises Refused unless data is a program that the example kernel of isa can load."""
    if data[:2] == b"#!":
        raise Refused("is a script; only ELF programs can be run")
    if len(data) < 64 or data[:4] != b"\x7fELF":
        raise Refused("is not an ELF file")
    if data[4] != 2 or data[5] != 1:
        raise Refused("is not a 64-bit little-endian ELF file")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if MACHINES.get(machine) != isa:
        raise Refused("is a program for %s, not for %s" % (MACHINES.get(machine, "another machine (ELF number %d)" % machine), isa))
    if kind not in (ET_EXEC, ET_DYN):
        raise Refused({ET_REL: "is an object file, not a program", ET_CORE: "is a core dump"}.get(kind, "is no program"))
    entry, table = struct.unpack_from("<QQ", data, 24)
    entry_size, count = struct.unpack_from("<HH", data, 54)
    loads = 0
    for i in range(count):
        at = table + i * entry_size
        if entry_size < 56 or at + 56 > len(data):
            raise Refused("has its program headers outside the file")
        segment, _, offset, _, _, file_size = struct.unpack_from("<IIQQQQ", data, at)
        if segment == PT_LOAD:
            loads += 1
            if offset + file_size > len(data):
                raise Refused("is cut short: a segment lies beyond its end")
        if segment == PT_INTERP:
            name = data[offset:offset + file_size].split(b"\0")[0].decode(errors="replace")
            raise Refused("is dynamically linked: it asks for the interpreter %s; link it with -static" % name)
    if loads == 0:
        raise Refused("has nothing to load")
    if kind == ET_DYN and entry == 0:
        raise Refused("is a shared library, not a program")
