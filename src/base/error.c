/* SPDX-License-Identifier: BSD-2-Clause */
/* Failures as users see them: see error.h. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "mapi/errors.h"

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err || err->code)
		return -EINVAL;
	err->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap); /* a cut sentence is still useful */
	va_end(ap);
	return -EINVAL;
}

const char *error_code_text(int code)
{
	static const struct {
		int code;
		const char *text;
	} texts[] = {
#define ERROR_ROW(name, number, text) { number, text },
		MAPI_ERRORS(ERROR_ROW)
#undef ERROR_ROW
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].code == code)
			return texts[i].text;
	return "Unknown error";
}
