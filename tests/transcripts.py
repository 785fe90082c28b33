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

Blocks marked "console live screen" are what a terminal of 80 columns and 24 lines shows (tmux). There
a line "^C" is Ctrl-C, pressed when the terminal shows what stands above it; what stands below is shown
afterwards, and after it the prompt.

Commands of a page run in one shell, those of screens in another, in a folder with a copy of
tests/captures. With --live other users may execute the programs. MAPI_BUILD is the build directory,
build/ unless set.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

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


def environment(folder, term):
    """Programs are those of the build, or copies in @folder."""
    own = os.path.isdir(f"{folder}/bin")
    programs = f"{folder}/bin" if own else f"{build}/src/tool/mapi"
    result = dict(os.environ, LC_ALL="C", TZ="UTC", TERM=term,
        PATH=f"{programs}:{build}/examples:{os.environ['PATH']}:/usr/sbin:/sbin",
        LD_LIBRARY_PATH=f"{folder}/lib" if own else f"{build}/src/client",
        PKG_CONFIG_PATH=f"{build}/meson-uninstalled")
    if own:
        result.update(MAPI_MAPID=f"{folder}/bin/mapid", MAPI_SOCKET="")
    return result


def install(folder):
    """What other users may execute, wherever the build is."""
    os.chmod(folder, 0o755)
    os.mkdir(f"{folder}/bin")
    os.mkdir(f"{folder}/lib")
    shutil.copy(f"{build}/src/tool/mapi/mapi", f"{folder}/bin")
    shutil.copy(f"{build}/src/sensor/mapid", f"{folder}/bin")
    for name in os.listdir(f"{build}/src/client"):
        if re.fullmatch(r"libmapi\.so\.\d+", name):
            shutil.copy(f"{build}/src/client/{name}", f"{folder}/lib")


class Shell:
    """One bash; its commands' output, errors among it."""

    def __init__(self, folder):
        self.bash = subprocess.Popen(["bash", "--norc"], cwd=folder,
            env=environment(folder, "dumb"), text=True,
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


class Screen:
    """A terminal of 80 columns and 24 lines with a bash in it."""

    TIMEOUT_S = 20

    def __init__(self, folder):
        with open(f"{folder}/prompt", "w", encoding="utf-8") as out:
            out.write("PS1='$ '\n")
        self.tmux = ["tmux", "-L", f"transcripts-{os.getpid()}-{time.monotonic_ns()}", "-f", "/dev/null"]
        subprocess.run([*self.tmux, "new-session", "-d", "-x", "80", "-y", "24", "bash --rcfile ./prompt"],
            check=True, cwd=folder, env=dict(environment(folder, "screen"), TMUX=""))

    def await_text(self, pattern):
        """Return the lines that are shown, when they match or, after a while, if they do not."""
        end = time.monotonic() + self.TIMEOUT_S
        while True:
            text = subprocess.run([*self.tmux, "capture-pane", "-p"], check=True, text=True,
                stdout=subprocess.PIPE).stdout
            lines = "\n".join(line.rstrip() for line in text.split("\n")).rstrip("\n").split("\n")
            if re.fullmatch(pattern, "".join(line + "\n" for line in lines), re.S):
                return True, lines
            if time.monotonic() > end:
                return False, lines
            time.sleep(0.02)

    def type(self, *keys):
        subprocess.run([*self.tmux, "send-keys", *keys], check=True)

    def check(self, command, wanted):
        """Return whether the screen shows what is wanted, and what it shows."""
        self.type("clear", "Enter")
        self.await_text("\\$\n")
        self.type("-l", command)
        self.type("Enter")
        typed = re.escape(f"$ {command}\n")
        if "^C" in wanted:
            at = wanted.index("^C")
            before, wanted = pattern_of(wanted[:at]), wanted[at + 1:]
            agrees, lines = self.await_text(f"(?:{typed})?{before}")
            if not agrees:
                return False, lines
            self.type("C-c")
            # What draws a screen of its own takes it away when it ends.
            typed += f"(?:{before}\\^C\n)?"
        return self.await_text(typed + pattern_of(wanted) + "\\$\n")

    def close(self):
        subprocess.run([*self.tmux, "kill-server"], check=True)


def pattern_of(wanted):
    return "".join("(?:.*\n)?" if line == "..." else
        "[^\n]*".join(re.escape(part) for part in line.split("...")) + "\n" for line in wanted)


def agree(got, wanted):
    return re.fullmatch(pattern_of(wanted), "".join(line.rstrip() + "\n" for line in got), re.S)


def check(path, live):
    failures = n_commands = 0
    screen = None
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(f"{source}/tests/captures", f"{folder}/tests/captures")
        if live:
            install(folder)
        shell = Shell(folder)
        for number, info, lines in blocks(path):
            name = re.fullmatch(r"/\* (\S+\.(?:c|cc|h)) \*/", lines[0]) if lines else None
            if name:
                here = shell.run("pwd")[0]
                with open(os.path.join(here, name[1]), "w", encoding="utf-8") as out:
                    out.write("\n".join(lines) + "\n")
                continue
            if ("live" in info.split() and not live) or not lines or not lines[0].startswith("$ "):
                continue
            for command, wanted in commands(lines):
                while wanted and not wanted[-1]:
                    wanted.pop()
                if "screen" in info.split():
                    screen = screen or Screen(folder)
                    agrees, got = screen.check(command, wanted)
                else:
                    got = shell.run(command)
                    while got and not got[-1]:
                        got.pop()
                    agrees = agree(got, wanted)
                n_commands += 1
                if not agrees:
                    failures += 1
                    if screen:  # whatever runs there may not hinder what follows
                        screen.close()
                        screen = None
                    print(f"{path}:{number}: $ {command}", "wanted:", *wanted, "got:", *got,
                        sep="\n    ")
        shell.close()
        if screen:
            screen.close()
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
        screens = any("screen" in info.split() for page in pages for _, info, _ in blocks(page))
        if screens and not shutil.which("tmux"):
            print("SKIP: tmux is not installed")
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
