#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Turn on or off what makes one captured packet of several on the wire: offloads.py INTERFACE on|off.

The ioctls of ethtool(8) for GRO, GSO, TSO and checksum offload."""
import array
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO = (
    0x17, 0x15, 0x1F, 0x24, 0x2C)

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    for command in (ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO):
        value = array.array("B", struct.pack("II", command, sys.argv[2] == "on"))
        address, _ = value.buffer_info()
        try:
            fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP16x", sys.argv[1].encode(), address))
        except OSError as error:
            if command in (ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO):
                sys.exit(f"{sys.argv[1]}: command {command:#x}: {error}")
