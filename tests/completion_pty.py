#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The completion of command lines as a user of a shell has it, Tab by Tab, at a pseudo-terminal.

usage: completion_pty.py bash|zsh

The shell reads "mapi completion SHELL" as the manual says. A key that the test binds writes the
command line into a FIFO, so nothing is guessed from the screen but lists of choices.
"""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

SHELL = sys.argv[1]
MAPI = os.environ["MAPI"]
TIMEOUT_S = 20
KILL_LINE, TELL_LINE = b"\x15", b"\x18\x02"
failures = 0

START = {
    "bash": r"""
PS1='$ '
bind 'set bell-style none'
bind 'set completion-query-items 0'
bind 'set page-completions off'
bind 'set show-all-if-ambiguous on'
tell() { printf '%s\n' "$READLINE_LINE" > line; }
bind -x '"\C-x\C-b": tell'
. <(mapi completion bash)
""",
    "zsh": r"""
PS1='$ '
setopt no_beep no_prompt_sp no_auto_menu
LISTMAX=9999
mkdir functions
mapi completion zsh > functions/_mapi
fpath=($PWD/functions $fpath)
autoload -Uz compinit
compinit -u -d $PWD/compdump
tell() { print -r -- "$BUFFER" > line }
zle -N tell
bindkey '^X^B' tell
bindkey '^U' kill-whole-line
""",
}
ARGUMENTS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


def check(what, got, wanted):
    global failures
    if got == wanted:
        print(f"ok: {what}: {got}")
    else:
        failures += 1
        print(f"FAILED: {what}: got {got!r}, wanted {wanted!r}")


class Shell:
    """A shell that has been started in a folder of its own, after a command."""

    def __init__(self, folder, before):
        self.seen = b""
        self.n_marks = 0
        self.fifo = os.path.join(folder, "line")
        if os.path.exists(self.fifo):
            os.unlink(self.fifo)
        os.mkfifo(self.fifo)
        self.lines = os.open(self.fifo, os.O_RDWR)
        with open(os.path.join(folder, "start"), "w", encoding="utf-8") as out:
            out.write(START[SHELL])
        environment = dict(os.environ, HOME=folder, TERM="dumb", LC_ALL="C", HISTFILE="",
            PATH=f"{os.path.dirname(MAPI)}:{os.environ['PATH']}")
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen([*before, *ARGUMENTS[SHELL]], cwd=folder, stdin=slave,
            stdout=slave, stderr=slave, env=environment, start_new_session=True)
        os.close(slave)
        os.write(self.master, b". ./start; echo > line\n")
        self.read_line()

    def read_line(self):
        """What the shell writes into the FIFO next; meanwhile what it shows is read."""
        line, end = b"", time.monotonic() + TIMEOUT_S
        while not line.endswith(b"\n"):
            ready = select.select([self.lines, self.master], [], [], max(0, end - time.monotonic()))[0]
            if self.master in ready:
                self.seen += os.read(self.master, 65536)
            if self.lines in ready:
                line += os.read(self.lines, 4096)
            if not ready:
                raise TimeoutError(f"the shell does not answer; it shows {self.seen!r}")
        return line.decode().rstrip("\n")

    def complete(self, text):
        """The command line after Tab."""
        os.write(self.master, KILL_LINE + text.encode() + b"\t" + TELL_LINE)
        return self.read_line()

    def mark(self):
        """A line that is easily found; afterwards the shell reads keys."""
        self.n_marks += 1
        os.write(self.master, KILL_LINE + f"echo MARK''{self.n_marks}\n".encode() + TELL_LINE)
        self.read_line()
        return f"MARK{self.n_marks}\n"

    def choices(self, text):
        """What Tab lists, at once or at the second time, below the command line."""
        begin = self.mark()
        os.write(self.master, text.encode() + b"\t\t" + TELL_LINE)
        self.read_line()
        end = self.mark()
        self.mark()  # when this is answered, what was shown before has been read
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\x07\\]", "", self.seen.decode())
        lines = shown.split(begin)[1].split(end)[0].split("\n")
        return {word for line in lines[1:] if not line.startswith("$ ") for word in line.split()}

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.lines)


VERBS = "top util run dump functions explain devices flows doctor".split()


def options(verb):
    """Those that its help shows, by letter or name."""
    text = subprocess.run([MAPI, "help", verb], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {*re.findall(r"^  (--?[a-z#A-Z-]+)(?: |$)", text, re.M), "--help"}


def ordinary(folder):
    shell = Shell(folder, [])
    for text, wanted in {
        "mapi dev": "mapi devices ",
        "mapi help ex": "mapi help explain ",
        "mapi completion z": "mapi completion zsh ",
        "mapi util --link": "mapi util --link-speed ",
        "mapi run --color al": "mapi run --color always ",
        "mapi top -s b": "mapi top -s bytes ",
        "mapi functions PKTI": "mapi functions PKTINFO ",
        "mapi run -r cap": "mapi run -r capture.pcap ",
        "mapi run -r fol": "mapi run -r folder/",
        "mapi run -r folder/in": "mapi run -r folder/inside.pcap ",
        "mapi top -i l": "mapi top -i lo ",
        "mapi run -c 1": "mapi run -c 1",
        "mapi nothing x": "mapi nothing x",
    }.items():
        check(text, shell.complete(text), wanted)
    check("a name with blanks", shell.complete("mapi run -r wi").rstrip(),
        r"mapi run -r with\ \$\(touch\ owned\)")
    # What was quoted already goes on.
    check("a name half typed", shell.complete(r"mapi run -r with\ ").rstrip(),
        r"mapi run -r with\ \$\(touch\ owned\)")
    check("verbs with d", shell.choices("mapi d"), {"devices", "doctor", "dump"})
    check("functions with PKT", shell.choices("mapi functions PKT"), {"PKTINFO", "PKT_COUNTER"})
    for verb in VERBS:
        shown, listed = options(verb), shell.choices(f"mapi {verb} -")
        check(f"options of {verb} that help shows and Tab does not", shown - listed, set())
        check(f"what is no option of {verb}", {word for word in listed if not word.startswith("-")}, set())
    shell.close()


def strange_interfaces(folder):
    """Names that shells would act upon, e.g. made in a container."""
    if subprocess.call(["unshare", "-n", "true"], stderr=subprocess.DEVNULL) != 0:
        print("names of interfaces: not tried, this user may make no network namespace")
        return
    for name, typed in ("$(>owned)", r"\$\(\>owned\)"), ("`>owned`", r"\`\>owned\`"), ("*", r"\*"), (
            "a;b", r"a\;b"), ('x,y"z', None), ("it's", r"it\'s"):
        shell = Shell(folder, ["unshare", "-n", "sh", "-c",
            'ip link set lo down && ip link set lo name "$1" && shift && exec "$@"', "sh", name])
        got = shell.complete("mapi top -i ").rstrip()
        if typed:
            check(f"interface {name}", got, f"mapi top -i {typed}")
        else:
            check(f"interface {name}", got.replace("\\", ""), f"mapi top -i {name}")
        shell.close()


def main():
    if not shutil.which(SHELL):
        print(f"SKIP: {SHELL} is not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        for name in "capture.pcap", "with $(touch owned)", "folder/inside.pcap":
            os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
            open(f"{folder}/{name}", "w", encoding="utf-8").close()
        ordinary(folder)
        strange_interfaces(folder)
        check("nothing was executed", os.path.exists(f"{folder}/owned"), False)
    return int(failures != 0)


sys.exit(main())
