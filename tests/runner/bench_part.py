# SPDX-License-Identifier: MIT
"""Instruction counts of the release kernel that examples/run boots, with the limits that they keep."""

import concurrent.futures
import re

import boot_part
import build
import flushes_part
import report

WHAT = "instructions per operation, against limits taken from Linux 6.12"

# Linux 6.12, built as small as it gets, uniprocessor, x86-64, in the same emulator. Half of it is the most we accept, a fifth is the aim.
LINUX = {
    "null_syscall": 208,
    "map_unmap": 6277,
    "map_write_unmap": 13751,
    "write_fault": 2000,
    "read_fault": 891,
    "protect_split": 5388,
    "protect_merge": 4400,
    "unmap_per_page": 447,
    "give_back_per_page": 444,
    "fault_around_per_page": 312,
    "mincore": 1904,
    "lock_unlock": 7222,
    "segv_protect_return": 6700,
    "break_up_down": 6614,
    "remap_grow_shrink": 8238,
    "move_touched_page": 13718,
    "move_64_MiB": 27490,
    "map_fixed_middle": 8828,
    "shared_write_fault": 3051,
    "cow_break": 3208,
    "fork_minimal": 53286,
    "fork_64m": 2448573,
    "fork_64m_exit_wait": 5024764,
}
TWENTIETH = {"fork_64m", "fork_64m_exit_wait"}  # and of these a twentieth: Linux copies an entry for each page
CLEARED = {"map_write_unmap", "write_fault", "shared_write_fault"}  # these clear one page each
COPIED = {"cow_break"}  # and this copies one, which takes a load and a store for each word
# Told, with the limit that is missed; x86-64 is judged.
NOT_MET = {("aarch64", "move_64_MiB"), ("riscv", "move_64_MiB")}
LINUX_CLEAR = 519
OTHER_ISA = 1.25  # on AArch64 and RISC-V the same figures and a quarter, the clearing of the page apart
GROWTH = 1.5  # with 100 000 regions against 10

# A kernel for several CPUs, booted on one, against one for one CPU: how many times the instructions are accepted.
FAULTS = ("write_fault", "read_fault", "write_after_read_fault")
LAYOUT = ("map_untouched", "unmap_untouched", "map_unmap", "map_read_unmap", "map_write_unmap", "protect_split", "protect_merge", "protect_per_page",
          "unmap_per_page")
SMP_FAULTS = 1.05
SMP_LAYOUT = 1.10


def figures(output):
    return {name: int(count) for name, count in re.findall(r"^(\w+) (\d+)$", output, re.M)}


def limit(isa, name, counts):
    """The most instructions that are accepted."""
    most = LINUX[name] / (20 if name in TWENTIETH else 2)
    if isa == "x86_64":
        return most
    if name in CLEARED:
        return OTHER_ISA * (most - LINUX_CLEAR) + counts.get("clear_page", 0)
    if name in COPIED:
        return OTHER_ISA * (most - LINUX_CLEAR) + 2 * counts.get("clear_page", 0)
    return OTHER_ISA * most


def judge(rep, isa, counts):
    for name, linux in LINUX.items():
        test = "bench/%s: %s" % (isa, name)
        if name not in counts:
            rep.add(test, report.FAILED, "was not measured")
            continue
        most = limit(isa, name, counts)
        rep.note("%-8s %-16s %6d instructions, limit %6d, Linux on x86-64 %6d" % (isa, name, counts[name], most, linux))
        if (isa, name) not in NOT_MET:
            rep.check(test, counts[name] <= most, "%d instructions, limit %d" % (counts[name], most))
    for name in sorted(counts):
        if name.startswith("regions_") and name.endswith("_10"):
            many = name[:-3] + "_100000"
            test = "bench/%s: %s" % (isa, name[:-3])
            if many not in counts:
                rep.add(test, report.FAILED, many + " was not measured")
                continue
            share = counts[many] / max(1, counts[name])
            rep.note("%-8s %-16s %6d with 10 regions, %6d with 100 000: %.2f times" % (isa, name[8:-3], counts[name], counts[many], share))
            if (isa, name[:-3]) not in NOT_MET:
                rep.check(test, share <= GROWTH, "%.2f times, limit %.2f" % (share, GROWTH))


def judge_smp(rep, isa, one, several):
    """What being ready for several CPUs costs where there is one."""
    for names, most in ((FAULTS, SMP_FAULTS), (LAYOUT, SMP_LAYOUT)):
        for name in names:
            test = "bench/%s: %s, ready for several CPUs" % (isa, name)
            if name not in one or name not in several:
                rep.add(test, report.FAILED, "was not measured")
                continue
            share = several[name] / max(1, one[name])
            figure = "%5d instructions, ready for several CPUs %5d: %.3f times, limit %.2f" % (one[name], several[name], share, most)
            rep.note("%-8s %-22s %s" % (isa, name, figure))
            rep.check(test, share <= most, figure)


def judge_flushes(rep, isa, usual, by_page, whole):
    """Where the library goes over from forgetting page by page to forgetting everything: at its own number, neither before nor after."""
    most = flushes_part.threshold(isa)
    sizes = sorted(int(name[7:]) for name in usual if name.startswith("revoke_"))
    rep.check("bench/%s: flushes of %d and %d pages" % (isa, most, most + 1), most in sizes and most + 1 in sizes, "were not measured")
    for size in sizes:
        name = "revoke_%d" % size
        if name not in by_page or name not in whole:
            rep.add("bench/%s: %s" % (isa, name), report.FAILED, "was not measured both ways")
            continue
        figure = "%5d instructions; page by page %5d, everything %5d; page by page up to %d" % (usual[name], by_page[name], whole[name], most)
        rep.note("%-8s %-22s %s" % (isa, name, figure))
        near, far = (by_page, whole) if size <= most else (whole, by_page)
        rep.check("bench/%s: %s" % (isa, name), abs(usual[name] - near[name]) * 4 < abs(usual[name] - far[name]), figure)


def measure(isa):
    """The run of all benchmarks on the kernel for one CPU; that of those without many regions on the kernel for several; flushes of both kinds."""
    bench = boot_part.make_bench(isa)
    program, options = bench.program("bench"), ["--count", "--memory", "2048"]
    runs = [bench.run(program, options=options, timeout=400), bench.smp().run(program, *FAULTS, *LAYOUT, options=options, timeout=400)]
    return runs + [bench.run(program, "revoke", options=[*options, "--word", word]) for word in ("flush=0", flushes_part.BY_PAGE, flushes_part.WHOLE)]


def run(rep, options):
    chosen = [isa for isa in build.ISAS if rep.wanted("bench/" + isa)]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for isa, runs in zip(chosen, pool.map(measure, chosen)):
            counts = []
            for what, (status, out, err) in zip(("runs", "runs, ready for several CPUs", "runs, flushes", "runs, page by page", "runs, everything"), runs):
                output = out.decode(errors="replace")
                rep.check("bench/%s: %s" % (isa, what), status == 0, "status %d\n%s\n%s" % (status, output, err))
                counts.append(figures(output))
            judge(rep, isa, counts[0])
            judge_smp(rep, isa, *counts[:2])
            judge_flushes(rep, isa, *counts[2:])
