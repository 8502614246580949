# SPDX-License-Identifier: MIT
"""Rules of the tree that a machine can read: layout of files, and that the software machine knows nothing of src/."""

import glob
import os
import re
import subprocess

import build
import hosted
import mutants_part

WHAT = "the rules of CONTRIBUTING.md that can be read from the files"
FILE_LINES, FUNCTION_LINES, COLUMNS = 600, 60, 110
REUSED = ("region", "span", "index_node", "store")  # records whose memory stays of its kind
CODE = (".c", ".h", ".S", ".py", ".sh", ".ld")
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")


def files():
    done = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=build.ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode == 0:
        return sorted(name for name in done.stdout.split("\n") if name and os.path.isfile(os.path.join(build.ROOT, name)))
    found = []
    for directory, folders, names in os.walk(build.ROOT):
        folders[:] = [name for name in folders if name not in ("build", ".git", "__pycache__")]
        found += [os.path.relpath(os.path.join(directory, name), build.ROOT) for name in names]
    return sorted(found)


def functions(lines):
    """(first line number, length) of each function: from its opening brace in the first column to the closing one."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line.rstrip() == "}" and start:
            yield start, number - start - 1
            start = None


def width(line):
    return len(line.expandtabs(8))


def run(rep, options):
    long_files, long_functions, wide, unlicensed, unfinished, bare = [], [], [], [], [], []
    for name in files():
        if not name.endswith(CODE):
            continue
        with open(os.path.join(build.ROOT, name), errors="replace") as file:
            lines = file.read().split("\n")
        if len(lines) - 1 > FILE_LINES:
            long_files.append("%s: %d lines" % (name, len(lines) - 1))
        if not any("SPDX-License-Identifier: MIT" in line for line in lines[:3]):
            unlicensed.append(name)
        unfinished += ["%s:%d" % (name, i) for i, line in enumerate(lines, 1) if UNFINISHED.search(line)]
        if name.endswith((".c", ".h")):
            long_functions += ["%s:%d: %d lines" % (name, at, length) for at, length in functions(lines) if length > FUNCTION_LINES]
            wide += ["%s:%d: %d columns" % (name, i, width(line)) for i, line in enumerate(lines, 1) if width(line) > COLUMNS]
        # bits.h asks what the compiler has an instruction for, which differs by ISA; it does the same everywhere.
        if name.startswith("src/vm/") and name != "src/vm/bits.h" and name.endswith((".c", ".h")):
            bare += ["%s:%d" % (name, i) for i, line in enumerate(lines, 1) if re.match(r"#\s*(el)?if.*(__x86_64__|__aarch64__|__riscv)", line)]
    rep.check("tree: files have at most %d lines" % FILE_LINES, not long_files, "\n".join(long_files))
    rep.check("tree: functions have at most %d lines" % FUNCTION_LINES, not long_functions, "\n".join(long_functions))
    rep.check("tree: C has at most %d columns" % COLUMNS, not wide, "%d lines\n%s" % (len(wide), "\n".join(wide[:40])))
    rep.check("tree: every file of code says its licence", not unlicensed, "\n".join(unlicensed))
    rep.check("tree: nothing is marked as unfinished", not unfinished, "\n".join(unfinished))
    rep.check("tree: src/vm does not ask for the ISA", not bare, "\n".join(bare))
    unlisted(rep)
    misfits = mutants_part.misfits()
    rep.check("tree: every mutant fits the source", not misfits, "\n".join(misfits))
    unknown = contract_cases()
    rep.check("tree: every point of the contract has its case in the explorer", not unknown, "\n".join(unknown))
    plain = plain_stores()
    rep.check("tree: what faults read without a lock is never stored plainly", not plain, "\n".join(plain))
    machine_knows_nothing(rep)


POINTS = "1.1 1.2 1.3 1.4 1.5 2.1 2.2 3.1 3.2 3.3 3.4 6.1 H1 H2 X7".split()  # at which memory would be corrupted or lost


def contract_cases():
    """What the tables of tests/explore/README.md say wrong: a point without a row, a row without a test, a test or a mutant that is not there."""
    directory = os.path.join(build.ROOT, "tests", "explore")
    with open(os.path.join(directory, "README.md")) as file:
        text = file.read()
    rows = re.findall(r"^\| (.*?) \| (.*) \|$", text[text.index("## What it must find"):], re.M)
    wrong = ["%s has no row" % point for point in POINTS if not any(re.search(r"\b%s\b" % re.escape(point), row[0]) for row in rows)]
    for name, cases in rows:
        found = re.findall(r"`(\w+)/(test_\w+)`", cases)
        wrong += ["%s names no test" % name] if not found and name not in ("---", "taken out", "point") else []
        for program, test in found:
            path = os.path.join(directory, "test_%s.c" % program)
            with open(path if os.path.exists(path) else os.devnull) as file:
                wrong += [] if "cmocka_unit_test(%s)" % test in file.read() else ["%s/%s is no test" % (program, test)]
    mutants = glob.glob(os.path.join(build.ROOT, "tests", "mutants", "explore_*.mutant"))
    with open(os.path.join(directory, "meson.build")) as file:
        run = re.findall(r"^  '(\w+)': \['\w+\.c'", file.read(), re.M)
    wrong += ["%s is not run" % name for name in sorted(os.path.basename(path)[8:-7] for path in mutants) if name not in run]
    return wrong + ["%s has no row" % name for name in run if "`%s`" % name not in "".join(row[0] for row in rows)]


def plain_stores():
    """Stores by = and the like to members that are elsewhere read by shared_load(), of the records that a fault may read
    while they are used anew (LOCKING.md): ThreadSanitizer sees such a store only where the two happen to meet."""
    text = {}
    for name in files():
        if re.fullmatch(r"src/vm/\w+\.[ch]", name):
            with open(os.path.join(build.ROOT, name)) as file:
                text[name] = file.read()
    declared = {name: re.findall(r"struct (\w+) \*+(?:const )?(\w+)", body) for name, body in text.items()}
    everywhere = {pair for pairs in declared.values() for pair in pairs}

    def members(name, pattern, line):
        for base, member in re.findall(pattern, line):
            *outer, member = member.split(".")
            base = outer[-1] if outer else base
            types = [kind for kind, variable in declared[name] if variable == base] or [kind for kind, variable in everywhere if variable == base]
            yield from ((kind, member) for kind in (outer[-1:] or types) if kind in REUSED)

    shared = {pair for name, body in text.items() for pair in members(name, r"shared_load\w*\(&(?:\w+->)*(\w+)->((?:\w+\.)*\w+)", body)}
    stores = r"(\w+)->((?:\w+\.)*\w+)\s*(?:[|&+-]?=(?!=)|\+\+|--)"
    return ["%s:%d: %s" % (name, number, line.strip()) for name, body in text.items() for number, line in enumerate(body.split("\n"), 1)
            if shared & set(members(name, stores, line)) or re.search(r"\bu\.(data|table|slab)\.\w+\s*(?:[|&+-]?=(?!=)|\+\+|--)", line)] or ([] if shared else ["nothing is read by shared_load() any more"])


def unlisted(rep):
    """A test program that no meson.build names would never run."""
    missing = []
    for part in hosted.PARTS:
        directory = os.path.join(build.ROOT, "tests", part)
        names = [name for name in (os.listdir(directory) if os.path.isdir(directory) else []) if re.fullmatch(r"test_\w+\.c", name)]
        if names:
            with open(os.path.join(directory, "meson.build")) as file:
                lists = re.findall(r"part_tests \+?= \[(.*?)\]", file.read(), re.DOTALL)
            listed = set(re.findall(r"'(\w+)'", " ".join(lists)))
            missing += ["%s/%s" % (part, name) for name in names if name[5:-2] not in listed]
    rep.check("tree: every test program is listed", not missing, "\n".join(missing))


def machine_knows_nothing(rep):
    """The software machine is written from the manuals: the dependency files of its objects name no file of src/."""
    directory = build.build("hosted", hosted.BUILD, what="the hosted tests")
    done = subprocess.run(["ninja", "-C", directory, "-t", "deps"], stdout=subprocess.PIPE, text=True, check=True)
    ours, objects, target = [], 0, ""
    for line in done.stdout.split("\n"):
        if line and not line.startswith(" "):
            target = line.split(":")[0]
            objects += "/libmachine_" in target and "effects" not in target
        elif "/libmachine_" in target and "effects" not in target and "/src/" in line:
            ours.append("%s includes %s" % (target, line.strip()))
    rep.check("tree: the software machine includes no header of src/", objects > 0 and not ours, "%d objects\n%s" % (objects, "\n".join(ours)))
