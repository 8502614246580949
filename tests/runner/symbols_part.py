# SPDX-License-Identifier: MIT
"""The library as a linker and a compiler see it: symbols and atomic instructions of every target, and headers that stand alone."""

import os
import re
import subprocess

import build
import report
import stack

WHAT = "symbols, atomic instructions and depth of stack of libvmem.a for every target, headers that stand alone"

INCLUDE = os.path.join(build.ROOT, "include")
MEMORY = {"memcpy", "memmove", "memset", "memcmp"}
# Names of the arena allocator vmem(9) of NetBSD, FreeBSD and illumos, which a host may contain: their sys/vmem.h and vmem(9) pages.
TAKEN = {"vmem_" + name for name in (
    "t addr_t size_t import_t ximport_t release_t btag seg_t kstat_t impl stat alloc xalloc xalloc_addr free xfree xfreeall create xcreate "
    "destroy add init bootstrap subsystem_init startup size set_import set_limit set_reclaim rehash_start roundup_size whatis print printall "
    "walk contains update qcache_reap is_populator seg_size").split()}
CONFIGURATIONS = {  # name -> options of the build
    "release": ["--buildtype", "release"],
    "debug": ["--buildtype", "debug"],
    "one-cpu": ["--buildtype", "release", "-Dmax_cpus=1"],
    "host-frames": ["--buildtype", "release", "-Dhost_frames=true"],
}
ONCE = {"host-frames"}  # with one compiler
# What orders or excludes other CPUs: mnemonics, and what their operands say.
BETWEEN_CPUS = {
    "x86_64": r"\block\b|\bxchg\b[^#<]*\(|\bmfence\b|\bcmpxchg\w*|\bxadd\w*",
    "aarch64": r"\b(ld|lda|st|stl)x[rp][bh]?\b|\bcas[apl]*[bh]?\b|\bcasp\w*|\bswp[al]*[bh]?\b|\b(ld|st)(add|clr|eor|set|[su]max|[su]min)[al]*[bh]?\b"
               r"|__aarch64_\w+",
    "riscv": r"\b(lr|sc)\.[wd]\b|\bamo\w+",
}
FOR_DEVICES = [("vmem_arch_dcache_clean", "mfence")]  # lines that were written back, before a device looks


def headers():
    return sorted(name for name in os.listdir(os.path.join(INCLUDE, "vmem")) if name.endswith(".h"))


def declared(defines):
    """Functions and objects declared in the public headers, in a configuration: name -> header."""
    found = {}
    for name in headers():
        source = '#include <vmem/%s>\n' % name
        done = subprocess.run(["gcc", "-E", "-I", INCLUDE, *defines, "-x", "c", "-"], input=source, stdout=subprocess.PIPE, text=True, check=True)
        inside = False
        text = ""
        for line in done.stdout.split("\n"):
            marker = re.match(r'# \d+ "([^"]*)"', line)
            if marker:
                inside = marker[1].endswith("/vmem/" + name)
            elif inside and not line.startswith("#"):
                text += line + "\n"
        text = re.sub(r"\{[^{}]*\}", "{}", re.sub(r"\{[^{}]*\}", "{}", re.sub(r"\{[^{}]*\}", "{}", text)))
        for statement in text.split(";"):
            function = re.search(r"\b(vmem_\w+)\s*\([^()]*(\([^()]*\)[^()]*)*\)\s*$", statement.strip())
            if function and "static inline" not in statement and "typedef" not in statement:
                found[function[1]] = name
            data = re.match(r"\s*extern\b.*?\b(vmem_\w+)\s*(\[[^]]*\])?$", statement.strip(), re.S)
            if data and "(" not in statement:
                found[data[1]] = name
    return found


def symbols(nm, archive):
    """(defined globals, undefined) of an archive."""
    done = subprocess.run([nm, "-g", archive], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True)
    defined, undefined = set(), set()
    for line in done.stdout.split("\n"):
        fields = line.split()
        if len(fields) == 2 and fields[0] in ("U", "w"):
            undefined.add(fields[1])
        elif len(fields) == 3:
            defined.add(fields[2])
    return defined, undefined


def defines_of(configuration):
    cpus = "1" if configuration == "one-cpu" else "4"
    return ["-DVMEM_MAX_CPUS=" + cpus, "-DVMEM_HOST_FRAMES=%d" % (configuration == "host-frames")]


def check_archive(rep, name, nm, archive, configuration):
    defined, undefined = symbols(nm, archive)
    public = declared(defines_of(configuration))
    host = {symbol for symbol, header in public.items() if header == "host.h"}
    allowed = MEMORY | host
    rep.check(name + ": asks only for the host interface and mem*", undefined <= allowed, "undefined besides: %s" % sorted(undefined - allowed))
    odd = sorted(s for s in defined if not re.fullmatch(r"vmem_[a-z0-9_]+", s))
    rep.check(name + ": defines only vmem_ names", not odd, "defined: %s" % odd)
    rep.check(name + ": keeps off the names of vmem(9)", not defined & TAKEN, "defined: %s" % sorted(defined & TAKEN))
    exported = {s for s in public if s not in host}
    rep.check(name + ": exports what the headers declare", exported <= defined, "declared but not defined: %s" % sorted(exported - defined))
    rep.check(name + ": exports nothing else", defined <= exported, "defined but not declared: %s" % sorted(defined - exported))


def between_cpus(isa, archive):
    """The archive's instructions that mean something to other CPUs, each with the function it is in: [(function, instruction)]."""
    objdump = {"riscv": "riscv64"}.get(isa, isa) + "-linux-gnu-objdump"
    done = subprocess.run([objdump, "-dr", "--no-show-raw-insn", archive], stdout=subprocess.PIPE, text=True, check=True)
    found, function, count = [], "", 0
    for line in done.stdout.split("\n"):
        label = re.match(r"[0-9a-f]+ <([^.>].*)>:$", line)
        function = label[1] if label else function
        text = " ".join(line.partition(":")[2].split()) if line[:1].isspace() else ""
        count += bool(text)
        if re.search(BETWEEN_CPUS[isa], text) and (function, text) not in FOR_DEVICES:
            found.append((function, text))
    return found, count


def check_instructions(rep, name, isa, archive, configuration):
    """A library for one CPU has no instruction for several; the other has, or this test could not fail."""
    found, count = between_cpus(isa, archive)
    shown = "%d of %d instructions\n" % (len(found), count) + "\n".join("%s: %s" % item for item in found[:40])
    if configuration == "one-cpu":
        rep.check(name + ": no instruction is for several CPUs", not found and count > 5000, shown)
    elif configuration == "release":
        rep.check(name + ": some instructions are for several CPUs", len(found) >= 20, shown)
        rep.note("%s: %d instructions for several CPUs" % (name, len(found)))


def check_headers(rep):
    strict = ["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wundef", "-I", INCLUDE]
    c = ["-std=c11", "-ffreestanding", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wconversion", "-x", "c"]
    cxx = ["-std=c++11", "-Wconversion", "-x", "c++"]
    compilers = {
        "gcc": ["gcc", *c], "clang": ["clang", *c], "g++": ["g++", *cxx], "clang++": ["clang++", *cxx],
        "gcc-aarch64": ["aarch64-linux-gnu-gcc", *c], "gcc-riscv": ["riscv64-linux-gnu-gcc", *c],
    }
    for header in headers():
        for name, command in compilers.items():
            test = "symbols/headers/%s: %s" % (header, name)
            if rep.wanted(test):
                done = subprocess.run(command + strict + ["-"], input='#include <vmem/%s>\n#include <vmem/%s>\nextern int not_empty;\n' % (header, header),
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                rep.check(test, done.returncode == 0, done.stdout)
    for header in headers():
        with open(os.path.join(INCLUDE, "vmem", header)) as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
        test = "symbols/names/%s" % header
        if rep.wanted(test):
            words = set(re.findall(r"\b[A-Za-z_]\w*\b", text))
            rep.check(test, not words & TAKEN, "names of vmem(9): %s" % sorted(words & TAKEN))


def run(rep, options):
    check_headers(rep)
    for isa in build.ISAS:
        for compiler in ("gcc", "clang"):
            for configuration, args in CONFIGURATIONS.items():
                name = "symbols/%s/%s/%s" % (isa, compiler, configuration)
                if not rep.wanted(name) or (compiler == "clang" and configuration in ONCE):
                    continue
                directory_name = "lib-%s-%s-%s" % (isa, compiler, configuration)
                try:
                    cross_file = build.cross_file(isa, compiler)
                    measured = configuration == "release" and compiler == "gcc"
                    args = args + [stack.arguments(cross_file)] if measured else args
                    directory = build.build(directory_name, ["--cross-file", cross_file, "-Dexamples=false", *args], ["src/libvmem.a"], what=name)
                except build.BuildError as error:
                    rep.add(name + ": builds", report.FAILED, str(error))
                    continue
                nm = "llvm-nm" if compiler == "clang" else {"riscv": "riscv64"}.get(isa, isa) + "-linux-gnu-nm"
                archive = os.path.join(directory, "src", "libvmem.a")
                check_archive(rep, name, nm, archive, configuration)
                check_instructions(rep, name, isa, archive, configuration)
                if measured:
                    stack.check(rep, name, directory)
