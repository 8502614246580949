# SPDX-License-Identifier: MIT
"""Boot cases for the loader: files that examples/run would refuse reach the kernel all the same, and it must refuse or survive them."""

import random
import struct

import cpio
import machine

MUTANTS = 80
_LOAD = 1


def _boot(bench, programs, lines, timeout=120):
    """A demonstration of our own: (ending, the log)."""
    files = {"bin/" + name: data for name, data in programs.items()}
    files["etc/demo"] = "\n".join(lines).encode() + b"\n"
    log = []
    boot = machine.Boot(bench.isa, bench.kernel, cpio.archive(files), [], timeout=timeout)
    ending = machine.run(boot, lambda data: None, lambda data: None, log.append)
    return ending, "\n".join(log)


def _read(bench, name):
    with open(bench.program(name), "rb") as file:
        return bytearray(file.read())


def _segments(data):
    """Offsets of the program headers of what is to be loaded."""
    table, = struct.unpack_from("<Q", data, 32)
    count, = struct.unpack_from("<H", data, 56)
    found = (table + 56 * i for i in range(count))
    return [at for at in found if struct.unpack_from("<I", data, at)[0] == _LOAD]


def _damaged(good, change):
    data = bytearray(good)
    change(data, _segments(data))
    return data


def _put(field, value):
    """Sets a field of the last segment to load, by its offset in the header: 8 offset, 16 address, 32 and 40 the sizes in file and memory."""
    return lambda data, segments: struct.pack_into("<Q", data, segments[-1] + field, value)


def _add(field, value):
    def change(data, segments):
        old, = struct.unpack_from("<Q", data, segments[-1] + field)
        struct.pack_into("<Q", data, segments[-1] + field, (old + value) % 2 ** 64)
    return change


DAMAGE = {
    "no-elf": lambda data, segments: data.__setitem__(slice(0, 4), b"\x7fEFL"),
    "machine": lambda data, segments: struct.pack_into("<H", data, 18, 2),
    "object": lambda data, segments: struct.pack_into("<H", data, 16, 1),
    "headers-far": lambda data, segments: struct.pack_into("<Q", data, 32, 2 ** 63),
    "headers-many": lambda data, segments: struct.pack_into("<H", data, 56, 0xffff),
    "headers-none": lambda data, segments: struct.pack_into("<H", data, 56, 0),
    "header-size": lambda data, segments: struct.pack_into("<H", data, 54, 32),
    "entry-far": lambda data, segments: struct.pack_into("<Q", data, 24, 2 ** 63),
    "offset-far": _put(8, 2 ** 40),
    "offset-wraps": _put(8, 2 ** 64 - 4096),
    "address-far": _put(16, 0xffffffff80000000),
    "address-wraps": _put(16, 2 ** 64 - 4096),
    "address-odd": _add(16, 1),
    "file-size": _put(32, 2 ** 63),
    "memory-size": _put(40, 2 ** 63),
    "memory-wraps": _put(40, 2 ** 64 - 1),
    "memory-small": _put(40, 1),
    "cut-short": lambda data, segments: data.__delitem__(slice(1000, None)),
    "cut-to-header": lambda data, segments: data.__delitem__(slice(40, None)),
    "empty": lambda data, segments: data.clear(),
}


def refuses(bench):
    """Each damaged program is refused with a word, and the one after them runs."""
    good = _read(bench, "hello")
    programs = {name: _damaged(good, change) for name, change in DAMAGE.items()}
    programs["dynamic"] = _read(bench, "hello-dynamic")
    programs["hello"] = good
    ending, log = _boot(bench, programs, ["0 " + name for name in programs])
    wrong = [name for name in programs if name != "hello" and name + ": not run: " not in log]
    if "it is dynamic and wants the interpreter /" not in log:
        wrong.append("the interpreter's name")
    if "-- hello: status 0, as it must" not in log:
        wrong.append("hello")
    if (ending.kind, ending.value) != ("exit", 1):
        wrong.append(str(ending))
    return "not as they should: %s\n%s" % (", ".join(wrong), log[-6000:]) if wrong else ""


def survives(bench):
    """Programs with random bytes in their headers do whatever they do; the kernel goes on."""
    good = _read(bench, "pie")
    choose = random.Random(4)
    headers = 64 + 56 * struct.unpack_from("<H", good, 56)[0]
    programs = {}
    for i in range(MUTANTS):
        data = bytearray(good)
        for _ in range(choose.randint(1, 3)):
            data[choose.randrange(4, headers)] = choose.choice([0, 1, 0x7f, 0x80, 0xff, choose.randrange(256)])
        programs["mutant-%d" % i] = data
    programs["hello"] = _read(bench, "hello")
    ending, log = _boot(bench, programs, ["0 " + name for name in programs])
    started = sum("-- mutant-%d: status" % i in log for i in range(MUTANTS))
    refused = sum("mutant-%d: not run" % i in log for i in range(MUTANTS))
    if ending.kind != "exit" or "-- hello: status 0, as it must" not in log:
        return "%s\n%s" % (ending, log[-6000:])
    return "" if started >= 10 and refused >= 10 else "%d mutants started, %d were refused: too few of one" % (started, refused)


def cases():
    return {"loader refuses damaged programs": refuses, "loader survives random headers": survives}
