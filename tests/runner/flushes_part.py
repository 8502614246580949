# SPDX-License-Identifier: MIT
"""What flushes cost in time where this runs: page by page, and everything of a space. examples/user/flushes.c measures it on the example kernels under
QEMU, with the library told to do the one and the other, and on this machine's own Linux, where it is of one of the ISAs."""

import os
import platform
import re
import statistics
import subprocess
import sys

import boot_part
import build
import report
import run as examples_run

WHAT = "what flushes cost in time, page by page and whole, on the machine this runs on"
NORMAL = False

BOOTS = 5  # of each kind, in turn: an emulator is noisy
BY_PAGE, WHOLE = "flush=1000000", "flush=1"
LINUX = {"x86_64": ("x86_64", 33), "aarch64": ("aarch64", 512), "riscv64": ("riscv", 64)}  # the ISA, and up to where Linux goes page by page


def threshold(isa):
    """What the library takes for this ISA unless the host says otherwise."""
    with open(os.path.join(build.ROOT, "src", "arch", isa, "arch_pte.h"), encoding="utf-8") as file:
        return int(re.search(r"^#define ARCH_FLUSH_PAGES (\d+)u$", file.read(), re.M).group(1))


def figures(output):
    """(pages, working set) -> (the call, the working set after it, and before it), in nanoseconds."""
    rows = [line.split() for line in output.splitlines() if re.fullmatch(r"\d+ \d+( \d+\.\d){3}", line)]
    return {(int(row[0]), int(row[1])): tuple(map(float, row[2:])) for row in rows}


def slope(rows, size):
    """What one page more adds to the call."""
    return statistics.linear_regression(*zip(*[(n, row[0]) for (n, s), row in rows.items() if s == size and n > 1])).slope


def found_anew(rows, size):
    """What the working set costs after a call more than before it."""
    return statistics.median(row[1] - row[2] for (n, s), row in rows.items() if s == size and n > 1)


def middle(runs):
    """The median of each figure."""
    return {key: tuple(statistics.median(run[key][i] for run in runs) for i in range(3)) for key in runs[0]}


def compare(rep, name, by_page, whole, used):
    """by_page, whole: figures of calls that forgot page by page, and everything."""
    sets = sorted({size for _, size in by_page})
    page, other = (statistics.median(slope(rows, size) for size in sets) for rows in (by_page, whole))
    each = page - other
    if not rep.check("flushes/%s: forgetting a page costs time" % name, each > 0, "%.1f ns" % each):
        return
    rep.note("%-22s a page adds %.0f ns to a call that forgets page by page, %.0f to one that forgets everything: %.0f for forgetting it"
             % (name, page, other, each))
    for size in sets:
        anew, kept = found_anew(whole, size), found_anew(by_page, size)
        rep.note("%-22s %4d pages in use: found anew in %6.0f ns after everything, %6.0f after pages: worth %4.0f pages, the difference %4.0f (library: %d)"
                 % (name, size, anew, kept, anew / each, (anew - kept) / each, used))


def emulated(rep, isa):
    bench = boot_part.make_bench(isa)
    runs = {BY_PAGE: [], WHOLE: []}
    for boot in range(BOOTS):
        for word in runs:
            status, out, err = bench.run(bench.program("flushes"), options=["--word", word], timeout=300)
            output = out.decode(errors="replace")
            if rep.check("flushes/%s, QEMU: %s, run %d" % (isa, word, boot + 1), status == 0, "status %d\n%s\n%s" % (status, output, err)):
                runs[word].append(figures(output))
    if all(runs.values()):
        compare(rep, isa + ", QEMU", *(middle(runs[word]) for word in (BY_PAGE, WHOLE)), threshold(isa))


def native(rep, isa, most):
    """Below and above the number at which Linux goes over."""
    name = "%s, this machine" % isa
    program = os.path.join(examples_run.user_programs(isa, sys.stdout), "flushes")
    done = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=100, check=False)
    rows = figures(done.stdout.decode(errors="replace"))
    if rep.check("flushes/%s: runs" % name, done.returncode == 0, done.stderr.decode(errors="replace")):
        below, above = ({key: row for key, row in rows.items() if (key[0] > most) == side} for side in (False, True))
        compare(rep, name, below, above, threshold(isa))


def run(rep, options):
    for isa in build.ISAS:
        if rep.wanted("flushes/" + isa):
            emulated(rep, isa)
    isa, most = LINUX.get(platform.machine(), (None, 0))
    if platform.system() == "Linux" and isa and rep.wanted("flushes/" + isa):
        native(rep, isa, most)
