/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * THRESHOLD: compares another function's value with a threshold, passes packets while the
 * comparison holds, and gives a record when it begins to hold.
 *
 * Without a timeout the comparison is made at each packet that reaches the function, and decides on
 * that packet. With one it is made at the end of each such period of the device's time (semantics
 * T1; the first period begins with the first packet), and decides on the packets until the next
 * end. What is compared is the value, or by how much it has grown since the comparison before -
 * since the first period began; there is nothing to compare at the first of all packets -, divided
 * by the divider.
 */
#include "base/cleanup.h"
#include "mapi.h"
#include "mapi/errors.h"
#include "mapi/threshold.h"
#include "period_records_private.h"
#include "periods_private.h"
#include "std.h"
#include "std_private.h"

_Static_assert(sizeof(struct threshold_crossing) == 16, "public layout");
_Static_assert(offsetof(struct threshold_crossing, value) == 8, "public layout");
_Static_assert(
	sizeof(struct std_record) == sizeof(struct threshold_crossing), "a record is a crossing");

struct std_threshold_instance {
	struct std_records records;
	uint64_t mask; /* of the value */
	uint64_t threshold;
	uint64_t period_ns; /* 0: at each packet */
	uint64_t divider;
	uint64_t count; /* records at most */
	int boundary;
	bool multi;
	bool poll;
};

struct std_threshold_state {
	struct std_records_state records;
	bool begun;
	bool holds;
	uint64_t before; /* value at the last comparison */
	struct std_periods periods;
	uint64_t n_records;
};

_Static_assert(
	offsetof(struct std_threshold_instance, records) == 0, "see period_records_private.h");
_Static_assert(offsetof(struct std_threshold_state, records) == 0, "see period_records_private.h");

static int std_threshold_open(const struct function_open *open, struct error *err)
{
	static const uint64_t masks[] = {
		[THRESHOLD_CHAR] = UINT8_MAX,
		[THRESHOLD_INT] = UINT32_MAX,
		[THRESHOLD_ULL] = UINT64_MAX,
	};
	struct std_threshold_instance *instance = open->instance;
	long long type = open->args[0].number;
	unsigned long long width =
		(unsigned long long)type & ~(unsigned long long)(THRESHOLD_POLL | THRESHOLD_MULTI);

	if (width >= ARRAY_SIZE(masks))
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"THRESHOLD: %lld is no type; use THRESHOLD_CHAR (0), THRESHOLD_INT (1) or "
			"THRESHOLD_ULL (2), and add THRESHOLD_POLL (64) and THRESHOLD_MULTI (128)",
			type);
	switch (open->args[4].number) {
	case TR_B_EQ:
	case TR_B_POS:
	case TR_B_NEG:
	case TR_B_D_EQ:
	case TR_B_D_POS:
	case TR_B_D_NEG:
		break;
	default:
		return error_set(err, MFUNCT_INVALID_ARGUMENT_5,
			"THRESHOLD: %lld is no boundary; use TR_B_EQ (0), TR_B_POS (1), TR_B_NEG "
			"(2), TR_B_D_EQ (4), TR_B_D_POS (8) or TR_B_D_NEG (16)",
			open->args[4].number);
	}
	*instance = (struct std_threshold_instance){
		.mask = masks[width],
		.threshold = open->args[3].large,
		.period_ns = (uint64_t)open->args[5].number * 1000u,
		.divider = MAX((uint64_t)open->args[6].number, 1u),
		.count = open->args[7].number ? (uint64_t)open->args[7].number : UINT64_MAX,
		.boundary = (int)open->args[4].number,
		.multi = type & THRESHOLD_MULTI,
		.poll = type & THRESHOLD_POLL,
	};
	return std_records_init(&instance->records, open, "THRESHOLD", err);
}

static bool std_threshold_compare(
	const struct std_threshold_instance *self, uint64_t value, uint64_t grown)
{
	switch (self->boundary) {
	case TR_B_EQ:
		return value == self->threshold;
	case TR_B_POS:
		return value > self->threshold;
	case TR_B_NEG:
		return value < self->threshold;
	case TR_B_D_EQ:
		return grown == self->threshold;
	case TR_B_D_POS:
		return grown > self->threshold;
	default: /* TR_B_D_NEG */
		return grown < self->threshold;
	}
}

/* @n comparisons that come to the same, the first at @first_ns and the next ones a period later
 * each. */
static void std_threshold_check(const struct std_threshold_instance *self,
	struct std_threshold_state *s, uint64_t value, uint64_t first_ns, uint64_t n,
	struct error *err)
{
	bool is_difference = self->boundary >= TR_B_D_EQ, held = s->holds;
	uint64_t grown = value > s->before ? value - s->before : 0;

	value /= self->divider;
	grown /= self->divider;
	s->holds = std_threshold_compare(self, value, grown);
	if (!s->holds || (held && !self->multi))
		return;
	n = MIN(self->multi ? n : 1, self->count - s->n_records);
	s->n_records += n;
	std_records_write(&self->records, &s->records, first_ns, self->period_ns, n,
		is_difference ? grown : value, err);
}

static void std_threshold_step(const void *instance, void *state, int64_t by_ns)
{
	struct std_threshold_state *s = state;

	s->periods.begin_ns = function_moment(s->periods.begin_ns, by_ns);
}

static uint64_t std_threshold_tick(
	const struct function_call *call, void *instance, void *state, uint64_t now_ns)
{
	const struct std_threshold_instance *self = instance;
	struct std_threshold_state *s = state;
	struct std_periods_ended ended;

	if (!self->period_ns)
		return UINT64_MAX;
	if (!s->begun) {
		s->begun = true;
		s->before = call->refs[0].value[0] & self->mask;
	}
	if (!std_periods_pass(&s->periods, self->period_ns, now_ns, &ended))
		return std_periods_next_ns(&s->periods, self->period_ns);
	if (ended.has_pkts) {
		uint64_t value = call->refs[0].value[0] & self->mask;

		std_threshold_check(
			self, s, value, ended.begin_ns + self->period_ns, 1, call->error);
		s->before = value;
	}
	/* While no packet comes, nothing changes, whatever others reset. */
	if (ended.n_empty > 0)
		std_threshold_check(self, s, s->before, ended.empty_begin_ns + self->period_ns,
			ended.n_empty, call->error);
	return std_periods_next_ns(&s->periods, self->period_ns);
}

static void std_threshold_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct std_threshold_instance *self = instance;
	struct std_threshold_state *s = state;
	struct packet_mask mine = std_selected(call, selection);

	s->periods.has_pkts = true;
	packet_mask_for_each (i, &mine) {
		if (!self->period_ns) {
			uint64_t value = call->refs[0].value[i] & self->mask;

			if (s->begun || self->boundary < TR_B_D_EQ)
				std_threshold_check(
					self, s, value, call->batch->ts_ns[i], 1, call->error);
			s->begun = true;
			s->before = value;
		}
		if (!s->holds)
			packet_mask_clear(selection, i);
	}
}

static bool std_threshold_has_period(const void *instance)
{
	const struct std_threshold_instance *self = instance;

	return self->period_ns > 0;
}

static void std_threshold_met(const void *instance, void *state)
{
	struct std_threshold_state *s = state;

	s->periods.has_pkts = true;
}

static bool std_threshold_passes(const void *instance, const void *state)
{
	const struct std_threshold_state *s = state;

	return s->holds;
}

static bool std_threshold_no_wait(const void *instance)
{
	const struct std_threshold_instance *self = instance;

	return self->poll;
}

static const struct mapi_choice std_threshold_types[] = {
	{ .name = "THRESHOLD_CHAR", .value = THRESHOLD_CHAR },
	{ .name = "THRESHOLD_INT", .value = THRESHOLD_INT },
	{ .name = "THRESHOLD_ULL", .value = THRESHOLD_ULL },
	{ .name = "THRESHOLD_ULL_MULTI", .value = THRESHOLD_ULL | THRESHOLD_MULTI },
};

static const struct mapi_choice std_threshold_boundaries[] = {
	{ .name = "TR_B_EQ", .value = TR_B_EQ },
	{ .name = "TR_B_POS", .value = TR_B_POS },
	{ .name = "TR_B_NEG", .value = TR_B_NEG },
	{ .name = "TR_B_D_EQ", .value = TR_B_D_EQ },
	{ .name = "TR_B_D_POS", .value = TR_B_D_POS },
	{ .name = "TR_B_D_NEG", .value = TR_B_D_NEG },
};

static const struct mapi_arg std_threshold_args[] = {
	{
		.name = "type",
		.type = MAPI_ARG_INT,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.choices = std_threshold_types,
		.n_choices = ARRAY_SIZE(std_threshold_types),
		.help = "How much of the value is compared: 8, 32 or 64 bits; plus 64: reading "
			"does not wait, plus 128: a record of each time that the comparison holds.",
	},
	{
		.name = "fd",
		.type = MAPI_ARG_FLOW,
		.error_code = MFUNCT_INVALID_ARGUMENT_2,
		.help = "The flow of the function whose value is compared.",
	},
	{
		.name = "fid",
		.type = MAPI_ARG_FUNCTION,
		.error_code = MFUNCT_INVALID_ARGUMENT_2,
		.help = "The function whose value is compared.",
	},
	{
		.name = "threshold",
		.type = MAPI_ARG_ULL,
		.error_code = MFUNCT_INVALID_ARGUMENT_4,
		.help = "What it is compared with.",
	},
	{
		.name = "boundary",
		.type = MAPI_ARG_INT,
		.error_code = MFUNCT_INVALID_ARGUMENT_5,
		.choices = std_threshold_boundaries,
		.n_choices = ARRAY_SIZE(std_threshold_boundaries),
		.help = "Whether the value must be the threshold (EQ), above (POS) or below it "
			"(NEG); D: by how much it has grown.",
	},
	{
		.name = "timeout",
		.type = MAPI_ARG_INT,
		.default_text = "0",
		.min = 0,
		.max = INT32_MAX,
		.error_code = MFUNCT_INVALID_ARGUMENT_6,
		.help = "0: at each packet; else after each period of so many microseconds.",
	},
	{
		.name = "divider",
		.type = MAPI_ARG_INT,
		.default_text = "1",
		.min = 0,
		.max = INT32_MAX,
		.error_code = MFUNCT_INVALID_ARGUMENT,
		.help = "What the value or its growth is divided by before; 0 is 1.",
	},
	{
		.name = "count",
		.type = MAPI_ARG_INT,
		.default_text = "0",
		.min = 0,
		.max = INT32_MAX,
		.error_code = MFUNCT_INVALID_ARGUMENT,
		.help = "How many records are given; 0: all.",
	},
};

static const struct mapi_field std_threshold_fields[] = {
	{
		.name = "timestamp",
		.type = MAPI_FIELD_TS,
		.offset_bytes = offsetof(struct threshold_crossing, timestamp),
		.merge = MAPI_MERGE_LAST,
		.unit = "",
		.help = "When the comparison came to hold.",
	},
	{
		.name = "value",
		.type = MAPI_FIELD_U64,
		.offset_bytes = offsetof(struct threshold_crossing, value),
		.merge = MAPI_MERGE_LAST,
		.unit = "",
		.help = "The value or growth that was compared.",
	},
};

const struct function std_threshold = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "THRESHOLD",
		.library = STD_LIBRARY,
		.help = "Passes packets while a value is beyond a threshold; tells when.",
		.example = "PKT_COUNTER @n | THRESHOLD(ull, n, 10, tr_b_pos)",
		.args = std_threshold_args,
		.n_args = ARRAY_SIZE(std_threshold_args),
		.fields = std_threshold_fields,
		.n_fields = ARRAY_SIZE(std_threshold_fields),
		.result_bytes = sizeof(struct threshold_crossing),
		.flags = MAPI_FUNCTION_FILTERS | MAPI_FUNCTION_BLOCKING,
	},
	.order = FUNCTION_ORDER,
	.follows_time = true,
	.instance_bytes = sizeof(struct std_threshold_instance),
	.state_bytes = sizeof(struct std_threshold_state),
	.live_bytes = STD_RECORDS_RING_BYTES,
	.open = std_threshold_open,
	.close = std_records_close,
	.process = std_threshold_process,
	.tick = std_threshold_tick,
	.step = std_threshold_step,
	.needs_all = std_threshold_has_period,
	.only_ticks = std_threshold_has_period,
	.met = std_threshold_met,
	.passes = std_threshold_passes,
	.read = std_records_read,
	.cancel = std_records_cancel,
	.ring = std_records_ring,
	.no_wait = std_threshold_no_wait,
	.lost = std_records_lost,
};
