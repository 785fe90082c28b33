#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# As a new user meets it: in a terminal of 80 columns and 24 lines (tmux), with Ctrl-C, without
# rights. Nothing that is printed is wider than the terminal but sentences, and nothing is left of a
# program that was ended. Transcripts are printed, for people to read.
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
cp "$OWN/http.pcap" http.pcap && cp "$OWN/http-cut-record.pcap" cut.pcap || exit 1
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

show() { # COMMAND PATTERN [KEY PATTERN]...: type it, wait for what it shows, press keys
	shown=$1
	terminal send-keys -R
	terminal clear-history
	terminal send-keys "clear; $1; echo \"exit status \$?.\"" Enter
	shift
	await "$1"
	shift
	while [ $# -gt 0 ]; do
		terminal send-keys "$1"
		await "$2"
		shift 2
	done
	printf '== %s\n' "$shown"
	sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' screen.txt
}

show "mapi top -i lo" "all packets\|packets" q "^exit status 0\.$"
show "mapi top -i lo" "packets" C-c "^exit status \(0\|130\)\.$"
show "mapi run -i lo" "listening on lo" C-c "^exit status 0\.$"
show "mapi dump -i lo" "listening on lo" C-c "^exit status 0\.$"
show "mapi util -i lo" "listening on lo" C-c "^exit status 0\.$"
for verb in top run dump util; do
	show "mapi $verb -i no-such-device" "^exit status 4\.$"
	show "mapi $verb -r cut.pcap > /dev/null" "damaged at offset 18896"
	await "^exit status 4\.$"
done
show "mapi dump -r http.pcap | head -3" "^exit status 0\.$"
if setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$MAPI" 2> /dev/null; then
	for verb in top run dump util; do
		show "setpriv --reuid 65534 --regid 65534 --clear-groups mapi $verb -i lo" "^exit status 3\.$"
		grep -qi "root\|group\|right\|permi" screen.txt || fail "$verb: what is missing is not said"
	done
else
	echo "the program is where another user cannot run it: without rights is in live-cli"
fi
# Tables fit into the terminal.
for line in "mapi functions" "mapi functions STATS" "mapi flows" "mapi devices" \
	"mapi util -r http.pcap --link-speed 10M" "mapi explain tcp" "mapi help util"; do
	show "$line" "^exit status 0\.$"
	wide=$(sed 's/ *$//' screen.txt | grep '.\{81\}')
	[ -z "$wide" ] || fail "$line: wider than 80: $wide"
done
equal "terminal afterwards" "$(terminal display-message -p '#{alternate_on} #{cursor_flag}')" "0 1"
finish
