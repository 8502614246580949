# SPDX-License-Identifier: MIT
"""What ran and how it ended: shown while it happens, summed up at the end."""

import json
import os
import time

import build

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


class Report:
    def __init__(self, filters=(), verbose=False):
        self.filters = filters
        self.verbose = verbose
        self.results = {}  # name -> (outcome, remark)
        self.seconds = {}  # part -> wall time
        self.part = None
        self._start = 0.0

    def begin(self, part, what):
        self.end()
        self.part = part
        self._start = time.monotonic()
        print("== %s: %s" % (part, what), flush=True)

    def end(self):
        if self.part:
            self.seconds[self.part] = self.seconds.get(self.part, 0.0) + time.monotonic() - self._start
            self.part = None

    def wanted(self, name):
        """Each filter must be a word of the name: of what is between slashes, colons and blanks."""
        words = set(name.replace("/", " ").replace(":", " ").split())
        return all(f in words or f in name for f in self.filters)

    def add(self, name, outcome, remark="", detail=""):
        """One test ended. remark: a few words; detail: shown when it failed, or with --verbose."""
        if name in self.results:
            outcome, remark = FAILED, "two tests have this name"
        self.results[name] = (outcome, remark)
        if outcome != PASSED or self.verbose:
            print("  %-7s %s%s" % (outcome.upper() if outcome == FAILED else outcome, name, " (%s)" % remark if remark else ""), flush=True)
            if detail and (outcome == FAILED or self.verbose):
                print("\n".join("      | " + line for line in detail.rstrip().split("\n")[-80:]), flush=True)

    def check(self, name, good, detail=""):
        self.add(name, PASSED if good else FAILED, detail="" if good else detail)
        return good

    def note(self, text):
        print("  " + text, flush=True)

    def count(self, outcome):
        return sum(1 for result, _ in self.results.values() if result == outcome)

    def finish(self, skips_fail=False):
        """Prints the summary, its one line last; the exit status."""
        self.end()
        os.makedirs(os.path.join(build.ROOT, "build"), exist_ok=True)
        with open(os.path.join(build.ROOT, "build", "results.json"), "w") as file:
            json.dump({"results": self.results, "seconds": self.seconds}, file, indent=1)
        print("== time: " + ", ".join("%s %.0f s" % item for item in self.seconds.items()))
        for outcome in (SKIPPED, FAILED):
            for name, (result, remark) in self.results.items():
                if result == outcome:
                    print("%s: %s%s" % (outcome, name, " (%s)" % remark if remark else ""))
        skipped = self.count(SKIPPED)
        print("%d passed, %d failed%s" % (self.count(PASSED), self.count(FAILED), ", %d skipped" % skipped if skipped else ""), flush=True)
        if not self.results:
            return 1
        return 1 if self.count(FAILED) or (skips_fail and skipped) else 0
