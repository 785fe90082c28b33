# SPDX-License-Identifier: BSD-2-Clause
#
# For tests on live interfaces: source it first, it sources ../lib.sh. The script runs again in a
# network namespace of its own, with a pair of veth interfaces: what enters cable1 comes out of cable0.
# Needs root, else the test is skipped. More from tests/meson.build: MAPID, BLAST.
#
# Programs use the system daemon that daemon_start starts, and a private one before (MAPI_SOCKET).
. "$(dirname "$0")/../lib.sh"

[ "$(id -u)" = 0 ] || skip "needs root for a network namespace of its own"
if [ -z "${MAPI_LIVE_INSIDE-}" ]; then
	unshare -n true 2>/dev/null || skip "no network namespaces here"
	cd / && rm -rf "$scratch"
	exec env MAPI_LIVE_INSIDE=1 unshare -n bash ${MAPI_LIVE_TRACE-} "$0" "$@"
fi
export MAPI_SOCKET=
for name in net.ipv6.conf.all.disable_ipv6 net.ipv6.conf.default.disable_ipv6; do
	[ ! -e "/proc/sys/${name//.//}" ] || echo 1 > "/proc/sys/${name//.//}" # nobody else sends
done
ip link set lo up
ip link add cable0 type veth peer name cable1 || skip "no veth interfaces here"
ip link set cable0 up
ip link set cable1 up
daemon=

daemon_config() { # LINES of mapi.conf, beside the sockets
	printf '%s\n' "socket_path=$scratch/run/mapid.sock" \
		"read_only_socket_path=$scratch/run/mapid-read.sock" user=nobody "$@" \
		> "$scratch/mapi.conf"
}

await_s=10
await() { # WHAT COMMAND...: until the command succeeds, at most $await_s seconds
	local what=$1 n status before=$failures
	shift
	for ((n = 0; n < 100 * await_s; n++)); do
		"$@" > "$scratch/await.out" 2>&1
		status=$?
		[ "$failures" = "$before" ] || cat "$scratch/await.out" # what it has found wrong itself
		[ "$status" != 0 ] || return 0
		before=$failures
		read -r -t 0.01 <> <(:)
	done
	fail "$what: waited for $await_s seconds"
	cat "$scratch/await.out"
	return 1
}

daemon_serves() {
	MAPI_SOCKET=$scratch/run/mapid.sock "$MAPI" flows
}

daemon_under=() # a command that the daemon is started with
daemon_start() {
	[ -e "$scratch/mapi.conf" ] || daemon_config group=root
	chmod 755 "$scratch"
	"${daemon_under[@]}" "$MAPID" -f "$scratch/mapi.conf" 2>> "$scratch/daemon.log" &
	daemon=$!
	export MAPI_SOCKET=$scratch/run/mapid.sock
	await "the daemon" daemon_serves
}

# Another daemon, whose programs have MAPI_SOCKET=$scratch/second/mapid.sock. As mapi.conf says, but
# for the sockets and engine=.
second=
second_start() { # ENGINE
	sed "s,/run/,/second/,; /^engine=/d; s/^\[driver\]$/&\nengine=$1/" mapi.conf > second.conf
	"$MAPID" -f "$scratch/second.conf" 2>> second.log &
	second=$!
	companions+=($second)
	await "the second daemon" test -e second/mapid.sock
}

second_stop() {
	kill "$second"
	wait "$second"
	equal "exit status of the second daemon" $? 0
}

# The process that serves: the youngest child of the one that was started that lives and is not one of
# those that open devices.
engine_pid() {
	local pid name state youngest=
	for pid in $(cat "/proc/$daemon/task/$daemon/children"); do
		read -r name state < <(sed 's/^[0-9]* (\(.*\)) \(.\).*/\1 \2/' "/proc/$pid/stat" 2> /dev/null)
		[ -z "$state" ] || [ "$state" = Z ] || [ "$name" = mapid-open ] || youngest=$pid
	done
	echo "$youngest"
}

daemon_stop() {
	kill "$daemon"
	wait "$daemon"
	equal "exit status of the daemon" $? 0
	daemon=
	export MAPI_SOCKET=
}

# Packet sockets of this namespace.
packet_sockets() {
	tail -n +2 /proc/net/packet | wc -l
}

nobody_captures() {
	[ "$(packet_sockets)" = 0 ]
}

flows_running() { # N
	[ "$("$MAPI" flows --json | grep -c '"status":"active"')" = "$1" ]
}

companions=() # further processes that end with the test
live_end() {
	local status=$? pid
	for pid in "$daemon" "${peer-}" "${companions[@]}"; do
		[ -z "$pid" ] || kill "$pid" 2> /dev/null
	done
	wait
	cd /
	rm -rf "$scratch"
	exit $status
}
trap live_end EXIT

# ---- a second host, at the other end of the cable ----

peer=
peer_start() { # it has cable1 with 10.9.0.2 and fd09::2; here cable0 gets 10.9.0.1 and fd09::1
	unshare -n sleep 1000 &
	peer=$!
	await "a second namespace" peer_is_there
	echo 0 > /proc/sys/net/ipv6/conf/cable0/disable_ipv6
	ip link set cable1 netns "$peer"
	ip address add 10.9.0.1/24 dev cable0
	ip -6 address add fd09::1/64 dev cable0 nodad
	peer_run ip link set lo up
	peer_run ip link set cable1 up
	peer_run ip address add 10.9.0.2/24 dev cable1
	peer_run ip -6 address add fd09::2/64 dev cable1 nodad
	# Nobody asks for addresses in the middle of a test.
	local here there
	here=$(ip -br link show cable0 | awk '{ print $3 }')
	there=$(peer_run ip -br link show cable1 | awk '{ print $3 }')
	ip neighbour replace 10.9.0.2 lladdr "$there" dev cable0 nud permanent
	ip neighbour replace fd09::2 lladdr "$there" dev cable0 nud permanent
	peer_run ip neighbour replace 10.9.0.1 lladdr "$here" dev cable1 nud permanent
	peer_run ip neighbour replace fd09::1 lladdr "$here" dev cable1 nud permanent
	# What a fresh interface says by itself (router solicitations, group reports) is said first.
	for side in "" peer_run; do
		$side bash -c 'for f in /proc/sys/net/ipv6/conf/cable*/router_solicitations; do echo 0 > $f; done'
	done
	[ "${1-}" = offloads ] && return
	python3 "$MAPI_SOURCE/tests/live/offloads.py" cable0 off
	peer_run python3 "$MAPI_SOURCE/tests/live/offloads.py" cable1 off
}

peer_is_there() {
	[ "$(readlink "/proc/$peer/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

peer_run() {
	nsenter -t "$peer" -n "$@"
}

# ---- the kernel tier ----

bpftool=$(command -v bpftool) || bpftool=

programs_of() { # PID: ids of programs that it holds
	sed -n 's/^prog_id:[[:space:]]*//p' "/proc/$1"/fdinfo/* 2> /dev/null | sort -u
}

no_programs() { # IDS: whether the kernel has none of them
	local id
	for id in "$@"; do
		! "$bpftool" prog show id "$id" > /dev/null 2>&1 || return 1
	done
}

# Why filters run in the daemon and not in the kernel, with engine=kernel; nothing: they do not.
tier_cause() {
	sed -n 's/^mapid: cable0: filters run in the daemon, not in the kernel: //p' daemon.log | head -1
}

kernel_has_tcx() { # Linux 6.6, by the kernel's own symbols
	grep -q ' tcx_prog_attach$' /proc/kallsyms
}

kernel_tells_super() { # whether packet sockets are told of super-packets (semantics P3): Linux 6.2
	[ "$(uname -r | awk -F '[.-]' '{ print $1 * 1000 + $2 }')" -ge 6002 ]
}

# ---- flows that count (tally.c) ----

tally_start() { # CHANGES FILTER...: until it says that it is ready; file descriptor 9 keeps it
	rm -f tally.out tally.go
	mkfifo tally.go
	"$TALLY" ${tally_option-} "${tally_device-cable0}" "$@" < tally.go > tally.out &
	tally=$!
	exec 9> tally.go
	await "flows that count" grep -q ready tally.out || cat daemon.log
}

tally_end() {
	await "flows that come and go" grep -q changed tally.out
	exec 9>&-
	wait "$tally" || fail "tally has failed"
}

tally_report() { # N: what flow number N (from 1) says
	grep '^flow' tally.out | sed -n "$1s/^flow [0-9]* //p"
}

# Why no function runs in the kernel; nothing: some do.
tally_cause() {
	sed -n 's/^tier.*user: //p' tally.out | sort -u | head -1
}

# With losses: counted and lost together are what was sent, and a flow is not told of less.
tally_accounts() { # WHAT PACKETS N...
	local n what=$1 packets=$2
	shift 2
	for n in "$@"; do
		equal "$what: flow $n, counted and lost" \
			"$(tally_report "$n" | awk '{ print $2 + $10 }')" "$packets"
	done
}

# Whether the command prints what it has printed for 1.5 seconds.
is_still() { # COMMAND...
	local now
	now=$("$@")
	if [ "$now" != "${still_before-}" ]; then
		still_before=$now
		still_since=$EPOCHREALTIME
		return 1
	fi
	[ $((${EPOCHREALTIME/./} - ${still_since/./})) -gt 1500000 ]
}

cable_counters() {
	ip -s link show cable0
}

# ---- filters as tcpdump has them ----

dumps_start() { # INTERFACE FILTER...: until each listens
	local interface=$1 filter i
	shift
	dumps=()
	for filter; do
		tcpdump -i "$interface" -w - "$filter" > /dev/null 2> "dump${#dumps[@]}.err" &
		dumps+=($!)
		companions+=($!)
	done
	for i in "${!dumps[@]}"; do
		await "tcpdump" grep -q listening "dump$i.err" || skip "tcpdump: $(cat "dump$i.err")"
	done
}

dumps_end() { # prints how many packets the kernel has given to each
	local i
	kill "${dumps[@]}"
	wait "${dumps[@]}"
	for i in "${!dumps[@]}"; do
		sed -n 's/ packets received by filter//p' "dump$i.err"
	done
}

# ---- captures ----

# "captures": some that are sent over a cable: our own, and every fortieth of the others.
some_captures() {
	local more=()
	captures=("$OWN"/{http,dns,ftp,mail,vlan,ipv6,fragments}.pcap)
	if [ -d "$MAPI_PCAPS" ]; then
		mapfile -t more < <(readable_captures | awk 'NR % 40 == 0')
		captures+=("${more[@]}")
	fi
}

# ---- the end ----

# The daemon and its engine, which has programs in the kernel, are killed: nothing of it stays there.
kill_leaves_nothing() {
	local engine ids
	engine=$(engine_pid)
	ids=$(programs_of "$engine")
	[ -n "$ids" ] || fail "the engine holds no program: $(cat daemon.log)"
	! no_programs $ids || fail "bpftool does not know the programs of the engine: $ids"
	kill -KILL "$daemon" "$engine"
	await "nothing of it in the kernel" no_programs $ids && echo "ok: nothing is left of programs" $ids
	daemon=
}
