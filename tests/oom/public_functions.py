#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a C file (and what it depends on) with the names of all functions of the public headers.

host.h is left out: it names what a host supplies."""

import os
import re
import sys

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
_FUNCTION = re.compile(r"^[A-Za-z_][\w\s*]*?\b(vmem_\w+)\s*\(", re.M)


def functions(headers):
    found = set()
    for header in headers:
        if os.path.basename(header) != "host.h":
            with open(header) as file:
                found |= set(_FUNCTION.findall(_COMMENT.sub("", file.read())))
    return sorted(found)


def main():
    directory, out, depfile = sys.argv[1:]
    headers = [os.path.join(directory, name) for name in sorted(os.listdir(directory)) if name.endswith(".h")]
    names = functions(headers)
    if not names:
        sys.exit("no function found in " + directory)
    with open(out, "w") as file:
        file.write("/* Made by public_functions.py. */\nextern const char *const public_functions[];\n")
        lines = "".join('\t"%s",\n' % n for n in names)
        file.write("const char *const public_functions[] = {\n%s\t0\n};\n" % lines)
    with open(depfile, "w") as file:  # the directory too: a header may come
        file.write("%s: %s\n" % (out, " ".join([directory] + headers)))


main()
