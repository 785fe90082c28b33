#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Two programs that talk.

talk.py serve DIRECTORY   an HTTP server on port 8080 and an echo of datagrams on port 9053, IPv4 and
                          IPv6; prints "ready"
talk.py ask ADDRESS       three pages, forty datagrams of up to 4,000 bytes
talk.py extensions ADDRESS    datagrams behind IPv6 extension headers
talk.py segments ADDRESS...   datagrams that leave in hundreds as one packet (UDP GSO)
"""
import functools
import http.server
import socket
import socketserver
import sys
import threading
import urllib.request

HTTP, ECHO = 8080, 9053
UDP_SEGMENT = 103  # linux/udp.h


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def echo(sock):
    while True:
        data, source = sock.recvfrom(65536)
        sock.sendto(data, source)


def serve(directory):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=directory)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", ECHO))
    threading.Thread(target=echo, args=(sock,), daemon=True).start()
    with Server(("::", HTTP), handler) as server:
        print("ready", flush=True)
        server.serve_forever()


def ask(address):
    host = f"[{address}]" if ":" in address else address
    for _ in range(3):
        page = urllib.request.urlopen(f"http://{host}:{HTTP}/page", timeout=10).read()
        assert page.startswith(b"<html>www"), page[:20]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        for i in range(40):
            sock.sendto(b"x" * (i * 100 + 1), (address, ECHO))
            assert len(sock.recv(65536)) == i * 100 + 1


def extensions(address):
    padding = bytes([0, 0, 1, 4, 0, 0, 0, 0])  # next header, length, PadN (RFC 8200)
    headers = [(option, padding)
               for option in (socket.IPV6_HOPOPTS, socket.IPV6_DSTOPTS, socket.IPV6_RTHDRDSTOPTS)]
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        for i in range(60):
            control = [(socket.IPPROTO_IPV6, *header)
                       for bit, header in enumerate(headers) if i + 1 >> bit & 1]
            sock.sendmsg([b"e" * (i * 60 + 1)], control, 0, (address, ECHO))
            assert len(sock.recv(65536)) == i * 60 + 1


def segments(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 500)
        for i in range(100):
            sock.sendto(b"x" * (500 * 40 + i), (address, ECHO))


if sys.argv[1] == "serve":
    serve(sys.argv[2])
elif sys.argv[1] == "ask":
    ask(sys.argv[2])
elif sys.argv[1] == "extensions":
    extensions(sys.argv[2])
else:
    for receiver in sys.argv[2:]:
        segments(receiver)
