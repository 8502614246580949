# SPDX-License-Identifier: MIT
"""The library as a linker and a compiler see it: symbols of every target, and headers that stand alone."""

import os
import re
import subprocess

import build
import report

WHAT = "symbols of libvmem.a for every target, headers that stand alone"

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
ONCE = {"one-cpu", "host-frames"}  # with one compiler


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
                    directory = build.build(directory_name, ["--cross-file", build.cross_file(isa, compiler), "-Dexamples=false", *args],
                                            ["src/libvmem.a"], what=name)
                except build.BuildError as error:
                    rep.add(name + ": builds", report.FAILED, str(error))
                    continue
                nm = "llvm-nm" if compiler == "clang" else {"riscv": "riscv64"}.get(isa, isa) + "-linux-gnu-nm"
                check_archive(rep, name, nm, os.path.join(directory, "src", "libvmem.a"), configuration)
