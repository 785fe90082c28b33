#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Frames that test how headers are read: frames.py IFACE TIMES

Sends each kind TIMES times, and prints what has to be counted, "LETTER packets N bytes N": by each
of the filters of tier-frames.sh, in their order.
"""
import socket
import struct
import sys

ETHERNET = bytes.fromhex("020000000902020000000901")


def ip(fragment, payload, options=b""):
    return ETHERNET + struct.pack("!HBBHHHBBH4s4s", 0x0800, 0x45 + len(options) // 4, 0,
        20 + len(options) + len(payload), 7, fragment,
        64, 17, 0, bytes([10, 9, 0, 1]), bytes([10, 9, 0, 2])) + options + payload


def ip6(next_header, payload):
    return ETHERNET + struct.pack("!HIHBB16s16s", 0x86dd, 6 << 28, len(payload), next_header, 64,
        bytes(15) + b"\1", bytes(15) + b"\2") + payload


UDP = struct.pack("!HHHH", 10003, 9, 28, 0) + bytes(20)
KINDS = {  # which filters, beside "all"
    "first fragment": ("u", ip(0x2000, UDP)),
    "other fragment": ("f", ip(0x0003, UDP)),
    "IPv6": ("6u", ip6(17, UDP)),
    "hop-by-hop options": ("6h", ip6(0, bytes([17, 0, 1, 4, 0, 0, 0, 0]) + UDP)),
    "routing and destination options": ("6", ip6(43, bytes([60, 0]) + bytes(6) + bytes([17, 0, 1, 4, 0, 0, 0, 0]) + UDP)),
    "IPv6 fragment": ("6", ip6(44, bytes([17, 0, 0, 1, 0, 0, 0, 7]) + UDP)),
    "two tags": ("v", ETHERNET + bytes.fromhex("88a8002a81000007") + ip(0, UDP)[12:]),
    "no payload": ("s", ETHERNET + b"\x88\xb5"),
    "no IP header": ("s", ETHERNET + b"\x08\x00"),
    "half an IP header": ("", ip(0, UDP)[:24]),
    "options of IPv4": ("u", ip(0, UDP, bytes([1, 1, 1, 0]))),
    "as many options as can be": ("u", ip(0, UDP, bytes([1] * 39 + [0]))),
}
# Around the ends of what is read in place, and of what is copied.
for n_bytes in (42, 57, 58, 60, 61, 95, 96, 97):
    KINDS["%d bytes" % n_bytes] = ("u", ip(0, (UDP[:8] + bytes(60))[:n_bytes - 34]))

out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((sys.argv[1], 0))
times = int(sys.argv[2])
for _ in range(times):
    for _, frame in KINDS.values():
        out.send(frame)
for letter in "auf6hvs":
    mine = [frame for letters, frame in KINDS.values() if letter in "a" + letters]
    print("%s packets %d bytes %d" % (letter, times * len(mine), times * sum(map(len, mine))))
