#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The product as it is installed, under a live systemd: users and directories, who gets in, every driver
# in spite of the unit's restrictions.
. "$MAPI_SOURCE/tests/vm/lib.sh"
packets=20000
chmod 755 .

active() {
	[ "$(systemctl is-active mapid)" = active ]
}

serves() {
	mapi flows
}

journal() {
	journalctl -q -o cat -u mapid
}

property() { # NAME
	systemctl show -p "$1" --value mapid
}

as() { # USER COMMAND...
	setpriv --reuid "$1" --regid "$(id -g "$1")" --init-groups "${@:2}"
}

install_product
equal "user and group" "$(id -gn mapi) $(getent passwd mapi | cut -d : -f 7)" "mapi /usr/sbin/nologin"
equal "the directory of the sockets" "$(stat -c '%U:%G %a' /run/mapi)" "root:root 755"
useradd -m -G mapi insider
useradd -m outsider
cable

# ---- starting ----
systemctl start mapid
equal "systemctl start" $? 0 # Type=notify: it has said that it serves
if ! active; then
	journal
	finish
fi
has "status" '^Serving' property StatusText
equal "control socket" "$(stat -c '%U:%G %a' /run/mapi/mapid.sock)" "root:mapi 660"
equal "read-only socket" "$(stat -c '%a' /run/mapi/mapid-read.sock)" 666
equal "the engine's user" "$(stat -c %U "/proc/$(engine)")" mapi
equal "the engine's capabilities" "$(sed -n 's/^CapEff:\t0*//p' "/proc/$(engine)/status")" ""
equal "the engine's system calls are filtered" "$(sed -n 's/^Seccomp:\t//p' "/proc/$(engine)/status")" 2

# ---- killed ----
serves_anew() { # AFTER PID
	[ "$(property MainPID)" != "$1" ] && active && serves
}
for ((n = 1; n <= 8; n++)); do # more often in 10 seconds than the manager allows by default
	main=$(property MainPID)
	kill -9 "$main"
	await "killed $n times, it serves again" 10 serves_anew "$main"
done

# ---- who gets in ----
has "a user of the group" 'no program of yours' as insider mapi flows
has "another user is told of the group" "group 'mapi'.*usermod -aG mapi" as outsider mapi run -i cable0 -q --duration 1
has "another user may look" '' as outsider mapi flows

# ---- every driver ----
burst="$BLAST cable1 $packets"
mkdir -p /etc/mapi
for engine in kernel user; do
	printf '[driver]\ndevice=cable0\nengine=%s\n' $engine > /etc/mapi/mapi.conf
	systemctl restart mapid
	equal "capture, engine=$engine" "$(counted cable0 "$burst" insider)" "$packets lost 0"
done
printf '[driver]\ndevice=cable0\ndirection=in\n[driver]\ndevice=lo\n' > /etc/mapi/mapi.conf
systemctl restart mapid
where() {
	"$BLAST" cable1 "$packets"
	bpftool net show dev cable0 > bpftool.out
}
equal "XDP" "$(counted cable0 where insider)" "$packets lost 0"
has "XDP was there" '^cable0.* (driver|generic) id ' cat bpftool.out
equal "it has gone" "$(bpftool net show dev cable0 | grep -c cable0)" 0
as insider mapi run -i cable0 -w /home/insider/recorded.pcap > record.out 2> record.err &
pid=$!
await "a recording begins" 20 listening record.err
$burst > /dev/null
sleep 0.5
kill -TERM $pid
wait $pid
equal "TO_FILE in a home that the unit does not see" \
	"$(stat -c %U /home/insider/recorded.pcap) $(tcpdump -nr /home/insider/recorded.pcap 2> /dev/null | wc -l)" \
	"insider $packets"
export MAPI_SOCKET=
counted pcap:cable0 "$burst" > pcap.out
unset MAPI_SOCKET
equal "libpcap, with root's own rights" "$(cat pcap.out)" "$packets lost 0"
equal "doctor" "$(mapi doctor > doctor.out 2>&1; echo $?)" 0
has "doctor knows the daemon" 'mapid|daemon' cat doctor.out
finish
