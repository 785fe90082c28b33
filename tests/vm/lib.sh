# SPDX-License-Identifier: BSD-2-Clause
#
# For the checks in a virtual machine, which have it to themselves: installs the product as it is built,
# and waits for what happens.
. "$MAPI_SOURCE/tests/lib.sh"

[ -c "${VM_MONITOR-}" ] || skip "only in a machine of tests/vm/run"

await() { # WHAT SECONDS COMMAND...: until the command succeeds
	local what=$1 end=$((SECONDS + $2))
	shift 2
	until "$@" > await.out 2>&1; do
		if [ $SECONDS -ge $end ]; then
			fail "$what: has not come"
			cat await.out
			return 1
		fi
		sleep 0.2
	done
	echo "ok: $what"
}

has() { # WHAT TEXT COMMAND...: the command says TEXT (a regular expression)
	local what=$1 text=$2 said
	shift 2
	said=$("$@" 2>&1)
	if grep -Eq -- "$text" <<< "$said"; then
		echo "ok: $what"
	else
		fail "$what: '$text' is not in: $said"
	fi
}

install_product() {
	meson install -C "$MAPI_BUILD" --no-rebuild --quiet > install.out 2>&1 || { fail "meson install"; cat install.out; }
	ldconfig
	systemd-sysusers
	systemd-tmpfiles --create
	systemctl daemon-reload
	MAPI=$(command -v mapi)
}

engine() { # its process: the child of the service's
	local main
	main=$(systemctl show -p MainPID --value mapid)
	cat "/proc/$main/task/$main/children" | cut -d ' ' -f 1
}

# A pair of interfaces that nobody else sends on: what enters cable1 comes out of cable0.
quiet() { # INTERFACE
	echo 1 > "/proc/sys/net/ipv6/conf/$1/disable_ipv6"
	ip link set "$1" arp off up
}

cable() {
	ip link add cable0 type veth peer name cable1
	quiet cable0
	quiet cable1
}

listening() { # FILE OF MESSAGES
	grep -q '^mapi: listening on' "$1"
}

# What a program counts of what the command sends: "PACKETS lost N".
counted() { # DEVICE "COMMAND" [USER [FILTER]]
	local pid
	rm -f count.out count.err
	setpriv --reuid "${3:-root}" --regid "$(id -g "${3:-root}")" --init-groups \
		"$MAPI" run --json -i "$1" ${4-} > count.out 2> count.err &
	pid=$!
	await "a program listens on $1" 20 listening count.err >&2 || cat count.err >&2
	eval "$2" > sent.out
	sleep 0.5 # a queue of the card
	kill -TERM $pid
	wait $pid
	python3 -c '
import json
rows = [json.loads(line) for line in open("count.out")]
row = next(row for row in rows if row["function"] == "PKT_COUNTER")
print(row["value"], "lost", sum(row["loss"].values()))'
}
