/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arguments of a function, from what a program passes to what the function gets: read by the
 * library, packed, unpacked by the engine and checked there. The other end is not believed: a
 * message as it comes from the wire is checked, too.
 *
 * Input: how, function, base of the flow numbers, allocation that fails; then a message, or a text
 * (for each argument a line) or numbers (eight bytes each) to be passed. Checked: what the engine
 * accepts is within the bounds that the description has, and all that is refused has a reason.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "client/client.h"
#include "fault.h"
#include "sensor/apply.h"
#include "tool/mapi/fake_functions.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

#define NUMBERS_MAX 8

static char client_reason[256];

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* The library's, without threads. */
int client_fail(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(client_reason, sizeof(client_reason), fmt, ap);
	va_end(ap);
	check(code != 0 && client_reason[0], "a refusal has a reason");
	return -1;
}

/* ---- the engine's side ---- */

static void check_value(const struct mapi_arg *arg, const struct function_value *value, bool has_fd)
{
	switch (arg->type) {
	case MAPI_ARG_FILE:
		check((value->fd >= 0) == has_fd, "descriptor");
		check(value->text != NULL && strlen(value->text) < 1u << 20, "text");
		break;
	case MAPI_ARG_STRING:
	case MAPI_ARG_REFS:
	case MAPI_ARG_FLOWS:
		check(value->text != NULL && strlen(value->text) < 1u << 20, "text");
		break;
	case MAPI_ARG_INT:
		check(value->number == (int)value->number, "an int");
		check(arg->min == arg->max ||
				(value->number >= arg->min && value->number <= arg->max),
			"bounds");
		break;
	case MAPI_ARG_ULL:
	case MAPI_ARG_CHAR:
	case MAPI_ARG_FLOW:
	case MAPI_ARG_FUNCTION:
		check(arg->min == arg->max ||
				(value->number >= arg->min && value->number <= arg->max),
			"bounds");
		break;
	}
}

static void engine_side(const struct mapi_function_desc *desc, const uint8_t *bytes, size_t n_bytes)
{
	Wire__FlowApply *args = wire__flow_apply__unpack(NULL, n_bytes, bytes);
	int fds[FUNCTION_ARGS_MAX];
	static struct apply_values values;
	struct error err = ERROR_INIT;
	unsigned int n_fds;

	if (!args)
		return;
	n_fds = apply_count_fds(desc, args);
	check(n_fds <= desc->n_args, "descriptors");
	for (unsigned int i = 0; i < n_fds; i++)
		fds[i] = (int)i;
	if (apply_check(&values, desc, args, fds, &err) == 0) {
		check(err.code == 0, "accepted with an error");
		for (unsigned int i = 0; i < desc->n_args; i++)
			check_value(&desc->args[i], &values.values[i], n_fds > 0);
	} else {
		check(err.code != 0 && err.text[0], "a refusal has a reason");
	}
	wire__flow_apply__free_unpacked(args, NULL);
}

/* ---- the library's side ---- */

/* Only this file is written to. */
static void keep_files_harmless(
	const struct mapi_function_desc *desc, struct arg *args, const char *path)
{
	for (unsigned int i = 0; i < desc->n_args; i++) {
		if (desc->args[i].type != MAPI_ARG_FILE || args[i].kind != ARG_TEXT)
			continue;
		args[i].is_unchecked = false;
		args[i].text = path;
	}
}

static int id_of(const void *data, int fd)
{
	return fd - *(const int *)data;
}

static void library_side(
	const struct mapi_function_desc *desc, struct arg *args, int fd_base, unsigned int fail_in)
{
	struct args_message message;
	Wire__FlowApply apply = WIRE__FLOW_APPLY__INIT;
	char name[] = "F";
	bool failed;
	int r;

	keep_files_harmless(desc, args, fd_base ? "/dev/null" : "/dev/null/none");
	client_reason[0] = '\0';
	fault_arm(fail_in);
	r = args_convert(&message, args, desc, NULL, 0);
	if (r == 0)
		r = args_translate(&message, desc, id_of, &fd_base);
	failed = fault_disarm(NULL);
	check(r == 0 || client_reason[0], "a refusal has a reason");
	if (r == 0) {
		size_t n_bytes;
		uint8_t *bytes;

		check(message.n_values == desc->n_args, "one value for each");
		apply.function = name;
		apply.args = message.pointers;
		apply.n_args = message.n_values;
		check(failed || apply_count_fds(desc, &apply) == message.n_fds, "descriptors");
		n_bytes = wire__flow_apply__get_packed_size(&apply);
		bytes = malloc(n_bytes + 1);
		check(bytes && wire__flow_apply__pack(&apply, bytes) == n_bytes, "packed size");
		engine_side(desc, bytes, n_bytes);
		free(bytes);
	}
	args_message_deinit(&message);
	/* Once more, as when the flow is built again. */
	keep_files_harmless(desc, args, fd_base ? "null" : "/dev/null/none");
	fault_arm(fail_in);
	(void)args_convert(&message, args, desc, "/dev", 1);
	(void)fault_disarm(NULL);
	args_message_deinit(&message);
}

static void from_typed(struct arg *args, unsigned long long types, ...)
{
	va_list ap;

	va_start(ap, types);
	args_from_typed(args, types, &ap);
	va_end(ap);
}

static void from_plain(struct arg *args, const struct mapi_function_desc *desc, ...)
{
	va_list ap;

	va_start(ap, desc);
	args_from_plain(args, desc, &ap);
	va_end(ap);
}

/* Types as given, but pointers point to @text, and a long double stands at the end only. The
 * integers and pointers follow each other: floating point travels in other registers. */
static void pass_typed(struct arg *args, struct buf *in, const char *text)
{
	unsigned long long n[NUMBERS_MAX] = { 0 };
	unsigned long long types = buf_get_u8(in) % (NUMBERS_MAX + 1);
	unsigned int n_passed = 0;

	for (unsigned int i = 0; i < NUMBERS_MAX; i++) {
		unsigned long long type = buf_get_u8(in) % 16;

		if (type == MAPI_TYPE_LDOUBLE && i + 1 < types % 16)
			type = MAPI_TYPE_DOUBLE;
		types |= type << (4 * (i + 1));
		if (type == MAPI_TYPE_DOUBLE || type == MAPI_TYPE_LDOUBLE)
			continue;
		n[n_passed] = buf_get_be64(in);
		if (type == MAPI_TYPE_STRING || type == MAPI_TYPE_POINTER)
			n[n_passed] = n[n_passed] % 4 ? (uintptr_t)text : 0;
		n_passed++;
	}
	from_typed(
		args, types, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], 1.5, (long double)2);
}

/* Any register may hold anything: numbers, @text, @cut (which no zero ends). */
static void pass_plain(struct arg *args, const struct mapi_function_desc *desc, struct buf *in,
	const char *text, const char *cut)
{
	unsigned long long n[NUMBERS_MAX] = { 0 };

	for (unsigned int i = 0; i < NUMBERS_MAX; i++) {
		uint8_t what = buf_get_u8(in) % 4;

		n[i] = what == 0    ? (uintptr_t)text
			: what == 1 ? (uintptr_t)cut
			: what == 2 ? buf_get_be64(in) % 65536
				    : buf_get_be64(in);
	}
	from_plain(args, desc, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]);
}

static void pass_lines(struct arg *args, char *text)
{
	char *texts[CLIENT_ARGS_MAX + 2] = { NULL };
	unsigned int n = 0;

	while (text && n < ARRAY_SIZE(texts)) {
		char *next = strchr(text, '\n');

		if (next)
			*next++ = '\0';
		texts[n++] = strcmp(text, "NULL") == 0 ? NULL : text;
		text = next;
	}
	args_from_array(args, texts, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
	static char cut[4096] __attribute__((aligned(4096)));
	struct buf in = buf_from(bytes, n_bytes);
	unsigned int how = buf_get_u8(&in) % 4;
	const struct mapi_function_desc *desc =
		&fake_functions[buf_get_u8(&in) % ARRAY_SIZE(fake_functions)];
	int fd_base = buf_get_u8(&in) % 3;
	unsigned int fail_in = buf_get_u8(&in) % 8;
	struct arg args[CLIENT_ARGS_MAX];
	size_t left = buf_left(&in);
	char *text;

	if (how == 0) {
		engine_side(desc, in.at, left);
		return 0;
	}
	text = malloc(left + 1);
	check(text != NULL, "out of memory");
	memcpy(text, left ? in.at : bytes, left);
	text[left] = '\0';
	memset(cut, 'c', sizeof(cut));
	if (how == 1)
		pass_typed(args, &in, text);
	else if (how == 2)
		pass_plain(args, desc, &in, text, cut);
	else
		pass_lines(args, text);
	library_side(desc, args, fd_base, fail_in);
	free(text);
	return 0;
}
