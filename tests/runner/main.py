# SPDX-License-Identifier: MIT
"""tests/run: every test, or one part."""

import argparse
import os
import signal
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "cross"), os.path.join(ROOT, "examples", "runner")]

import build  # noqa: E402
import hosted  # noqa: E402
import report  # noqa: E402


def parts():
    """Part -> (what it is, function(report, options), whether it belongs to the normal run), in the order of the normal run."""
    table = {}
    for part, what in hosted.PARTS.items():
        table[part] = (what, lambda rep, options, part=part: hosted.run(rep, part, options.extra, options.jobs), True)
    for name in ("tree", "promela", "conform", "symbols", "boot", "embed", "bench", "flushes", "coverage", "mutants", "spec", "matrix", "long"):
        try:
            module = __import__(name + "_part")
        except ModuleNotFoundError:
            continue
        table[name] = (module.WHAT, module.run, getattr(module, "NORMAL", True))
    return table


def arguments(argv, table):
    parser = argparse.ArgumentParser(
        prog="tests/run", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Builds and runs every test, or one part of them; a FILTER is a word or piece of the names to run.",
        epilog="parts:\n" + "\n".join("  %-9s %s%s" % (name, what, "" if normal else " (not in the normal run)")
                                      for name, (what, _, normal) in table.items()))
    parser.add_argument("part", nargs="?", choices=list(table), metavar="PART")
    parser.add_argument("filters", nargs="*", metavar="FILTER")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="tests at a time")
    parser.add_argument("--no-skips", action="store_true", help="a skipped test makes the run fail")
    parser.add_argument("--verbose", action="store_true", help="name every test that passed")
    parser.add_argument("--seed", type=int, help="for the model, differ and smp: the seed of the first operation")
    parser.add_argument("--ops", type=int, help="for the model and differ: the number of operations")
    parser.add_argument("--seconds", type=int, help="for smp: how long each of its programs runs")
    options = parser.parse_args(argv)
    options.extra = []
    for name, takers in (("seed", ("model", "smp", "differ")), ("ops", ("model", "differ")), ("seconds", ("smp",))):
        if getattr(options, name) is not None:
            if options.part not in takers:
                parser.error("--%s is for %s" % (name, " and ".join(takers)))
            options.extra += ["--" + name, str(getattr(options, name))]
    return options


def main(argv):
    table = parts()
    options = arguments(argv, table)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    rep = report.Report(options.filters, options.verbose)
    chosen = [options.part] if options.part else [name for name, (_, _, normal) in table.items() if normal]
    try:
        for name in chosen:
            what, function, _ = table[name]
            rep.begin(name, what)
            try:
                function(rep, options)
            except build.BuildError as error:
                rep.add(name + ": build", report.FAILED, str(error))
            except Exception:  # the other parts still run
                rep.add(name + ": the part itself", report.FAILED, detail=traceback.format_exc())
    except KeyboardInterrupt:
        rep.add("the run", report.FAILED, "interrupted")
    return rep.finish(options.no_skips)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
