#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: break.py TREE MUTANT OUTPUT   writes the file of src/ that the mutant is about, broken; fails if it no longer fits"""

import os
import sys

TREE, MUTANT, OUTPUT = sys.argv[1:]
sys.path[:0] = [os.path.join(TREE, "tests", "runner"), os.path.join(TREE, "cross")]
sys.dont_write_bytecode = True
import mutants_part  # noqa: E402

_, _, file, old, new = mutants_part.read(MUTANT)
lines, at, wrong = mutants_part.place(TREE, file, old)
if wrong:
    sys.exit("%s: %s" % (MUTANT, wrong))
lines[at:at + len(old)] = new
with open(OUTPUT, "w") as target:
    target.write("\n".join(lines))
