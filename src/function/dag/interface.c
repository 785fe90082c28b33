/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INTERFACE: passes the packets of one capture interface of the device: a port of a card, as ERF
 * records give it, or an interface of a pcapng file.
 */
#include "base/cleanup.h"
#include "dag.h"
#include "mapi/errors.h"

struct dag_interface_instance {
	uint32_t index;
};

static int dag_interface_open(const struct function_open *open, struct error *err)
{
	struct dag_interface_instance *instance = open->instance;
	long long index = open->args[0].number;

	if (index < 0 || index > UINT32_MAX)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"INTERFACE: %lld is no number of an interface; they begin with 0", index);
	instance->index = (uint32_t)index;
	return 0;
}

static void dag_interface_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct dag_interface_instance *self = instance;

	for (unsigned int i = call->first; i < call->first + call->n; i++) {
		if (call->batch->ifindex[i] != self->index)
			packet_mask_clear(selection, i);
	}
}

static const struct mapi_arg dag_interface_args[] = {
	{
		.name = "index",
		.type = MAPI_ARG_INT,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "Number of the interface, 0 or more.",
	},
};

const struct function dag_interface = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "INTERFACE",
		.library = DAG_LIBRARY,
		.help = "Passes the packets of one capture interface of the device.",
		.example = "INTERFACE(0) | PKT_COUNTER",
		.args = dag_interface_args,
		.n_args = ARRAY_SIZE(dag_interface_args),
		.flags = MAPI_FUNCTION_FILTERS,
	},
	.order = FUNCTION_FREE,
	.instance_bytes = sizeof(struct dag_interface_instance),
	.open = dag_interface_open,
	.process = dag_interface_process,
};
