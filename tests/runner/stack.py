# SPDX-License-Identifier: MIT
"""How much stack a call of the library can take: the deepest path through the calls that the compiler has written down (-fcallgraph-info)."""

import ast
import configparser
import glob
import os
import re

LIMIT = 4096  # bytes: PORTING.md promises it
CHECKS = ["check_all.c:reset_node", "check_all.c:count_node", "check_all.c:verify_node"]
DROPS = ["vmem_index_drop"]
# Whom a call through a pointer may reach: the library's own, or the host's functions, whose stack is the host's.
INDIRECT = {
    "index.c:take_down": DROPS, "index.c:cut_enter": DROPS,
    "vmem_pmap_visit": ["check.c:check_entry"], "vmem_index_visit": CHECKS, "vmem_page_translations": [], "store.c:visit_store": [],
    "vmem_pause_now": [],
}
HOSTS = re.compile(r"vmem_vmar_\w+|vmem_posix_\w+|(vmar|wc|guard|attribute|protect|remap|posix\w*|decommit)\.c:\w+")  # access control, and descriptors
RECURSIVE = {"pmap_life.c:check_table": 5}  # levels of page tables


def arguments(cross_file):
    """The compiler's arguments of a cross file, and the one that makes it write the calls down."""
    ini = configparser.ConfigParser()
    ini.read(cross_file)
    return "-Dc_args=" + " ".join(ast.literal_eval(ini["built-in options"]["c_args"]) + ["-fcallgraph-info=su"])


def base(name):
    """As the source has it: without what the compiler says of a copy or a part that it made, and of copies for one CPU (alone.h)."""
    name = re.sub(r"^(vmem_)?alone_", r"\1", name)
    return re.sub(r"\.(constprop|isra|part|cold)\b.*", "", name)


def read(directory):
    """({function: bytes}, {function: functions that it calls})"""
    own, calls = {}, {}
    for name in glob.glob(os.path.join(directory, "src", "libvmem_objects.a.p", "*.ci")):
        with open(name) as file:
            text = file.read()
        for title, size in re.findall(r'node: \{ title: "([^"]+)" label: "[^"]*?(\d+) bytes \(', text):
            own[os.path.basename(title)] = int(size)  # file.c:name of a static function
        for source, target in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', text):
            calls.setdefault(os.path.basename(source), set()).add(os.path.basename(target))
    return own, calls


def unknown(own, calls):
    """Functions with calls through pointers that neither table has, and what the table names and the library has not."""
    missing = sorted({target for targets in INDIRECT.values() for target in targets} - {base(name) for name in own})
    return missing + sorted(name for name, targets in calls.items() if "__indirect_call" in targets and base(name) not in INDIRECT and not HOSTS.fullmatch(base(name)))


def deepest(own, calls):
    """{function: (bytes, path)}, and the cycles that RECURSIVE does not have."""
    best, cycles = {}, set()

    def walk(name, above):
        if name in above:
            if above[-1] != name or base(name) not in RECURSIVE:
                cycles.add(" > ".join(above[above.index(name):] + (name,)))
            return 0, ()
        if name not in best:
            targets = calls.get(name, set()) | set(INDIRECT.get(base(name), ()) if "__indirect_call" in calls.get(name, ()) else ())
            below = max((walk(target, above + (name,)) for target in targets), default=(0, ()))
            best[name] = own.get(name, 0) * RECURSIVE.get(base(name), 1) + below[0], (name,) + below[1]
        return best[name]

    for name in own:
        walk(name, ())
    return best, cycles


def check(rep, name, directory):
    own, calls = read(directory)
    public = [function for function in own if function.startswith("vmem_")]
    best, cycles = deepest(own, calls)
    most = max((best[function] for function in public), default=(0, ()))
    path = " > ".join("%s %d" % (function, own.get(function, 0)) for function in most[1])
    rep.note("%s: at most %d bytes of stack, a fault %d" % (name, most[0], best.get("vmem_fault", (0,))[0]))
    rep.check(name + ": no call takes more than %d bytes of stack" % LIMIT, len(public) > 150 and 1000 < most[0] <= LIMIT, path)
    rep.check(name + ": nothing recurses without bound", not cycles, "\n".join(sorted(cycles)[:10]))
    rep.check(name + ": it is known whom each call through a pointer may reach", not unknown(own, calls), "\n".join(unknown(own, calls)))
