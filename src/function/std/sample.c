/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SAMPLE: passes every N-th packet, or each with a probability. The phase is the instance's own
 * (semantics O3). Chance comes from a hash of the seed and the packet's number within its flow, so
 * that two runs over the same packets choose the same ones (T3), whatever other filters do.
 */
#include "base/cleanup.h"
#include "mapi/errors.h"
#include "mapi/sample.h"
#include "std.h"
#include "std_private.h"

struct std_sample_instance {
	bool probabilistic;
	uint64_t value; /* a period in packets, or percent */
	uint64_t seed;
};

struct std_sample_state {
	uint64_t since_pass; /* packets seen since the last one that passed */
};

/* Historical: neither argument can be wrong, both fall back. */
static int std_sample_open(const struct function_open *open, struct error *err)
{
	struct std_sample_instance *instance = open->instance;
	long long value = open->args[0].number;

	instance->probabilistic = open->args[1].number == PROBABILISTIC;
	instance->seed = open->seed;
	if (instance->probabilistic)
		instance->value = (uint64_t)MIN(MAX(value, 0), 100);
	else
		instance->value = (uint64_t)MAX(value, 1);
	return 0;
}

/* The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
 * 2014) over the @no-th element of its sequence. */
static uint64_t std_sample_hash(uint64_t seed, uint64_t no)
{
	uint64_t h = seed + (no + 1) * 0x9e3779b97f4a7c15u;

	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
	h = (h ^ h >> 27) * 0x94d049bb133111ebu;
	return h ^ h >> 31;
}

static bool std_sample_by_chance(const struct std_sample_instance *self, uint64_t no)
{
	return (std_sample_hash(self->seed, no) >> 32) * 100 >> 32 < self->value;
}

static bool std_sample_by_period(const struct std_sample_instance *self, struct std_sample_state *s)
{
	if (++s->since_pass < self->value)
		return false;
	s->since_pass = 0;
	return true;
}

static void std_sample_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct std_sample_instance *self = instance;
	struct packet_mask mine = std_selected(call, selection);

	packet_mask_for_each (i, &mine) {
		bool pass = self->probabilistic
			? std_sample_by_chance(self, call->batch->first_no - call->begin_no + i)
			: std_sample_by_period(self, state);

		if (!pass)
			packet_mask_clear(selection, i);
	}
}

/* Chance goes by the number of a packet among all of the device (semantics T3). */
static bool std_sample_needs_all(const void *instance)
{
	const struct std_sample_instance *self = instance;

	return self->probabilistic;
}

static const struct mapi_choice std_sample_choices[] = {
	{ .name = "PERIODIC", .value = PERIODIC },
	{ .name = "PROBABILISTIC", .value = PROBABILISTIC },
	{ .name = "DETERMINISTIC", .value = DETERMINISTIC },
};

static const struct mapi_arg std_sample_args[] = {
	{
		.name = "value",
		.type = MAPI_ARG_INT,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "PERIODIC: every how many packets one passes; PROBABILISTIC: percent.",
	},
	{
		.name = "mode",
		.type = MAPI_ARG_INT,
		.default_text = "PERIODIC",
		.error_code = MFUNCT_INVALID_ARGUMENT_2,
		.choices = std_sample_choices,
		.n_choices = ARRAY_SIZE(std_sample_choices),
		.help = "PERIODIC: packet N, 2N, ...; PROBABILISTIC: each packet with that chance.",
	},
};

const struct function std_sample = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "SAMPLE",
		.library = STD_LIBRARY,
		.help = "Passes a sample of the packets.",
		.example = "SAMPLE(10, periodic) | BYTE_COUNTER",
		.args = std_sample_args,
		.n_args = ARRAY_SIZE(std_sample_args),
		.flags = MAPI_FUNCTION_FILTERS,
	},
	.order = FUNCTION_ORDER,
	.instance_bytes = sizeof(struct std_sample_instance),
	.state_bytes = sizeof(struct std_sample_state),
	.open = std_sample_open,
	.process = std_sample_process,
	.needs_all = std_sample_needs_all,
};
