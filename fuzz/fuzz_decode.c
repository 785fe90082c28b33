/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packet decoder on arbitrary bytes. Input: link type (two bytes, big endian), then one packet.
 * Checked: no read outside (sanitizer), offsets inside the packet and in order, one packet decodes
 * the same in any batch, the short way for plain packets equals the walk, the flow hash is
 * symmetric.
 */
#include <stdlib.h>
#include <string.h>

#include "packet/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void check_layers(const struct decode_layers *l, uint32_t cap_bytes)
{
	if (l->ip_version == 0) {
		CHECK(l->l3_offset == DECODE_NONE && l->l4_offset == DECODE_NONE);
		CHECK(l->payload_offset == DECODE_NONE && l->l3_end == DECODE_NONE);
		CHECK(l->l4_proto == 0 && l->src_port == 0 && l->dst_port == 0);
		return;
	}
	CHECK(l->ip_version == 4 || l->ip_version == 6);
	CHECK(l->l3_offset + (l->ip_version == 4 ? 20u : 40u) <= cap_bytes);
	CHECK(l->l3_end >= l->l3_offset && l->l3_end <= cap_bytes);
	CHECK(l->l4_offset == DECODE_NONE ||
		(l->l4_offset > l->l3_offset && l->l4_offset <= l->l3_end));
	CHECK(l->l4_offset != DECODE_NONE || l->payload_offset == DECODE_NONE);
	CHECK(l->payload_offset == DECODE_NONE ||
		(l->payload_offset >= l->l4_offset && l->payload_offset <= l->l3_end));
	CHECK((l->payload_offset == DECODE_NONE) == !!(l->flags & DECODE_CUT));
	CHECK(!(l->flags & DECODE_FRAGMENT_LATER) || l->flags & DECODE_FRAGMENT);
	CHECK(!(l->flags & DECODE_FRAGMENT_LATER) || (l->src_port == 0 && l->dst_port == 0));
}

static void check_flow(const struct packet_batch *batch, const struct decode_layers *l)
{
	struct decode_flow_key key, back;

	if (!decode_flow_key(batch, 0, l, &key)) {
		CHECK(l->ip_version == 0);
		return;
	}
	back = key;
	memcpy(back.src, key.dst, sizeof(key.dst));
	memcpy(back.dst, key.src, sizeof(key.src));
	back.src_port = key.dst_port;
	back.dst_port = key.src_port;
	CHECK(decode_flow_hash(&key, 7) == decode_flow_hash(&back, 7));
}

static bool equal_shifted(uint32_t a, uint32_t b, uint32_t shift)
{
	return a == DECODE_NONE ? b == DECODE_NONE : a + shift == b;
}

static void check_same(const struct decode_layers *a, const struct decode_layers *b, uint32_t shift)
{
	CHECK(equal_shifted(a->l3_offset, b->l3_offset, shift));
	CHECK(equal_shifted(a->l4_offset, b->l4_offset, shift));
	CHECK(equal_shifted(a->payload_offset, b->payload_offset, shift));
	CHECK(equal_shifted(a->l3_end, b->l3_end, shift));
	CHECK(a->ip_version == b->ip_version && a->l4_proto == b->l4_proto && a->flags == b->flags);
	CHECK(a->src_port == b->src_port && a->dst_port == b->dst_port);
}

/* LINKTYPE 283 is Ethernet behind four bytes, and has no short way. */
static void check_short_way(
	const uint8_t *packet, uint32_t n_bytes, const struct decode_columns *plain)
{
	static struct decode_columns walked;
	static struct packet_batch batch;
	uint8_t *copy = malloc(n_bytes + 4);

	CHECK(copy);
	memset(copy, 0, 4);
	memcpy(copy + 4, packet, n_bytes);
	batch.n = 1;
	batch.linktype = 283;
	batch.data[0] = copy;
	batch.cap_bytes[0] = n_bytes + 4;
	decode_batch(&batch, &walked);
	CHECK(equal_shifted(plain->l2_end[0], walked.l2_end[0], 4));
	CHECK(plain->ethertype[0] == walked.ethertype[0] && plain->n_vlans[0] == walked.n_vlans[0]);
	check_same(&plain->outer[0], &walked.outer[0], 4);
	check_same(&plain->inner[0], &walked.inner[0], 4);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
	static struct decode_columns columns;
	static struct packet_batch batch;
	uint32_t cap_bytes;

	if (n_bytes < 2)
		return 0;
	cap_bytes = (uint32_t)n_bytes - 2;
	batch.n = 17;
	batch.linktype = (uint32_t)data[0] << 8 | data[1];
	for (unsigned int i = 0; i < batch.n; i++) {
		batch.data[i] = data + 2;
		batch.cap_bytes[i] = cap_bytes;
	}
	memset(&columns, 0x5a, sizeof(columns));
	decode_batch(&batch, &columns);
	CHECK(columns.l2_end[batch.n] == 0x5a5a5a5a);
	for (unsigned int i = 1; i < batch.n; i++) {
		CHECK(columns.l2_end[0] == columns.l2_end[i]);
		check_same(&columns.outer[0], &columns.outer[i], 0);
		check_same(&columns.inner[0], &columns.inner[i], 0);
	}
	CHECK(columns.l2_end[0] == DECODE_NONE || columns.l2_end[0] <= cap_bytes);
	CHECK(columns.n_vlans[0] > 0 || columns.vlan_tci[0] == 0);
	if (columns.outer[0].ip_version) {
		check_layers(&columns.outer[0], cap_bytes);
		check_layers(&columns.inner[0], cap_bytes);
		CHECK(columns.outer[0].l3_offset == columns.l2_end[0]);
		CHECK(columns.inner[0].l3_offset >= columns.outer[0].l3_offset);
		CHECK(columns.inner[0].l3_end <= columns.outer[0].l3_end);
	}
	check_flow(&batch, &columns.outer[0]);
	check_flow(&batch, &columns.inner[0]);
	if (batch.linktype == 1)
		check_short_way(data + 2, cap_bytes, &columns);
	return 0;
}
