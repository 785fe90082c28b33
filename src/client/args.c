/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Variadic arguments: from what a program passed to what the function's description wants
 * (semantics N1).
 *
 * A call through the header tells count and types. A call from an object that was compiled with an
 * older header tells nothing: then as many arguments are read as the description has, and each may
 * be whatever the register held. So pointers are tried by the kernel before they are read, and a
 * number out of bounds counts as missing where programs of old leave it out.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "client.h"

#define ARGS_TEXT_BYTES_MAX (512u << 10)
/* No object lies below: a pointer so small is a number. */
#define ARGS_POINTER_MIN 4096

/* ---- reading ---- */

static struct arg arg_from_number(long long number)
{
	return (struct arg){ .kind = ARG_NUMBER, .number = number };
}

static struct arg arg_from_large(unsigned long long large)
{
	if (large <= LLONG_MAX)
		return arg_from_number((long long)large);
	return (struct arg){ .kind = ARG_LARGE, .large = large };
}

static struct arg arg_from_text(const char *text)
{
	return (struct arg){ .kind = text ? ARG_TEXT : ARG_MISSING, .text = text };
}

/* Return: false if the rest of the list cannot be read. */
static bool arg_read_typed(struct arg *arg, unsigned int type, va_list *ap)
{
	switch (type) {
	case MAPI_TYPE_INT:
		*arg = arg_from_number(va_arg(*ap, int));
		break;
	case MAPI_TYPE_UINT:
		/* What an int parameter sees, so that 0xffffffff is -1 as ever. */
		*arg = arg_from_number(va_arg(*ap, unsigned int));
		break;
	case MAPI_TYPE_LONG:
		*arg = arg_from_number(va_arg(*ap, long));
		arg->is_null = arg->number == 0;
		break;
	case MAPI_TYPE_ULONG:
		*arg = arg_from_large(va_arg(*ap, unsigned long));
		break;
	case MAPI_TYPE_LLONG:
		*arg = arg_from_number(va_arg(*ap, long long));
		break;
	case MAPI_TYPE_ULLONG:
		*arg = arg_from_large(va_arg(*ap, unsigned long long));
		break;
	case MAPI_TYPE_DOUBLE:
		(void)va_arg(*ap, double);
		*arg = (struct arg){ .kind = ARG_REAL };
		break;
	case MAPI_TYPE_LDOUBLE:
		(void)va_arg(*ap, long double);
		*arg = (struct arg){ .kind = ARG_REAL };
		break;
	case MAPI_TYPE_STRING:
	case MAPI_TYPE_POINTER:
		*arg = arg_from_text(va_arg(*ap, const char *));
		break;
	default:
		*arg = (struct arg){ .kind = ARG_OTHER };
		return false;
	}
	return true;
}

void args_from_typed(struct arg args[CLIENT_ARGS_MAX], unsigned long long types, va_list *ap)
{
	unsigned int n_args = MIN((unsigned int)(types & 15), (unsigned int)CLIENT_ARGS_MAX);

	memset(args, 0, CLIENT_ARGS_MAX * sizeof(*args));
	for (unsigned int i = 0; i < n_args; i++) {
		types >>= 4;
		if (!arg_read_typed(&args[i], types & 15, ap))
			return;
	}
}

void args_from_plain(
	struct arg args[CLIENT_ARGS_MAX], const struct mapi_function_desc *desc, va_list *ap)
{
	memset(args, 0, CLIENT_ARGS_MAX * sizeof(*args));
	for (unsigned int i = 0; i < desc->n_args; i++) {
		switch (desc->args[i].type) {
		case MAPI_ARG_STRING:
		case MAPI_ARG_FILE:
		case MAPI_ARG_REFS:
		case MAPI_ARG_FLOWS:
			args[i] = arg_from_text(va_arg(*ap, const char *));
			break;
		case MAPI_ARG_ULL:
			args[i] = arg_from_large(va_arg(*ap, unsigned long long));
			break;
		case MAPI_ARG_INT:
		case MAPI_ARG_CHAR:
		case MAPI_ARG_FLOW:
		case MAPI_ARG_FUNCTION:
			args[i] = arg_from_number(va_arg(*ap, int));
			break;
		}
		args[i].is_unchecked = true;
	}
}

void args_from_array(struct arg args[CLIENT_ARGS_MAX], char **texts, unsigned int n_texts)
{
	memset(args, 0, CLIENT_ARGS_MAX * sizeof(*args));
	for (unsigned int i = 0; texts && i < MIN(n_texts, (unsigned int)CLIENT_ARGS_MAX); i++)
		args[i] = arg_from_text(texts[i]);
}

/* ---- strings that may be none ---- */

/* Copy what is readable at @from. Return: bytes, 0 if nothing is. */
static size_t args_peek_by_pipe(char *to, const char *from, size_t n_bytes)
{
	ssize_t n = -1;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return 0;
	if (write(fds[1], from, n_bytes) == (ssize_t)n_bytes)
		n = read(fds[0], to, n_bytes);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return n > 0 ? (size_t)n : 0;
}

static size_t args_peek(char *to, const char *from, size_t n_bytes)
{
	struct iovec local = { .iov_base = to, .iov_len = n_bytes };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)from, .iov_len = n_bytes };
	ssize_t n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

	/* Some containers forbid the call. */
	if (n < 0 && (errno == EPERM || errno == ENOSYS))
		return args_peek_by_pipe(to, from, n_bytes);
	return n == (ssize_t)n_bytes ? n_bytes : 0;
}

/* A copy of a string of which nothing is known. Return: NULL if it is not readable or too long. */
static char *args_copy_unchecked(const char *from)
{
	char *copy = NULL;
	size_t len = 0;

	while (len < ARGS_TEXT_BYTES_MAX) {
		/* Never across a 4 KiB boundary: the next page may not exist. */
		size_t n_bytes = 4096 - ((uintptr_t)from + len) % 4096;
		char *grown = realloc(copy, len + n_bytes);

		if (!grown)
			break;
		copy = grown;
		if (args_peek(copy + len, from + len, n_bytes) == 0)
			break;
		if (memchr(copy + len, '\0', n_bytes))
			return copy;
		len += n_bytes;
	}
	free(copy);
	return NULL;
}

/* ---- converting ---- */

struct args_convert {
	struct args_message *message;
	const struct mapi_function_desc *desc;
	unsigned int i;
	const char *directory;
	unsigned int restart;
};

static int args_fail(const struct args_convert *c, const char *what)
{
	static const int codes[] = { MFUNCT_INVALID_ARGUMENT_1, MFUNCT_INVALID_ARGUMENT_2,
		MFUNCT_INVALID_ARGUMENT_3, MFUNCT_INVALID_ARGUMENT_4, MFUNCT_INVALID_ARGUMENT_5,
		MFUNCT_INVALID_ARGUMENT_6 };
	const struct mapi_arg *arg = &c->desc->args[c->i];
	int code = arg->error_code;

	if (code == 0)
		code = c->i < ARRAY_SIZE(codes) ? codes[c->i] : MFUNCT_INVALID_ARGUMENT;
	return client_fail(
		code, "%s: argument %u (%s) %s", c->desc->name, c->i + 1, arg->name, what);
}

static int args_set_missing(const struct args_convert *c)
{
	Wire__Value *value = &c->message->values[c->i];

	if (!c->desc->args[c->i].default_text)
		return args_fail(c, "is missing");
	value->kind_case = WIRE__VALUE__KIND_MISSING;
	value->missing = true;
	return 0;
}

static void args_set_number(const struct args_convert *c, long long number)
{
	Wire__Value *value = &c->message->values[c->i];

	value->kind_case = WIRE__VALUE__KIND_NUMBER;
	value->number = number;
}

/* @text: owned by the heap; taken. */
static int args_set_text(const struct args_convert *c, char *text)
{
	Wire__Value *value = &c->message->values[c->i];

	if (!text)
		return client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
	c->message->texts[c->i] = text;
	value->kind_case = WIRE__VALUE__KIND_TEXT;
	value->text = text;
	return 0;
}

/* A number written as text: decimal, or one of the names. */
static bool args_parse_number(const struct mapi_arg *desc, const char *text, struct arg *ret)
{
	unsigned long long large;
	char *end;

	for (unsigned int i = 0; i < desc->n_choices; i++)
		if (strcmp(desc->choices[i].name, text) == 0) {
			*ret = arg_from_number(desc->choices[i].value);
			return true;
		}
	if (!*text || strspn(text, " \t") > 0)
		return false;
	errno = 0;
	if (*text == '-')
		*ret = arg_from_number(strtoll(text, &end, 10));
	else {
		large = strtoull(text, &end, 10);
		*ret = arg_from_large(large);
	}
	return errno == 0 && *end == '\0';
}

static int args_convert_number(const struct args_convert *c, struct arg arg)
{
	const struct mapi_arg *desc = &c->desc->args[c->i];

	if (arg.kind == ARG_TEXT) {
		struct arg number;

		if (!args_parse_number(desc, arg.text, &number))
			return args_fail(c, "must be a number");
		arg = number;
	}
	if (arg.kind == ARG_REAL || arg.kind == ARG_OTHER)
		return args_fail(c, "must be an integer");
	if (desc->type == MAPI_ARG_ULL) {
		Wire__Value *value = &c->message->values[c->i];

		if (arg.kind == ARG_NUMBER && arg.number < 0)
			return args_fail(c, "must not be negative");
		value->kind_case = WIRE__VALUE__KIND_LARGE;
		value->large = arg.kind == ARG_LARGE ? arg.large : (unsigned long long)arg.number;
		return 0;
	}
	if (arg.kind == ARG_LARGE)
		return args_fail(c, "is too large");
	if (arg.number > INT_MAX && arg.number <= UINT_MAX)
		arg.number = (int)(unsigned int)arg.number;
	if (arg.is_unchecked && desc->legacy_optional &&
		(arg.number < desc->min || arg.number > desc->max))
		return args_set_missing(c);
	args_set_number(c, arg.number);
	return 0;
}

static char *args_format(const struct arg *arg)
{
	char text[32];

	if (arg->kind == ARG_LARGE)
		(void)snprintf(text, sizeof(text), "%llu", arg->large);
	else
		(void)snprintf(text, sizeof(text), "%lld", arg->number);
	return strdup(text);
}

static int args_convert_text(const struct args_convert *c, const struct arg *arg)
{
	if (arg->kind == ARG_REAL || arg->kind == ARG_OTHER)
		return args_fail(c, "must be a string");
	if (arg->kind == ARG_NUMBER && arg->is_null)
		return args_set_missing(c);
	if (arg->kind != ARG_TEXT)
		return args_set_text(c, args_format(arg));
	if (strlen(arg->text) > ARGS_TEXT_BYTES_MAX)
		return args_fail(c, "is too long");
	return args_set_text(c, strdup(arg->text));
}

/* The file of a flow that is built again: "PATH.restart-N", unless PATH is a device or a pipe.
 * Never waits. Return: a descriptor, or -1 with errno set. */
static int args_open_again(const struct args_convert *c, const char *path)
{
	bool is_relative = path[0] != '/' && c->directory;
	const char *directory = is_relative ? c->directory : "";
	size_t n_bytes = strlen(directory) + strlen(path) + 32;
	_cleanup_(cleanup_freep) char *name = malloc(n_bytes);
	struct stat st;
	int fd;

	if (!name)
		return -1;
	(void)snprintf(name, n_bytes, "%s%s%s", directory, is_relative ? "/" : "", path);
	if (stat(name, &st) < 0 || S_ISREG(st.st_mode))
		(void)snprintf(name, n_bytes, "%s%s%s.restart-%u", directory,
			is_relative ? "/" : "", path, c->restart);
	fd = open(name, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd >= 0)
		(void)fcntl(fd, F_SETFL, 0); /* of a regular file it means nothing */
	return fd;
}

static int args_convert_file(const struct args_convert *c, const struct arg *arg)
{
	struct args_message *message = c->message;
	int fd;

	if (arg->kind != ARG_TEXT || !*arg->text)
		return client_fail(MAPI_ERROR_FILE, "%s: the path of the output file is missing",
			c->desc->name);
	if (c->restart > 0)
		fd = args_open_again(c, arg->text);
	else
		fd = open(arg->text, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return client_fail(MAPI_ERROR_FILE, "%s: cannot write to '%s': %s", c->desc->name,
			arg->text, strerror(errno));
	message->fds[message->n_fds++] = fd;
	return args_set_text(c, strdup(arg->text));
}

static int args_convert_one(const struct args_convert *c, struct arg arg)
{
	enum mapi_arg_type type = c->desc->args[c->i].type;

	if (arg.kind == ARG_MISSING && type != MAPI_ARG_FILE)
		return args_set_missing(c);
	switch (type) {
	case MAPI_ARG_STRING:
	case MAPI_ARG_REFS:
	case MAPI_ARG_FLOWS:
		return args_convert_text(c, &arg);
	case MAPI_ARG_FILE:
		return args_convert_file(c, &arg);
	case MAPI_ARG_INT:
	case MAPI_ARG_ULL:
	case MAPI_ARG_CHAR:
	case MAPI_ARG_FLOW:
	case MAPI_ARG_FUNCTION:
		return args_convert_number(c, arg);
	}
	return args_fail(c, "has an unknown type");
}

struct arg args_check(struct arg arg, char **ret_copy)
{
	if (!arg.is_unchecked || arg.kind != ARG_TEXT)
		return arg;
	if ((uintptr_t)arg.text < ARGS_POINTER_MIN)
		return arg_from_number((long long)(uintptr_t)arg.text);
	*ret_copy = args_copy_unchecked(arg.text);
	return arg_from_text(*ret_copy);
}

int args_convert(struct args_message *ret, const struct arg args[CLIENT_ARGS_MAX],
	const struct mapi_function_desc *desc, const char *directory, unsigned int restart)
{
	struct args_convert c = {
		.message = ret, .desc = desc, .directory = directory, .restart = restart
	};

	*ret = (struct args_message){ .n_values = 0 };
	for (c.i = 0; c.i < desc->n_args; c.i++) {
		_cleanup_(cleanup_freep) char *copy = NULL;

		wire__value__init(&ret->values[c.i]);
		ret->pointers[c.i] = &ret->values[c.i];
		if (args_convert_one(&c, args_check(args[c.i], &copy)) < 0)
			return -1;
		ret->n_values++;
	}
	return 0;
}

void args_message_deinit(struct args_message *message)
{
	for (unsigned int i = 0; i < CLIENT_ARGS_MAX; i++)
		free(message->texts[i]);
	for (unsigned int i = 0; i < message->n_fds; i++)
		(void)close(message->fds[i]); /* the daemon has its own */
	*message = (struct args_message){ .n_values = 0 };
}

/* ---- references ---- */

/* "fid@fd,fid@fd" or "fd,fd" as the daemon numbers flows: they stand behind @before. */
static char *args_translate_refs(
	const char *refs, char before, int (*id_of)(const void *data, int fd), const void *data)
{
	size_t n_bytes = strlen(refs) + 11; /* what a number may grow */
	bool is_flow = before == ',';
	char *copy, *to;

	for (const char *at = refs; *at; at++)
		n_bytes += *at == before ? 10 : 0;
	copy = to = malloc(n_bytes);
	if (!copy)
		return NULL;
	while (*refs) {
		if (is_flow && *refs >= '0' && *refs <= '9') {
			char *end;
			long fd = strtol(refs, &end, 10);
			int id = fd <= INT_MAX ? id_of(data, (int)fd) : 0;

			to += snprintf(to, n_bytes - (size_t)(to - copy), "%d", MAX(id, 0));
			refs = end;
			is_flow = false;
			continue;
		}
		is_flow = *refs == before || (is_flow && *refs == ' ');
		*to++ = *refs++;
	}
	*to = '\0';
	return copy;
}

int args_translate(struct args_message *message, const struct mapi_function_desc *desc,
	int (*id_of)(const void *data, int fd), const void *data)
{
	for (unsigned int i = 0; i < message->n_values; i++) {
		Wire__Value *value = &message->values[i];
		enum mapi_arg_type type = desc->args[i].type;

		if (type == MAPI_ARG_FLOW && value->kind_case == WIRE__VALUE__KIND_NUMBER &&
			value->number >= 0 && value->number <= INT_MAX)
			value->number = id_of(data, (int)value->number);
		if ((type == MAPI_ARG_REFS || type == MAPI_ARG_FLOWS) &&
			value->kind_case == WIRE__VALUE__KIND_TEXT) {
			char *text = args_translate_refs(
				value->text, type == MAPI_ARG_REFS ? '@' : ',', id_of, data);

			if (!text)
				return client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
			free(message->texts[i]);
			message->texts[i] = value->text = text;
		}
	}
	return 0;
}
