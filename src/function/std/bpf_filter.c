/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_FILTER: passes what a pcap-filter(7) expression matches. A pure filter: the plan compiles the
 * expression for the link types that it meets, together with all others of the domain (filter.h).
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "std.h"

struct std_bpf_filter_instance {
	char *expression;
};

static int std_bpf_filter_open(const struct function_open *open, struct error *err)
{
	struct std_bpf_filter_instance *instance = open->instance;
	const char *text = open->args[0].text;

	while (isspace((unsigned char)*text))
		text++;
	if (!*text)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"BPF_FILTER needs an expression, for example \"tcp port 80\"; leave the "
			"function "
			"out to see every packet");

	/* With the spaces, so that the compiler's messages count columns as the user does. */
	instance->expression = strdup(open->args[0].text);
	return instance->expression ? 0 : -ENOMEM;
}

static void std_bpf_filter_close(void *instance)
{
	struct std_bpf_filter_instance *self = instance;

	free(self->expression);
}

static const char *std_bpf_filter_filter(const void *instance)
{
	const struct std_bpf_filter_instance *self = instance;

	return self->expression;
}

static const struct mapi_arg std_bpf_filter_args[] = {
	{
		.name = "expression",
		.type = MAPI_ARG_STRING,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "A filter in the language of tcpdump, pcap-filter(7).",
	},
};

const struct function std_bpf_filter = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "BPF_FILTER",
		.library = STD_LIBRARY,
		.help = "Passes the packets that a tcpdump expression matches.",
		.example = "BPF_FILTER(\"tcp port 80\") | PKT_COUNTER",
		.args = std_bpf_filter_args,
		.n_args = ARRAY_SIZE(std_bpf_filter_args),
		.flags = MAPI_FUNCTION_FILTERS,
	},
	.order = FUNCTION_FREE,
	.instance_bytes = sizeof(struct std_bpf_filter_instance),
	.open = std_bpf_filter_open,
	.close = std_bpf_filter_close,
	.filter = std_bpf_filter_filter,
};
