#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Make a manual page of scdoc's language. scdoc sets a paragraph macro before and after every heading
# and table, where it means nothing and mandoc warns of it: take those out.
# usage: make-page.sh SCDOC PAGE.scd
set -eu
"$1" <"$2" | awk '
	function flush() {
		if (held != "")
			print held
		held = ""
	}
	/^\.(P|PP)$/ {
		if (!after_break)
			held = $0
		next
	}
	/^\.(SH|SS|TS|RS|RE|TE)/ { held = "" }
	{
		flush()
		print
		after_break = /^\.(SH|SS|TH|TE)/
	}
'
