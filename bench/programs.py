# SPDX-License-Identifier: BSD-2-Clause
"""Programs that stand at an interface in TCX, and the time that they take, by libbpf."""
import ctypes
import ctypes.util
import os
import re
import socket
import struct
from contextlib import contextmanager

TCX_INGRESS, TCX_EGRESS = 46, 47  # of enum bpf_attach_type
SCHED_CLS = 3                     # of enum bpf_prog_type
TCX_NEXT = -1
RUN_TIME = 0                      # of enum bpf_stats_type
PROGRAMS_MAX = 64                 # BPF_MPROG_MAX of the kernel


def library():
    """libbpf; None without it."""
    name = ctypes.util.find_library("bpf")
    return ctypes.CDLL(name, use_errno=True) if name else None


def attached(bpf, interface):
    """Identifiers of the programs in TCX, either direction. A kernel without TCX has none."""
    found = []
    for place in (TCX_INGRESS, TCX_EGRESS):
        ids, n = (ctypes.c_uint32 * PROGRAMS_MAX)(), ctypes.c_uint32(PROGRAMS_MAX)
        if bpf.bpf_prog_query(socket.if_nametoindex(interface), place, 0, None, ids, ctypes.byref(n)) == 0:
            found += ids[:n.value]
    return found


@contextmanager
def empty(bpf, interface):
    """A program that does nothing is there meanwhile, in both directions."""
    code = struct.pack("=BBhiBBhi", 0xb7, 0, 0, TCX_NEXT, 0x95, 0, 0, 0)  # r0 = TCX_NEXT; exit
    fds = [bpf.bpf_prog_load(SCHED_CLS, b"empty", b"BSD", code, ctypes.c_size_t(2), None)]
    try:
        for place in (TCX_INGRESS, TCX_EGRESS):
            fds.append(bpf.bpf_link_create(fds[0], socket.if_nametoindex(interface), place, None))
        if min(fds) < 0:
            raise OSError(ctypes.get_errno(), "an empty program")
        yield
    finally:
        for fd in fds:
            if fd >= 0:
                os.close(fd)


@contextmanager
def timed(bpf):
    """The kernel measures the time of all programs meanwhile, which itself takes time."""
    fd = bpf.bpf_enable_stats(RUN_TIME)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "bpf_enable_stats")
    try:
        yield
    finally:
        os.close(fd)


def run_time(bpf, ids):
    """(ns, runs) of these programs while they were timed, with the programs that they call"""
    total = [0, 0]
    for program in set(ids):  # one may stand at both places
        fd = bpf.bpf_prog_get_fd_by_id(program)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "bpf_prog_get_fd_by_id")
        try:
            with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
                told = dict(re.findall(r"^(\w+):\s+(\d+)$", file.read(), re.MULTILINE))
        finally:
            os.close(fd)
        total[0] += int(told["run_time_ns"])
        total[1] += int(told["run_cnt"])
    return tuple(total)
