/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BUCKET: a time series of another function's value: at the end of each interval a record with the
 * value, to be read one by one.
 *
 * Time is that of the device (semantics T1): the first interval begins with the first packet,
 * intervals also end while filters keep all packets away or none come, and the last, unfinished one
 * gives no record. An interval in which no packet of the device came gives 0, whatever the source
 * shows; for that process() only sees that there were packets.
 */
#include "base/cleanup.h"
#include "mapi/bucket.h"
#include "mapi/errors.h"
#include "period_records_private.h"
#include "periods_private.h"
#include "std.h"
#include "time_text_private.h"

_Static_assert(sizeof(struct bucket_data) == 16, "public layout");
_Static_assert(offsetof(struct bucket_data, data) == 8, "public layout");
_Static_assert(sizeof(struct std_record) == sizeof(struct bucket_data), "a record is a bucket");

struct std_bucket_instance {
	struct std_records records;
	uint64_t interval_ns;
	bool resets;
};

struct std_bucket_state {
	struct std_records_state records;
	struct std_periods intervals;
};

_Static_assert(offsetof(struct std_bucket_instance, records) == 0, "see period_records_private.h");
_Static_assert(offsetof(struct std_bucket_state, records) == 0, "see period_records_private.h");

static int std_bucket_open(const struct function_open *open, struct error *err)
{
	struct std_bucket_instance *instance = open->instance;

	instance->interval_ns = std_time_text_period_ns(open->args[2].text);
	if (!instance->interval_ns)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_3,
			"BUCKET: '%.40s' is no interval; use " STD_TIME_TEXT_HELP,
			open->args[2].text);
	instance->resets = open->args[3].number != 0;
	return std_records_init(&instance->records, open, "BUCKET", err);
}

static bool std_bucket_resets_refs_of(const void *instance)
{
	const struct std_bucket_instance *self = instance;

	return self->resets;
}

static uint64_t std_bucket_tick(
	const struct function_call *call, void *instance, void *state, uint64_t now_ns)
{
	const struct std_bucket_instance *self = instance;
	struct std_bucket_state *s = state;
	struct std_periods_ended ended;

	if (std_periods_pass(&s->intervals, self->interval_ns, now_ns, &ended)) {
		std_records_write(&self->records, &s->records, ended.begin_ns, self->interval_ns,
			ended.has_pkts, call->refs[0].value[0], call->error);
		std_records_write(&self->records, &s->records, ended.empty_begin_ns,
			self->interval_ns, ended.n_empty, 0, call->error);
		if (self->resets)
			function_reset_ref(call, 0);
	}
	return std_periods_next_ns(&s->intervals, self->interval_ns);
}

static void std_bucket_step(const void *instance, void *state, int64_t by_ns)
{
	struct std_bucket_state *s = state;

	s->intervals.begin_ns = function_moment(s->intervals.begin_ns, by_ns);
}

static void std_bucket_met(const void *instance, void *state)
{
	struct std_bucket_state *s = state;

	s->intervals.has_pkts = true;
}

static void std_bucket_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	std_bucket_met(instance, state);
}

static bool std_bucket_only_ticks(const void *instance)
{
	return true;
}

static const struct mapi_arg std_bucket_args[] = {
	{
		.name = "fd",
		.type = MAPI_ARG_FLOW,
		.error_code = MFUNCT_INVALID_ARGUMENT,
		.help = "The flow of the function whose value is recorded.",
	},
	{
		.name = "fid",
		.type = MAPI_ARG_FUNCTION,
		.error_code = MFUNCT_INVALID_ARGUMENT,
		.help = "The function whose value is recorded.",
	},
	{
		.name = "interval",
		.type = MAPI_ARG_STRING,
		.error_code = MFUNCT_INVALID_ARGUMENT_3,
		.help = "How long each interval is (us, ms, s, m).",
	},
	{
		.name = "reset",
		.type = MAPI_ARG_INT,
		.default_text = "1",
		.error_code = MFUNCT_INVALID_ARGUMENT_4,
		.help = "Not 0: the source is reset at the end of each interval.",
	},
};

static const struct mapi_field std_bucket_fields[] = {
	{
		.name = "timestamp",
		.type = MAPI_FIELD_TS,
		.offset_bytes = offsetof(struct bucket_data, timestamp),
		.merge = MAPI_MERGE_LAST,
		.unit = "",
		.help = "When the interval began.",
	},
	{
		.name = "data",
		.type = MAPI_FIELD_U64,
		.offset_bytes = offsetof(struct bucket_data, data),
		.merge = MAPI_MERGE_LAST,
		.unit = "",
		.help = "The value at its end; 0 if no packet came.",
	},
};

const struct function std_bucket = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "BUCKET",
		.library = STD_LIBRARY,
		.help = "Gives another value interval by interval, as records.",
		.example = "BYTE_COUNTER @bytes | BUCKET(bytes, 100ms)",
		.args = std_bucket_args,
		.n_args = ARRAY_SIZE(std_bucket_args),
		.fields = std_bucket_fields,
		.n_fields = ARRAY_SIZE(std_bucket_fields),
		.result_bytes = sizeof(struct bucket_data),
		.flags = MAPI_FUNCTION_BLOCKING,
	},
	.order = FUNCTION_ORDER,
	.follows_time = true,
	.resets_refs = true,
	.resets_refs_of = std_bucket_resets_refs_of,
	.instance_bytes = sizeof(struct std_bucket_instance),
	.state_bytes = sizeof(struct std_bucket_state),
	.live_bytes = STD_RECORDS_RING_BYTES,
	.open = std_bucket_open,
	.close = std_records_close,
	.process = std_bucket_process,
	.tick = std_bucket_tick,
	.step = std_bucket_step,
	.only_ticks = std_bucket_only_ticks,
	.met = std_bucket_met,
	.read = std_records_read,
	.cancel = std_records_cancel,
	.ring = std_records_ring,
	.lost = std_records_lost,
};
