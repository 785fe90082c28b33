/* SPDX-License-Identifier: BSD-2-Clause */
/* The checks that the decoder's tests share. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "decode_test_private.h"

static void check_order(const struct decode_layers *l, uint32_t cap_bytes)
{
	if (l->ip_version == 0) {
		assert_int_equal(l->l3_offset, DECODE_NONE);
		assert_int_equal(l->l4_offset, DECODE_NONE);
		assert_int_equal(l->payload_offset, DECODE_NONE);
		assert_int_equal(l->l3_end, DECODE_NONE);
		return;
	}
	assert_true(l->l3_end <= cap_bytes);
	assert_true(l->l3_offset + (l->ip_version == 4 ? 20 : 40) <= cap_bytes);
	if (l->l4_offset == DECODE_NONE) {
		assert_int_equal(l->payload_offset, DECODE_NONE);
		assert_true(l->flags & DECODE_CUT);
		return;
	}
	assert_true(l->l4_offset > l->l3_offset && l->l4_offset <= l->l3_end);
	if (l->payload_offset == DECODE_NONE)
		assert_true(l->flags & DECODE_CUT);
	else
		assert_true(l->payload_offset >= l->l4_offset && l->payload_offset <= l->l3_end);
}

void check_decode(uint32_t linktype, const uint8_t *bytes, uint32_t n_bytes,
	struct packet_batch *batch, struct decode_columns *ret)
{
	uint8_t *copy = malloc(n_bytes ? n_bytes : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, n_bytes);
	*batch = (struct packet_batch){ .n = 1, .linktype = linktype };
	batch->data[0] = copy;
	batch->cap_bytes[0] = n_bytes;
	memset(ret, 0x5a, sizeof(*ret));
	decode_batch(batch, ret);
	check_order(&ret->outer[0], n_bytes);
	check_order(&ret->inner[0], n_bytes);
	if (ret->l2_end[0] != DECODE_NONE)
		assert_true(ret->l2_end[0] <= n_bytes);
	assert_int_equal(ret->l2_end[1], 0x5a5a5a5a);
}

void check_free(struct packet_batch *batch)
{
	free((void *)(uintptr_t)batch->data[0]);
}

static void check_layers(const struct decode_layers *l, const struct check_layers *want)
{
	assert_int_equal(l->l3_offset, want->l3);
	assert_int_equal(l->l4_offset, want->l4);
	assert_int_equal(l->payload_offset, want->payload);
	assert_int_equal(l->l3_end, want->end);
	assert_int_equal(l->ip_version, want->version);
	assert_int_equal(l->l4_proto, want->proto);
	assert_int_equal(l->flags, want->flags);
	assert_int_equal(l->src_port, want->src_port);
	assert_int_equal(l->dst_port, want->dst_port);
}

void check_outer(const struct decode_columns *c, struct check_layers want)
{
	check_layers(&c->outer[0], &want);
}

void check_inner(const struct decode_columns *c, struct check_layers want)
{
	check_layers(&c->inner[0], &want);
}

void check_nothing(const struct decode_columns *c, unsigned int flags)
{
	struct check_layers want = { DECODE_NONE, DECODE_NONE, DECODE_NONE, DECODE_NONE, 0, 0,
		flags, 0, 0 };

	check_layers(&c->outer[0], &want);
	check_layers(&c->inner[0], &want);
}

/* What a cut packet says it must say as the whole one does: the same header at the same place. */
static void check_cut(const struct decode_layers *cut, const struct decode_layers *whole)
{
	if (!cut->ip_version)
		return;
	assert_int_equal(cut->l3_offset, whole->l3_offset);
	assert_int_equal(cut->ip_version, whole->ip_version);
	if (cut->l4_offset != DECODE_NONE) {
		assert_int_equal(cut->l4_offset, whole->l4_offset);
		assert_int_equal(cut->l4_proto, whole->l4_proto);
	}
	if (cut->payload_offset != DECODE_NONE)
		assert_int_equal(cut->payload_offset, whole->payload_offset);
	if (cut->src_port || cut->dst_port) {
		assert_int_equal(cut->src_port, whole->src_port);
		assert_int_equal(cut->dst_port, whole->dst_port);
	}
}

void check_packet(uint32_t linktype, const struct pkt *p, struct decode_columns *ret)
{
	static struct decode_columns cut;
	struct packet_batch batch;

	check_decode(linktype, p->b, p->n, &batch, ret);
	check_free(&batch);
	for (uint32_t n = 0; n < p->n; n++) {
		check_decode(linktype, p->b, n, &batch, &cut);
		check_free(&batch);
		check_cut(&cut.outer[0], &ret->outer[0]);
	}
}
