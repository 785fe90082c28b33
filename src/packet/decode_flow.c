/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flow keys and the affinity hash (semantics O6).
 */
#include "packet/decode.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

bool decode_flow_key(const struct packet_batch *batch, unsigned int i,
	const struct decode_layers *layers, struct decode_flow_key *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *ip = batch->data[i] + layers->l3_offset;
	struct decode_flow_key key = {
		.ip_version = layers->ip_version,
		.l4_proto = layers->l4_proto,
	};

	if (layers->ip_version == 4) {
		memcpy(key.src, mapped, sizeof(mapped));
		memcpy(key.src + 12, ip + 12, 4);
		memcpy(key.dst, mapped, sizeof(mapped));
		memcpy(key.dst + 12, ip + 16, 4);
	} else if (layers->ip_version == 6) {
		memcpy(key.src, ip + 8, 16);
		memcpy(key.dst, ip + 24, 16);
	} else {
		return false;
	}
	if (!(layers->flags & DECODE_FRAGMENT)) {
		key.src_port = layers->src_port;
		key.dst_port = layers->dst_port;
	}
	*ret = key;
	return true;
}

uint64_t decode_flow_hash(const struct decode_flow_key *key, uint64_t seed)
{
	struct {
		uint8_t low[16];
		uint8_t high[16];
		uint16_t low_port;
		uint16_t high_port;
		uint8_t ip_version;
		uint8_t l4_proto;
		uint8_t zero[2];
	} ordered = { .ip_version = key->ip_version, .l4_proto = key->l4_proto };
	int order = memcmp(key->src, key->dst, sizeof(key->src));
	bool src_first = order ? order < 0 : key->src_port <= key->dst_port;

	_Static_assert(sizeof(ordered) == 40, "no padding in what is hashed");
	memcpy(ordered.low, src_first ? key->src : key->dst, 16);
	memcpy(ordered.high, src_first ? key->dst : key->src, 16);
	ordered.low_port = src_first ? key->src_port : key->dst_port;
	ordered.high_port = src_first ? key->dst_port : key->src_port;
	return XXH3_64bits_withSeed(&ordered, sizeof(ordered), seed);
}
