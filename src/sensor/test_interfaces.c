/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers of interfaces that come, go and are renamed; the kernel's list is ours here. */
#undef NDEBUG
#include "interfaces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRESENT_MAX 8

/* What the kernel tells: up to a name that is NULL. */
struct present {
	unsigned int number;
	const char *name;
};
static struct present present[PRESENT_MAX + 1];
static bool kernel_fails;

struct if_nameindex *__wrap_if_nameindex(void);
void __wrap_if_freenameindex(struct if_nameindex *list);

struct if_nameindex *__wrap_if_nameindex(void)
{
	struct if_nameindex *list = kernel_fails ? NULL : calloc(PRESENT_MAX + 1, sizeof(*list));

	errno = ENOBUFS;
	for (unsigned int i = 0; list && present[i].name; i++)
		list[i] = (struct if_nameindex){ .if_index = present[i].number,
			.if_name = strdup(present[i].name) };
	return list;
}

void __wrap_if_freenameindex(struct if_nameindex *list)
{
	for (unsigned int i = 0; list[i].if_name; i++)
		free(list[i].if_name);
	free(list);
}

static void the_kernel_has(const struct present *list, size_t bytes)
{
	memset(present, 0, sizeof(present));
	memcpy(present, list, bytes);
}

#define THE_KERNEL_HAS(...)                                     \
	the_kernel_has((const struct present[]){ __VA_ARGS__ }, \
		sizeof((const struct present[]){ __VA_ARGS__ }))

/* "0 lo, 1 eth0, " as a loop over all finds it, which must agree with each by itself. */
static void assert_listed(struct interfaces *interfaces, const char *wanted)
{
	char text[256] = "";
	const char *name;
	int number = -1, same;

	assert_int_equal(interfaces_read(interfaces), 0);
	while ((name = interfaces_at(interfaces, number, true, &number))) {
		size_t len = strlen(text);

		(void)snprintf(text + len, sizeof(text) - len, "%d %s, ", number, name);
		assert_ptr_equal(interfaces_at(interfaces, number, false, &same), name);
		assert_int_equal(same, number);
		assert_int_equal(interfaces_find(interfaces, name), number);
	}
	assert_string_equal(text, wanted);
}

static void numbers_are_dense_and_stay(void **state)
{
	struct interfaces interfaces = { .present = NULL };
	int number = 77;

	THE_KERNEL_HAS({ 1, "lo" }, { 73, "eth1" }, { 9, "eth0" });
	assert_listed(&interfaces, "0 lo, 1 eth0, 2 eth1, ");
	assert_listed(&interfaces, "0 lo, 1 eth0, 2 eth1, ");
	/* One goes: nobody else's number changes. A name is not the interface. */
	THE_KERNEL_HAS({ 1, "lo" }, { 73, "eth0" });
	assert_listed(&interfaces, "0 lo, 2 eth0, ");
	assert_null(interfaces_at(&interfaces, 1, false, &number));
	assert_int_equal(interfaces_find(&interfaces, "eth1"), -1);
	/* Two come: the smallest number that is free, then the end. */
	THE_KERNEL_HAS({ 1, "lo" }, { 73, "eth0" }, { 75, "b" }, { 74, "a" });
	assert_listed(&interfaces, "0 lo, 1 a, 2 eth0, 3 b, ");
	THE_KERNEL_HAS({ 75, "b" });
	assert_listed(&interfaces, "3 b, ");
	THE_KERNEL_HAS({ 0, NULL });
	assert_listed(&interfaces, "");
	THE_KERNEL_HAS({ 80, "c" }, { 81, "d" });
	assert_listed(&interfaces, "0 c, 1 d, ");
	interfaces_deinit(&interfaces);
}

static void numbers_that_nobody_has(void **state)
{
	static const int none[] = { 2, 3, -1, -2, INT_MIN, INT_MAX };
	struct interfaces interfaces = { .present = NULL };
	int number = 77;

	assert_null(interfaces_at(&interfaces, -1, true, &number)); /* not read yet */
	assert_int_equal(interfaces_find(&interfaces, "lo"), -1);
	THE_KERNEL_HAS({ 1, "lo" }, { 2, "eth0" });
	assert_int_equal(interfaces_read(&interfaces), 0);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_null(interfaces_at(&interfaces, none[i], false, &number));
	assert_null(interfaces_at(&interfaces, 1, true, &number));
	assert_null(interfaces_at(&interfaces, INT_MAX, true, &number));
	assert_int_equal(number, 77);
	assert_string_equal(interfaces_at(&interfaces, INT_MIN, true, &number), "lo");
	assert_int_equal(number, 0);
	interfaces_deinit(&interfaces);
}

static void what_was_read_stays_if_the_kernel_fails(void **state)
{
	struct interfaces interfaces = { .present = NULL };
	int number;

	THE_KERNEL_HAS({ 1, "lo" });
	assert_int_equal(interfaces_read(&interfaces), 0);
	kernel_fails = true;
	assert_int_equal(interfaces_read(&interfaces), -ENOBUFS);
	kernel_fails = false;
	assert_string_equal(interfaces_at(&interfaces, 0, false, &number), "lo");
	interfaces_deinit(&interfaces);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_dense_and_stay),
		cmocka_unit_test(numbers_that_nobody_has),
		cmocka_unit_test(what_was_read_stays_if_the_kernel_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
