#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Make the small captures of tests/captures/ anew: real programs talking in namespaces
# (tools/make-capture), and the same packets in other file formats. They are checked in, so that
# the tests have the same input everywhere; run this only to add one, and commit the result.
#
# usage: tests/make-captures.sh [KIND...]
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p captures
[ $# -gt 0 ] || set -- http dns ipv6 fragments vlan ftp mail

for kind in "$@"; do
	../tools/make-capture "captures/$kind.pcap" "$kind"
done

# Rewritten without any library, so that writer and reader have nothing in common with ours.
python3 - captures <<'PYTHON'
import os, struct, sys
folder = sys.argv[1]

def records(path):
    data = open(os.path.join(folder, path), "rb").read()
    at = 24
    while at < len(data):
        sec, usec, cap, wire = struct.unpack_from("<IIII", data, at)
        yield sec, usec, wire, data[at + 16:at + 16 + cap]
        at += 16 + cap

def write(path, parts):
    with open(os.path.join(folder, path), "wb") as out:
        for part in parts:
            out.write(part)

def pcap(endian, magic, scale, snap):
    yield struct.pack(endian + "IHHiIII", magic, 2, 4, 0, 0, 262144, 1)
    for sec, usec, wire, data in records("dns.pcap"):
        data = data[:snap]
        yield struct.pack(endian + "IIII", sec, usec * scale, len(data), wire) + data

write("dns-big-endian.pcap", pcap(">", 0xa1b2c3d4, 1, 65535))
write("dns-ns.pcap", pcap("<", 0xa1b23c4d, 1000, 65535))
write("dns-snap60.pcap", pcap("<", 0xa1b2c3d4, 1, 60))

def block(kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

def packet(interface, ts, wire, data):
    head = struct.pack("<IIIII", interface, ts >> 32, ts & 0xffffffff, len(data), wire)
    return block(6, head + data)

SECTION = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))

def two_ports():
    yield SECTION
    yield block(1, struct.pack("<HHI", 1, 0, 262144))
    yield block(1, struct.pack("<HHI", 1, 0, 262144))
    for n, (sec, usec, wire, data) in enumerate(records("http.pcap")):
        yield packet(n % 3 == 1, sec * 10**6 + usec, wire, data)

write("http-two-ports.pcapng", two_ports())

def two_links():
    # Two interfaces: Ethernet with microseconds; raw IP with nanoseconds (the same packets without
    # their Ethernet header, as far as they are IP), alternating.
    yield SECTION
    yield block(1, struct.pack("<HHI", 1, 0, 262144))
    yield block(1, struct.pack("<HHI", 101, 0, 262144) + struct.pack("<HHBxxxHH", 9, 1, 9, 0, 0))
    for n, (sec, usec, wire, data) in enumerate(records("dns.pcap")):
        interface, ts = 0, sec * 10**6 + usec
        if n % 2 and data[12:14] in (b"\x08\x00", b"\x86\xdd"):
            interface, ts, data, wire = 1, ts * 1000, data[14:], wire - 14
        yield packet(interface, ts, wire, data)

write("dns-two-links.pcapng", two_links())

write("ten.pcap", [open(os.path.join(folder, "http.pcap"), "rb").read(24)] + [
    struct.pack("<IIII", sec, usec, len(data), wire) + data
    for n, (sec, usec, wire, data) in enumerate(records("http.pcap")) if n < 10])

whole = open(os.path.join(folder, "http.pcap"), "rb").read()
write("http-cut-record.pcap", [whole[:-7]])
PYTHON
ls -l captures
