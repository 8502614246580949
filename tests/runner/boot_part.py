# SPDX-License-Identifier: MIT
"""Boots: the example kernels under QEMU, driven as a user drives them, through examples/run."""

import concurrent.futures
import os
import random
import re
import subprocess
import sys
import tempfile
import threading

import build
import gdb_case
import linux_cases
import loader_cases
import report
import run as examples_run

WHAT = "the example kernels under QEMU, through examples/run"

RUN = os.path.join(build.ROOT, "examples", "run")
SMP_MOST = examples_run.SMP_MAX
OTHER = {"x86_64": "aarch64", "aarch64": "riscv", "riscv": "x86_64"}
INTERPRETER = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1", "riscv": "/lib/ld-linux-riscv64-lp64d.so.1"}
# Forced paging modes, and the CPU models of QEMU that have or lack what the backends look for.
MODES = {"x86_64": ["4", "5"], "aarch64": ["48", "52"], "riscv": ["sv39", "sv48", "sv57"]}
CPUS = {
    "x86_64": ["qemu64", "EPYC", "max,la57=off"],
    "aarch64": ["cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76", "neoverse-n1"],
    "riscv": ["rv64,svpbmt=off,svnapot=off,svinval=off", "rv64,v=on"],
}


class Bench:
    """What the cases of one ISA run against: a kernel and the user programs."""

    def __init__(self, isa, kernel, programs, smp_kernel=None):
        self.isa = isa
        self.kernel = kernel
        self.programs = programs
        self.smp_kernel = smp_kernel

    def smp(self):
        """The same with a kernel for several CPUs."""
        return Bench(self.isa, self.smp_kernel, self.programs)

    def program(self, name):
        return os.path.join(self.programs, name)

    def words(self, *words, options=(), timeout=120):
        return [RUN, "--kernel", self.kernel, "--timeout", str(timeout), *options, self.isa, *words]

    def run(self, *words, options=(), stdin=subprocess.DEVNULL, data=None, timeout=120):
        """examples/run [options] ISA words...: (status, stdout, stderr)."""
        if data is not None:
            stdin = None
        done = subprocess.run(self.words(*words, options=options, timeout=timeout), stdin=stdin, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout + 60, check=False)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def ended(status, out, err, wanted=0):
    """A failure's description, or the empty string."""
    if status == wanted:
        return ""
    return "status %d, wanted %d\n%s\n%s" % (status, wanted, out.decode(errors="replace")[-2000:], err[-4000:])


def said(result, wanted, *texts):
    """Wants a status and each of texts in the standard error."""
    status, out, err = result
    wrong = ended(status, out, err, wanted)
    for text in texts:
        if text not in err:
            wrong += "\nstandard error does not say %r:\n%s" % (text, err[-4000:])
    return wrong


# ---- Cases: functions of a Bench that return "" or what is wrong. ----

def programs_succeed(name, *args, options=()):
    return lambda b: ended(*b.run(b.program(name), *args, options=options))


def exit_statuses(b):
    wrong = ""
    for n in (0, 1, 77, 124, 125, 139, 255):
        wrong += ended(*b.run(b.program("status"), str(n)), wanted=n)
    return wrong


def random_bytes(b):
    """64 KiB to descriptor 1 arrive unchanged, and descriptor 2 has its own two lines only: compared with the same program here."""
    status, out, err = b.run(b.program("bytes"))
    native = subprocess.run([native_bytes()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    wrong = ended(status, out, err)
    if out != native.stdout:
        wrong += "\nstandard output differs: %d bytes, wanted %d" % (len(out), len(native.stdout))
    if err.encode() != native.stderr:
        wrong += "\nstandard error differs: %r" % err
    return wrong


_native = threading.Lock()


def native_bytes():
    path = os.path.join(build.ROOT, "build", "bytes.native")
    with _native:
        if not os.path.exists(path):
            subprocess.run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-o", path, os.path.join(examples_run.USER, "bytes.c")], check=True)
    return path


def stdin_pipe(b):
    data = random.Random(1).randbytes(300000)
    status, out, err = b.run(b.program("cat"), data=data)
    return ended(status, out, err) or ("" if out == data else "input and output differ: %d bytes came" % len(out))


def stdin_file(b):
    data = random.Random(2).randbytes(70001)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        status, out, err = b.run(b.program("cat"), stdin=file)
    return ended(status, out, err) or ("" if out == data else "input and output differ: %d bytes came" % len(out))


def stdin_empty(b):
    status, out, err = b.run(b.program("cat"))
    return ended(status, out, err) or ("" if out == b"" else "output without input")


def arguments(b):
    """Arguments arrive whole, blanks, quotes, empty ones and options alike; argv[0] is the base name."""
    given = ["two words", "", "--count", "it's", "x86_64", "ä", "end"]
    status, out, err = b.run(b.program("args"), *given)
    wrong = ended(status, out, err)
    lines = out.decode(errors="replace").split("\n")
    wanted = ["args: argument 0: args"] + ["args: argument %d: <%s>" % item for item in enumerate(given, 1)]
    return wrong + "".join("\nno line %r" % line for line in wanted if line not in lines)


def refused_dynamic(b):
    return said(b.run(b.program("hello-dynamic")), 126, "dynamically linked", INTERPRETER[b.isa])


def refused_isa(b):
    other = build.build_dir("user-" + OTHER[b.isa])
    examples_run.user_programs(OTHER[b.isa], sys.stderr)
    return said(b.run(os.path.join(other, "hello")), 126, "is a program for " + OTHER[b.isa])


def refused_script(b):
    return said(b.run(RUN), 126, "script")


def refused_missing(b):
    return said(b.run("/nonexistent/program"), 127, "No such file")


def refused_cut_short(b):
    with open(b.program("hello"), "rb") as file:
        data = file.read()
    with tempfile.NamedTemporaryFile() as file:
        file.write(data[:len(data) // 2])
        file.flush()
        return said(b.run(file.name), 126, "cut short")


def timeout(b):
    return said(b.run(b.program("status"), "spin", timeout=4), 124, "did not end within 4 s")


def kernel_panic(b):
    return said(b.run(b.program("hello"), options=["--word", "test=panic"]), 125, "kernel panic: ")


def kernel_hang(b):
    return said(b.run(b.program("hello"), options=["--word", "test=hang"], timeout=4), 124, "did not end within 4 s")


def kernel_fault(test):
    """A wild access of the kernel's own is a panic with a backtrace that names a function: the outermost, or the one that fills the stack."""
    outermost = "overflow" if test == "overflow" else "kernel_main"

    def case(b):
        status, out, err = b.run(b.program("hello"), options=["--word", "test=" + test])
        wrong = said((status, out, err), 125, "kernel panic: ")
        return wrong or ("" if outermost in err else "the backtrace does not name %s:\n%s" % (outermost, err))
    return case


def contiguous_runs(found, cpu=()):
    """64 KiB at a translation, on the MMU that QEMU has; `found` says what the kernel has found there."""
    return lambda b: said(b.run(b.program("hello"), options=["--verbose", "--word", "test=contig", *cpu]), 0, "contig: " + found)


def combined_writes(found, cpu=()):
    """The attribute in entries of document 002's mappings; `found` is a device with MAP_WC and without, and memory."""
    return lambda b: said(b.run(b.program("hello"), options=["--verbose", "--word", "test=combine", *cpu]), 0,
                          "combine: device %s, without %s; memory %s, without write-back" % found)


def verbose(b):
    status, out, err = b.run(b.program("hello"), options=["--verbose"])
    wrong = ended(status, out, err) or ("" if out.startswith(b"hello") else "output: %r" % out[:200])
    if not err.strip():
        wrong += "\nno log"
    if "OpenSBI" in err:
        wrong += "\nthe firmware's banner is in the log"
    return wrong


def quiet(b):
    status, out, err = b.run(b.program("hello"))
    return ended(status, out, err) or ("" if out.startswith(b"hello") and err == "" else "output %r, error %r" % (out, err))


def count_repeats(b):
    """Two counted runs are equal to the last instruction."""
    first, second = (b.run(b.program("bench"), "null", "map", "protect", options=["--count"]) for _ in range(2))
    wrong = ended(*first)
    return wrong or ("" if first[1] == second[1] and first[1] else "two runs differ:\n%s\n%s" % (first[1].decode(), second[1].decode()))


def demonstration(b):
    """The README's command for one ISA; the two programs that hold vectors really ran interleaved."""
    status, out, err = b.run()
    text = out.decode(errors="replace")
    order = [text.find("vectors " + said) for said in ("1: begin", "2: begin", "1: 60 rounds, 0 wrong", "2: 60 rounds, 0 wrong")]
    wrong = ended(status, out, err)
    return wrong or ("" if 0 <= min(order) and max(order[:2]) < min(order[2:]) else "vectors 1 and 2 were not interleaved:\n" + text[-6000:])




STRETCH_MOST = 200000


def long_calls(b):
    """What a process with 1 GiB resident does with all of it: nothing runs for long without taking interrupts."""
    status, out, err = b.run(b.program("large"), "1024", options=["--count", "--memory", "2048", "--word", "stretch", "--verbose"], timeout=300)
    wrong = ended(status, out, err)
    if b"of 262144 pages 262144 are as they were" not in out:
        wrong += "\noutput: %r" % out[-2000:]
    told = {name: (int(most), int(points)) for name, most, points in re.findall(r"stretch: (\w+) (\d+) of (\d+)", err)}
    ticks = re.search(r"stretch: (\d+) ticks amid calls", err)
    for name, least in (("exit", 100), ("exec", 100), ("fork", 2), ("wait", 1), ("munmap", 1), ("protect", 20)):
        most, points = told.get(name, (0, 0))
        if not 0 < most <= STRETCH_MOST or points < least:
            wrong += "\n%s: the longest stretch is %d instructions, limit %d; %d points, wanted %d" % (name, most, STRETCH_MOST, points, least)
    if not ticks or int(ticks.group(1)) < 2:
        wrong += "\nno interrupt was taken amid a call"
    return wrong and wrong + "\n" + err[-3000:]


def flushes(word):
    """What measures flushes runs to its end, with the library told to do them all in one way."""
    def case(b):
        status, out, err = b.run(b.program("flushes"), "2", options=["--word", word])
        return ended(status, out, err) or ("" if b"\n768 1024 " in out else "output: %r" % out[-200:])
    return case


def calls_between_cpus(cpus):
    """All CPUs start, and each runs what the first one asks it to, as often as it is asked."""
    options = ["--smp", str(cpus), "--word", "test=calls", "--verbose"]
    return lambda b: said(b.smp().run(b.program("hello"), options=options), 0, "calls: %d CPUs of %d" % (cpus, cpus))


def cases(isa):
    """Name -> case, in the order in which they are most telling."""
    table = {"hello": quiet, "demonstration": demonstration}
    table.update(linux_cases.cases(isa, MODES[isa], CPUS[isa]))
    table.update(loader_cases.cases())
    for function in (exit_statuses, random_bytes, stdin_pipe, stdin_file, stdin_empty, arguments, refused_dynamic, refused_isa, refused_script,
                     refused_missing, refused_cut_short, timeout, kernel_panic, kernel_hang, verbose, count_repeats):
        table[function.__name__.replace("_", " ")] = function
    for test in ("overflow", "null", "text"):
        table["kernel fault " + test] = kernel_fault(test)
    table["write-combining entries"] = combined_writes(("write-combining", "uncached", "write-combining"))
    table["contiguous runs"] = contiguous_runs("single pages" if isa == "x86_64" else "runs")
    if isa == "riscv":
        table["no write-combining entries"] = combined_writes(("write-back",) * 3, ["--cpu", "rv64,svpbmt=off"])
        table["no contiguous runs"] = contiguous_runs("single pages", ["--cpu", "rv64,svnapot=off"])
    for mode in MODES[isa]:
        table["paging " + mode] = programs_succeed("mmtest", options=["--word", "paging=" + mode])
    for cpu in CPUS[isa]:
        table["cpu " + cpu] = programs_succeed("mmtest", options=["--cpu", cpu])
    table["64 MiB of memory"] = programs_succeed("hello", options=["--memory", "64"])
    table["6 GiB of memory"] = programs_succeed("hello", options=["--memory", "6144"])
    table["waits for a debugger"] = gdb_case.waits_for_a_debugger
    table["1 GiB resident, and interrupts"] = long_calls
    table["flushes page by page"], table["flushes of everything"] = flushes("flush=1000000"), flushes("flush=1")
    table["4 CPUs, a kernel for one"] = programs_succeed("hello", options=["--smp", "4"])
    for cpus in (2, SMP_MOST):
        table["calls between %d CPUs" % cpus] = calls_between_cpus(cpus)
    return table


def run_case(function, bench):
    try:
        wrong = function(bench)
    except linux_cases.Skip as reason:
        return report.SKIPPED, str(reason), ""
    except subprocess.TimeoutExpired as late:
        wrong = "examples/run itself did not end: %s" % late
    except OSError as error:
        wrong = str(error)
    return (report.FAILED if wrong else report.PASSED), "", wrong


def run_cases(rep, prefix, bench, table, jobs):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(run_case, function, bench): name for name, function in table.items()}
        for done in concurrent.futures.as_completed(futures):
            rep.add("%s: %s" % (prefix, futures[done]), *done.result())


def make_bench(isa):
    """The release kernels of an ISA, for one CPU and for several, and the user programs, built."""
    smp_kernel = examples_run.kernel_image(isa, sys.stdout, examples_run.SMP_MAX)
    return Bench(isa, examples_run.kernel_image(isa, sys.stdout), examples_run.user_programs(isa, sys.stdout), smp_kernel)


def smoke(rep, prefix, isa, kernel):
    """The few cases that say whether a kernel built in some other way works at all."""
    bench = Bench(isa, kernel, examples_run.user_programs(isa, sys.stdout))
    table = cases(isa)
    chosen = ("hello", "Linux mmtest", "Linux churn", "Linux wx", "Linux offstack", "demonstration")
    run_cases(rep, prefix, bench, {name: table[name] for name in chosen}, 1)


def run(rep, options):
    for isa in build.ISAS:
        prefix = "boot/" + isa
        table = {name: function for name, function in cases(isa).items() if rep.wanted("%s: %s" % (prefix, name))}
        if not table:
            continue
        try:
            bench = make_bench(isa)
        except build.BuildError as error:
            rep.add(prefix + ": builds", report.FAILED, str(error))
            continue
        rep.note("%s: %d cases" % (prefix, len(table)))
        run_cases(rep, prefix, bench, table, options.jobs)
