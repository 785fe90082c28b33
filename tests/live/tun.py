#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""An interface without Ethernet, whose packets begin with their IP header.

usage: tun.py INTERFACE

Makes it, says "ready", and for each line "N" of the standard input has N packets of UDP over IPv4 and
N over IPv6 come in there, of 100 bytes each; then it says "sent".
"""
import fcntl
import os
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000
BYTES = 100

tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", sys.argv[1].encode(), IFF_TUN | IFF_NO_PI))
subprocess.run(["ip", "link", "set", sys.argv[1], "up"], check=True)
print("ready", flush=True)
for line in sys.stdin:
    for n in range(int(line)):
        udp = struct.pack("!HHHH", 10000 + n % 16, 9, BYTES - 20, 0)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, BYTES, n & 0xFFFF, 0, 64, 17, 0,
                         bytes([10, 1, 0, 1]), bytes([10, 1, 0, 2]))
        os.write(tun, (ip + udp).ljust(BYTES, b"\0"))
        udp = struct.pack("!HHHH", 10000 + n % 16, 9, BYTES - 40, 0)
        ip6 = struct.pack("!IHBB16s16s", 6 << 28, BYTES - 40, 17, 64,
                          bytes([0xFD] + 14 * [0] + [1]), bytes([0xFD] + 14 * [0] + [2]))
        os.write(tun, (ip6 + udp).ljust(BYTES, b"\0"))
    print("sent", flush=True)
