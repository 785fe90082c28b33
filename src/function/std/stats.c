/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * STATS: samples the value of another function and gives count, sum, sum of squares, maximum and
 * minimum of the samples.
 *
 * Interval "0" samples at every packet that reaches STATS, "1" at every one but the first. Any
 * other interval is a period: time is that of the device (semantics T1), so that periods also end
 * while no packet passes the filters before STATS, and the first period begins with the first
 * packet. At the end of a period the value is the sample - a packet at that very moment belongs to
 * the next period - and the source is reset. If several periods end at once, because no packet has
 * come meanwhile, each further one is a sample of 0, what the reset source would have shown. The
 * last, unfinished period gives no sample.
 */
#include <string.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "mapi/stats.h"
#include "std.h"
#include "std_private.h"
#include "time_text_private.h"

_Static_assert(sizeof(stats_t) == 64, "public layout");
_Static_assert(offsetof(stats_t, sum) == 16, "public layout");
_Static_assert(offsetof(stats_t, sum2) == 32, "public layout");
_Static_assert(offsetof(stats_t, max) == 48, "public layout");
_Static_assert(offsetof(stats_t, min) == 56, "public layout");

enum std_stats_mode {
	STD_STATS_MODE_EACH,
	STD_STATS_MODE_SKIP_FIRST,
	STD_STATS_MODE_PERIOD,
	_STD_STATS_MODE_N
};

struct std_stats_instance {
	enum std_stats_mode mode;
	uint64_t period_ns;
};

struct std_stats_state {
	stats_t stats;
	bool begun; /* a packet has come */
	uint64_t begin_ns; /* of the current period */
};

static int std_stats_open(const struct function_open *open, struct error *err)
{
	struct std_stats_instance *instance = open->instance;
	const char *interval = open->args[2].text;

	if (strcmp(interval, "0") == 0) {
		instance->mode = STD_STATS_MODE_EACH;
		return 0;
	}
	if (strcmp(interval, "1") == 0) {
		instance->mode = STD_STATS_MODE_SKIP_FIRST;
		return 0;
	}
	instance->mode = STD_STATS_MODE_PERIOD;
	instance->period_ns = std_time_text_period_ns(interval);
	if (!instance->period_ns)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_3,
			"STATS: '%.40s' is no interval; use \"0\" (each packet), \"1\" (each but "
			"the first) or " STD_TIME_TEXT_HELP,
			interval);
	return 0;
}

/* Other samples are taken at packets that get here. */
static bool std_stats_has_period(const void *instance)
{
	const struct std_stats_instance *self = instance;

	return self->mode == STD_STATS_MODE_PERIOD;
}

static void std_stats_extend(stats_t *stats, double value)
{
	if (!stats->count || value > stats->max)
		stats->max = value;
	if (!stats->count || value < stats->min)
		stats->min = value;
}

static void std_stats_add(stats_t *stats, uint64_t value)
{
	long double v = (long double)value;

	std_stats_extend(stats, (double)value);
	stats->count++;
	stats->sum += v;
	stats->sum2 += v * v;
}

/* In one step, because a capture may jump by more periods than anybody can wait for. */
static void std_stats_add_zeros(stats_t *stats, uint64_t n)
{
	if (!n)
		return;
	std_stats_extend(stats, 0);
	stats->count += n;
}

static uint64_t std_stats_tick(
	const struct function_call *call, void *instance, void *state, uint64_t now_ns)
{
	const struct std_stats_instance *self = instance;
	struct std_stats_state *s = state;
	uint64_t n_periods, end_ns;

	if (self->mode != STD_STATS_MODE_PERIOD)
		return UINT64_MAX;
	if (!s->begun) {
		s->begun = true;
		s->begin_ns = now_ns;
	}
	n_periods = (now_ns - s->begin_ns) / self->period_ns;
	if (n_periods > 0) {
		std_stats_add(&s->stats, call->refs[0].value[0]);
		std_stats_add_zeros(&s->stats, n_periods - 1);
		s->begin_ns += n_periods * self->period_ns;
		function_reset_ref(call, 0);
	}
	return __builtin_add_overflow(s->begin_ns, self->period_ns, &end_ns) ? UINT64_MAX : end_ns;
}

static void std_stats_step(const void *instance, void *state, int64_t by_ns)
{
	struct std_stats_state *s = state;

	s->begin_ns = function_moment(s->begin_ns, by_ns);
}

static void std_stats_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct std_stats_instance *self = instance;
	struct std_stats_state *s = state;
	struct packet_mask mine = std_selected(call, selection);

	if (self->mode == STD_STATS_MODE_PERIOD)
		return;
	packet_mask_for_each (i, &mine) {
		if (self->mode == STD_STATS_MODE_EACH || s->begun)
			std_stats_add(&s->stats, call->refs[0].value[i]);
		else
			s->begun = true;
	}
}

static const struct mapi_arg std_stats_args[] = {
	{
		.name = "fd",
		.type = MAPI_ARG_FLOW,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "The flow of the function whose value is sampled.",
	},
	{
		.name = "fid",
		.type = MAPI_ARG_FUNCTION,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "The function whose value is sampled.",
	},
	{
		.name = "interval",
		.type = MAPI_ARG_STRING,
		.default_text = "0",
		.error_code = MFUNCT_INVALID_ARGUMENT_3,
		.help = "\"0\": at each packet; \"1\": at each but the first; else a period (us, "
			"ms, s, "
			"m), after which the source is reset.",
	},
};

#define STD_STATS_FIELD(name_, type_, member, merge_, unit_, help_)                      \
	{                                                                                \
		.name = name_, .type = type_, .offset_bytes = offsetof(stats_t, member), \
		.merge = merge_, .unit = unit_, .help = help_,                           \
	}

static const struct mapi_field std_stats_fields[] = {
	STD_STATS_FIELD(
		"count", MAPI_FIELD_U64, count, MAPI_MERGE_SUM, "samples", "Number of samples."),
	STD_STATS_FIELD("sum", MAPI_FIELD_F80, sum, MAPI_MERGE_SUM, "", "Sum of the samples."),
	STD_STATS_FIELD("sum2", MAPI_FIELD_F80, sum2, MAPI_MERGE_SUM, "",
		"Sum of the squares of the samples."),
	STD_STATS_FIELD("max", MAPI_FIELD_F64, max, MAPI_MERGE_MAX, "",
		"Largest sample; 0 while there is none."),
	STD_STATS_FIELD("min", MAPI_FIELD_F64, min, MAPI_MERGE_MIN, "",
		"Smallest sample; 0 while there is none."),
};

const struct function std_stats = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "STATS",
		.library = STD_LIBRARY,
		.help = "Gives count, sum, sum of squares, maximum and minimum of a value.",
		.example = "PKTINFO(size) @size | STATS(size)",
		.args = std_stats_args,
		.n_args = ARRAY_SIZE(std_stats_args),
		.fields = std_stats_fields,
		.n_fields = ARRAY_SIZE(std_stats_fields),
		.result_bytes = sizeof(stats_t),
	},
	.order = FUNCTION_ORDER,
	.resets_refs = true,
	.resets_refs_of = std_stats_has_period,
	.instance_bytes = sizeof(struct std_stats_instance),
	.state_bytes = sizeof(struct std_stats_state),
	.open = std_stats_open,
	.process = std_stats_process,
	.tick = std_stats_tick,
	.step = std_stats_step,
	.needs_all = std_stats_has_period,
	.only_ticks = std_stats_has_period,
};
