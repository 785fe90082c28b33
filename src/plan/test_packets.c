/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_packets_private.h. */
#undef NDEBUG
#include "test_packets_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct test_packet test_packets[TEST_PKTS];
static uint64_t test_random_state;
bool test_live;

void test_seed(uint64_t seed)
{
	test_random_state = seed;
}

uint32_t test_random(uint32_t below)
{
	test_random_state = test_random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(test_random_state >> 33) % below;
}

void test_make_packets(uint64_t seed)
{
	uint64_t ts_ns = 1000000000000000000u;

	test_seed(seed);
	for (unsigned int i = 0; i < TEST_PKTS; i++) {
		struct test_packet *p = &test_packets[i];

		memset(p->data, 0, sizeof(p->data));
		p->data[12] = 8;
		p->data[14] = 0x45;
		p->data[23] = test_random(2) ? 6 : 17;
		p->data[37] = (uint8_t)test_random(4);
		memcpy(p->data + 50, test_random(3) ? "xxwwwx" : "nothin", 6);
		p->cap_bytes = 64;
		p->wire_bytes = 64 + test_random(1400);
		ts_ns += test_random(40000000) + (test_random(50) ? 0u : 2500000000u);
		p->ts_ns = test_random(20) ? ts_ns : ts_ns - 100000000;
	}
}

void test_fill(struct packet_batch *batch, unsigned int from, unsigned int n)
{
	*batch = (struct packet_batch){ .n = n, .linktype = 1, .first_no = from };
	for (unsigned int i = 0; i < n; i++) {
		const struct test_packet *p = &test_packets[from + i];

		batch->data[i] = p->data;
		batch->cap_bytes[i] = p->cap_bytes;
		batch->wire_bytes[i] = p->wire_bytes;
		batch->ts_ns[i] = p->ts_ns;
		batch->wire_pkts[i] = (from + i) % 3 ? 1 : (uint16_t)(2 + (from + i) % 40);
		batch->all_wire_bytes[i] = p->wire_bytes + 54u * (batch->wire_pkts[i] - 1u);
		batch->has_super = test_live && (batch->has_super || batch->wire_pkts[i] > 1);
	}
	batch->is_live = test_live;
}

const struct plan_device test_device = {
	.name = "test", .lossless = true, .linktype = 1, .seed = 1
};

struct plan_instance *test_apply(struct plan_flow *flow, const char *name,
	const struct function_value *values, struct plan_instance *ref)
{
	static const struct function_value none[FUNCTION_ARGS_MAX] = { { .text = "" } };
	struct error err = ERROR_INIT;
	struct plan_instance *instance = NULL;
	const struct function *f = function_find(name);
	const struct plan_refs refs = { .instances = { ref }, .n = ref ? 1 : 0 };

	assert_non_null(f);
	if (plan_flow_apply(flow, f, values ? values : none, &refs, &test_device, &instance, &err) <
		0)
		fail_msg("%s: %s", name, err.text);
	return instance;
}

void test_run_direct(struct plan *plan, unsigned int batch_pkts,
	void (*before)(struct plan_run *run, unsigned int at))
{
	struct plan_run *run;
	struct packet_batch batch;

	assert_int_equal(plan_run_new(&run, plan, true), 0);
	for (unsigned int at = 0; at < TEST_PKTS; at += batch.n) {
		test_fill(&batch, at, MIN(batch_pkts, TEST_PKTS - at));
		if (before)
			before(run, at);
		assert_int_equal(plan_run_direct(run, &batch), 0);
	}
	plan_run_finish(run);
	plan_run_free(run);
}
