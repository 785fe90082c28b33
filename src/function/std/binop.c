/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BINOP: the sum or the difference of the values of two other functions, taken at each packet that
 * reaches it. Others may refer to it in turn: STATS(BINOP(SUB, packets in, packets out), "1s").
 */
#include "base/cleanup.h"
#include "mapi/binop.h"
#include "mapi/errors.h"
#include "std.h"
#include "std_private.h"

struct std_binop_instance {
	bool subtracts;
};

struct std_binop_state {
	uint64_t value;
};

static int std_binop_open(const struct function_open *open, struct error *err)
{
	struct std_binop_instance *instance = open->instance;

	switch (open->args[0].number) {
	case BINOP_ADD:
	case BINOP_SUB:
		instance->subtracts = open->args[0].number == BINOP_SUB;
		return 0;
	}
	return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
		"BINOP: %lld is no operation; use BINOP_ADD (0) or BINOP_SUB (1)",
		open->args[0].number);
}

static void std_binop_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct std_binop_instance *self = instance;
	const uint64_t *a = call->refs[0].value, *b = call->refs[1].value;
	struct std_binop_state *s = state;

	for (unsigned int i = call->first; i < call->first + call->n; i++) {
		if (packet_mask_test(selection, i))
			s->value = self->subtracts ? a[i] - b[i] : a[i] + b[i];
		if (call->column)
			call->column[i] = s->value;
	}
}

static const struct mapi_choice std_binop_choices[] = {
	{ .name = "BINOP_ADD", .value = BINOP_ADD },
	{ .name = "BINOP_SUB", .value = BINOP_SUB },
};

static const struct mapi_arg std_binop_args[] = {
	{
		.name = "operation",
		.type = MAPI_ARG_INT,
		.min = BINOP_ADD,
		.max = BINOP_SUB,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.choices = std_binop_choices,
		.n_choices = ARRAY_SIZE(std_binop_choices),
		.help = "BINOP_ADD: the sum; BINOP_SUB: the first value less the second.",
	},
	{
		.name = "fd1",
		.type = MAPI_ARG_FLOW,
		.error_code = MFUNCT_INVALID_ARGUMENT_2,
		.help = "The flow of the first function.",
	},
	{
		.name = "fid1",
		.type = MAPI_ARG_FUNCTION,
		.error_code = MFUNCT_INVALID_ARGUMENT_2,
		.help = "The first function.",
	},
	{
		.name = "fd2",
		.type = MAPI_ARG_FLOW,
		.error_code = MFUNCT_INVALID_ARGUMENT_4,
		.help = "The flow of the second function.",
	},
	{
		.name = "fid2",
		.type = MAPI_ARG_FUNCTION,
		.error_code = MFUNCT_INVALID_ARGUMENT_4,
		.help = "The second function.",
	},
};

static const struct mapi_field std_binop_fields[] = {
	{
		.name = "value",
		.type = MAPI_FIELD_U64,
		.offset_bytes = offsetof(struct std_binop_state, value),
		.merge = MAPI_MERGE_LAST,
		.unit = "",
		.help = "The sum or the difference at the last packet that reached the function.",
	},
};

const struct function std_binop = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "BINOP",
		.library = STD_LIBRARY,
		.help = "Gives the sum or the difference of two other values.",
		.example = "BYTE_COUNTER @b | PKT_COUNTER @n | BINOP(sub, b, n)",
		.args = std_binop_args,
		.n_args = ARRAY_SIZE(std_binop_args),
		.fields = std_binop_fields,
		.n_fields = ARRAY_SIZE(std_binop_fields),
		.result_bytes = sizeof(uint64_t),
		.flags = MAPI_FUNCTION_REFERABLE,
	},
	.order = FUNCTION_ORDER,
	.instance_bytes = sizeof(struct std_binop_instance),
	.state_bytes = sizeof(struct std_binop_state),
	.open = std_binop_open,
	.process = std_binop_process,
};
