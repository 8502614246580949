# SPDX-License-Identifier: MIT
"""Builds of the tree: one directory build/<name> per configuration, set up once, rebuilt only where something changed."""

import os
import re
import shlex
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ISAS = ["x86_64", "aarch64", "riscv"]


class BuildError(Exception):
    """A build failed; its output is on the screen already."""


def say(text):
    print(text, flush=True)


def build_dir(name):
    return os.path.join(ROOT, "build", name)


def cross_file(isa, compiler="gcc"):
    return os.path.join(ROOT, "cross", isa + ("" if compiler == "gcc" else "-" + compiler) + ".ini")


def setup(name, args, env=None, source=ROOT):
    """Sets up build/<name> with the given arguments of `meson setup`, unless it was set up with the same before."""
    directory = build_dir(name)
    stamp = os.path.join(directory, "setup-arguments")
    wanted = shlex.join(args + sorted("%s=%s" % item for item in (env or {}).items()))
    if os.path.exists(os.path.join(directory, "build.ninja")) and os.path.exists(stamp):
        with open(stamp) as file:
            if file.read() == wanted:
                return directory
    os.makedirs(directory, exist_ok=True)
    command = ["meson", "setup", directory, source] + args
    if os.path.isdir(os.path.join(directory, "meson-private")):
        command.insert(2, "--wipe")
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode != 0:
        say(done.stdout)
        raise BuildError("meson setup of build/%s failed" % name)
    with open(stamp, "w") as file:
        file.write(wanted)
    return directory


def ninja(name, targets=(), what=None, out=sys.stdout):
    """Builds build/<name>. Shows how far it is every few seconds; shows the output only if it fails. Returns its directory."""
    directory = build_dir(name)
    start = shown = time.monotonic()
    process = subprocess.Popen(["ninja", "-C", directory, "-j", str(os.cpu_count() or 1), *targets], cwd=ROOT,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = []
    steps = 0
    for line in process.stdout:
        lines.append(line)
        step = re.match(r"\[(\d+)/(\d+)\]", line)
        if step:
            steps += 1
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print("  building %s: step %s of %s" % (what or name, step[1], step[2]), file=out, flush=True)
    if process.wait() != 0:
        print("".join(line for line in lines if not re.match(r"\[\d+/\d+\] (Comp|Link|Gener)", line)), file=out, flush=True)
        raise BuildError("the build of build/%s failed" % name)
    if steps > 1:
        print("  built %s in %.1f s" % (what or name, time.monotonic() - start), file=out, flush=True)
    return directory


def build(name, args, targets=(), what=None, env=None, out=sys.stdout):
    setup(name, args, env)
    return ninja(name, targets, what, out)
