/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SAMPLE: passes every N-th packet, or each with a probability. The phase is the instance's own
 * (semantics O3). Both go by a packet's number among those that reach the function, chance by a
 * hash of that and the seed, so that two runs over the same packets choose the same ones (T3).
 */
#include "base/cleanup.h"
#include "mapi/errors.h"
#include "mapi/sample.h"
#include "std.h"
#include "std_private.h"

/* Historical: neither argument can be wrong, both fall back. */
static int std_sample_open(const struct function_open *open, struct error *err)
{
	struct sampling *instance = open->instance;
	long long value = open->args[0].number;

	if (open->args[1].number == PROBABILISTIC)
		*instance = (struct sampling){ .mode = SAMPLING_BY_CHANCE,
			.value = (uint32_t)MIN(MAX(value, 0), 100),
			.seed = open->seed };
	else
		*instance = (struct sampling){ .mode = SAMPLING_PERIODIC,
			.value = (uint32_t)MIN(MAX(value, 1), INT32_MAX) };
	return 0;
}

static void std_sample_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	struct packet_mask mine = std_selected(call, selection);

	packet_mask_for_each (i, &mine) {
		if (!sampling_next(instance, state))
			packet_mask_clear(selection, i);
	}
}

static const struct sampling *std_sample_sampling(
	const void *instance, void *state, struct sampling_state **ret_state)
{
	*ret_state = state;
	return instance;
}

static bool std_sample_seed(const void *instance, uint64_t *seed)
{
	const struct sampling *sampling = instance;

	(void)seed; /* the user's */
	return sampling->mode == SAMPLING_BY_CHANCE;
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
	.instance_bytes = sizeof(struct sampling),
	.state_bytes = sizeof(struct sampling_state),
	.open = std_sample_open,
	.process = std_sample_process,
	.sampling = std_sample_sampling,
	.seed = std_sample_seed,
};
