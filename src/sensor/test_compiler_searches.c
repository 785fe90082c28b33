/* SPDX-License-Identifier: BSD-2-Clause */
/* Databases of searches, which helpers of the compiler build. */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/eventfd.h>

#include "base/build.h"
#include "test_compiler_private.h"

static struct search_set *test_set(const char *text, struct search_pattern **ret_pattern)
{
	const struct search_pattern *patterns[1];
	struct search_set *set = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(search_pattern_new(ret_pattern, text, 0, 0, &err), 0);
	patterns[0] = *ret_pattern;
	assert_int_equal(search_set_prepare(&set, patterns, 1), 0);
	return set;
}

/* As compiler_built(), when there is an answer. */
static int test_build(struct compiler_client *client, const char *text, struct search_set **ret,
	struct error *err)
{
	struct search_pattern *pattern;
	int r;

	*err = ERROR_INIT;
	assert_int_equal(compiler_build(client, test_set(text, &pattern), err), 0);
	while ((r = compiler_built(client, ret, err)) == COMPILER_E_AGAIN) {
		eventfd_t n;

		assert_int_equal(eventfd_read(test_notify_fd, &n), 0); /* waits */
	}
	search_pattern_free(pattern);
	return r;
}

static void test_finds(struct search_set *set, const char *text)
{
	static struct packet_batch batch;
	struct packet_mask found, wanted = packet_mask_first(1);
	struct search_scratch *scratch;

	batch.n = 1;
	batch.data[0] = (const uint8_t *)text;
	batch.cap_bytes[0] = (uint32_t)strlen(text);
	assert_int_equal(search_scratch_new(&scratch, set), 0);
	search_set_run(set, scratch, &batch, &wanted, &found);
	assert_true(packet_mask_test(&found, 0));
	search_scratch_free(scratch);
	search_set_free(set);
}

static void databases_are_built_by_helpers(void **unused)
{
	static char text[SEARCH_TEXT_BYTES_MAX];
	struct compiler_client *client = test_begin();
	struct search_set *set;
	struct error err;
	size_t used = 0;

	assert_int_equal(test_build(client, "needle||pin", &set, &err), 0);
	test_finds(set, "a needle in a haystack");
	assert_int_equal(test_build(client, "x", &set, &err), 0); /* needs no database */
	test_finds(set, "abcxyz");
	test_works(client);
	/* More than goes through a socket at once; and more than is for a helper. */
	for (unsigned int n = 10000; n <= 40000; n += 30000) {
		for (used = 0; used < n * 12;)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%09zu",
				used ? "||" : "", used);
		assert_int_equal(test_build(client, text, &set, &err), 0);
		test_finds(set, "number 000000000 was the first");
	}
	test_end(client);
}

static void a_database_that_is_none_is_refused(void **unused)
{
	struct compiler_client *client = test_begin();
	struct search_set *set;
	struct error err;

	*test_lie = (struct test_lie){
		.told = true, .head = { 0, 64 }, .body = "no database", .n_bytes = 64
	};
	if (MAPI_WITH_VECTORSCAN) /* without, there is nothing to be believed */
		assert_int_equal(test_build(client, "needle||pin", &set, &err), -EPIPE);
	*test_lie = (struct test_lie){
		.told = true, .head = { 0, COMPILER_DATABASE_BYTES_MAX + 1 }, .n_bytes = 64
	};
	assert_int_equal(test_build(client, "needle||pin", &set, &err), -EPIPE);
	assert_int_equal(err.code, 7007);
	*test_lie = (struct test_lie){
		.told = true, .head = { COMPILER_WRONG, 4 }, .body = "a\033\nb", .n_bytes = 4
	};
	assert_int_equal(test_build(client, "needle||pin", &set, &err), -EINVAL);
	assert_string_equal(err.text, "a??b");
	test_lie->told = false;
	assert_int_equal(test_build(client, "needle||pin", &set, &err), 0);
	test_finds(set, "pins and needles");
	test_end(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(databases_are_built_by_helpers),
		cmocka_unit_test(a_database_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, test_share, NULL);
}
