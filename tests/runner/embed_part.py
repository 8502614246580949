# SPDX-License-Identifier: MIT
"""Embedding: the installed files, the subproject and the plain list of sources, each built into a kernel that is not ours and booted."""

import os
import re
import shutil
import subprocess

import build
import machine
import report

WHAT = "libvmem in other kernels: installed, as a subproject, as a list of sources"

MINIMAL = os.path.join(build.ROOT, "examples", "minimal")
EMBED = os.path.join(build.ROOT, "tests", "embed")
MOST_LINES, MOST_FUNCTIONS = 400, 6
CPU_FAMILY = {"riscv": "riscv64"}

# What a kernel of each ISA is compiled with.
FLAGS = {
    "x86_64": ["-mcmodel=kernel", "-mno-red-zone", "-mgeneral-regs-only", "-fcf-protection=none"],
    "aarch64": ["-mgeneral-regs-only", "-mno-outline-atomics"],
    "riscv": ["-march=rv64imac_zicsr_zifencei", "-mabi=lp64", "-mcmodel=medany"],
}


def install(isa, name, *options):
    """Builds and installs libvmem for a host; the prefix."""
    directory = build.build_dir(name)
    prefix = os.path.join(directory, "prefix")
    build.build(name, ["--cross-file", build.cross_file(isa), "-Dexamples=false", "--buildtype", "release", "--prefix", prefix, "--libdir", "lib",
                       *options], what=name)
    shutil.rmtree(prefix, ignore_errors=True)
    command(["meson", "install", "--no-rebuild", "-C", directory])
    return prefix


def command(line, **more):
    done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **more)
    if done.returncode != 0:
        raise build.BuildError("%s: %s" % (" ".join(line[:4]), done.stdout[-3000:]))
    return done.stdout


def boot(rep, name, isa, kernel, *wanted):
    """Boots a kernel of somebody else's; it must end well and say each of wanted, in this order."""
    lines = []
    ending = machine.run(machine.Boot(isa, kernel, b"", [], memory=128, timeout=30, image=False), lambda data: None, lambda data: None, lines.append)
    text = "\n".join(lines)
    wrong = "" if ending.status == 0 and ending.kind == "exit" else "it ended by %s %s %s" % (ending.kind, ending.value, ending.reason)
    at = 0
    for piece in wanted:
        at = text.find(piece, at)
        if at < 0:
            wrong += "\nit did not say: " + piece
            break
    rep.check(name, not wrong, wrong + "\n" + text)


def built(rep, name, function):
    """Runs a build; records it; its result or None."""
    try:
        result = function()
    except build.BuildError as error:
        rep.add(name, report.FAILED, detail=str(error))
        return None
    rep.add(name, report.PASSED)
    return result


def minimal(rep, isa):
    name = "embed/" + isa
    kernel = os.path.join(build.ROOT, "build", "minimal-%s.elf" % isa)
    prefix = built(rep, name + ": installs", lambda: install(isa, "embed-" + isa, "-Dmax_cpus=1"))
    if not prefix:
        return
    wanted = sorted(os.listdir(os.path.join(build.ROOT, "include", "vmem")))
    there = sorted(os.listdir(os.path.join(prefix, "include", "vmem")))
    rep.check(name + ": all headers are installed", wanted == there, str(there))
    with open(os.path.join(prefix, "include", "vmem", "config.h")) as file:
        rep.check(name + ": config.h holds the choice", "#define VMEM_MAX_CPUS 1\n" in file.read())
    script = os.path.join(MINIMAL, "build.sh")
    if built(rep, name + ": examples/minimal builds", lambda: command(["sh", script, isa, prefix, kernel]) or True):
        boot(rep, name + ": examples/minimal runs", isa, kernel, "mapped and faulted in", "rw-", "protected", "r--", "unmapped")
    sizes = {}
    for file in ("main.c", "minimal.h", isa + ".c", isa + ".S", isa + ".ld"):
        with open(os.path.join(MINIMAL, file)) as text:
            sizes[file] = len(text.readlines())
    rep.note("%s: examples/minimal has %d lines" % (name, sum(sizes.values())))
    rep.check(name + ": examples/minimal has fewer than %d lines" % MOST_LINES, sum(sizes.values()) < MOST_LINES, str(sizes))
    host_functions(rep, name, isa, prefix)


def host_functions(rep, name, isa, prefix):
    """What a host must write: what the archive leaves undefined, less the four that every C library has."""
    nm = CPU_FAMILY.get(isa, isa) + "-linux-gnu-nm"
    undefined = re.findall(r"U (\w+)", command([nm, "-u", os.path.join(prefix, "lib", "libvmem.a")]))
    host = sorted(set(undefined) - {"memcpy", "memmove", "memset", "memcmp"})
    rep.note("%s: the host writes %s" % (name, ", ".join(host)))
    rep.check(name + ": at most %d host functions" % MOST_FUNCTIONS, 0 < len(host) <= MOST_FUNCTIONS, str(host))


def other_host(rep, isa):
    name = "embed/" + isa
    kernel = os.path.join(build.ROOT, "build", "other-host-%s.elf" % isa)
    prefix = built(rep, name + ": installs for a host with its own frames", lambda: install(isa, "embed-frames-" + isa, "-Dmax_cpus=1", "-Dhost_frames=true"))
    if prefix and built(rep, name + ": the other host builds", lambda: command(["sh", os.path.join(EMBED, "build.sh"), isa, prefix, kernel]) or True):
        boot(rep, name + ": the other host runs", isa, kernel, "page tables are live", "round done", "round done", "round done")
    names = {file for _, _, files in os.walk(EMBED) for file in files}
    sources = set()
    for directory, _, files in os.walk(os.path.join(build.ROOT, "examples")):
        sources |= {open(os.path.join(directory, file), "rb").read() for file in files if file.endswith((".c", ".S", ".h", ".ld"))}
    shared = [file for file in names if open(os.path.join(EMBED, file), "rb").read() in sources]
    rep.check(name + ": the other host shares no file with examples", not shared, str(shared))


def from_sources(rep, isa):
    """The plain list of sources, compiled with the host's own flags, stands in for the archive."""
    name = "embed/%s: a plain list of sources" % isa
    prefix = os.path.join(build.ROOT, "build", "sources-" + isa)
    kernel = os.path.join(build.ROOT, "build", "sources-%s.elf" % isa)
    tools = CPU_FAMILY.get(isa, isa) + "-linux-gnu-"
    folders = [os.path.join(build.ROOT, "src", "vm"), os.path.join(build.ROOT, "src", "arch", isa)]
    sources = [os.path.join(folder, file) for folder in folders for file in sorted(os.listdir(folder)) if file.endswith((".c", ".S"))]

    def make():
        shutil.rmtree(prefix, ignore_errors=True)
        os.makedirs(os.path.join(prefix, "lib"))
        os.symlink(os.path.join(build.ROOT, "include"), os.path.join(prefix, "include"))
        command([tools + "gcc", "-std=c11", "-O1", "-ffreestanding", "-fno-pic", "-fno-stack-protector", *FLAGS[isa], "-I" + os.path.join(build.ROOT, "include"),
                 *["-I" + folder for folder in folders], "-c", *sources], cwd=os.path.join(prefix, "lib"))
        objects = [file for file in sorted(os.listdir(os.path.join(prefix, "lib"))) if file.endswith(".o")]
        command([tools + "ar", "rcs", "libvmem.a", *objects], cwd=os.path.join(prefix, "lib"))
        command(["sh", os.path.join(MINIMAL, "build.sh"), isa, prefix, kernel])
        return True

    if built(rep, name + " builds", make):
        boot(rep, name + " runs", isa, kernel, "unmapped")


def subproject(rep, isa):
    """A host's own Meson project takes the tree in as subprojects/libvmem."""
    name = "embed/%s: a Meson subproject builds" % isa
    host = os.path.join(build.ROOT, "build", "subproject-" + isa)

    def make():
        os.makedirs(os.path.join(host, "source", "subprojects"), exist_ok=True)
        link = os.path.join(host, "source", "subprojects", "libvmem")
        if not os.path.islink(link):
            os.symlink(build.ROOT, link)
        for file in ("main.c", "minimal.h", isa + ".c", isa + ".S", isa + ".ld"):
            shutil.copy(os.path.join(MINIMAL, file), os.path.join(host, "source"))
        with open(os.path.join(host, "source", "meson.build"), "w") as file:
            file.write("""project('host', 'c', meson_version: '>=1.0.0', default_options: ['c_std=c11', 'b_pie=false', 'b_staticpic=false'])
vmem = dependency('vmem', fallback: 'libvmem', default_options: ['max_cpus=1'])
executable('host', 'main.c', '%s.c', '%s.S', dependencies: vmem, name_suffix: 'elf', pie: false,
  c_args: ['-ffreestanding', '-fno-pic', '-fno-stack-protector', '-fno-tree-loop-distribute-patterns', %s],
  link_args: ['-nostdlib', '-static', '-no-pie', '-Wl,--build-id=none,-z,max-page-size=4096,--no-warn-rwx-segments', '-Wl,-T,' + meson.current_source_dir() / '%s.ld'])
""" % (isa, isa, ", ".join("'%s'" % flag for flag in FLAGS[isa]), isa))
        shutil.rmtree(os.path.join(host, "b"), ignore_errors=True)
        command(["meson", "setup", os.path.join(host, "b"), os.path.join(host, "source"), "--cross-file", build.cross_file(isa)])
        command(["ninja", "-C", os.path.join(host, "b"), "-j", str(os.cpu_count() or 1)])
        return os.path.join(host, "b", "host.elf")

    kernel = built(rep, name, make)
    if kernel:
        boot(rep, "embed/%s: a Meson subproject runs" % isa, isa, kernel, "unmapped")


def run(rep, options):
    for isa in build.ISAS:
        if not rep.filters or any(f in "embed/" + isa for f in rep.filters):
            rep.note("embed/" + isa)
            for step in (minimal, other_host, from_sources, subproject):
                step(rep, isa)
