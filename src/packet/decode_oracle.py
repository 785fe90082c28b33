#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compare the packet decoder with tshark on real captures.

usage: decode_oracle.py DECODE_FIELDS PCAPS_DIR [FILES]     MAPI_PCAPS goes before PCAPS_DIR

Takes FILES captures (default 100; 0: all), evenly spread over those of the folder that libpcap
reads, 2,000 packets of each. Compared: version and protocol of the outer network header, VLAN tags,
length of the IPv4 and TCP headers, and version, ports and nesting of the innermost network header. What tshark
follows and the decoder by contract does not is left out and counted (see SKIPS). Exit status: 0 if at
least 99.5 % of the compared fields of each kind agree, 77 without tshark or captures.
"""
import collections
import concurrent.futures
import os
import shutil
import subprocess
import sys

PACKETS = "2000"
FIELDS = ["frame.number", "frame.protocols", "ip.version", "ip.proto", "ipv6.version", "ipv6.nxt",
          "vlan.id", "ip.hdr_len", "tcp.hdr_len", "tcp.srcport", "tcp.dstport", "udp.srcport",
          "udp.dstport", "sctp.srcport", "sctp.dstport"]
OPTIONS = ["ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE",
           "ip.tso_support:TRUE"]

# Protocols in which tshark finds network headers that the decoder leaves alone, by contract: the
# headers that error messages quote, and encapsulations outside its list.
SKIPS = {"icmp", "icmpv6", "l2tp", "esp", "wccp", "pim", "nsh", "lisp", "lisp-data", "lwapp", "capwap",
         "capwap.data", "batadv", "cmdp", "gryphon", "netflow", "sflow", "mpls_echo", "ayiya", "fc",
         "openflow", "openflow_v1", "openflow_v4", "6in4", "hsr", "prp", "vntag", "macsec", "isl",
         "tzsp", "wg", "rtp", "eapol", "diameter", "ieee1722", "trill", "fp", "dlr", "opensafety",
         "zep", "wpan", "6lowpan", "wlan_aggregate", "cfm", "gsm_abis_rsl", "gprs-ns", "bssgp", "llcgprs",
         "gre.wccp", "cisco-metadata", "etag", "dccp"}


def tshark_rows(path):
    command = ["tshark", "-n", "-r", path, "-c", PACKETS, "-T", "fields", "-E", "occurrence=a",
               "-E", "aggregator=,", "-E", "separator=|"]
    for option in OPTIONS:
        command += ["-o", option]
    for field in FIELDS:
        command += ["-e", field]
    run = subprocess.run(command, capture_output=True, text=True)
    for line in run.stdout.splitlines():
        values = line.split("|")
        if len(values) == len(FIELDS):
            yield dict(zip(FIELDS, values))


def numbers(text):
    return [int(x, 0) for x in text.split(",")] if text else []


class Ours:
    def __init__(self, values):
        self.ethertype, self.n_vlans, self.vlan_id = values[1:4]
        self.outer = Layers(values[4:12])
        self.inner = Layers(values[12:20])


class Layers:
    def __init__(self, v):
        (self.version, self.proto, self.offset, self.header, self.transport, self.src, self.dst,
         self.flags) = v


class Tally:
    def __init__(self):
        self.same = collections.Counter()
        self.differs = collections.Counter()
        self.skipped = collections.Counter()
        self.examples = collections.defaultdict(list)

    def add(self, kind, path, row, ours, theirs):
        if ours == theirs:
            self.same[kind] += 1
            return
        self.differs[kind] += 1
        if len(self.examples[kind]) < 400:
            self.examples[kind].append("%s #%s %s: decoder %s, tshark %s" % (
                os.path.basename(path), row["frame.number"], row["frame.protocols"], ours, theirs))


def compare(tally, path, row, ours):
    layers = row["frame.protocols"].split(":")
    ip = [i for i, name in enumerate(layers) if name in ("ip", "ipv6")]
    versions = [4 if layers[i] == "ip" else 6 for i in ip]
    first_skip = next((i for i, name in enumerate(layers) if name in SKIPS), len(layers))
    if ip and ip[0] > first_skip:
        tally.skipped[layers[first_skip]] += 1
        return
    # A malformed or cut IPv4 header is a layer in tshark although it has no fields.
    tally.add("outer version", path, row, ours.outer.version, versions[0] if versions else 0)
    if not versions or ours.outer.version != versions[0]:
        return
    protos = numbers(row["ip.proto"]) if versions[0] == 4 else numbers(row["ipv6.nxt"])
    # AH and extension headers are stepped over: the field is the first of a chain.
    if protos and protos[0] not in (0, 43, 44, 51, 60, 135, 139, 140):
        tally.add("outer protocol", path, row, ours.outer.proto, protos[0])
    vlans = numbers(row["vlan.id"])
    # tshark has 802.1ad tags in fields of their own.
    if layers[:ip[0]].count("vlan") == len(vlans) and "ieee8021ad" not in layers:
        tally.add("vlan", path, row, (ours.n_vlans, ours.vlan_id if vlans else 0),
                  (len(vlans), vlans[0] if vlans else 0))
    lengths = numbers(row["ip.hdr_len"])
    if versions[0] == 4 and lengths and ours.outer.header >= 0 and protos[0] != 51:
        tally.add("IPv4 header", path, row, ours.outer.header, lengths[0])
    if first_skip < len(layers):
        tally.skipped[layers[first_skip]] += 1
        return
    tally.add("inner version", path, row, ours.inner.version, versions[-1])
    tally.add("tunnel", path, row, ours.inner.offset > ours.outer.offset, len(versions) > 1)
    if ours.inner.flags & 2:
        return
    last = layers[ip[-1]:]
    for name, proto in (("tcp", 6), ("udp", 17), ("sctp", 132)):
        src, dst = numbers(row[name + ".srcport"]), numbers(row[name + ".dstport"])
        if name in last and src and dst:
            tally.add(name + " ports", path, row, (ours.inner.proto, ours.inner.src, ours.inner.dst),
                      (proto, src[-1], dst[-1]))
    length = numbers(row["tcp.hdr_len"])
    if "tcp" in last and length and ours.inner.transport >= 0:
        tally.add("TCP header", path, row, ours.inner.transport, length[-1])


def one_file(program, path):
    run = subprocess.run([program, path, PACKETS], capture_output=True, text=True)
    rows = [[int(x) for x in line.split()] for line in run.stdout.splitlines()]
    return path, {r[0]: Ours(r) for r in rows}, list(tshark_rows(path)) if rows else []


def main():
    program, folder = sys.argv[1], os.environ.get("MAPI_PCAPS") or sys.argv[2]
    n_files = int(sys.argv[3]) if len(sys.argv) > 3 else 100
    if not shutil.which("tshark"):
        print("skipped: tshark is not installed")
        return 77
    paths = sorted(os.path.join(d, f) for d, _, files in os.walk(folder) for f in files
                   if os.path.splitext(f)[1] not in (".md", ".tsv"))
    if not paths:
        print("skipped: the captures are absent: nothing in %s (MAPI_PCAPS)" % folder)
        return 77
    if 0 < n_files < len(paths):
        paths = [paths[i * len(paths) // n_files] for i in range(n_files)]
    tally, n_pkts = Tally(), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, ours, rows in pool.map(lambda p: one_file(program, p), paths):
            for row in rows:
                number = int(row["frame.number"])
                if number in ours:
                    n_pkts += 1
                    compare(tally, path, row, ours[number])
    print("%d packets of %d files" % (n_pkts, len(paths)))
    bad = n_pkts == 0
    for kind in sorted(set(tally.same) | set(tally.differs)):
        total = tally.same[kind] + tally.differs[kind]
        print("%-15s %8d agree, %5d differ" % (kind, tally.same[kind], tally.differs[kind]))
        for example in tally.examples[kind][:int(os.environ.get("EXAMPLES", "3"))]:
            print("    " + example)
        bad = bad or tally.same[kind] < 0.995 * total
    print("inner headers not compared: " + ", ".join("%s %d" % x for x in tally.skipped.most_common()))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
