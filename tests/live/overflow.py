# SPDX-License-Identifier: BSD-2-Clause
#
# Sends frames of 65,549 bytes, of UDP datagrams from 10.8.0.2 to 10.7.0.9.
#
# usage: overflow.py INTERFACE MAC NUMBER     MAC: whose they are
import errno
import socket
import struct
import sys


def checksum(words):
    total = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


name, mac, number = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", "")), int(sys.argv[3])
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.bind((name, 0))
data = bytes(65507)
for i in range(number):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(data), i, 0, 64, 17, 0,
                       socket.inet_aton("10.8.0.2"), socket.inet_aton("10.7.0.9"))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    udp = struct.pack("!HHHH", 9, 9, 8 + len(data), 0)
    while True:
        try:
            sender.send(mac + bytes(6) + b"\x08\x00" + head + udp + data)
            break
        except OSError as e:  # the queue is still full of the fragments before
            if e.errno != errno.ENOBUFS:
                raise
