# SPDX-License-Identifier: MIT
"""Models of the protocol in Promela, searched by spin: each as it stands, and with each of its bugs put back in."""

import concurrent.futures
import os
import re
import subprocess
import time

import build
import report

WHAT = "models of the protocol: no violation, and one for each bug put back in"
MODELS = os.path.join(build.ROOT, "tests", "promela")
TIMEOUT = 300
COMPILE = ["gcc", "-w", "-DSAFETY", "-DMEMLIM=3000", "-o", "pan"]


def tables(text):
    """Of README.md: ({model: states, in words}, [(model, switch, invariant)])."""
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in text.split("\n") if line.startswith("| `")]
    return {row[0]: row[2] for row in rows if len(row) == 3}, [(row[0], row[1], row[3]) for row in rows if len(row) == 4]


def without(text, kept):
    """A model in which only the assertions of one invariant remain."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        named = re.search(r"/\* ([A-Z]\d) \*/", line)
        at = line.find("assert(")
        if named and named[1] != kept and at >= 0:
            depth, end = 1, at + len("assert(")
            while depth:
                depth += {"(": 1, ")": -1}.get(line[end], 0)
                end += 1
            lines[i] = line[:at] + "skip" + line[end:]
    return "\n".join(lines)


def search(model, switch, invariant):
    """Runs spin's search in a directory of its own; (its output, its directory)."""
    directory = os.path.join(build.build_dir("promela"), model + "-" + (switch or "right"))
    os.makedirs(directory, exist_ok=True)
    for name in os.listdir(directory):
        os.unlink(os.path.join(directory, name))
    with open(os.path.join(MODELS, model + ".pml")) as source, open(os.path.join(directory, "model.pml"), "w") as target:
        target.write(without(source.read(), invariant) if switch else source.read())
    if switch:  # transitions in the other order: one violation is found sooner
        commands = [["spin", "-D" + switch, "-a", "model.pml"], [*COMPILE, "-DT_REVERSE", "pan.c"], ["./pan", "-m200000", "-w20"]]
    else:
        commands = [["spin", "-a", "model.pml"], [*COMPILE, "-O2", "pan.c"], ["./pan", "-m500000"]]
    output = ""
    for command in commands:
        try:
            done = run_in(directory, command)
        except subprocess.TimeoutExpired:
            return output + "%s: no end after %d s" % (command[0], TIMEOUT), directory
        output = done.stdout
        if done.returncode != 0:
            return output + "%s: status %d" % (command[0], done.returncode), directory
    return output, directory


def run_in(directory, command):
    return subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT)


def whole(output):
    """What keeps an output from saying that all was searched, and nothing found."""
    wrong = [text for text in ("Full statespace search", "errors: 0") if text not in output]
    wrong += [line for line in output.split("\n") if re.search(r"max search depth|not completed|out of memory|hash-compact|Bit statespace|status|no end", line)]
    wrong += ["never reached: " + line.strip() for line in re.findall(r"^\t(.*, state .*)$", output, re.M) if not line.endswith('"-end-"')]
    return wrong


def states(output):
    found = re.search(r"^\s*([0-9.e+]+) states, stored", output, re.M)
    return float(found[1]) if found else 0.0


def judge(model, switch, expected):
    """(name, whether it is as it should be, why not, a figure)."""
    start = time.monotonic()
    output, directory = search(model, switch, expected)
    count = states(output)
    if switch:
        good = re.search(r"^pan:1: assertion violated", output, re.M) and "errors: 1" in output
        return "promela/%s: %s breaks %s" % (model, switch, expected), bool(good), output, ""
    wrong = whole(output)
    if ("%.1f M" % (count / 1e6) if count > 1e5 else "%d" % count) != expected:
        wrong.append("README.md says %s states, the search found %.0f" % (expected, count))
    told = run_in(directory, ["spin", "-t", "-p", "model.pml"]).stdout if "errors: 1" in output else ""
    figure = "%s: %.0f states, %.1f s" % (model, count, time.monotonic() - start)
    return "promela/%s: holds in every schedule" % model, not wrong, "\n".join(wrong + [told, output]), figure


def run(rep, options):
    with open(os.path.join(MODELS, "README.md")) as file:
        models, bugs = tables(file.read())
    cases = [(model, "", expected) for model, expected in models.items()] + bugs
    files = sorted(name[:-4] for name in os.listdir(MODELS) if name.endswith(".pml"))
    rep.check("promela: every model is in the table", files == sorted(models), "files %s, table %s" % (files, sorted(models)))
    for model in files:
        with open(os.path.join(MODELS, model + ".pml")) as file:
            text = file.read()
        named = {bug for of, bug, _ in bugs if of == model}
        rep.check("promela: every switch of %s is in the table" % model, named == set(re.findall(r"\bBUG_\w+", text)), "the table has %s" % sorted(named))
    wanted = [case for case in cases if rep.wanted("promela/%s: %s" % (case[0], case[1] or "holds in every schedule"))]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, good, detail, figure in pool.map(lambda case: judge(*case), wanted):
            rep.check(name, good, detail)
            if figure:
                rep.note(figure)
