# SPDX-License-Identifier: MIT
"""The mmap family to the letter: examples/user/conform on the Linux of this machine, against the lines that are kept of Linux 6.18.

    conform_part.py ISA [GROUP...]    those groups on the example kernel, in one boot; without any, all
"""

import difflib
import os
import platform
import re
import resource
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
if __name__ == "__main__":
    sys.path[:0] = [HERE, os.path.join(ROOT, "cross"), os.path.join(ROOT, "examples", "runner")]

import build  # noqa: E402
import report  # noqa: E402
import run as examples_run  # noqa: E402

WHAT = "the mmap family on this machine's Linux, against the lines kept of Linux 6.18"
TABLES = os.path.join(build.ROOT, "tests", "conform")
EXPECTED = os.path.join(examples_run.USER, "expected", "conform")
MACHINES = {"x86_64": "x86_64", "aarch64": "aarch64", "riscv64": "riscv"}
VERSION = "6.18"
LEAST_CHECKS, LEAST_COMPARED = 250, 200
SECONDS = 60


def table(name):
    """The lines of a file of tests/conform."""
    with open(os.path.join(TABLES, name)) as file:
        return [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]


def expected(group):
    with open(os.path.join(EXPECTED, group + ".out")) as file:
        return file.read()


def groups():
    return sorted(name[:-4] for name in os.listdir(EXPECTED) if name.endswith(".out"))


def checks(text):
    """Check -> answer, of a program's output; the line that counts them is none."""
    found = {}
    for line in text.split("\n"):
        name, colon, answer = line.rpartition(": ")
        if colon and not re.fullmatch(r"\d+ checks", answer):
            found[name] = answer
    return found


def limits():
    """What Linux gives a process to begin with, whoever started us."""
    for what, soft in ((resource.RLIMIT_STACK, 8 << 20), (resource.RLIMIT_MEMLOCK, 8 << 20), (resource.RLIMIT_AS, -1), (resource.RLIMIT_DATA, -1)):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (soft if hard == resource.RLIM_INFINITY or 0 <= soft <= hard else hard, hard))


def one_group(rep, program, group, left_out):
    """Runs it and compares; the checks that ran, and those that this kernel cannot answer: they are added to left_out."""
    try:
        done = subprocess.run([program, group], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=SECONDS, preexec_fn=limits, check=False)
    except subprocess.TimeoutExpired:
        rep.add("conform/%s" % group, report.FAILED, "no end after %d s" % SECONDS)
        return set()
    wanted, got = checks(expected(group)), checks(done.stdout)
    left_out |= {check for check in wanted if got.get(check) == "unknown"}
    wrong = ["%s: %s, kept: %s" % (check, got.get(check, "did not run"), answer) for check, answer in wanted.items()
             if check not in left_out and got.get(check) != answer]
    wrong += ["%s: is not among the lines kept" % check for check in got if check not in wanted]
    wrong += ["status %d\n%s" % (done.returncode, done.stdout[-500:])] if done.returncode != 0 else []
    rep.check("conform/%s" % group, not wrong, "\n".join(wrong))
    return {check for check in wanted if check not in left_out and check in got}


def kept_lines(rep):
    """What can be said of the lines and tables themselves."""
    kept, lines = {}, 0
    for group in groups():
        text = expected(group)
        kept.update(checks(text))
        lines += text.count("\n") - 1
    rep.check("conform: no two checks have one name", lines == len(kept), "%d lines, %d names" % (lines, len(kept)))
    with open(os.path.join(EXPECTED, "version")) as file:
        version = file.read().strip()
    rep.check("conform: the lines kept are of Linux %s" % VERSION, version.startswith("Linux %s." % VERSION), version)
    rep.check("conform: at least %d checks" % LEAST_CHECKS, len(kept) >= LEAST_CHECKS, "%d" % len(kept))
    odd = ["%s: %s" % item for item in kept.items() if item[1] in ("no", "unknown", "ENOSYS")]
    rep.check("conform: no kept line is a check that failed", not odd, "\n".join(odd))
    return kept


def errnos(rep, kept, compared, left_out):
    """Each line of the table is a check that shows the error, and ran."""
    wrong = []
    for line in table("errnos"):
        call, error, check = line.split(" ", 2)
        if kept.get(check) != error:
            wrong.append("%s %s: %s answers %s" % (call, error, check, kept.get(check, "nothing: there is no such check")))
        elif check not in compared and check not in left_out:
            wrong.append("%s %s: %s did not run" % (call, error, check))
    rep.check("conform: every errno of every call has a check that ran", not wrong, "\n".join(wrong))


def run(rep, options):
    kept = kept_lines(rep)
    isa = MACHINES.get(platform.machine())
    if platform.system() != "Linux" or not isa:
        rep.add("conform: on this machine", report.SKIPPED, "not a Linux that the programs are built for")
        return
    program = os.path.join(examples_run.user_programs(isa, sys.stdout), "conform")
    left_out, compared = set(), set()
    listed = subprocess.run([program, "list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    rep.check("conform: the lines kept are of the program's groups", sorted(listed) == groups(), " ".join(set(listed) ^ set(groups())))
    chosen = [group for group in listed if rep.wanted("conform/" + group) and group in groups()]
    for group in chosen:
        compared.update(one_group(rep, program, group, left_out))
    if chosen == listed:
        rep.note("%d checks compared on Linux %s, %d left out" % (len(compared), platform.release().split("-")[0], len(kept) - len(compared)))
        rep.check("conform: at least %d lines compared" % LEAST_COMPARED, len(compared) >= LEAST_COMPARED, "%d" % len(compared))
        errnos(rep, kept, compared, left_out)


def frames_missing(log):
    """What is wrong with what the kernel says of its frames at the end."""
    told = re.search(r"frames: (\d+) free at the start, (\d+) when all processes are gone", log)
    return "" if told and told.group(1) == told.group(2) else "frames are missing, or nothing is said of them:\n" + log[-6000:]


def on_kernel(bench, names):
    """What is not as on Linux when the example kernel runs these groups, in one boot; and frames that are not back afterwards."""
    status, out, err = bench.run(bench.program("conform"), *names, options=["--verbose"])
    wanted, got = [line for name in names for line in expected(name).split("\n")[:-1]], out.decode(errors="replace").split("\n")[:-1]
    if status == 0 and wanted == got:
        return frames_missing(err)
    wrong = list(difflib.unified_diff(wanted, got, "Linux", "here", lineterm="", n=0))[:40]
    return "status %d, %d lines, on Linux %d\n%s\n%s" % (status, len(got), len(wanted), "\n".join(wrong), err[-2000:])


def boot_cases():
    """For the boot part: all groups, one after the other in one process."""
    return {"Linux conform": lambda bench: on_kernel(bench, groups())}


def main(argv):
    import boot_part
    isa, names = argv[1], argv[2:] or groups()
    bench = boot_part.Bench(isa, examples_run.kernel_image(isa, sys.stderr), examples_run.user_programs(isa, sys.stderr))
    print("%s: %s" % (isa, on_kernel(bench, names) or "passes"))


if __name__ == "__main__":
    main(sys.argv)
