/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_config_run.h. */
#undef NDEBUG
#include "test_config_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "mapi/errors.h"

char test_path[64];

struct test_notes test_notes;

static void test_take_note(void *context, unsigned int line, const char *text)
{
	struct test_notes *to = context;

	assert_true(to->n < 600);
	to->lines[to->n] = line;
	(void)snprintf(to->texts[to->n++], sizeof(to->texts[0]), "%s", text);
}

/* A file of these bytes; it stays until the next one. */
void test_make_file(const char *bytes, size_t n_bytes)
{
	static int fd = -1;

	cleanup_closep(&fd);
	fd = memfd_create("mapi.conf", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n_bytes), n_bytes);
	(void)snprintf(test_path, sizeof(test_path), "/proc/self/fd/%d", fd);
}

void test_make_text(const char *text)
{
	test_make_file(text, strlen(text));
}

struct config *test_load_bytes(const char *bytes, size_t n_bytes)
{
	struct config *config = NULL;
	struct error err = ERROR_INIT;

	test_make_file(bytes, n_bytes);
	test_notes.n = 0;
	if (config_load(&config, test_path, test_take_note, &test_notes, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(err.code, 0);
	assert_string_equal(config->path, test_path);
	return config;
}

struct config *test_load(const char *text)
{
	return test_load_bytes(text, strlen(text));
}

void test_refused_bytes(const char *bytes, size_t n_bytes, unsigned int line, const char *words)
{
	static struct config other;
	struct config *const untouched = &other;
	struct config *config = untouched;
	struct error err = ERROR_INIT;
	char where[96];

	test_make_file(bytes, n_bytes);
	assert_int_equal(config_load(&config, test_path, NULL, NULL, &err), -EINVAL);
	assert_ptr_equal(config, untouched);
	assert_int_equal(err.code, MAPI_ERROR_FILE);
	(void)snprintf(where, sizeof(where), "%s:%u: ", test_path, line);
	if (strncmp(err.text, where, strlen(where)) != 0 || !strstr(err.text, words))
		fail_msg("'%s' is not '%s... %s'", err.text, where, words);
	/* Nobody listens: the same. */
	assert_int_equal(config_load(&config, test_path, NULL, NULL, NULL), -EINVAL);
}

void test_refused(const char *text, unsigned int line, const char *words)
{
	test_refused_bytes(text, strlen(text), line, words);
}

void test_noted(unsigned int i, unsigned int line, const char *words)
{
	assert_true(i < test_notes.n);
	if (test_notes.lines[i] != line || !strstr(test_notes.texts[i], words))
		fail_msg("note %u is '%u: %s'", i, test_notes.lines[i], test_notes.texts[i]);
}
