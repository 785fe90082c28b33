/* SPDX-License-Identifier: BSD-2-Clause */
/* See arguments.h. */
#include "arguments.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGUMENTS_FILTER_BYTES_MAX (1u << 20)
#define ARGUMENTS_SECONDS_MAX (366 * 86400.0)

/* Arguments of TO_FILE; mapi/schema.h lists them for every function, the numbers are public. */
#define ARGUMENTS_FORMAT_PCAP "0"
#define ARGUMENTS_FORMAT_PCAPNG "100"
#define ARGUMENTS_FORMAT_PCAP_NS "101"

#define ARGUMENTS_MAGIC_US 0xa1b2c3d4u /* of pcap files with microseconds */

/* The words with spaces between; the caller frees. NULL: out of memory. */
static char *arguments_join(char *const *words, int n_words)
{
	char *text = NULL;
	size_t text_bytes;
	FILE *out = open_memstream(&text, &text_bytes);
	int i;

	if (!out)
		return NULL;
	for (i = 0; i < n_words; i++)
		fprintf(out, "%s%s", i ? " " : "", words[i]);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* Whatever the user gave is shown harmless: it may be a name that somebody else chose. */
static void arguments_complain(const char *before, const char *given, const char *after)
{
	fprintf(stderr, "mapi: %s\"", before);
	text_safe(stderr, given);
	fprintf(stderr, "\"%s\n", after);
}

/* The content of a filter file without its comments ("#" to the end of the line); the caller frees.
 * NULL: printed. */
static char *arguments_read_filter(const char *path)
{
	bool standard_input = !strcmp(path, "-"), comment = false;
	FILE *in = standard_input ? stdin : fopen(path, "re");
	char *text = calloc(1, ARGUMENTS_FILTER_BYTES_MAX + 1);
	size_t n = 0, i;

	if (in && text)
		n = fread(text, 1, ARGUMENTS_FILTER_BYTES_MAX, in);
	if (!in || !text || ferror(in)) {
		fputs("mapi: ", stderr);
		text_safe(stderr, path);
		fprintf(stderr, ": %s\n", strerror(errno));
		if (in && !standard_input)
			(void)fclose(in);
		free(text);
		return NULL;
	}
	for (i = 0; i < n; i++) {
		comment = (comment || text[i] == '#') && text[i] != '\n';
		if (comment || !text[i])
			text[i] = ' ';
	}
	while (n && strchr(" \t\r\n", text[n - 1]))
		text[--n] = '\0';
	if (!standard_input)
		(void)fclose(in);
	return text;
}

int arguments_number(
	const char *name, const char *text, unsigned long long max, unsigned long long *ret)
{
	unsigned long long value;
	char before[96], *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || !value || value > max) {
		(void)snprintf(before, sizeof(before), "%s must be a number from 1 to %llu, not ",
			name, max);
		arguments_complain(before, text, "");
		return -EINVAL;
	}
	*ret = value;
	return 0;
}

int arguments_seconds(const char *name, const char *text, uint64_t *ret_ms)
{
	char before[96], *end;
	double value = strtod(text, &end);

	/* strtod() also takes "inf", "nan" and hexadecimal. */
	if (strspn(text, "0123456789.") != strlen(text) || end == text || *end || !(value > 0) ||
		value > ARGUMENTS_SECONDS_MAX) {
		(void)snprintf(
			before, sizeof(before), "%s must be a number of seconds, not ", name);
		arguments_complain(before, text, "");
		return -EINVAL;
	}
	*ret_ms = value < 0.001 ? 1 : (uint64_t)(value * 1000 + 0.5);
	return 0;
}

static int arguments_take_precision(const char *text, enum arguments_precision *ret)
{
	if (!strcmp(text, "micro")) {
		*ret = ARGUMENTS_PRECISION_MICRO;
	} else if (!strcmp(text, "nano")) {
		*ret = ARGUMENTS_PRECISION_NANO;
	} else {
		arguments_complain("--time-precision is micro or nano, not ", text, "");
		return -EINVAL;
	}
	return 0;
}

int arguments_take(struct arguments *a, const struct verb *verb, int option, const char *value)
{
	unsigned long long number;
	int r = 0;

	switch (option) {
	case 'r':
	case 'i':
		if (a->input)
			return verb_usage(verb, "one capture file (-r) or device (-i) at a time");
		a->input = value;
		a->live = option == 'i';
		break;
	case 'F':
		a->filter_file = value;
		break;
	case ARGUMENTS_ID_JSON:
		a->format = ARGUMENTS_JSON;
		break;
	case ARGUMENTS_ID_CSV:
		a->format = ARGUMENTS_CSV;
		break;
	case ARGUMENTS_ID_COLOUR:
		if (text_colour_parse(value, &a->colour) < 0)
			return verb_usage(verb, "--color is auto, always or never");
		break;
	case ARGUMENTS_ID_DURATION:
		r = arguments_seconds("--duration", value, &a->duration_ms);
		break;
	case ARGUMENTS_ID_PRECISION:
		r = arguments_take_precision(value, &a->precision);
		break;
	case ARGUMENTS_ID_WORKERS:
		a->workers = value;
		r = arguments_number("--workers", value, 64, &number);
		break;
	case ARGUMENTS_ID_SEED:
		a->seed = value;
		r = arguments_number("--seed", value, ULLONG_MAX, &number);
		break;
	default:
		return verb_usage(verb, NULL); /* verb_getopt() has said why */
	}
	return r < 0 ? EXIT_USAGE : EXIT_OK;
}

int arguments_need_input(const struct arguments *a, const struct verb *verb)
{
	if (!a->input)
		return verb_usage(
			verb, "a capture file (-r FILE) or a device (-i DEVICE) is needed");
	return arguments_check_duration(a, verb);
}

int arguments_check_duration(const struct arguments *a, const struct verb *verb)
{
	if (a->duration_ms && a->input && !a->live)
		return verb_usage(verb, "--duration is for live devices (-i)");
	return EXIT_OK;
}

int arguments_filter(const struct arguments *a, const struct verb *verb, char *const *words,
	int n_words, char **ret)
{
	*ret = NULL;
	if (n_words == 0 && !a->filter_file)
		return EXIT_OK;
	if (n_words > 0 && a->filter_file)
		return verb_usage(verb, "a filter is given twice: -F and words");
	*ret = a->filter_file ? arguments_read_filter(a->filter_file)
			      : arguments_join(words, n_words);
	return *ret ? EXIT_OK : EXIT_DEVICE;
}

int arguments_only_format(
	const struct verb *verb, int argc, char **argv, enum arguments_format *ret)
{
	int option;

	*ret = ARGUMENTS_TEXT;
	while ((option = verb_getopt(verb, argc, argv)) != -1 && option != '?')
		*ret = option == ARGUMENTS_ID_CSV ? ARGUMENTS_CSV : ARGUMENTS_JSON;
	return option == -1 && optind == argc ? EXIT_OK : verb_usage(verb, NULL);
}

/* Opening without O_NONBLOCK would wait for the writer of a FIFO, and take bytes out of it. */
static bool arguments_has_microseconds(const char *source)
{
	struct stat st;
	uint32_t magic = 0;
	bool yes = false;
	int fd;

	if (stat(source, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	fd = open(source, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, &magic, sizeof(magic)) == (ssize_t)sizeof(magic))
		yes = magic == ARGUMENTS_MAGIC_US || magic == __builtin_bswap32(ARGUMENTS_MAGIC_US);
	(void)close(fd);
	return yes;
}

static bool arguments_same_file(const char *path, const char *source)
{
	struct stat a, b;

	if (stat(path, &a) < 0)
		return false;
	if (!strcmp(source, "-") ? fstat(STDIN_FILENO, &b) < 0 : stat(source, &b) < 0)
		return false;
	return S_ISREG(a.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int arguments_output(const char *path, const char *source, enum arguments_precision precision,
	const char **ret_path, const char **ret_format)
{
	const char *suffix = strrchr(path, '.');
	bool standard_output = !strcmp(path, "-");

	if (standard_output && isatty(STDOUT_FILENO)) {
		fprintf(stderr, "mapi: a capture file is not written to a terminal; redirect it\n");
		return -EINVAL;
	}
	if (standard_output)
		path = "/dev/stdout";
	if (arguments_same_file(path, source)) {
		arguments_complain("", path, " can't be read and written at once");
		return -EINVAL;
	}
	*ret_path = path;
	if (suffix && (!strcasecmp(suffix, ".pcapng") || !strcasecmp(suffix, ".ntar")))
		*ret_format = ARGUMENTS_FORMAT_PCAPNG;
	else if (precision == ARGUMENTS_PRECISION_MICRO ||
		(precision == ARGUMENTS_PRECISION_AUTO && arguments_has_microseconds(source)))
		*ret_format = ARGUMENTS_FORMAT_PCAP;
	else
		*ret_format = ARGUMENTS_FORMAT_PCAP_NS;
	return 0;
}
