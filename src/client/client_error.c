/* SPDX-License-Identifier: BSD-2-Clause */
/* The error of each thread: what mapi_read_error() gives. */
#include <stdio.h>
#include <string.h>

#include "client.h"

/* Initial-exec: reached without a call that might allocate, so handlers may fail, too. */
static __thread struct error client_last_error __attribute__((tls_model("initial-exec")));

_Static_assert(ERROR_TEXT_BYTES == MAPI_ERRORSTR_LENGTH, "texts are not cut on their way out");

int client_fail(int code, const char *fmt, ...)
{
	va_list ap;

	client_last_error.code = code;
	va_start(ap, fmt);
	(void)vsnprintf(client_last_error.text, sizeof(client_last_error.text), fmt, ap);
	va_end(ap);
	return -1;
}

int client_fail_error(const struct error *err)
{
	if (err->code == 0)
		return client_fail(MAPI_CONNECT, "%s", error_code_text(MAPI_CONNECT));
	client_last_error = *err;
	return -1;
}

void client_clear_error(void)
{
	client_last_error.code = 0;
	client_last_error.text[0] = '\0';
}

int client_error_code(void)
{
	return client_last_error.code;
}

void client_take_error(struct error *ret)
{
	*ret = client_last_error;
	client_clear_error();
}

int mapi_read_error(int *err_no, char *errorstr)
{
	if (!err_no && !errorstr)
		return -1;
	if (err_no)
		*err_no = client_last_error.code;
	if (errorstr)
		memcpy(errorstr, client_last_error.text, strlen(client_last_error.text) + 1);
	client_clear_error();
	return 0;
}
