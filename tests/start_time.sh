#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# From nothing to the result of a file of ten packets, daemon included: below 20 ms.
. "$(dirname "$0")/lib.sh"
"$START_TIME" 20 "$MAPI" run -q -r "$OWN/ten.pcap" tcp || fail "code $?"
finish
