/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * STARTSTOP: passes packets between two times.
 *
 * Time is the watermark of the domain (semantics T1): once it has reached the start packets pass,
 * once it has reached the stop none does any more, so that a capture whose time jumps back begins
 * and ends once. A late packet counts as what comes with it.
 *
 * Absolute times are local times where the daemon runs: mktime() of the time zone that it was
 * started with. A program's private daemon has that of the program.
 */
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "mapi/startstop.h"
#include "std.h"
#include "std_private.h"
#include "time_text_private.h"

#define STD_STARTSTOP_NS_PER_S 1000000000u
#define STD_STARTSTOP_FORM "a time, \"2030-01-31 08:00:00\", or a span, \"+5s\" (us, ms, s or m)"

_Static_assert(sizeof(startstop_t) == 24, "public layout");
_Static_assert(offsetof(startstop_t, first_processed) == 8, "public layout");
_Static_assert(offsetof(startstop_t, last) == 16, "public layout");

/* An argument: a time, or a span from something that is not known yet. */
struct std_startstop_time {
	bool relative;
	uint64_t ns;
};

struct std_startstop_instance {
	struct std_startstop_time start;
	struct std_startstop_time stop;
};

struct std_startstop_state {
	startstop_t result;
	bool begun; /* a packet has reached it */
	bool passed; /* one has passed */
	uint64_t watermark_ns;
	uint64_t start_ns; /* both valid once begun */
	uint64_t stop_ns;
};

static uint64_t std_startstop_after(uint64_t ns, uint64_t span_ns)
{
	return span_ns > UINT64_MAX - ns ? UINT64_MAX : ns + span_ns;
}

/* Return: false if @text is no time, or one that no packet can have. */
static bool std_startstop_parse_absolute(const char *text, uint64_t *ret_ns)
{
	struct tm tm = { .tm_isdst = -1 };
	const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
	int day = tm.tm_mday;
	time_t s;

	if (!end || *end)
		return false;
	s = mktime(&tm);
	/* February 30 becomes March 2. */
	if (tm.tm_mday != day || s < 0 || (uint64_t)s > UINT64_MAX / STD_STARTSTOP_NS_PER_S)
		return false;
	*ret_ns = (uint64_t)s * STD_STARTSTOP_NS_PER_S;
	return true;
}

static bool std_startstop_parse(const char *text, struct std_startstop_time *ret)
{
	ret->relative = text[0] == '+';
	if (ret->relative)
		return std_time_text_parse(text + 1, &ret->ns) == STD_TIME_TEXT_NS;
	return std_startstop_parse_absolute(text, &ret->ns);
}

static int std_startstop_open(const struct function_open *open, struct error *err)
{
	struct std_startstop_instance *instance = open->instance;
	const char *start = open->args[0].text, *stop = open->args[1].text;

	if (!std_startstop_parse(start, &instance->start))
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"STARTSTOP: cannot start at '%.40s'; use " STD_STARTSTOP_FORM, start);
	instance->stop = (struct std_startstop_time){ .ns = UINT64_MAX };
	if (!*stop)
		return 0;
	if (!std_startstop_parse(stop, &instance->stop))
		return error_set(err, MFUNCT_INVALID_ARGUMENT_2,
			"STARTSTOP: cannot stop at '%.40s'; use " STD_STARTSTOP_FORM
			", or nothing to go on for ever",
			stop);
	if (instance->start.relative && !instance->stop.relative)
		return error_set(err, MFUNCT_INVALID_ARGUMENT,
			"STARTSTOP: a start after a span needs a stop after a span, not at '%.40s'",
			stop);
	if (!instance->stop.relative && instance->stop.ns <= instance->start.ns)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_2,
			"STARTSTOP: '%.40s' is not after the start, '%.40s'", stop, start);
	return 0;
}

static void std_startstop_begin(
	const struct std_startstop_instance *self, struct std_startstop_state *s, uint64_t ts_ns)
{
	s->begun = true;
	s->result.first = packet_ts_from_ns(ts_ns);
	s->start_ns = self->start.relative ? std_startstop_after(s->watermark_ns, self->start.ns)
					   : self->start.ns;
	s->stop_ns = self->stop.relative ? std_startstop_after(s->start_ns, self->stop.ns)
					 : self->stop.ns;
}

static void std_startstop_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct std_startstop_instance *self = instance;
	struct std_startstop_state *s = state;

	for (unsigned int i = call->first; i < call->first + call->n; i++) {
		uint64_t ts_ns = call->batch->ts_ns[i];

		s->watermark_ns = MAX(s->watermark_ns, ts_ns);
		if (!packet_mask_test(selection, i))
			continue;
		if (!s->begun)
			std_startstop_begin(self, s, ts_ns);
		if (s->watermark_ns < s->start_ns || s->watermark_ns >= s->stop_ns) {
			packet_mask_clear(selection, i);
			continue;
		}
		s->result.last = packet_ts_from_ns(ts_ns);
		if (!s->passed) /* not by its time: a packet may be of the epoch itself */
			s->result.first_processed = s->result.last;
		s->passed = true;
	}
}

/* Spans go on as they were, what was given as a time of day follows the new clock; what has begun
 * or ended stays so. */
static void std_startstop_step(const void *instance, void *state, int64_t by_ns)
{
	const struct std_startstop_instance *self = instance;
	struct std_startstop_state *s = state;

	if (!s->begun)
		return;
	if (s->watermark_ns >= s->stop_ns)
		s->stop_ns = 0;
	else if (self->stop.relative && self->start.relative)
		s->stop_ns = function_moment(s->stop_ns, by_ns);
	if (s->watermark_ns >= s->start_ns)
		s->start_ns = 0;
	else if (self->start.relative)
		s->start_ns = function_moment(s->start_ns, by_ns);
	s->watermark_ns = function_moment(s->watermark_ns, by_ns);
}

/* Its clock goes by all packets of the device, which matters where it begins and ends. */
static bool std_startstop_needs_all(const void *instance)
{
	return true;
}

static enum function_gate std_startstop_gate(
	const void *instance, const void *state, uint64_t until_ns)
{
	const struct std_startstop_state *s = state;
	uint64_t latest_ns = MAX(until_ns, s->watermark_ns);

	if (!s->begun)
		return FUNCTION_GATE_UNSURE;
	if (s->watermark_ns >= s->stop_ns || latest_ns < s->start_ns)
		return FUNCTION_GATE_CLOSED;
	return s->passed && latest_ns < s->stop_ns ? FUNCTION_GATE_OPEN : FUNCTION_GATE_UNSURE;
}

static void std_startstop_add(const void *instance, void *state, const struct function_count *count)
{
	struct std_startstop_state *s = state;

	s->result.last = packet_ts_from_ns(count->last_ns);
}

static const struct mapi_arg std_startstop_args[] = {
	{
		.name = "start",
		.type = MAPI_ARG_STRING,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "\"+5s\": so long after the first packet (us, ms, s, m); \"2030-01-31 "
			"08:00:00\": local time.",
	},
	{
		.name = "stop",
		.type = MAPI_ARG_STRING,
		.default_text = "",
		.error_code = MFUNCT_INVALID_ARGUMENT_2,
		.help = "\"+5s\": so long after the start; \"2030-01-31 08:00:00\": local time; "
			"empty: never.",
	},
};

#define STD_STARTSTOP_FIELD(name_, merge_, help_)                                          \
	{                                                                                  \
		.name = #name_, .type = MAPI_FIELD_TS,                                     \
		.offset_bytes = offsetof(startstop_t, name_), .merge = merge_, .unit = "", \
		.help = help_,                                                             \
	}

static const struct mapi_field std_startstop_fields[] = {
	STD_STARTSTOP_FIELD(first, MAPI_MERGE_MIN,
		"Time of the first packet that reached the function; 0 while there is none."),
	STD_STARTSTOP_FIELD(first_processed, MAPI_MERGE_MIN,
		"Time of the first packet that passed; 0 while there is none."),
	STD_STARTSTOP_FIELD(last, MAPI_MERGE_MAX, "Time of the last packet that passed."),
};

const struct function std_startstop = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "STARTSTOP",
		.library = STD_LIBRARY,
		.help = "Passes the packets between two times.",
		.example = "STARTSTOP(+0s, +10s) | PKT_COUNTER",
		.args = std_startstop_args,
		.n_args = ARRAY_SIZE(std_startstop_args),
		.fields = std_startstop_fields,
		.n_fields = ARRAY_SIZE(std_startstop_fields),
		.result_bytes = sizeof(startstop_t),
		.flags = MAPI_FUNCTION_FILTERS,
	},
	.order = FUNCTION_ORDER,
	.follows_time = true,
	.needs_all = std_startstop_needs_all,
	.step = std_startstop_step,
	.gate = std_startstop_gate,
	.add = std_startstop_add,
	.instance_bytes = sizeof(struct std_startstop_instance),
	.state_bytes = sizeof(struct std_startstop_state),
	.open = std_startstop_open,
	.process = std_startstop_process,
};
