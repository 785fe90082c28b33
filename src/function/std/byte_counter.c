/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BYTE_COUNTER: adds up the length of packets on the wire, not what was captured of them
 * (semantics N3). A super-packet counts for all packets on the wire that it stands for (P3).
 */
#include "base/cleanup.h"
#include "std.h"
#include "std_private.h"

struct std_byte_counter_state {
	uint64_t bytes;
};

static const uint32_t *std_byte_counter_lengths(const struct packet_batch *batch)
{
	return batch->is_live ? batch->all_wire_bytes : batch->wire_bytes;
}

static void std_byte_counter_fill(
	const struct function_call *call, uint64_t bytes, const struct packet_mask *selection)
{
	const uint32_t *wire_bytes = std_byte_counter_lengths(call->batch);

	for (unsigned int i = call->first; i < call->first + call->n; i++) {
		if (packet_mask_test(selection, i))
			bytes += wire_bytes[i];
		call->column[i] = bytes;
	}
}

/* A loop of known length, which compilers turn into vector additions. */
static uint64_t std_byte_counter_sum_word(const uint32_t *wire_bytes)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < 64; i++)
		sum += wire_bytes[i];
	return sum;
}

static uint64_t std_byte_counter_sum_bits(const uint32_t *wire_bytes, uint64_t bits)
{
	uint64_t sum = 0;

	for (; bits; bits &= bits - 1)
		sum += wire_bytes[__builtin_ctzll(bits)];
	return sum;
}

/* No filter, or one that passes nearly everything, is common: then it is cheaper to add all and
 * take away the few. So is a filter that passes next to nothing. */
static uint64_t std_byte_counter_sum(const uint32_t *wire_bytes, uint64_t bits)
{
	if (!bits)
		return 0;
	if (__builtin_popcountll(bits) < 40)
		return std_byte_counter_sum_bits(wire_bytes, bits);
	return std_byte_counter_sum_word(wire_bytes) - std_byte_counter_sum_bits(wire_bytes, ~bits);
}

static void std_byte_counter_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	struct std_byte_counter_state *s = state;
	struct packet_mask mine = std_selected(call, selection);
	const uint32_t *all_bytes = std_byte_counter_lengths(call->batch);
	unsigned int n = call->batch->n;

	if (call->column)
		std_byte_counter_fill(call, s->bytes, selection);
	for (unsigned int w = 0; w * 64 < n; w++) {
		const uint32_t *wire_bytes = all_bytes + 64 * w;

		if (w * 64 + 64 <= n)
			s->bytes += std_byte_counter_sum(wire_bytes, mine.word[w]);
		else /* beyond n there is nothing that may be read */
			s->bytes += std_byte_counter_sum_bits(wire_bytes, mine.word[w]);
	}
}

static void std_byte_counter_merge(const void *instance, void *into, const void *from)
{
	struct std_byte_counter_state *s = into;
	const struct std_byte_counter_state *other = from;

	s->bytes += other->bytes;
}

static void std_byte_counter_add(
	const void *instance, void *state, const struct function_count *count)
{
	struct std_byte_counter_state *s = state;

	s->bytes += count->bytes;
}

static const struct mapi_field std_byte_counter_fields[] = {
	{
		.name = "bytes",
		.type = MAPI_FIELD_U64,
		.offset_bytes = offsetof(struct std_byte_counter_state, bytes),
		.merge = MAPI_MERGE_SUM,
		.unit = "bytes",
		.help = "Bytes on the wire of the packets that reached the counter.",
	},
};

const struct function std_byte_counter = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "BYTE_COUNTER",
		.library = STD_LIBRARY,
		.help = "Counts bytes on the wire.",
		.example = "BYTE_COUNTER",
		.fields = std_byte_counter_fields,
		.n_fields = ARRAY_SIZE(std_byte_counter_fields),
		.result_bytes = sizeof(uint64_t),
		.flags = MAPI_FUNCTION_REFERABLE,
	},
	.order = FUNCTION_FREE,
	.state_bytes = sizeof(struct std_byte_counter_state),
	.process = std_byte_counter_process,
	.merge = std_byte_counter_merge,
	.add = std_byte_counter_add,
};
