/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What went wrong, for people and for programs.
 *
 * Inside the house a function returns 0, a negative errno or a positive outcome of its module.
 * Where the cause is something that a user can mend (a filter expression, an argument, a file),
 * the function also takes a struct error and fills it: the public MAPI code (include/mapi/errors.h)
 * and one sentence that names what was wrong and what to do.
 */
#ifndef MAPI_BASE_ERROR_H
#define MAPI_BASE_ERROR_H

#define ERROR_TEXT_BYTES 512

/**
 * struct error - a failure that is reported to a user
 * @code: public MAPI error code (mapi/errors.h), 0 while nothing has failed
 * @text: one sentence, no newline, empty while nothing has failed
 */
struct error {
	int code;
	char text[ERROR_TEXT_BYTES];
};

#define ERROR_INIT ((struct error){ .code = 0 })

/**
 * error_set() - record a failure; the first one wins
 * @err:  filled unless it holds a failure already; NULL is allowed and ignored
 * @code: public MAPI error code
 * @fmt:  printf format of the sentence; the text is cut at ERROR_TEXT_BYTES - 1
 *
 * Thread safety: @err belongs to the caller.
 *
 * Return: always -EINVAL, so that callers can write "return error_set(...)".
 */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * error_code_text() - the fixed text of a public MAPI error code
 * @code: public MAPI error code
 *
 * Return: a static string; for an unknown code "Unknown error".
 */
const char *error_code_text(int code);

#endif
