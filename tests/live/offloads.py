#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Turn on or off what makes one captured packet of several on the wire: offloads.py INTERFACE on|off.
Or have VLAN tags left in packets that come in: offloads.py INTERFACE tags.

The ioctls of ethtool(8) for GRO, GSO, TSO and checksum offload, and for flags."""
import array
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO = (
    0x17, 0x15, 0x1F, 0x24, 0x2C)

ETHTOOL_GFLAGS, ETHTOOL_SFLAGS, ETH_FLAG_RXVLAN = 0x25, 0x26, 1 << 8


def ask(control, command, number):
    value = array.array("B", struct.pack("II", command, number))
    address, _ = value.buffer_info()
    fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP16x", sys.argv[1].encode(), address))
    return struct.unpack("II", value)[1]


if sys.argv[2] == "tags":
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        ask(control, ETHTOOL_SFLAGS, ask(control, ETHTOOL_GFLAGS, 0) & ~ETH_FLAG_RXVLAN)
    sys.exit()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    for command in (ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO):
        try:
            ask(control, command, sys.argv[2] == "on")
        except OSError as error:
            if command in (ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO):
                sys.exit(f"{sys.argv[1]}: command {command:#x}: {error}")
