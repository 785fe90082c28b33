/* SPDX-License-Identifier: BSD-2-Clause */
/* The library of capture cards on made-up packets. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "dag.h"
#include "mapi/errors.h"

static int test_open(void *instance, long long index, struct error *err)
{
	const struct function_value arg = { .number = index, .text = "" };
	struct function_open open = { .args = &arg, .n_args = 1, .instance = instance };

	*err = ERROR_INIT;
	return dag_interface.open(&open, err);
}

static void test_interface_passes_its_packets(void **state)
{
	static const unsigned int steps[] = { 1, 7, 256 };
	struct packet_batch *batch = calloc(1, sizeof(*batch));
	_Alignas(16) unsigned char instance[64];
	struct error err;

	assert_non_null(batch);
	assert_true(dag_interface.instance_bytes <= sizeof(instance));
	batch->n = 200;
	for (unsigned int i = 0; i < batch->n; i++)
		batch->ifindex[i] = (uint16_t)(i % 3 == 2 ? UINT16_MAX : i % 3);
	for (size_t k = 0; k < ARRAY_SIZE(steps); k++) {
		struct packet_mask selection = packet_mask_first(batch->n);

		packet_mask_clear(&selection, 4);
		assert_int_equal(0, test_open(instance, 1, &err));
		for (unsigned int i = 0; i < batch->n; i += steps[k]) {
			struct function_call call = {
				.batch = batch, .first = i, .n = MIN(steps[k], batch->n - i)
			};

			dag_interface.process(&call, instance, NULL, &selection);
		}
		for (unsigned int i = 0; i < batch->n; i++)
			assert_int_equal(packet_mask_test(&selection, i), i % 3 == 1 && i != 4);
	}
	/* A number that no packet can have is not that of another. */
	assert_int_equal(0, test_open(instance, 65537, &err));
	{
		struct packet_mask selection = packet_mask_first(batch->n);
		struct function_call call = { .batch = batch, .n = batch->n };

		dag_interface.process(&call, instance, NULL, &selection);
		assert_true(packet_mask_empty(&selection));
	}
	free(batch);
}

static void test_refused_arguments(void **state)
{
	_Alignas(16) unsigned char instance[64];
	struct error err;

	assert_true(test_open(instance, -1, &err) < 0);
	assert_int_equal(err.code, MFUNCT_INVALID_ARGUMENT_1);
	assert_true(strlen(err.text) > 10);
	assert_true(test_open(instance, INT_MIN, &err) < 0);
	assert_int_equal(0, test_open(instance, INT_MAX, &err));
}

static void test_descriptor(void **state)
{
	assert_int_equal(dag_n_functions, 1);
	assert_ptr_equal(function_find("dagflib:INTERFACE!1.1"), &dag_interface);
	assert_true(dag_interface.desc.flags & MAPI_FUNCTION_FILTERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interface_passes_its_packets),
		cmocka_unit_test(test_refused_arguments),
		cmocka_unit_test(test_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
