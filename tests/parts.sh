#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Optional parts of the build: what is there works; what was left out is listed by "mapi --version"
# and "mapi doctor" with its switch, and whoever wants it gets an error that names the switch. The
# rest works without. .ci/run off runs this on a build with everything off.
. "$(dirname "$0")/lib.sh"
capture=$OWN/http.pcap
"$MAPI" --version > version || fail "mapi --version"
"$MAPI" doctor --json > doctor.json

without() { # OPTION
	grep -q "^without $1: .*-D$1=enabled" version
}

for option in vectorscan pcre2 zlib zstd lzma lz4 kernel pcap-live; do
	grep -q "option('$option', type: 'feature', value: 'auto'" "$MAPI_SOURCE/meson_options.txt" ||
		fail "$option is no option"
	if without $option; then
		grep -q "\"text\":\"without $option\".*-D$option=enabled" doctor.json ||
			fail "mapi doctor does not miss $option"
	elif grep -q "without $option" doctor.json; then
		fail "mapi doctor misses $option"
	fi
done

equal "packets" "$("$MAPI" run -r "$capture" --json PKT_COUNTER | json_values | cut -f 2)" 79
equal "strings" "$("$MAPI" run -r "$capture" --json 'STR_SEARCH("GET /||HTTP/1") | PKT_COUNTER' |
	json_values | grep PKT_COUNTER | cut -f 2)" \
	"$(tshark -r "$capture" -Y 'frame contains "GET /" or frame contains "HTTP/1"' 2> /dev/null | wc -l)"

# REGEXP: on the command line and in a program.
"$MAPI" run -r "$capture" 'REGEXP("GET /") | PKT_COUNTER' > out 2> err
code=$?
cat > apply.py << 'PYTHON'
import ctypes, sys
mapi = ctypes.CDLL(sys.argv[1])
fd = mapi.mapi_create_offline_flow(sys.argv[2].encode(), 0)
fid = mapi.mapi_apply_function(fd, b"extraflib:REGEXP", b"GET /")
code, text = ctypes.c_int(), ctypes.create_string_buffer(512)
mapi.mapi_read_error(ctypes.byref(code), text)
print("applied" if fid > 0 else "%d %s" % (code.value, text.value.decode()))
mapi.mapi_close_flow(fd)
PYTHON
program() {
	[ -z "${SANITIZED-}" ] || return 0
	got=$(python3 apply.py "$MAPI_BUILD/src/client/libmapi.so" "$capture")
	[[ $got =~ $1 ]] || fail "REGEXP in a program: '$got'"
}
if without pcre2; then
	equal "REGEXP's exit code" $code 2
	grep -q "has no REGEXP" err && grep -q "Dpcre2=enabled" err || fail "REGEXP: $(cat err)"
	"$MAPI" functions REGEXP 2>&1 | grep -q "Dpcre2=enabled" || fail "mapi functions REGEXP"
	program '^6144 .* has no REGEXP; .*-Dpcre2=enabled$'
else
	equal "REGEXP" "$(tr -s ' ' < out)" "PKT_COUNTER 6 packets"
	program '^applied$'
fi

# Compressed captures.
for format in gzip:zlib zstd:zstd xz:lzma lz4:lz4; do
	program=${format%:*} option=${format#*:}
	command -v "$program" > /dev/null || fail "there is no program $program"
	"$program" -qc < "$capture" > "capture.$program"
	for how in "capture.$program" -; do
		"$MAPI" run -r "$how" PKT_COUNTER < "capture.$program" > out 2> err
		code=$?
		if without "$option"; then
			[ $code != 0 ] && grep -q "compressed by $program, .*-D$option=enabled" err ||
				fail "$how by $program: $code $(cat err)"
		else
			equal "$how by $program" "$(tr -s ' ' < out)" "PKT_COUNTER 79 packets"
		fi
	done
	if without "$option"; then
		sed -n 2p version | grep -qw "$program" && fail "mapi --version claims to read $program"
	else
		sed -n 2p version | grep -qw "$program" || fail "mapi --version does not know $program"
	fi
done

if without pcap-live; then
	"$MAPI" run -i pcap:nothing 2>&1 | grep -q "Dpcap-live=enabled" || fail "pcap-live"
fi
finish
