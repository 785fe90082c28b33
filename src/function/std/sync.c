/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SYNC: passes no packet until all flows of a list are connected, so that they begin together. It
 * is a gate, which the plan opens (plan.c): flows of one device begin with the same packet.
 */
#include "base/cleanup.h"
#include "mapi/errors.h"
#include "std.h"

static const struct mapi_arg std_sync_args[] = {
	{
		.name = "flows",
		.type = MAPI_ARG_FLOWS,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "The flows that are waited for: descriptors, separated by commas.",
	},
};

const struct function std_sync = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "SYNC",
		.library = STD_LIBRARY,
		.help = "Passes no packet until all flows of a list are connected.",
		.example = "SYNC(\"1\") | PKT_COUNTER",
		.args = std_sync_args,
		.n_args = ARRAY_SIZE(std_sync_args),
		.flags = MAPI_FUNCTION_FILTERS,
	},
	.order = FUNCTION_FREE,
	.waits = true,
};
