#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# examples/passive_ftp.c live: a client fetches files from an FTP server over the loopback interface;
# what the example counts of each data connection is what tcpdump has recorded of it, and what the
# example says of the recording.
. "$(dirname "$0")/lib.sh"
/usr/bin/python3 -c 'import pyftpdlib' 2> /dev/null || skip "no python3-pyftpdlib here"

tcpdump -i lo -U -s 0 -w ftp.pcap 2> tcpdump.err &
dump=$!
await "tcpdump" grep -q listening tcpdump.err
cat > ftp.py << 'PYTHON'
import ftplib, os, subprocess, sys, threading
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

sizes = [20000, 1, 0, 7]
for i, size in enumerate(sizes):
    with open(f"file{i}", "wb") as out:
        out.write(b"x" * size)
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_anonymous(os.getcwd())
FTPHandler.log = FTPHandler.logline = lambda *arguments, **named: None
server = FTPServer(("127.0.0.1", 21), FTPHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()

example = subprocess.Popen([sys.argv[1], "-i", "lo"], stdout=subprocess.PIPE, text=True)
lines = []
def expect(line):
    """Read lines until this one: live, a flow sees what comes after it was connected."""
    while not lines or lines[-1] != line:
        got = example.stdout.readline()
        if not got:
            sys.exit(f"passive_ftp ended before '{line}'")
        lines.append(got.rstrip("\n"))

class Client(ftplib.FTP):
    def makepasv(self):
        host, port = super().makepasv()
        expect(f"{host}:{port} is announced")
        return host, port

expect("waiting for FTP on lo")
for files in ([0, 1], [2, 3]):
    with Client("127.0.0.1") as client:
        client.login()
        for i in files:
            got = []
            client.retrbinary(f"RETR file{i}", got.append)
            assert len(b"".join(got)) == sizes[i]
        client.quit()
while sum("<->" in line for line in lines) < len(sizes):
    lines.append(example.stdout.readline().rstrip("\n"))
example.terminate()
lines += example.stdout.read().splitlines()
assert example.wait() == 0, example.returncode
print(*[line for line in lines if "<->" in line], sep="\n")
PYTHON
timeout 60 /usr/bin/python3 ftp.py "$MAPI_BUILD/examples/passive_ftp" > live 2> err || fail "ftp.py: $(cat err)"
marker() {
	echo marker > /dev/udp/127.0.0.1/9
	tcpdump -nr ftp.pcap udp port 9 2> /dev/null | grep -q .
}
await "the end of the recording" marker
kill -INT "$dump"
wait "$dump"
equal "transfers" "$(wc -l < live)" 4
"$MAPI_BUILD/examples/passive_ftp" -r ftp.pcap > file || fail "passive_ftp -r"
cmp live file || fail "live and recording differ: $(diff live file)"
while read -r _ _ place packets _ bytes _; do
	port=${place##*:}
	equal "$place" "${packets} ${bytes}" "$(tshark -r ftp.pcap -Y "tcp.port == ${port%:}" -T fields -e frame.len 2> /dev/null |
		awk '{ n++; sum += $1 } END { print n, sum }')"
done < <(sed 's/: / /' live)
finish
