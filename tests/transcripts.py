#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The pages of the manual that show commands and programs tell the truth.

usage: transcripts.py [--live] PAGE.md...

In a page, a fenced block whose first line is a comment with a file name, /* name.c */, is that file.
A block of console text is what a terminal shows: lines that begin with "$ " are commands, the others
are what they print, standard error included; "..." alone stands for any lines, within a line for
anything. Blocks marked
"console live" need an interface: they run only with --live, which needs root, in a network namespace
with nothing but its loopback interface.

Commands of a page run in one shell, in a folder with a copy of tests/captures. MAPI_BUILD is
the build directory, build/ unless set.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
build = os.environ.get("MAPI_BUILD", f"{source}/build")


def blocks(path):
    """Yield (line number, info string, lines) of each fenced block."""
    info, lines, start = None, [], 0
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.rstrip("\n")
        if info is None and line.startswith("```"):
            info, lines, start = line[3:].strip(), [], number
        elif info is not None and line == "```":
            yield start, info, lines
            info = None
        elif info is not None:
            lines.append(line)
    assert info is None, f"{path}:{start}: the block has no end"


def commands(lines):
    """Yield (command, wanted output lines)."""
    command, wanted = None, []
    for line in lines:
        if line.startswith("$ "):
            if command:
                yield command, wanted
            command, wanted = line[2:], []
        elif line.startswith("> ") and not wanted:
            command += "\n" + line[2:]
        else:
            wanted.append(line)
    if command:
        yield command, wanted


class Shell:
    """One bash; its commands' output, errors among it."""

    def __init__(self, folder):
        environment = dict(os.environ, LC_ALL="C", TZ="UTC", TERM="dumb",
            PATH=f"{build}/src/tool/mapi:{build}/examples:{os.environ['PATH']}:/usr/sbin:/sbin",
            LD_LIBRARY_PATH=f"{build}/src/client",
            PKG_CONFIG_PATH=f"{build}/meson-uninstalled")
        self.bash = subprocess.Popen(["bash", "--norc"], cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, command):
        mark = "--- end of the output ---"
        self.bash.stdin.write(f"{{ {command}\n}} < /dev/null\necho '{mark}'\n")
        self.bash.stdin.flush()
        got = []
        for line in self.bash.stdout:
            line = line.rstrip("\n")
            if line.endswith(mark):
                if line != mark:  # the last line had no end
                    got.append(line[:-len(mark)])
                break
            got.append(line)
        return got

    def close(self):
        self.bash.stdin.close()
        self.bash.wait()


def agree(got, wanted):
    pattern = "".join("(.*\n)?" if line == "..." else
        "[^\n]*".join(re.escape(part) for part in line.split("...")) + "\n" for line in wanted)
    return re.fullmatch(pattern, "".join(line.rstrip() + "\n" for line in got), re.S)


def check(path, live):
    failures = n_commands = 0
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(f"{source}/tests/captures", f"{folder}/tests/captures")
        shell = Shell(folder)
        here = shell.run("pwd")[0]
        for number, info, lines in blocks(path):
            name = re.fullmatch(r"/\* (\S+\.(?:c|cc|h)) \*/", lines[0]) if lines else None
            if name:
                here = shell.run("pwd")[0]
                with open(os.path.join(here, name[1]), "w", encoding="utf-8") as out:
                    out.write("\n".join(lines) + "\n")
            elif "live" in info.split() and not live:
                continue
            elif lines and lines[0].startswith("$ "):
                for command, wanted in commands(lines):
                    while wanted and not wanted[-1]:
                        wanted.pop()
                    got = shell.run(command)
                    while got and not got[-1]:
                        got.pop()
                    n_commands += 1
                    if not agree(got, wanted):
                        failures += 1
                        print(f"{path}:{number}: $ {command}", "wanted:", *wanted, "got:", *got,
                            sep="\n    ")
        shell.close()
    print(f"{path}: {n_commands} commands, {failures} of them do not print what the page says")
    return failures or n_commands == 0


def main():
    pages = sys.argv[1:]
    live = pages[:1] == ["--live"]
    if live:
        pages.pop(0)
        if os.geteuid() != 0:
            print("SKIP: needs root for a network namespace of its own")
            return 77
        if os.environ.get("TRANSCRIPTS_INSIDE") != "yes":
            os.environ["TRANSCRIPTS_INSIDE"] = "yes"
            inside = "ip link set lo up && exec \"$@\""
            if subprocess.call(["unshare", "--net", "true"]) != 0:
                print("SKIP: no network namespaces here")
                return 77
            os.execvp("unshare", ["unshare", "--net", "sh", "-c", inside, "sh", *sys.argv])
    return int(any([check(page, live) for page in pages]))


sys.exit(main())
