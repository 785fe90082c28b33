# SPDX-License-Identifier: BSD-2-Clause
"""What the benchmarks say in the same way: tables of figures, sections of bench/README.md."""
import os
import platform
import re
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def skip(why):
    print(f"{os.path.basename(sys.argv[0])}: skipped: {why}")
    sys.exit(0)


def machine():
    """Where and when."""
    return (f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release().split('-')[0]}, "
            f"{time.strftime('%Y-%m-%d')}")


class Figures:
    """A table of figures, what is wanted of them, and whether that holds."""

    def __init__(self):
        self.lines = ["| figure | measured | wanted | |", "|---|---|---|---|"]

    def add(self, claim, value, wanted, target, at_most, digits=2, noisy=False):
        """@noisy: what was measured cannot tell."""
        if value is None:
            self.lines.append(f"| {claim} | not measured | {wanted} | |")
            return
        word = ""
        if target is not None:
            word = "holds" if (value <= target if at_most else value >= target) else "MISSED"
        if word and noisy:
            word = "too noisy to tell"
        self.lines.append(f"| {claim} | {value:.{digits}f} | {wanted} | {word} |")

    def text(self):
        return "\n".join(self.lines) + "\n"


def write(title, text):
    """Put tables into their section of bench/README.md; what is said of them below stays."""
    path = os.path.join(TOP, "bench", "README.md")
    whole = open(path, encoding="utf-8").read()
    before, found, after = whole.partition(f"\n## {title}\n")
    if not found:
        sys.exit(f"{path} has no section '{title}'")
    rest = re.search(r"\n##+ ", after)
    with open(path, "w", encoding="utf-8") as out:
        out.write(f"{before}{found}\n{text.strip()}\n{after[rest.start():] if rest else ''}")
