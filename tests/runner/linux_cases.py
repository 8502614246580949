# SPDX-License-Identifier: MIT
"""Boot cases that compare: a program on the example kernel must do what it did on Linux (examples/user/cases, expected/)."""

import dataclasses
import os
import re
import shlex
import subprocess

import conform_part
import cpio
import machine
import run as examples_run

LIST = os.path.join(examples_run.USER, "cases")
EXPECTED = os.path.join(examples_run.USER, "expected")
SIGNALS = {4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 11: "SIGSEGV"}
# What the kernel must tell about a page fault, in this order: the access, the address where it is known, the region.
REPORTS = {
    "offstack": ("write to", "", "no region there"),
    "fault": ("read of", "", "no region there"),
    "fault-none-read": ("read of", "", "the region there is .* ---"),
    "fault-none-write": ("write to", "", "the region there is .* ---"),
    "fault-read-only": ("write to", "", "the region there is .* r--"),
    "fault-text": ("write to", "", "the region there is .* r-x"),
    "fault-no-exec": ("execution of", "", "the region there is .* r--"),
    "fault-stack-call": ("execution of", "", "the region there is .* rw-"),
    "fault-null": ("read of", "0*10", "no region there, nor below"),
    "threads-fault": ("write to", "0*10", "no region there, nor below"),
    "fault-kernel-read": ("read of", "ffffffff80200000", "no region there"),
    "fault-kernel-write": ("write to", "ffffffff80200000", "no region there"),
}
# What runs in each forced paging mode and on each CPU model besides mmtest: the start of a program, faults of both kinds, code.
SHORT = ["args", "basics", "churn", "jit", "fault-no-exec", "offstack"]


# What runs on several CPUs, too: threads, and how a process with threads ends.
THREADS = ["threads", "threads-exit", "threads-last", "threads-fault", "threads-abort", "heap", "race", "pager", "forks", "signals", "pipes"]
SMP = ["--smp", "4"]
# After which all frames must be back: forks, files in memory, pipes, threads, signals that end a process, and memory of all kinds.
FRAMES = ["mmtest", "forks", "threads", "threads-abort", "signals", "signals-kill", "pipes", "pager", "heap", "offstack", "churn"]


class Skip(Exception):
    """The case cannot run here; the message says why."""


@dataclasses.dataclass
class Case:
    name: str
    status: int
    options: list
    program: str
    args: list

    def option(self, key):
        return next((o[len(key) + 1:] for o in self.options if o.startswith(key + "=")), None)

    def expected(self, stream):
        path = os.path.join(EXPECTED, "%s.%s" % (self.option("as") or self.name, stream))
        return _read(path) if os.path.exists(path) else b""

    def input(self):
        name = self.option("in")
        return _read(os.path.join(EXPECTED, name + ".in")) if name else None


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _cases():
    found = {}
    with open(LIST) as file:
        for line in file:
            words = [] if line.startswith("#") else shlex.split(line)
            if words:
                options = [] if words[2] == "-" else words[2].split(",")
                found[words[0]] = Case(words[0], int(words[1]), options, words[3], words[4:])
    return found


def _difference(case, status, out, err, own):
    """What is not as on Linux, in a few words; nothing if all is."""
    if status != case.status:
        return "status %d, on Linux %d" % (status, case.status)
    wanted = case.expected("out")
    if out != wanted:
        at = next((i for i, (a, b) in enumerate(zip(out, wanted)) if a != b), min(len(out), len(wanted)))
        return "%d bytes on standard output, on Linux %d; the first difference is at %d" % (len(out), len(wanted), at)
    if "anyerr" not in case.options and err.encode() != case.expected("err"):
        return "another standard error than on Linux"
    signal = SIGNALS.get(case.status - 128)
    if signal and not any("killed by signal %d (%s)" % (case.status - 128, signal) in line for line in own):
        return "no word about the signal"
    if case.name in REPORTS:
        access, address, region = REPORTS[case.name]
        wanted = "%s address (0x)?%s at pc.*%s" % (access, address or "[0-9a-f]+", region)
        if not re.search(wanted, "\n".join(own), re.S):
            return "no report of the fault like /%s/" % wanted
    return ""


def _busybox(bench):
    if not os.path.exists(bench.program("busybox")):
        done = subprocess.run(["sh", os.path.join(examples_run.USER, "busybox.sh"), bench.isa, bench.programs],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise Skip("Debian's busybox-static could not be fetched: " + done.stdout.strip()[-200:])


def _run(bench, case, options=()):
    if case.program == "busybox":
        _busybox(bench)
    options = list(options) + (["--wx"] if "wx" in case.options else [])
    status, out, err = bench.run(bench.program(case.program), *case.args, options=options, data=case.input())
    lines = err.split("\n")
    own = [line for line in lines if line.startswith("examples/run: ")]
    err = "\n".join(line for line in lines if not line.startswith("examples/run: "))
    wrong = _difference(case, status, out, err, own)
    if not wrong:
        return ""
    return "%s\n%s\n---- standard error\n%s\n%s" % (wrong, out[:6000].decode(errors="backslashreplace"), err[:4000], "\n".join(own))


def _interleaved(bench, cpu):
    """Two programs that hold other values in all vector registers, by turns: the demonstration's pair alone, on one CPU model."""
    program = _read(bench.program("vectors"))
    archive = cpio.archive({"bin/vectors": program, "etc/demo": b"0 vectors 1 &\n0 vectors 2\n"})
    log = []
    boot = machine.Boot(bench.isa, bench.kernel, archive, [], cpu=cpu, timeout=120)
    ending = machine.run(boot, lambda data: None, lambda data: None, log.append)
    text = "\n".join(log)
    order = [text.find("vectors " + said) for said in ("1: begin", "2: begin", "1: 60 rounds, 0 wrong", "2: 60 rounds, 0 wrong")]
    if ending.status == 0 and 0 <= min(order) and max(order[:2]) < min(order[2:]):
        return ""
    return "%s\n%s" % (ending, text[-4000:])


def _demonstrate(b, lines, smp):
    """A demonstration of these lines: (how it ended, its log)."""
    names = {line.split()[1] for line in lines}
    archive = cpio.archive({**{"bin/" + name: _read(b.program(name)) for name in names}, "etc/demo": "".join(line + "\n" for line in lines).encode()})
    log = []
    ending = machine.run(machine.Boot(b.isa, b.kernel, archive, [], smp=smp, timeout=180), lambda data: None, lambda data: None, log.append)
    return ending, "\n".join(log)


def _not_all_good(ending, text, count):
    said = "%d of %d programs ended as they must" % (count, count)
    return "" if ending.status == 0 and said in text else "%s\n%s" % (ending, text[-6000:])


def beside(b, smp, rounds):
    """The race of threads with a process for each CPU beside it, of which one has threads as well."""
    names = ["race %d" % rounds, "heap"] + ["churn", "vectors 2"] * (smp // 2)
    lines = ["0 %s%s" % (name, " &" if name is not names[-1] else "") for name in names]
    return _not_all_good(*_demonstrate(b, lines, smp), len(lines))


def frames(b, smp=1):
    """When processes that forked, mapped files, had threads and were killed are gone, as many frames are free as before the first."""
    known = _cases()
    lines = ["%d %s" % (known[name].status, " ".join([known[name].program] + known[name].args)) for name in FRAMES]
    if smp > 1:  # side by side, but for the last
        lines = [line + " &" for line in lines[:-1]] + lines[-1:]
    ending, text = _demonstrate(b, lines, smp)
    return conform_part.frames_missing(text) or _not_all_good(ending, text, len(lines))


def threads(name):
    """A case of THREADS for a Bench whose kernel runs several CPUs."""
    return lambda b, options=SMP: _run(b, _cases()[name], options)


def cases(isa, modes, cpus):
    """Name -> function of a Bench that returns what is wrong. modes and cpus: the paging modes and CPU models to go through as well."""
    known = _cases()
    if isa == "riscv":  # Debian 12's C library has no start code for static-pie there
        del known["hello-pie"]
    table = {"Linux " + name: lambda b, c=case: _run(b, c) for name, case in known.items()}
    settings = [("paging " + mode, ["--word", "paging=" + mode]) for mode in modes]
    settings += [("cpu " + cpu, ["--cpu", cpu]) for cpu in cpus] + [("128 MiB of memory", ["--memory", "128"])]
    for label, options in settings:
        for name in SHORT:
            table["%s, Linux %s" % (label, name)] = lambda b, c=known[name], o=options: _run(b, c, o)
    for name in THREADS:
        table["4 CPUs, Linux " + name] = lambda b, n=name: threads(n)(b.smp())
    table.update(conform_part.boot_cases())
    table["frames are back"] = frames
    table["4 CPUs, frames are back"] = lambda b: frames(b.smp(), 4)
    table["4 CPUs, 6 processes"] = lambda b: beside(b.smp(), 4, 2)
    for cpu in cpus:
        table["cpu %s, vectors interleaved" % cpu] = lambda b, c=cpu: _interleaved(b, c)
    table["128 MiB of memory, Linux hash64"] = lambda b: _run(b, known["hash64"], ["--memory", "128"])
    return table
