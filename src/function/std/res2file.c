/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RES2FILE: saves results of other functions to a text file, a line at a time: at every packet
 * ("0"), at the end of every period ("5s"), or once when the flow is closed ("-1").
 *
 * Periods follow the time of the device (semantics T1), as those of STATS do: the first one begins
 * with the first packet, and at its end there is a line of the results. A period without packets is
 * a line of zeroes, as it always was; there is a limit to them (periods_private.h).
 *
 * Values are read from columns, other results as they stand at a packet, for which their functions
 * run packet by packet with this one. For "-1" results are remembered after every batch, because
 * the functions that they are of may be gone when the flow is closed.
 *
 * As TO_FILE, it writes itself on a file, and through a queue on a live device.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "mapi/errors.h"
#include "mapi.h"
#include "periods_private.h"
#include "res2file_private.h"
#include "std.h"
#include "std_private.h"
#include "time_text_private.h"

#define STD_RES2FILE_FLUSH_NS 100000000u

enum std_res2file_mode {
	STD_RES2FILE_MODE_EACH,
	STD_RES2FILE_MODE_PERIOD,
	STD_RES2FILE_MODE_CLOSE,
	_STD_RES2FILE_MODE_N
};

/**
 * struct std_res2file_instance - a RES2FILE
 * @flushed_ns: when readers of the file last saw something new (CLOCK_MONOTONIC)
 * @saved:      the line of the end has been written
 */
struct std_res2file_instance {
	enum std_res2file_mode mode;
	uint64_t period_ns;
	bool reset;
	struct std_row row;
	struct std_lines lines;
	uint64_t flushed_ns;
	bool saved;
};

struct std_res2file_state {
	uint64_t n_lines; /* the result */
	uint64_t n_lost_zeros; /* beyond the one that the queue counts for a run of them */
	struct std_periods periods;
};

/* ---- arguments ---- */

static int std_res2file_parse_mode(
	struct std_res2file_instance *instance, const char *text, struct error *err)
{
	if (strcmp(text, "0") == 0) {
		instance->mode = STD_RES2FILE_MODE_EACH;
		return 0;
	}
	if (strcmp(text, "-1") == 0) {
		instance->mode = STD_RES2FILE_MODE_CLOSE;
		return 0;
	}
	instance->mode = STD_RES2FILE_MODE_PERIOD;
	instance->period_ns = std_time_text_period_ns(text);
	if (instance->period_ns)
		return 0;
	return error_set(err, MFUNCT_INVALID_ARGUMENT_5,
		"RES2FILE: '%.40s' is no period; use \"0\" (a line at each packet), \"-1\" (one at "
		"the end) or " STD_TIME_TEXT_HELP,
		text);
}

/* What has more to it than a value cannot begin again. */
static int std_res2file_check_reset(const struct function_open *open, struct error *err)
{
	for (unsigned int i = 0; i < open->n_refs; i++)
		if (open->refs[i] != &std_stats &&
			!(open->refs[i]->desc.flags & MAPI_FUNCTION_REFERABLE))
			return error_set(err, MFUNCT_INVALID_ARGUMENT_6,
				"RES2FILE: %s cannot be reset; reset must be 0",
				open->refs[i]->desc.name);
	return 0;
}

/* Return: 0, -EINVAL with @err filled, -ENOMEM; then the file is still the caller's. */
static int std_res2file_open_lines(
	struct std_res2file_instance *instance, const struct function_open *open, struct error *err)
{
	const char *header = open->args[2].text;
	size_t n_bytes = strlen(header);
	int r;

	if (n_bytes >= STD_LINE_BYTES_MAX)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_3,
			"RES2FILE: a header of %zu bytes; there must be fewer than %u", n_bytes,
			STD_LINE_BYTES_MAX);
	r = std_lines_init(&instance->lines, &open->args[3], !open->lossless, err);
	if (r < 0 || !n_bytes)
		return r;
	/* There is room for one line, whatever becomes of it. */
	(void)std_lines_put(&instance->lines, header, n_bytes, 1, NULL);
	if (!open->lossless)
		std_lines_publish(&instance->lines, NULL);
	return 0;
}

static int std_res2file_open(const struct function_open *open, struct error *err)
{
	struct std_res2file_instance *instance = open->instance;
	int r;

	instance->reset = open->args[5].number != 0;
	r = std_res2file_parse_mode(instance, open->args[4].text, err);
	if (r == 0 && instance->reset)
		r = std_res2file_check_reset(open, err);
	if (r == 0)
		r = std_row_init(&instance->row, open->args[0].text, open->refs, open->n_refs, err);
	if (r < 0)
		return r;
	r = std_res2file_open_lines(instance, open, err);
	if (r < 0)
		std_row_deinit(&instance->row);
	return r;
}

static bool std_res2file_resets_refs_of(const void *instance)
{
	const struct std_res2file_instance *self = instance;

	return self->mode != STD_RES2FILE_MODE_CLOSE && (self->reset || self->row.has_results);
}

/* ---- saving ---- */

/* A line of the results that were taken last. Return: whether it was written or queued. */
static bool std_res2file_save(struct std_res2file_instance *self, struct error *err)
{
	size_t n_bytes = std_row_print(&self->row);

	return std_lines_put(&self->lines, self->row.text, n_bytes, 1, err) == 1;
}

/* Lines of zeroes, in one step: a capture may jump. */
static void std_res2file_save_zeros(struct std_res2file_instance *self,
	struct std_res2file_state *s, uint64_t n, struct error *err)
{
	uint64_t n_taken =
		std_lines_put(&self->lines, self->row.zero_text, self->row.n_zero_bytes, n, err);

	s->n_lines += n_taken;
	if (self->lines.queue && n_taken < n)
		s->n_lost_zeros += n - 1;
}

static void std_res2file_save_at(struct std_res2file_instance *self, struct std_res2file_state *s,
	const struct function_call *call, unsigned int i)
{
	std_row_take_at(&self->row, call, i);
	s->n_lines += std_res2file_save(self, call->error);
	for (unsigned int k = 0; self->reset && k < self->row.n_fields; k++)
		function_reset_ref(call, k);
}

/* What is saved now and then is to be seen soon, what is saved all the time with the rest. */
static void std_res2file_publish(struct std_res2file_instance *self, struct error *err)
{
	uint64_t now_ns;

	if (self->lines.queue) {
		std_lines_publish(&self->lines, err);
		return;
	}
	now_ns = clock_monotonic_ns();
	if (now_ns - self->flushed_ns < STD_RES2FILE_FLUSH_NS)
		return;
	self->flushed_ns = now_ns;
	std_lines_publish(&self->lines, err);
}

/* Whether something can be written. A failure of the queue's thread ends the flow. */
static bool std_res2file_goes_on(const struct std_res2file_instance *self, struct error *err)
{
	return !err->code && !(self->lines.queue && std_queue_failed(self->lines.queue, err));
}

static uint64_t std_res2file_tick(
	const struct function_call *call, void *instance, void *state, uint64_t now_ns)
{
	struct std_res2file_instance *self = instance;
	struct std_res2file_state *s = state;
	struct std_periods_ended ended;

	if (self->mode != STD_RES2FILE_MODE_PERIOD || !std_res2file_goes_on(self, call->error))
		return UINT64_MAX;
	if (std_periods_pass(&s->periods, self->period_ns, now_ns, &ended)) {
		if (ended.has_pkts)
			std_res2file_save_at(self, s, call, 0);
		std_res2file_save_zeros(self, s, ended.n_empty, call->error);
		std_res2file_publish(self, call->error);
	}
	return std_periods_next_ns(&s->periods, self->period_ns);
}

static void std_res2file_step(const void *instance, void *state, int64_t by_ns)
{
	struct std_res2file_state *s = state;

	s->periods.begin_ns = function_moment(s->periods.begin_ns, by_ns);
}

static void std_res2file_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	struct std_res2file_instance *self = instance;
	struct std_res2file_state *s = state;
	struct packet_mask mine;

	if (!std_res2file_goes_on(self, call->error))
		return;
	switch (self->mode) {
	case STD_RES2FILE_MODE_CLOSE:
		std_row_take_now(&self->row, call);
		return;
	case STD_RES2FILE_MODE_PERIOD:
		s->periods.has_pkts = true;
		return;
	case STD_RES2FILE_MODE_EACH:
		mine = std_selected(call, selection);
		packet_mask_for_each (i, &mine)
			std_res2file_save_at(self, s, call, i);
		if (!packet_mask_empty(&mine))
			std_res2file_publish(self, call->error);
		return;
	case _STD_RES2FILE_MODE_N:
		return;
	}
}

static bool std_res2file_has_period(const void *instance)
{
	const struct std_res2file_instance *self = instance;

	return self->mode == STD_RES2FILE_MODE_PERIOD;
}

static bool std_res2file_only_at_end(const void *instance)
{
	const struct std_res2file_instance *self = instance;

	return self->mode == STD_RES2FILE_MODE_CLOSE;
}

static void std_res2file_met(const void *instance, void *state)
{
	struct std_res2file_state *s = state;

	s->periods.has_pkts = true;
}

/* ---- the end ---- */

/* The line of "-1", once, and the end of the file. */
static void std_res2file_end(struct std_res2file_instance *self, struct error *err)
{
	if (self->mode == STD_RES2FILE_MODE_CLOSE && !self->saved)
		(void)std_res2file_save(self, err);
	self->saved = true;
	std_lines_end(&self->lines, err);
}

static void std_res2file_finish(const struct function_call *call, void *instance, void *state)
{
	struct std_res2file_instance *self = instance;
	struct std_res2file_state *s = state;

	if (self->mode == STD_RES2FILE_MODE_CLOSE) {
		std_row_take_now(&self->row, call);
		s->n_lines++;
	}
	std_res2file_end(self, call->error);
}

/* The workers have left: no packet will follow. */
static bool std_res2file_draining(void *instance)
{
	struct std_res2file_instance *self = instance;

	if (!self->lines.queue)
		return false;
	std_res2file_end(self, NULL); /* what fails, the queue tells at its close */
	return std_queue_is_draining(self->lines.queue);
}

static void std_res2file_cancel(void *instance)
{
	struct std_res2file_instance *self = instance;

	std_lines_cancel(&self->lines);
}

static int std_res2file_complete(void *instance, struct error *err)
{
	struct std_res2file_instance *self = instance;

	std_lines_cancel(&self->lines);
	std_res2file_end(self, err);
	return std_lines_complete(&self->lines, err);
}

static void std_res2file_close(void *instance)
{
	struct std_res2file_instance *self = instance;

	std_lines_deinit(&self->lines);
	std_row_deinit(&self->row);
}

static bool std_res2file_busy(void *instance)
{
	const struct std_res2file_instance *self = instance;

	return std_lines_is_busy(&self->lines);
}

static void std_res2file_lost(const void *instance, const void *state, uint64_t lost_pkts[])
{
	const struct std_res2file_instance *self = instance;
	const struct std_res2file_state *s = state;

	if (self->lines.queue)
		lost_pkts[MAPI_LOSS_QUEUE] += std_queue_lost(self->lines.queue) + s->n_lost_zeros;
}

static const struct mapi_arg std_res2file_args[] = {
	{
		.name = "types",
		.type = MAPI_ARG_STRING,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "One for each result, separated by commas: R2F_RAW (0), R2F_ULLSTR (1), "
			"R2F_ULLSEC (2), R2F_STATS (3).",
	},
	{
		.name = "results",
		.type = MAPI_ARG_REFS,
		.error_code = MFUNCT_INVALID_ARGUMENT_2,
		.help = "The functions whose results are saved: FUNCTION@FLOW or labels, separated "
			"by commas.",
	},
	{
		.name = "header",
		.type = MAPI_ARG_STRING,
		.error_code = MFUNCT_INVALID_ARGUMENT_3,
		.help = "The first line of the file; empty: there is none.",
	},
	{
		.name = "path",
		.type = MAPI_ARG_FILE,
		.error_code = MAPI_ERROR_FILE,
		.help = "The file; an existing one is overwritten.",
	},
	{
		.name = "save",
		.type = MAPI_ARG_STRING,
		.error_code = MFUNCT_INVALID_ARGUMENT_5,
		.help = "\"0\": a line at each packet; \"-1\": one line at the end; else one after "
			"each period (us, ms, s, m).",
	},
	{
		.name = "reset",
		.type = MAPI_ARG_INT,
		.default_text = "0",
		.min = 0,
		.max = 1,
		.legacy_optional = true,
		.error_code = MFUNCT_INVALID_ARGUMENT_6,
		.help = "1: the functions are reset after each line.",
	},
};

static const struct mapi_field std_res2file_fields[] = {
	{
		.name = "lines",
		.type = MAPI_FIELD_U64,
		.offset_bytes = offsetof(struct std_res2file_state, n_lines),
		.merge = MAPI_MERGE_SUM,
		.unit = "lines",
		.help = "Lines that have been saved, without the header.",
	},
};

const struct function std_res2file = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "RES2FILE",
		.library = STD_LIBRARY,
		.help = "Saves results of other functions to a text file.",
		.example = "PKT_COUNTER @n | RES2FILE(1, n, \"\", /dev/null, 1s)",
		.args = std_res2file_args,
		.n_args = ARRAY_SIZE(std_res2file_args),
		.fields = std_res2file_fields,
		.n_fields = ARRAY_SIZE(std_res2file_fields),
		.result_bytes = sizeof(uint64_t),
	},
	.order = FUNCTION_ORDER,
	.follows_time = true,
	.resets_refs = true,
	.resets_refs_of = std_res2file_resets_refs_of,
	.live_bytes = STD_LINES_QUEUE_BYTES,
	.instance_bytes = sizeof(struct std_res2file_instance),
	.state_bytes = sizeof(struct std_res2file_state),
	.open = std_res2file_open,
	.complete = std_res2file_complete,
	.close = std_res2file_close,
	.cancel = std_res2file_cancel,
	.process = std_res2file_process,
	.tick = std_res2file_tick,
	.step = std_res2file_step,
	.needs_all = std_res2file_has_period,
	.only_ticks = std_res2file_has_period,
	.met = std_res2file_met,
	.only_at_end = std_res2file_only_at_end,
	.finish = std_res2file_finish,
	.draining = std_res2file_draining,
	.busy = std_res2file_busy,
	.lost = std_res2file_lost,
};
