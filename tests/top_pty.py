#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A user of "mapi top" at a pseudo-terminal.

usage: top_pty.py MAPI CAPTURE

The capture arrives through a FIFO that stays open, so the screen stays. What must hold: keys do what
the help says; 80x24, 40x10 and smaller sizes work, no line is longer than the screen; whatever ends
the program, the terminal is as before.
"""
import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

MAPI, CAPTURE = sys.argv[1:3]
TIMEOUT_S = 20
failures = 0


def check(what, ok, detail=""):
    global failures
    print(("ok: " if ok else "FAILED: ") + what + ("" if ok else f" {detail!r}"))
    failures += not ok


class Session:
    """mapi top on a pseudo-terminal of its own, and what stands on the screen."""

    def __init__(self, columns, lines, *arguments, term="xterm"):
        self.fifo = f"fifo.{columns}.{time.monotonic_ns()}"
        os.mkfifo(self.fifo)
        self.master, slave = pty.openpty()
        self.slave = slave
        self.resize(columns, lines)
        self.before = termios.tcgetattr(slave)
        environment = dict(os.environ, TERM=term)
        environment.pop("NO_COLOR", None)
        self.feed = os.open(self.fifo, os.O_RDWR)
        with open(CAPTURE, "rb") as capture:
            os.write(self.feed, capture.read())

        def control():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [MAPI, "top", "-r", self.fifo, *arguments], stdin=slave, stdout=slave,
            stderr=slave, env=environment, preexec_fn=control)
        self.seen = b""

    def resize(self, columns, lines):
        self.columns, self.lines = columns, lines
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.seen += os.read(self.master, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return False
        return True

    def frame(self):
        """The latest whole screen as text, without colour."""
        return self.text(self.seen.split(b"\033[H")[-1])

    @staticmethod
    def text(screen):
        return re.sub(r"\033\[[0-9;?]*[A-Za-z]", "", screen.decode())

    def wait_size(self, what):
        """Until a screen is shown that is as small as the terminal is now."""
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end and self.read(0.2):
            # What follows the last beginning of a screen may be half of it.
            for text in self.seen.split(b"\033[H")[1:-1]:
                rows = self.text(text).replace("\r", "").split("\n")
                if rows[0] and len(rows) <= self.lines and max(map(len, rows)) <= self.columns:
                    check(f"{what}: fits {self.columns}x{self.lines}", True)
                    return
        check(f"{what}: fits {self.columns}x{self.lines}", False, self.seen)

    def wait(self, what, pattern):
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            if re.search(pattern, self.frame()):
                break
            if not self.read(0.2) or self.process.poll() is not None:
                break
        frame = self.frame()
        check(what, re.search(pattern, frame) is not None, frame)
        rows = frame.replace("\r", "").split("\n")
        if re.search(pattern, frame):
            check(f"{what}: fits {self.columns}x{self.lines}",
                  len(rows) <= self.lines and max(map(len, rows)) <= self.columns, frame)

    def press(self, keys):
        self.seen = b""
        os.write(self.master, keys)

    def end(self, what, code):
        end = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        while self.read(0.1) and select.select([self.master], [], [], 0)[0]:
            pass
        check(f"{what}: exit code {code}", self.process.poll() == code, self.process.poll())
        check(f"{what}: terminal as before", termios.tcgetattr(self.slave) == self.before)
        check(f"{what}: screen and cursor given back",
              self.seen.rfind(b"\033[?1049l") > self.seen.rfind(b"\033[?1049h") - 1
              and self.seen.rfind(b"\033[?25h") > self.seen.rfind(b"\033[?25l") - 1)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self.slave, self.feed):
            os.close(fd)
        os.unlink(self.fifo)


s = Session(80, 24)
s.wait("protocols", r"PROTOCOL +PACKETS[\s\S]*IPv4 ")
s.press(b"v")
s.wait("hosts", r"HOST +PACKETS[\s\S]*10\.1\.0\.1 ")
s.press(b"\t")
s.wait("ports", r"PORT +PACKETS[\s\S]*/tcp ")
s.press(b"s")
s.wait("sort", r"sort: packets")
s.press(b"p")
s.wait("pause", r"PAUSED")
s.press(b" ")
s.wait("go on", r"mapi top(?![\s\S]*PAUSED)[\s\S]*p pause")
s.press(b"?")
s.wait("help", r"scroll")
s.press(b"\033")
s.wait("help is left", r"PORT +PACKETS")
s.press(b"\033[B\033[B\033[A\033[5~\033[6~\033[99;99z\033O\xff\xfe")
s.wait("cursor keys and nonsense", r"PORT +PACKETS")
s.press(b"/")
s.wait("no filter for files", r"read once")
s.press(b"v")
s.resize(40, 10)
s.press(b"v")
s.wait("40x10", r"HOST +PKT/S")
s.resize(132, 50)
s.press(b"")
s.wait("132x50", r"HOST +PACKETS")
s.resize(7, 2)
s.press(b"")
s.wait_size("7x2")
s.resize(80, 24)
s.press(b"q")
s.end("q", 0)

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    s = Session(40, 10)
    s.wait("started", r"PROTOCOL +PKT/S")
    s.process.send_signal(number)
    s.end(f"signal {number}", 130)

for number in (signal.SIGSEGV, signal.SIGABRT):
    s = Session(80, 24)
    s.wait("started", r"PROTOCOL +PACKETS")
    s.process.send_signal(number)
    s.end(f"fault {number}", -number)

s = Session(80, 24)
s.wait("started", r"PROTOCOL +PACKETS")
s.press(b"\x03")
s.end("Ctrl-C", 130)

s = Session(80, 24)
s.wait("started", r"PROTOCOL +PACKETS")
s.press(b"\x1a")
end = time.monotonic() + TIMEOUT_S
while open(f"/proc/{s.process.pid}/stat").read().rsplit(")", 1)[1].split()[0] != "T":
    s.read(0.05)
    if time.monotonic() > end:
        break
check("Ctrl-Z: terminal as before", termios.tcgetattr(s.slave) == s.before)
s.seen = b""
s.process.send_signal(signal.SIGCONT)
s.wait("continued", r"PROTOCOL +PACKETS")
s.press(b"q")
s.end("q after Ctrl-Z", 0)

s = Session(80, 24, "--color", "never")
s.wait("started", r"PROTOCOL +PACKETS")
os.close(s.feed)
s.feed = os.open("/dev/null", os.O_RDONLY)
s.end("end of the file", 0)
check("a final table", re.search(rb"all +\d+ +\d+", s.seen) is not None, s.seen)

sys.exit(failures != 0)
