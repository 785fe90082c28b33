#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
Values of functions against arithmetic of our own over what tshark says of the same packets.

usage: functions_oracle.py [-k NAME] FILE ...     (the environment has ALONE and MAPI, see lib.sh)

A check is a function here: it is given the packets of a capture and yields a pipeline (or several,
as one list), the label of the step whose results are meant, and what "mapi run --json" should say
of it: a list of values, one for each line. Only the standard library of python computes here.
"""
import json
import os
import subprocess
import sys
from collections import namedtuple

# ts_ns: time in nanoseconds; wire_bytes: length on the wire; now_ns: the largest time so far
Packet = namedtuple("Packet", "ts_ns wire_bytes now_ns")
CHECKS = []
NS_PER_S = 1_000_000_000


def check(function):
    CHECKS.append(function)
    return function


# ---- what tshark says ----

def to_ns(text):
    seconds, _, fraction = text.partition(".")
    return int(seconds) * NS_PER_S + int((fraction + "0" * 9)[:9])


def read_packets(path):
    """None if tshark cannot read it to the end, or tells a time before 1970."""
    run = subprocess.run(
        ["tshark", "-n", "-r", path, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    lines = [line.split("\t") for line in run.stdout.decode().splitlines()]
    if run.returncode != 0 or any(time.startswith("-") for time, _ in lines):
        return None
    packets, now_ns = [], 0
    for time, length in lines:
        now_ns = max(now_ns, to_ns(time))
        packets.append(Packet(to_ns(time), int(length), now_ns))
    return packets


# ---- what mapi says ----

def run_mapi(path, pipelines):
    """The objects that "mapi run --json" prints, by label."""
    run = subprocess.run(
        [os.environ["ALONE"], os.environ["MAPI"], "run", "-q", "-r", path, "--json"]
        + [word for pipeline in pipelines for word in ("-e", pipeline)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if run.returncode != 0:
        raise RuntimeError(f"mapi run: code {run.returncode}: {run.stderr.decode().strip()}")
    results = {}
    for line in run.stdout.decode().splitlines():
        line = json.loads(line)
        results.setdefault(line["label"], []).append(line["value"])
    return results


# ---- arithmetic ----

def fixed(ns):
    """32.32 fixed point seconds, rounded up."""
    return -(-(ns << 32) // NS_PER_S)


def rfc3339(ns):
    """As JSON has times: UTC with nine digits."""
    import datetime
    seconds, rest = divmod(ns, NS_PER_S)
    date = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    return f"{date:%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def stats(samples):
    return {"count": len(samples), "sum": sum(samples), "sum2": sum(s * s for s in samples),
            "max": max(samples, default=0), "min": min(samples, default=0)}


def near(got, want):
    """Equal, but for floating point: to 15 digits."""
    if isinstance(want, dict):
        return isinstance(got, dict) and got.keys() == want.keys() and \
            all(near(got[key], want[key]) for key in want)
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and \
            all(near(g, w) for g, w in zip(got, want))
    if isinstance(got, float) and isinstance(want, (int, float)):
        return abs(got - want) <= 1e-15 * abs(want)
    return got == want


# ---- the checks ----

@check
def stats_of_sizes(packets):
    sizes = [p.wire_bytes for p in packets]
    yield ["PKTINFO(PKT_SIZE) @size | STATS(size, '0') @x"], [stats(sizes)]
    yield ["PKTINFO(PKT_SIZE) @size | STATS(size, '1') @x"], [stats(sizes[1:])]
    long = [size for size in sizes if size > 100]
    yield ["BPF_FILTER('len > 100') | PKTINFO(PKT_SIZE) @size | STATS(size) @x"], [stats(long)]


# ---- running them ----

def run_checks(path, packets, only):
    """Return: how many were run, how many failed."""
    n_run = n_failed = 0
    for function in CHECKS:
        if only and only != function.__name__:
            continue
        for pipelines, want in function(packets):
            n_run += 1
            try:
                got = run_mapi(path, pipelines).get("x", [])
            except RuntimeError as error:
                got = str(error)
            if near(got, want):
                continue
            n_failed += 1
            print(f"differs: {path}: {' ; '.join(pipelines)}")
            print(f"    wanted {str(want)[:600]}\n    got    {str(got)[:600]}")
    return n_run, n_failed


def main():
    paths, only = sys.argv[1:], None
    if paths[:1] == ["-k"]:
        only, paths = paths[1], paths[2:]
    n_captures = n_backwards = n_run = n_failed = 0
    for path in paths:
        packets = read_packets(path)
        if packets is None:
            print(f"{path}: not for this test: tshark does not read it to the end")
            continue
        n_captures += 1
        n_backwards += any(p.ts_ns < p.now_ns for p in packets)
        run, failed = run_checks(path, packets, only)
        n_run += run
        n_failed += failed
    print(f"{n_run} values of {n_captures} captures compared ({n_backwards} of them run backwards "
          f"in time), {n_failed} differ")
    return n_failed != 0 or n_run == 0


sys.exit(main())
