#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The command line of mapid: what a configuration comes to, options of both ages, and what an
# ordinary user is told who starts it.
. "$(dirname "$0")/lib.sh"

told() { # WHAT STATUS WORDS COMMAND...: its exit status, and that it says these words
	local what=$1 status=$2 words=$3
	shift 3
	"$@" > out 2>&1 < /dev/null
	equal "$what: exit status" $? "$status"
	grep -qF -- "$words" out || fail "$what: '$words' is not in: $(< out)"
}

cat > mapi.conf << END
socket_path=$scratch/mapid.sock
read_only_socket_path=$scratch/mapid-read.sock
group=$(id -gn)
user=$(id -un)
any_interface=yes
[driver]
device=lo
devgroup=1
[driver]
device=cable0
devgroup=2
dedicated=yes
END

echo "== what a configuration comes to"
told "check" 0 "can be used: 2 devices" "$MAPID" --check-config mapi.conf
grep -q "engine=auto direction=in dedicated=yes discard=no promisc=yes snaplen=0 (all) ring_mb=default" out ||
	fail "the device is not described: $(< out)"
told "check with -f" 0 "can be used: 2 devices" "$MAPID" -f mapi.conf --check-config
told "check with =" 0 "can be used: 2 devices" "$MAPID" --check-config=mapi.conf
told "check of a group" 0 "can be used: 1 device," "$MAPID" -g 2 --check-config mapi.conf
told "check of a group, in this order" 0 "can be used: 1 device," "$MAPID" --check-config mapi.conf --devgroup=2
! grep -q "other interface" out || fail "other interfaces are served: $(< out)"
told "check of no group" 1 "mapi.conf: no section [driver] says devgroup=3" "$MAPID" -g 3 --check-config mapi.conf
told "start with no group" 1 "mapi.conf: no section [driver] says devgroup=3" "$MAPID" -f mapi.conf -g 3

echo "== options"
told "help" 0 "usage: mapid" "$MAPID" -h
told "version" 0 "mapid 0." "$MAPID" -v
for group in 0 -1 x 1x "" 99999999999; do
	told "group '$group'" 2 "-g $group: the number of a group is possible" "$MAPID" -g "$group"
done
told "an argument too many" 2 "'now' belongs to no option" "$MAPID" -s now
told "an option that there is not" 2 "usage: mapid" "$MAPID" --nothing

echo "== an ordinary user"
[ "$(id -u)" = 0 ] || finish
chmod 755 .
other=(setpriv --reuid 65533 --regid 65533 --clear-groups)
mkdir -m 755 run
sed "s,$scratch/,$scratch/run/," mapi.conf > other.conf
told "the sockets of root" 1 "is started by root ('sudo mapid', 'systemctl start mapid')" \
	"${other[@]}" "$MAPID" -f other.conf
grep -qF "socket_path=" out || fail "a way of one's own is not told: $(< out)"
finish
