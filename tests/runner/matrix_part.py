# SPDX-License-Identifier: MIT
"""The twelve builds: each ISA, both compilers, debug and release. Each builds everything, boots the kernel and runs the hosted tests."""

import os

import boot_part
import build
import hosted
import report

WHAT = "ISA x compiler x build type: built, booted, unit tests"
NORMAL = False


def one(rep, options, isa, compiler, kind):
    name = "matrix/%s/%s/%s" % (isa, compiler, kind)
    tag = "%s-%s-%s" % (isa, compiler, kind)
    rep.note(name)
    try:
        directory = build.build("matrix-" + tag, ["--cross-file", build.cross_file(isa, compiler), "--buildtype", kind], what=name)
        rep.add(name + ": builds", report.PASSED)
        boot_part.smoke(rep, name, isa, os.path.join(directory, "examples", "kernel.elf"))
        hosted_name = "matrix-hosted-%s-%s" % (compiler, kind)
        build.build(hosted_name, ["--buildtype", kind], env={"CC": compiler}, what=name + " (hosted)")
        for test in hosted.tests(build.build_dir(hosted_name), "unit"):
            if test["name"].endswith("/" + isa):
                output, status, seconds = hosted.run_program(test, [], test["timeout"])
                hosted.record(rep, name, test, output, status, seconds)
    except build.BuildError as error:
        rep.add(name + ": builds", report.FAILED, str(error))


def run(rep, options):
    for isa in build.ISAS:
        for compiler in ("gcc", "clang"):
            for kind in ("debug", "release"):
                words = {isa, compiler, kind}
                if all(f in words for f in options.filters):
                    one(rep, options, isa, compiler, kind)
