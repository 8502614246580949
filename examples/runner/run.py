# SPDX-License-Identifier: MIT
"""examples/run: boots the example kernels under QEMU, for the demonstration or for one program of the user's."""

import argparse
import os
import signal
import stat
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "cross")]

import build  # noqa: E402
import cpio  # noqa: E402
import elf  # noqa: E402
import machine  # noqa: E402

EXIT_USAGE, EXIT_SETUP, EXIT_REFUSED, EXIT_NOT_FOUND = 2, 3, 126, 127
USER = os.path.join(build.ROOT, "examples", "user")
# CPUs that the kernel for several of them is built for.
SMP_MAX = 8
# A benchmark of system calls needs more regions than Linux allows a process by default.
COUNT_REGIONS = 1 << 20


def complain(text):
    print("examples/run: " + text, file=sys.stderr, flush=True)


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="examples/run", usage="examples/run [ISA]\n       examples/run [OPTION...] ISA FILE [ARG...]",
        description="Boots the example kernel of an ISA (x86_64, aarch64, riscv) under QEMU. With a FILE, a statically linked "
        "Linux program of that ISA, it runs that program; without one, the demonstration, and without an ISA all three.",
        epilog="The exit status is the program's; 128 + N if signal N killed it; 124 when the time was up; 125 when the kernel "
        "panicked; 126 when FILE cannot be run on this ISA, 127 when it cannot be read; 2 and 3: nothing was started.")
    parser.add_argument("--count", action="store_true", help="count instructions exactly: one is one tick of the cycle counter")
    parser.add_argument("--cpu", metavar="MODEL", help="QEMU's CPU model, with its own options after commas")
    parser.add_argument("--memory", type=int, metavar="MIB", help="RAM of the machine (default 512, or what the program needs)")
    parser.add_argument("--smp", type=int, default=1, metavar="N", help="CPUs of the machine and the kernel, up to %d (default 1)" % SMP_MAX)
    parser.add_argument("--timeout", type=float, default=300.0, metavar="SECONDS", help="kill the machine after this long (default 300)")
    parser.add_argument("--gdb", nargs="?", type=int, const=1234, default=0, metavar="PORT", help="wait for a debugger (write --gdb=PORT; default 1234)")
    parser.add_argument("--wx", action="store_true", help="refuse memory that is writable and executable at once")
    parser.add_argument("--word", action="append", default=[], metavar="WORD", help="one more word for the kernel's command line (examples/kernel/README.md)")
    parser.add_argument("--kernel", metavar="FILE", help="boot this kernel image instead of building one")
    parser.add_argument("--verbose", action="store_true", help="show the kernel's log on standard error")
    parser.add_argument("isa", nargs="?", choices=build.ISAS)
    parser.add_argument("file", nargs="?")
    parser.add_argument("args", nargs=argparse.REMAINDER)
    # What follows FILE belongs to the program, whatever it looks like: find FILE ourselves.
    own, rest = split(argv)
    options = parser.parse_args(own)
    options.args = rest
    if not 1 <= options.smp <= SMP_MAX:
        parser.error("--smp takes 1 to %d" % SMP_MAX)
    if options.smp > 1 and options.count:
        parser.error("--count counts on one CPU")
    if options.file is None and options.isa is None and options.gdb:
        parser.error("--gdb needs an ISA")
    return options


def split(argv):
    """Splits at FILE, the first word after the ISA: it and what precedes, and its arguments."""
    for i, word in enumerate(argv):
        if word in build.ISAS and (i == 0 or argv[i - 1] not in ("--cpu", "--word", "--kernel")):
            return argv[:i + 2], argv[i + 2:]
    return argv, []


def kernel_image(isa, out, smp=1):
    """Builds the release kernel of an ISA, for one CPU or for SMP_MAX; its path."""
    cpus, name, what = (1, "kernel-", "the %s kernel") if smp == 1 else (SMP_MAX, "kernel-smp-", "the %s kernel for several CPUs")
    directory = build.build(name + isa, ["--cross-file", build.cross_file(isa), "--buildtype", "release", "-Dmax_cpus=%d" % cpus],
                            what=what % isa, out=out)
    kernel = os.path.join(directory, "examples", "kernel.elf")
    if not os.path.exists(kernel):
        raise build.BuildError("there is no kernel of %s" % isa)
    return kernel


def symbols(kernel, isa):
    """The kernel's symbols, for backtraces."""
    prefix = {"x86_64": "x86_64", "aarch64": "aarch64", "riscv": "riscv64"}[isa]
    done = subprocess.run([prefix + "-linux-gnu-nm", "-n", kernel], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout


def standard_input():
    """What a program reads from descriptor 0: all of ours, if it is a file or a pipe."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return b""
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return b""
    parts = []
    while True:
        data = os.read(0, 1 << 20)
        if not data:
            return b"".join(parts)
        parts.append(data)


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def machine_for(options, kernel, files, words):
    archive = cpio.archive(files)
    if options.count:
        words = words + ["regions=%d" % COUNT_REGIONS]
    if options.wx:
        words = words + ["wx"]
    if options.verbose:
        words = words + ["verbose"]
    memory = options.memory or max(512, 4 * len(archive) >> 20)
    if options.gdb:
        complain("waiting for: gdb-multiarch %s -ex 'target remote :%d'" % (kernel, options.gdb))
    return machine.Boot(options.isa, kernel, archive, words + options.word, memory=memory, cpu=options.cpu, smp=options.smp,
                        count=options.count, timeout=options.timeout, gdb=options.gdb)


def run_file(options):
    name = options.file
    try:
        with open(name, "rb") as file:
            data = file.read()
    except OSError as error:
        complain("%s: %s" % (name, error.strerror))
        return EXIT_NOT_FOUND
    try:
        elf.check(data, options.isa)
    except elf.Refused as reason:
        complain("%s %s" % (name, reason))
        return EXIT_REFUSED
    kernel = options.kernel or kernel_image(options.isa, sys.stderr, options.smp)
    argv = [os.path.basename(name)] + options.args
    files = {"bin/program": data, "etc/arguments": b"".join(os.fsencode(a) + b"\0" for a in argv), "etc/stdin": standard_input()}
    files["boot/symbols"] = symbols(kernel, options.isa)
    boot = machine_for(options, kernel, files, ["run=bin/program"])
    tail = []

    def on_log(line):
        if line.startswith("run: ") or options.verbose:
            complain(line[5:]) if line.startswith("run: ") else print(line, file=sys.stderr, flush=True)
        tail.append(line)
        del tail[:-60]

    ending = machine.run(boot, lambda data: write_all(1, data), lambda data: write_all(2, data), on_log)
    explain(ending, argv[0], options, tail)
    return ending.status


def explain(ending, name, options, tail):
    """The message on standard error that goes with every ending that is not the program's own."""
    if ending.kind == "signal":
        try:
            known = " (%s)" % signal.Signals(ending.value).name
        except ValueError:
            known = ""
        complain("%s was killed by signal %d%s" % (name, ending.value, known))
    elif ending.kind == "timeout":
        complain("%s did not end within %g s: killed (--timeout)" % (name, options.timeout))
    elif ending.kind in ("panic", "reset"):
        if not options.verbose:
            print("\n".join(tail), file=sys.stderr)
        complain("kernel panic: %s" % ending.reason if ending.kind == "panic" else "the machine ended by itself: %s" % ending.reason)


def user_programs(isa, out):
    """Builds the user programs of an ISA; their directory."""
    directory = build.build_dir("user-" + isa)
    done = subprocess.run(["sh", os.path.join(USER, "build.sh"), isa, directory], stdin=subprocess.DEVNULL, stdout=out)
    if done.returncode != 0:
        raise build.BuildError("the programs for %s could not be built" % isa)
    return directory


def demo_list(files):
    """The demonstration's list, less what could not be had (busybox, on a machine that reaches no mirror)."""
    lines = []
    with open(os.path.join(USER, "demo")) as file:
        for line in file:
            words = line.split()
            if len(words) > 1 and words[0].isdigit() and "bin/" + words[1] not in files:
                print("left out, because it could not be fetched: " + words[1], flush=True)
            else:
                lines.append(line)
    return "".join(lines).encode()


def demonstration(options):
    """Boots one ISA's demonstration. True if it succeeded."""
    kernel = options.kernel or kernel_image(options.isa, sys.stdout, options.smp)
    directory = user_programs(options.isa, sys.stdout)
    subprocess.run(["sh", os.path.join(USER, "busybox.sh"), options.isa, directory], stdin=subprocess.DEVNULL)
    files = {"boot/symbols": symbols(kernel, options.isa)}
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            with open(path, "rb") as file:
                files["bin/" + name] = file.read()
    files["etc/demo"] = demo_list(files)
    boot = machine_for(options, kernel, files, [])
    start = time.monotonic()
    print("---- %s: booting under QEMU ----" % options.isa, flush=True)
    ending = machine.run(boot, lambda data: write_all(1, data), lambda data: write_all(2, data), lambda line: print(line, flush=True))
    explain(ending, "the demonstration", options, [])
    print("---- %s: %s after %.1f s ----" % (options.isa, "success" if ending.status == 0 else "FAILED", time.monotonic() - start), flush=True)
    return ending.status == 0


def main(argv):
    options = arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if options.file is not None:
            return run_file(options)
        results = {}
        for isa in [options.isa] if options.isa else build.ISAS:
            options.isa = isa
            results[isa] = demonstration(options)
        print("examples/run: " + ", ".join("%s %s" % (isa, "succeeded" if good else "FAILED") for isa, good in results.items()), flush=True)
        return 0 if all(results.values()) else 1
    except build.BuildError as error:
        complain(str(error))
        return EXIT_SETUP
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
