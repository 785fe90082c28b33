/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DIST: the distribution of another function's value: at each packet that reaches DIST the value is
 * counted in one of the intervals between a minimum and a maximum, or below, or above.
 *
 * The numbers are as many as the arguments say, so they lie beside the state; all packets come in
 * order, so there is one state.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "mapi/dist.h"
#include "mapi/errors.h"
#include "std.h"
#include "std_private.h"
#include "time_text_private.h"

_Static_assert(sizeof(dist_t) == 32, "public layout");
_Static_assert(offsetof(dist_t, max) == 8, "public layout");
_Static_assert(offsetof(dist_t, intervals) == 16, "public layout");
_Static_assert(offsetof(dist_t, data) == 24, "public layout");

#define STD_DIST_INTERVALS_MAX 65536u

/* All sizes of packets, one by one: half a megabyte. */
#define STD_DIST_BYTES(intervals) \
	(offsetof(dist_t, data) + ((size_t)(intervals) + 2) * sizeof(uint64_t))

struct std_dist_instance {
	uint64_t min, max, interval;
	uint32_t n_intervals;
	uint64_t *data; /* n_intervals + 2 */
};

static int std_dist_parse(
	struct std_dist_instance *ret, const struct function_value *args, struct error *err)
{
	static const char *const names[] = { "minimum", "maximum", "interval" };
	uint64_t *const values[] = { &ret->min, &ret->max, &ret->interval };
	uint64_t n;

	for (int i = 0; i < 3; i++) {
		if (!std_time_text_value(args[2 + i].text, values[i]))
			return error_set(err, MFUNCT_INVALID_ARGUMENT_3 + i,
				"DIST: '%.40s' is no %s; use a number, or " STD_TIME_TEXT_HELP
				" for the value of a function that gives times",
				args[2 + i].text, names[i]);
	}
	if (ret->max <= ret->min)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_4,
			"DIST: the maximum, '%.40s', is not above the minimum, '%.40s'",
			args[3].text, args[2].text);
	if (ret->interval == 0)
		return error_set(
			err, MFUNCT_INVALID_ARGUMENT_5, "DIST: an interval of 0 holds no value");
	n = (ret->max - ret->min - 1) / ret->interval + 1;
	if (n > STD_DIST_INTERVALS_MAX)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_5,
			"DIST: these are %llu intervals, and there may be %u; make the interval "
			"longer",
			(unsigned long long)n, STD_DIST_INTERVALS_MAX);
	ret->n_intervals = (uint32_t)n;
	return 0;
}

static size_t std_dist_result_bytes_of(const struct function_value *args)
{
	struct std_dist_instance instance = { .n_intervals = 0 };
	struct error err = ERROR_INIT;

	(void)std_dist_parse(&instance, args, &err); /* open() tells */
	return STD_DIST_BYTES(instance.n_intervals);
}

static int std_dist_open(const struct function_open *open, struct error *err)
{
	struct std_dist_instance *instance = open->instance;
	int r = std_dist_parse(instance, open->args, err);

	if (r < 0)
		return r;
	instance->data = calloc((size_t)instance->n_intervals + 2, sizeof(uint64_t));
	return instance->data ? 0 : -ENOMEM;
}

static void std_dist_close(void *instance)
{
	struct std_dist_instance *self = instance;

	free(self->data);
	self->data = NULL;
}

static void std_dist_init(const void *instance, void *state)
{
	const struct std_dist_instance *self = instance;

	memset(self->data, 0, ((size_t)self->n_intervals + 2) * sizeof(uint64_t));
}

/* The maximum itself is in the last interval unless it would begin another one. */
static uint32_t std_dist_place(const struct std_dist_instance *self, uint64_t value)
{
	if (value < self->min)
		return 0;
	if (value > self->max)
		return self->n_intervals + 1;
	return (uint32_t)((value - self->min) / self->interval) + 1;
}

static void std_dist_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct std_dist_instance *self = instance;
	struct packet_mask mine = std_selected(call, selection);

	packet_mask_for_each (i, &mine)
		self->data[std_dist_place(self, call->refs[0].value[i])]++;
}

static void std_dist_read(const void *instance, const void *state, void *ret_result)
{
	const struct std_dist_instance *self = instance;
	dist_t head = { .min = self->min, .max = self->max, .intervals = self->n_intervals };

	memcpy(ret_result, &head, offsetof(dist_t, data));
	memcpy((unsigned char *)ret_result + offsetof(dist_t, data), self->data,
		((size_t)self->n_intervals + 2) * sizeof(uint64_t));
}

static const struct mapi_arg std_dist_args[] = {
	{
		.name = "fd",
		.type = MAPI_ARG_FLOW,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "The flow of the function whose value is counted.",
	},
	{
		.name = "fid",
		.type = MAPI_ARG_FUNCTION,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "The function whose value is counted.",
	},
	{
		.name = "min",
		.type = MAPI_ARG_STRING,
		.error_code = MFUNCT_INVALID_ARGUMENT_3,
		.help = "Where the first interval begins: a number, or a time (us, ms, s, m).",
	},
	{
		.name = "max",
		.type = MAPI_ARG_STRING,
		.error_code = MFUNCT_INVALID_ARGUMENT_4,
		.help = "Where the last interval ends.",
	},
	{
		.name = "interval",
		.type = MAPI_ARG_STRING,
		.error_code = MFUNCT_INVALID_ARGUMENT_5,
		.help = "How long each interval is; there are at most 65536.",
	},
};

#define STD_DIST_FIELD(name_, merge_, unit_, help_)                                              \
	{                                                                                        \
		.name = #name_, .type = MAPI_FIELD_U64, .offset_bytes = offsetof(dist_t, name_), \
		.merge = merge_, .unit = unit_, .help = help_,                                   \
	}

static const struct mapi_field std_dist_fields[] = {
	STD_DIST_FIELD(min, MAPI_MERGE_LAST, "", "Where the first interval begins."),
	STD_DIST_FIELD(max, MAPI_MERGE_LAST, "", "Where the last interval ends."),
	STD_DIST_FIELD(intervals, MAPI_MERGE_LAST, "", "How many intervals there are."),
	STD_DIST_FIELD(data, MAPI_MERGE_SUM, "values",
		"How many values were below the minimum, in each interval, above the last one."),
};

const struct function std_dist = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "DIST",
		.library = STD_LIBRARY,
		.help = "Gives the distribution of another value.",
		.example = "PKTINFO(size) @size | DIST(size, 0, 1500, 100)",
		.args = std_dist_args,
		.n_args = ARRAY_SIZE(std_dist_args),
		.fields = std_dist_fields,
		.n_fields = ARRAY_SIZE(std_dist_fields),
		.result_bytes = STD_DIST_BYTES(STD_DIST_INTERVALS_MAX),
		.record_bytes = sizeof(uint64_t),
		.list_offset_bytes = offsetof(dist_t, data),
		.n_head_fields = ARRAY_SIZE(std_dist_fields) - 1,
	},
	.order = FUNCTION_ORDER,
	.instance_bytes = sizeof(struct std_dist_instance),
	.result_bytes_of = std_dist_result_bytes_of,
	.open = std_dist_open,
	.close = std_dist_close,
	.process = std_dist_process,
	.init = std_dist_init,
	.read = std_dist_read,
};
