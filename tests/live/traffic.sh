# SPDX-License-Identifier: BSD-2-Clause
#
# For tests on live interfaces, after lib.sh: programs that people use talk over the cable, servers
# here, clients at the peer's, over IPv4 and IPv6. HTTP, DNS (UDP, TCP), SSH, iperf3 (TCP both ways,
# UDP), datagrams large enough for fragments, IPv6 extension headers, tagged frames.
#
# Nothing of the machine's own configuration is read; keys are made for the occasion.

traffic_prepare() {
	mkdir -p www ssh
	{ echo "<html>www</html>"; head -c 300000 /dev/urandom; } > www/page
	ssh-keygen -q -t ed25519 -N '' -f ssh/host_key
	ssh-keygen -q -t ed25519 -N '' -f ssh/user_key
	cp ssh/user_key.pub ssh/authorized_keys
	echo "peer $(cut -d ' ' -f 1,2 ssh/host_key.pub)" > ssh/known_hosts
	cat > ssh/sshd_config <<- END
		Port 2222
		HostKey $scratch/ssh/host_key
		AuthorizedKeysFile $scratch/ssh/authorized_keys
		PidFile none
		UsePAM no
		StrictModes no
		PermitRootLogin prohibit-password
	END
	cat > dnsmasq.conf <<- END
		no-resolv
		no-hosts
		bind-interfaces
		listen-address=10.9.0.1,fd09::1
		user=root
		pid-file=
		host-record=www.test,10.9.0.1,fd09::1
		txt-record=long.test,$(printf 'x%.0s' {1..250}),$(printf 'y%.0s' {1..250}),$(printf 'z%.0s' {1..250})
	END
}

servers=()
# Programs in the background, their output in FILE.
serve() { # FILE COMMAND...
	local output=$1
	shift
	rm -f "$output"
	"$@" > "$output" 2>&1 &
	servers+=($!)
}

port_is_open() { # PORT
	ss -Hltn "sport = :$1" | grep -q .
}

traffic_servers_start() {
	[ -d www ] || traffic_prepare
	serve talk.out python3 "$MAPI_SOURCE/tests/live/talk.py" serve www
	serve dnsmasq.out dnsmasq --keep-in-foreground --conf-file=dnsmasq.conf
	# It wants a directory in /run, which need not be the machine's.
	serve sshd.out unshare -m sh -c \
		'mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f "$0"' \
		"$scratch/ssh/sshd_config"
	serve iperf3.out iperf3 -s --forceflush
	await "an HTTP server" grep -q ready talk.out
	await "a DNS server" port_is_open 53
	await "an SSH server" port_is_open 2222
	await "an iperf3 server" port_is_open 5201
}

traffic_servers_stop() {
	kill "${servers[@]}"
	wait "${servers[@]}" 2> /dev/null
	servers=()
}

# answer ADDRESS NAME TYPE OPTIONS of dig
answer() {
	peer_run dig +short +tries=1 +time=5 "@$1" "$2" "$3" "${@:4}"
}

traffic_ask() { # ADDRESS
	local address=$1 host=$1
	[[ $address != *:* ]] || host="[$address]"
	peer_run python3 "$MAPI_SOURCE/tests/live/talk.py" ask "$address" || fail "talk with $address"
	peer_run curl -sS --max-time 10 -o page "http://$host:8080/page" || fail "HTTP from $address"
	equal "DNS from $address: A" "$(answer "$address" www.test A)" 10.9.0.1
	equal "DNS from $address: AAAA" "$(answer "$address" www.test AAAA)" fd09::1
	equal "DNS from $address: over TCP" "$(answer "$address" www.test A +tcp)" 10.9.0.1
	equal "DNS from $address: truncated, then over TCP" \
		"$(answer "$address" long.test TXT +noedns | wc -c)" 759
	equal "SSH to $address" "$(peer_run ssh -F none -p 2222 -i ssh/user_key -o BatchMode=yes \
		-o HostKeyAlias=peer -o UserKnownHostsFile=ssh/known_hosts -o ConnectTimeout=10 \
		"root@$address" "echo it is you; head -c 100000 /dev/zero" | wc -c)" 100010
	for options in "-n 1M" "-n 1M -R" "-u -b 20M -n 200K"; do
		# shellcheck disable=SC2086
		peer_run iperf3 -c "$address" $options > iperf3.client 2>&1 ||
			fail "iperf3 $options to $address: $(cat iperf3.client)"
	done
}

traffic() {
	traffic_servers_start
	traffic_ask 10.9.0.1
	traffic_ask fd09::1
	peer_run python3 "$MAPI_SOURCE/tests/live/talk.py" extensions fd09::1 || fail "extension headers"
	peer_run "$BLAST" cable1 500 --vlan > /dev/null
	traffic_servers_stop
}
