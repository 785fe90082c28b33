#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# In a terminal of 80 columns and 24 lines (tmux): "mapi top" gives it back as it was, and tables fit
# into it. What else happens there is in docs/command-line.md (live-command-line).
. "$(dirname "$0")/lib.sh"

command -v tmux > /dev/null || skip "tmux is not installed"
[ "$(id -u)" = 0 ] || skip "needs root for a network namespace of its own"
if [ "${1-}" != inside ]; then
	unshare -n true 2> /dev/null || skip "no network namespaces here"
	exec unshare -n "$MAPI_SOURCE/tests/screen.sh" inside
fi
ip link set lo up
export MAPI_SOCKET= PS1='$ ' TERM=screen
PATH=$(dirname "$MAPI"):$PATH
terminal() { tmux -L "mapi-$$" -f /dev/null "$@"; }
trap 'terminal kill-server 2> /dev/null; cd /; rm -rf "$scratch"' EXIT
cp "$OWN/http.pcap" http.pcap || exit 1
terminal new-session -d -x 80 -y 24 "bash --norc --noprofile" || skip "tmux makes no session"

# Lines that the terminal has broken are joined: as long as they were printed.
await() { # PATTERN: until the screen shows it
	local n
	for ((n = 0; n < 500; n++)); do
		terminal capture-pane -J -p > screen.txt
		grep -q -- "$1" screen.txt && return 0
		read -r -t 0.02 <> <(:)
	done
	fail "$shown: '$1' does not appear: $(cat screen.txt)"
}

show() { # COMMAND PATTERN [KEY PATTERN]...: type it, wait for what it shows, press keys; !COMMAND: run that
	shown=$1
	terminal send-keys -R
	terminal clear-history
	terminal send-keys "clear; $1; echo \"exit status \$?.\"" Enter
	shift
	await "$1"
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		!*) ${1#!} ;;
		*) terminal send-keys "$1" ;;
		esac
		await "$2"
		shift 2
	done
	printf '== %s\n' "$shown"
	sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' screen.txt
}

show "mapi top -i lo" "^q quit" q "^exit status 0\.$"
equal "terminal after q" "$(terminal display-message -p '#{alternate_on} #{cursor_flag}')" "0 1"
show "mapi top -i lo" "^q quit" C-c "^exit status 0\.$"
equal "terminal after Ctrl-C" "$(terminal display-message -p '#{alternate_on} #{cursor_flag}')" "0 1"
# A filter that is typed: counting begins anew, with what it means. One that is wrong changes nothing.
datagrams() {
	for port in 5000 5001 5002; do
		printf x > /dev/udp/127.0.0.1/$port
	done
}
show "mapi top -i lo" "^q quit" !datagrams "^[1-9][0-9]* packets" / "^filter: _" \
	"udp port 5001" "^filter: udp port 5001_" Enter "^mapi top  lo .*  filter: udp port 5001" \
	!datagrams "^1 packets, 43 bytes" / "^filter: udp port 5001_" " or" "^filter: udp port 5001 or_" \
	Enter "can't parse filter" !datagrams "^2 packets, 86 bytes" q "^exit status 0\.$"
# Tables fit into the terminal.
for line in "mapi functions" "mapi functions STATS" "mapi flows" "mapi devices" \
	"mapi util -r http.pcap --link-speed 10M" "mapi explain tcp" "mapi help util"; do
	show "$line" "^exit status 0\.$"
	wide=$(sed 's/ *$//' screen.txt | grep '.\{81\}')
	[ -z "$wide" ] || fail "$line: wider than 80: $wide"
done
finish
