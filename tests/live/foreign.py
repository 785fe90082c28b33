#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Frames of protocols that nothing on a machine speaks: foreign.py IFACE TIMES

Sends each kind TIMES times, and prints how many frames that were, "sent N". A capture sees them
all; afterwards the kernel calls most of them dropped.
"""
import socket
import sys

ADDRESSES = bytes.fromhex("020000000902020000000901")
LINK_LOCAL = bytes.fromhex("0180c200000e020000000901")
IP = bytes.fromhex("08004500002e00000000401100000a0900010a090002") + bytes(26)
IP6 = bytes.fromhex("86dd60000000000811400" + "0" * 31 + "1" + "0" * 31 + "2" + "0") + bytes(8)
REST = bytes(50)
KINDS = [
    ADDRESSES + IP,
    ADDRESSES + IP6,
    ADDRESSES + b"\x88\xb5" + REST,  # a number for experiments
    ADDRESSES + b"\x00\x32" + b"\xaa\xaa\x03" + REST,  # a length: LLC
    LINK_LOCAL + b"\x88\xcc" + REST,  # LLDP: a bridge does not take it
    ADDRESSES + b"\x88\x47" + REST,  # MPLS
    ADDRESSES + b"\x88\x64" + REST,  # PPPoE
    ADDRESSES + b"\x81\x00\x00\x2a" + IP,
    ADDRESSES + b"\x81\x00\x00\x2a" + IP6,
    ADDRESSES + b"\x81\x00\x00\x00" + IP,  # a priority, no network
    ADDRESSES + b"\x81\x00\x00\x2a" + b"\x88\xb5" + REST,
    ADDRESSES + b"\x81\x00\x00\x2a" + b"\x88\x47" + REST,
    ADDRESSES + b"\x81\x00\x00\x2a" + b"\x88\x64" + REST,
    ADDRESSES + b"\x88\xa8\x00\x2b\x81\x00\x00\x2a" + IP,
    ADDRESSES + b"\x81\x00\x00\x2b\x81\x00\x00\x2a" + IP,
    ADDRESSES + b"\x91\x00\x00\x2b\x81\x00\x00\x2a" + IP,
    LINK_LOCAL + b"\x81\x00\x00\x2a" + b"\x88\xcc" + REST,
]

out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((sys.argv[1], 0))
times = int(sys.argv[2])
for _ in range(times):
    for frame in KINDS:
        out.send(frame)
print("sent", times * len(KINDS))
