#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
Values of functions against arithmetic of our own over what tshark says of the same packets.

usage: functions_oracle.py [-a] [-s] [-k NAME] [-b SIZE,SIZE...] FILE ...
                                                (the environment has ALONE and MAPI, see lib.sh)

A check is a function here: it is given the packets of a capture and yields a list of pipelines, in
which the step whose results are meant has the label x, and what "mapi run --json" should say of it: a
list of values, one for each line. Only the standard library of python computes here.

All pipelines of a capture are in one run, for each size of batches (-b); with -s each check is
in a run of its own. With -a all captures must be fit for the test, and some of them must run
backwards in time. -k: only one check.
"""
import argparse
import datetime
import functools
import json
import multiprocessing
import os
import re
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

TIME_ZONE = "XYZ-05:30"  # 5 h 30 min before UTC


def run_mapi(path, batch, pipelines):
    """The values that "mapi run --json" prints, by label."""
    run = subprocess.run(
        [os.environ["ALONE"], os.environ["MAPI"], "run", "-q", "-r", path, "--json"]
        + [word for pipeline in pipelines for word in ("-e", pipeline)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
        env=dict(os.environ, TZ=TIME_ZONE, MAPI_BATCH=str(batch)))
    if run.returncode != 0:
        raise RuntimeError(f"mapi run: code {run.returncode}: {run.stderr.decode().strip()}")
    results = {}
    for line in json.loads("[" + ",".join(run.stdout.decode().splitlines()) + "]"):
        results.setdefault(line["label"], []).append(line["value"])
    return results


# ---- arithmetic ----

def fixed(ns):
    """32.32 fixed point seconds, rounded up."""
    return -(-(ns << 32) // NS_PER_S)


@functools.lru_cache
def rfc3339_second(seconds_):
    date = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds_)
    return f"{date:%Y-%m-%dT%H:%M:%S}"


def rfc3339(ns):
    """As JSON has times: UTC with nine digits."""
    return f"{rfc3339_second(ns // NS_PER_S)}.{ns % NS_PER_S:09}Z"


def stats(samples):
    return {"count": len(samples), "sum": sum(samples), "sum2": sum(s * s for s in samples),
            "max": max(samples, default=0), "min": min(samples, default=0)}


class Lines:
    """What the file 'lines' should hold that a pipeline writes, instead of values."""

    def __init__(self, lines):
        self.text = "".join(line + "\n" for line in lines)

    def __str__(self):
        return self.text


def near(got, want):
    """Equal; what is floating point (of STATS all but the count) to 15 digits."""
    if got == want:
        return True
    if isinstance(want, dict):
        floats = {"sum", "sum2", "max", "min"} if "sum2" in want else ()
        return isinstance(got, dict) and got.keys() == want.keys() and \
            all(near(float(got[key]) if key in floats else got[key], want[key]) for key in want)
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and \
            all(near(g, w) for g, w in zip(got, want))
    if isinstance(got, float) and isinstance(want, (int, float)):
        return abs(got - want) <= 1e-15 * abs(want)
    return False


# ---- the checks ----

@check
def stats_of_sizes(packets):
    sizes = [p.wire_bytes for p in packets]
    yield ["PKTINFO(PKT_SIZE) @size | STATS(size, '0') @x"], [stats(sizes)]
    yield ["PKTINFO(PKT_SIZE) @size | STATS(size, '1') @x"], [stats(sizes[1:])]
    long = [size for size in sizes if size > 100]
    yield ["BPF_FILTER('len > 100') | PKTINFO(PKT_SIZE) @size | STATS(size) @x"], [stats(long)]


def gaps(packets):
    """Between one packet and the next; 0 for the first one, and backwards."""
    times = [p.ts_ns for p in packets]
    return [0] * bool(times) + [fixed(max(b - a, 0)) for a, b in zip(times, times[1:])]


@check
def gap_of_packets(packets):
    yield ["GAP @g | STATS(g) @x"], [stats(gaps(packets))]
    long = gaps([p for p in packets if p.wire_bytes > 100])
    yield ["BPF_FILTER('len > 100') | GAP @x"], [long[-1] if long else 0]


@check
def binop_of_values(packets):
    sizes = [p.wire_bytes for p in packets]
    growth = [size - number for number, size in enumerate(sizes, 1)]
    yield ["PKT_COUNTER @n | PKTINFO(PKT_SIZE) @size | BINOP(SUB, size, n) @d | "
           "BINOP(ADD, n, d) @same | STATS(same) @x"], [stats(sizes)]
    yield ["PKT_COUNTER @n | PKTINFO(PKT_SIZE) @size | BINOP(SUB, size, n) @x"], \
        [growth[-1] % 2 ** 64 if growth else 0]


def dist(values, low, high, interval):
    n = -(-(high - low) // interval)
    data = [0] * (n + 2)
    for value in values:
        if value < low:
            data[0] += 1
        elif value > high:
            data[-1] += 1
        else:
            data[1 + (value - low) // interval] += 1
    return {"min": low, "max": high, "intervals": n, "data": data}


@check
def dist_of_sizes_and_gaps(packets):
    sizes = [p.wire_bytes for p in packets]
    for low, high, interval in (0, 1500, 100), (60, 1514, 7), (100, 2000, 3000):
        yield [f"PKTINFO(PKT_SIZE) @size | DIST(size, {low}, {high}, {interval}) @x"], \
            [dist(sizes, low, high, interval)]
    ms = NS_PER_S // 1000
    yield ["GAP @g | DIST(g, 1ms, 2s, 37ms) @x"], \
        [dist(gaps(packets), fixed(ms), fixed(2000 * ms), fixed(37 * ms))]


def periods_of(packets):
    """A period in microseconds of which the capture has some hundreds, none of them by chance."""
    span_us = (packets[-1].now_ns - packets[0].now_ns) // 1000 if packets else 0
    return max(span_us // 371, 1)


# What functions give for periods without packets, and no more.
EMPTY_MAX = 100_000


def each_period(packets, period_ns):
    """Yields each packet with the beginning of its period; before it, for each period that has
    ended, None, its beginning, and whether it had packets."""
    begin_ns = packets[0].now_ns if packets else 0
    for packet in packets:
        n_periods = (packet.now_ns - begin_ns) // period_ns
        for i in range(min(n_periods, EMPTY_MAX + 1)):
            yield None, begin_ns + i * period_ns, i == 0
        begin_ns += n_periods * period_ns
        if n_periods > EMPTY_MAX:
            begin_ns = packet.now_ns
        yield packet, begin_ns, None


def series(packets, period_ns):
    """For each period that has ended: its beginning, and its packets, late ones too. For each
    packet: the beginning of its period."""
    ended, begins, inside = [], [], []
    for packet, begin_ns, _ in each_period(packets, period_ns):
        if packet:
            begins.append(begin_ns)
            inside.append(packet)
        else:
            ended.append((begin_ns, inside))
            inside = []
    return ended, begins


@check
def bucket_of_counters(packets):
    period_us = periods_of(packets)
    ended, _ = series(packets, period_us * 1000)
    yield [f"BPF_FILTER('len > 100') | PKT_COUNTER @n | BUCKET(n, {period_us}us, 1) @x"], \
        [{"timestamp": rfc3339(begin), "data": sum(p.wire_bytes > 100 for p in inside)}
         for begin, inside in ended]
    total, records = 0, []
    for begin, inside in ended:
        total += sum(p.wire_bytes for p in inside)
        records.append({"timestamp": rfc3339(begin), "data": total if inside else 0})
    yield [f"BYTE_COUNTER @b | BUCKET(b, {period_us}us, 0) @x"], records


@check
def threshold_at_each_packet(packets):
    holds, records, n_passed = False, [], 0
    for packet in packets:
        held, holds = holds, packet.wire_bytes // 10 > 20
        n_passed += holds
        if holds and not held:
            records.append({"timestamp": rfc3339(packet.ts_ns), "value": packet.wire_bytes // 10})
    pipeline = "PKTINFO(PKT_SIZE) @s | THRESHOLD(ULL, s, 20, TR_B_POS, 0, 10)"
    yield [f"{pipeline} @x"], records
    yield [f"{pipeline} | PKT_COUNTER @x"], [n_passed]
    grown = [b.wire_bytes - a.wire_bytes for a, b in zip(packets, packets[1:])]
    yield ["PKTINFO(PKT_SIZE) @s | THRESHOLD(ULL, s, 3, TR_B_D_NEG) | PKT_COUNTER @x"], \
        [sum(max(g, 0) < 3 for g in grown)]


@check
def threshold_at_ends_of_periods(packets):
    """More than 3 packets in a period: reported, and the next period's packets pass."""
    period_us = min(periods_of(packets), 2 ** 31 - 1)  # an int
    period_ns = period_us * 1000
    ended, begins = series(packets, period_ns)
    loud = {begin + period_ns: len(inside) for begin, inside in ended if len(inside) > 3}
    yield [f"PKT_COUNTER @n | THRESHOLD(130, n, 3, TR_B_D_POS, {period_us}) @x"], \
        [{"timestamp": rfc3339(end), "value": n} for end, n in sorted(loud.items())]
    yield [f"PKT_COUNTER @n | THRESHOLD(ULL, n, 3, TR_B_D_POS, {period_us}) | PKT_COUNTER @x"], \
        [sum(begin in loud for begin in begins)]


@check
def long_silences(packets):
    """A silence that is half of the capture has more periods than are told of."""
    silence_ns = max((b.now_ns - a.now_ns for a, b in zip(packets, packets[1:])), default=0)
    period_us = min(silence_ns // 1000 // (EMPTY_MAX + 5000), 2 ** 31 - 1)  # an int
    if period_us == 0 or packets[-1].now_ns - packets[0].now_ns > 2 * silence_ns:
        return
    period_ns = period_us * 1000
    ended, _ = series(packets, period_ns)
    yield [f"PKT_COUNTER @n | BUCKET(n, {period_us}us, 1) @x"], \
        [{"timestamp": rfc3339(begin), "data": len(inside)} for begin, inside in ended]
    yield [f"PKT_COUNTER @n | THRESHOLD(130, n, 9, TR_B_D_NEG, {period_us}) @x"], \
        [{"timestamp": rfc3339(begin + period_ns), "value": len(inside)}
         for begin, inside in ended if len(inside) < 9]


def seconds(value):
    """32.32 fixed point with 12 decimals."""
    import decimal
    decimal.getcontext().prec = 60
    return str((decimal.Decimal(value) / 2 ** 32).quantize(decimal.Decimal(1).scaleb(-12)))


def stats_text(samples):
    return " ".join(str(value) for value in stats(samples).values())


@check
def res2file_at_each_packet(packets):
    lines = ["number time"]
    for number, packet in enumerate(packets):
        if packet.wire_bytes > 100:
            lines.append(f"{number + 1} {seconds(fixed(packet.ts_ns))}")
    yield ["PKT_COUNTER @n | BPF_FILTER('len > 100') | PKTINFO(PKT_TS) @t | "
           "RES2FILE('R2F_ULLSTR,R2F_ULLSEC', 'n,t', 'number time', 'lines', '0')"], \
        Lines(lines)
    lines = [f"1 {p.wire_bytes}" for p in packets]
    yield ["PKT_COUNTER @n | BYTE_COUNTER @b | RES2FILE('1,1', 'n,b', '', 'lines', '0', 1)"], \
        Lines(lines)


@check
def res2file_at_the_end(packets):
    sizes = [p.wire_bytes for p in packets]
    yield ["PKT_COUNTER @n | PKTINFO(PKT_SIZE) @size | STATS(size, '0') @s",
           "RES2FILE('1,3', 'n,s', '', 'lines', '-1', 1)"], \
        Lines([f"{len(sizes)} {stats_text(sizes)}"])


@check
def res2file_after_periods(packets):
    lines, n_pkts, n_bytes, n_long = ["pkts bytes"], 0, 0, 0
    kept = []
    for packet, _, has_packets in each_period(packets, 2 * NS_PER_S):
        if packet:
            n_pkts += 1
            n_bytes += packet.wire_bytes
            n_long += packet.wire_bytes > 100
            continue
        lines.append(f"{n_pkts} {n_bytes}")
        kept.append(str(n_long) if has_packets else "0")
        n_pkts = n_bytes = 0
    yield ["PKT_COUNTER @n | BYTE_COUNTER @b | "
           "RES2FILE('1,1', 'n,b', 'pkts bytes', 'lines', '2s', 1)"], Lines(lines)
    # Time is that of all packets; without reset a value stays.
    yield ["BPF_FILTER('len > 100') | PKT_COUNTER @n | RES2FILE('1', 'n', '', 'lines', '2s')"], \
        Lines(kept)
    # The function stands before what it refers to, function 2 of the next flow; its own sees nothing.
    yield ["BPF_FILTER('len > 100000') | RES2FILE('1', '2@NEXT', '', 'lines', '2s')",
           "BPF_FILTER('len > 100') | PKT_COUNTER"], Lines(kept)


@check
def res2file_of_statistics(packets):
    samples, lines, kept = [], [], []
    for packet, _, has_packets in each_period(packets, 700_000_000):
        if packet:
            samples.append(packet.wire_bytes)
            continue
        lines.append(stats_text(samples))
        samples = []
    yield ["PKTINFO(PKT_SIZE) @size | STATS(size) @s | RES2FILE(3, 's', '', 'lines', '700ms', 1)"], \
        Lines(lines)
    samples = []
    for packet, _, has_packets in each_period(packets, 700_000_000):
        if packet:
            samples.append(packet.wire_bytes)
        else:
            kept.append(stats_text(samples if has_packets else []))
    yield ["PKTINFO(PKT_SIZE) @size | STATS(size) @s | RES2FILE(3, 's', '', 'lines', '700ms')"], \
        Lines(kept)


def start_stop(packets, start_ns, stop_ns):
    """Given the time of the first packet, when to start and stop."""
    passed = [p for p in packets
              if packets[0].now_ns + start_ns <= p.now_ns < packets[0].now_ns + stop_ns]
    times = [packets[0].ts_ns] + [passed[i].ts_ns if passed else 0 for i in (0, -1)]
    names = ("first", "first_processed", "last")
    return len(passed), dict(zip(names, (rfc3339(ns) for ns in times)))


@check
def startstop_after_spans(packets):
    for start, stop, start_ns, stop_ns in (
            ("+0s", "", 0, 1 << 64),
            ("+300ms", "+2s", 300_000_000, 2_300_000_000),
            ("+1s", "+1m", NS_PER_S, 61 * NS_PER_S)):
        n_passed, value = start_stop(packets, start_ns, stop_ns)
        yield [f"STARTSTOP('{start}', '{stop}') @x"], [value]
        yield [f"STARTSTOP('{start}', '{stop}') | PKT_COUNTER @x"], [n_passed]
    long = [p for p in packets if p.wire_bytes > 100]
    if long:
        n_passed, _ = start_stop(long, 100_000_000, 1_100_000_000)
        yield ["BPF_FILTER('len > 100') | STARTSTOP('+100ms', '+1s') | PKT_COUNTER @x"], [n_passed]


@check
def startstop_at_local_times(packets):
    offset_s = 19800  # TIME_ZONE
    middle_s = packets[len(packets) // 2].now_ns // NS_PER_S

    def local(seconds_):
        return rfc3339((seconds_ + offset_s) * NS_PER_S)[:19].replace("T", " ")

    first_ns = packets[0].now_ns
    n_passed, value = start_stop(
        packets, middle_s * NS_PER_S - first_ns, (middle_s + 2) * NS_PER_S - first_ns)
    for stop in (local(middle_s + 2), "+2s"):
        yield [f"STARTSTOP('{local(middle_s)}', '{stop}') @x"], [value]
        yield [f"STARTSTOP('{local(middle_s)}', '{stop}') | PKT_COUNTER @x"], [n_passed]


def bursts(packets, low, high, step, between_ns, late_ns, early_ns, mbps):
    names = ("bytes", "packets", "bursts", "gap_bytes", "gaps")
    n_categories = (high - low) // step + 2
    categories = [dict.fromkeys(names, 0) for _ in range(n_categories)]

    def category(n_bytes):
        if n_bytes < low:
            return categories[0]
        return categories[min((n_bytes - low) // step + 1, n_categories - 1)]

    def end(burst):
        n_bytes = sum(p.wire_bytes for p in burst)
        category(n_bytes)["bytes"] += n_bytes
        category(n_bytes)["packets"] += len(burst)
        category(n_bytes)["bursts"] += 1

    burst = []
    for packet in packets:
        if burst:
            last = burst[-1]
            late = max(packet.ts_ns - last.ts_ns, 0) - last.wire_bytes * 8000 // mbps - between_ns
            if late > late_ns:
                gap_bytes = late * mbps // 8000
                category(gap_bytes)["gap_bytes"] += gap_bytes
                category(gap_bytes)["gaps"] += 1
            if not -early_ns <= late <= late_ns:
                end(burst)
                burst = []
        burst.append(packet)
    if burst:
        end(burst)
    return categories


@check
def burst_sizes(packets):
    for arguments in ((0, 1000, 200, 960, 100_000, 100_000, 100),
                      (100, 9999, 1000, 96, 1_000_000, 2_147_483_647, 1000),
                      (64, 64, 1, 0, 0, 0, 10)):
        text = ", ".join(str(argument) for argument in arguments)
        yield [f"BURST({text}) @x"], [bursts(packets, *arguments)]
    long = [p for p in packets if p.wire_bytes > 100]
    yield ["BPF_FILTER('len > 100') | BURST(0, 5000, 100, 0, 5000000, 100000, 10000) @x"], \
        [bursts(long, 0, 5000, 100, 0, 5_000_000, 100_000, 10_000)]


# ---- running them ----

class Question:
    """A check's pipelines as one of many in a run: its labels and its file have names of their own,
    and its flows begin with number first_flow."""

    def __init__(self, pipelines, want, number, first_flow):
        self.said = " ; ".join(pipelines)
        self.want = want
        self.label = f"x{number}"
        self.path = f"lines-{os.getpid()}-{number}"
        self.pipelines = []
        labels = set(re.findall(r"@([a-z]\w*)", self.said))
        for i, pipeline in enumerate(pipelines):
            pipeline = pipeline.replace("'lines'", f"'{self.path}'")
            pipeline = pipeline.replace("NEXT", str(first_flow + i + 1))
            for label in labels:
                pipeline = re.sub(rf"\b{label}\b", f"{label}{number}", pipeline)
            self.pipelines.append(pipeline)

    def answer(self, results):
        """What there is instead, None if it is what is wanted."""
        if isinstance(self.want, Lines):
            with open(self.path, encoding="ascii", errors="replace") as file:
                got = file.read()
            os.unlink(self.path)
            return got if got != self.want.text else None
        got = results.get(self.label, [])
        return None if near(got, self.want) else got


def questions_of(packets, only, alone):
    """Lists of questions, a list for each run."""
    runs = [[]]
    for function in CHECKS:
        if only and only != function.__name__:
            continue
        for pipelines, want in function(packets):
            if alone:
                runs.append([])
            flow = 1 + sum(len(question.pipelines) for question in runs[-1])
            runs[-1].append(Question(pipelines, want, len(runs[-1]), flow))
    return [run for run in runs if run]


def ask(path, batch, questions):
    """Return: how many answers were wrong, and lines that say so."""
    try:
        results = run_mapi(path, batch, [p for q in questions for p in q.pipelines])
    except RuntimeError as error:
        return len(questions), [f"differs: {path}, batches of {batch}: {error}"]
    n_failed, lines = 0, []
    for question in questions:
        got = question.answer(results)
        if got is not None:
            n_failed += 1
            lines += [f"differs: {path}, batches of {batch}: {question.said}",
                      f"    wanted {str(question.want)[:600]}", f"    got    {str(got)[:600]}"]
    return n_failed, lines


def examine(work):
    """Return: whether the capture was fit, whether it runs backwards, how many answers there were and
    how many of them wrong, lines to print."""
    path, options = work
    packets = read_packets(path)
    if packets is None:
        return 0, 0, 0, 0, [f"{path}: not for this test: tshark does not read it to the end"]
    n_run = n_failed = 0
    lines = []
    runs = questions_of(packets, options.only, options.alone)
    for batch in options.batches.split(","):
        for questions in runs:
            failed, said = ask(path, batch, questions)
            n_run += len(questions)
            n_failed += failed
            lines += said
    return 1, any(p.ts_ns < p.now_ns for p in packets), n_run, n_failed, lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-a", dest="wants_all", action="store_true")
    parser.add_argument("-s", dest="alone", action="store_true")
    parser.add_argument("-k", dest="only")
    parser.add_argument("-b", dest="batches", default="256")
    parser.add_argument("paths", nargs="+")
    options = parser.parse_args()
    totals = [0] * 4
    with multiprocessing.Pool(len(os.sched_getaffinity(0))) as pool:
        work = [(path, options) for path in options.paths]
        for *numbers, lines in pool.imap(examine, work):
            totals = [total + number for total, number in zip(totals, numbers)]
            for line in lines:
                print(line)
    n_captures, n_backwards, n_run, n_failed = totals
    print(f"{n_run} values of {n_captures} captures compared ({n_backwards} of them run backwards "
          f"in time), {n_failed} differ")
    if options.wants_all and (n_captures != len(options.paths) or n_backwards == 0):
        print(f"{len(options.paths)} captures were to be used, and some that run backwards in time")
        return 1
    return n_failed != 0 or n_run == 0


if __name__ == "__main__":
    sys.exit(main())
