/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BURST: how many bursts of packets there are of which size, and how long the gaps between them are
 * in bytes of the link.
 *
 * A packet takes its bytes on the wire at the speed of the link, then the time between frames; so
 * the next one of its burst is due at a moment that is known. A packet that comes no later and no
 * earlier than is tolerated belongs to the burst. One that comes later begins another, after a gap:
 * the time by which it is late, as bytes at the speed of the link. One that comes earlier, which is
 * not possible on that link, or goes back in time, begins another without a gap. The burst that is
 * not over counts as if it were.
 *
 * The numbers are as many as the arguments say, so they lie beside the state; all packets come in
 * order, so there is one state.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "mapi/burst.h"
#include "mapi/errors.h"
#include "std.h"
#include "std_private.h"

_Static_assert(sizeof(burst_category_t) == 5 * sizeof(unsigned long), "public layout");
_Static_assert(offsetof(burst_category_t, packets) == 1 * sizeof(unsigned long), "public layout");
_Static_assert(offsetof(burst_category_t, bursts) == 2 * sizeof(unsigned long), "public layout");
_Static_assert(offsetof(burst_category_t, gap_bytes) == 3 * sizeof(unsigned long), "public layout");
_Static_assert(offsetof(burst_category_t, gaps) == 4 * sizeof(unsigned long), "public layout");
_Static_assert(sizeof(unsigned long) != 8 || sizeof(burst_category_t) == 40, "public layout");

#define STD_BURST_CATEGORIES_MAX 16384u
#define STD_BURST_NS_TIMES_MBPS_OF_BYTE 8000u /* a byte takes 8 us at 1 Mbit/s */

struct std_burst_instance {
	uint64_t min_bytes, step_bytes;
	uint64_t between_ns; /* frames */
	uint64_t late_ns, early_ns;
	uint64_t link_mbps;
	unsigned int n_categories;
	burst_category_t *categories; /* without the burst that is not over */
};

struct std_burst_state {
	uint64_t pkts; /* of the burst that is not over; 0: there has been no packet */
	uint64_t bytes;
	uint64_t last_ns;
	uint64_t last_bytes;
};

/* ---- arguments ---- */

/* Within the bounds of the arguments, that is without overflow; 0: the maximum is too small. */
static uint64_t std_burst_n_categories(const struct function_value *args)
{
	long long min = args[0].number, max = args[1].number, step = args[2].number;

	return max < min ? 0 : (uint64_t)((max - min) / step) + 2;
}

static size_t std_burst_result_bytes_of(const struct function_value *args)
{
	/* More are refused by open(). */
	return MIN(std_burst_n_categories(args), STD_BURST_CATEGORIES_MAX) *
		sizeof(burst_category_t);
}

static int std_burst_open(const struct function_open *open, struct error *err)
{
	struct std_burst_instance *instance = open->instance;
	const struct function_value *args = open->args;
	uint64_t n = std_burst_n_categories(args);

	if (n == 0)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_2,
			"BURST: the maximum, %lld bytes, is below the minimum, %lld bytes",
			args[1].number, args[0].number);
	if (n > STD_BURST_CATEGORIES_MAX)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_3,
			"BURST: these are %llu categories, and there may be %u; make the step "
			"larger",
			(unsigned long long)n, STD_BURST_CATEGORIES_MAX);
	*instance = (struct std_burst_instance){ .min_bytes = (uint64_t)args[0].number,
		.step_bytes = (uint64_t)args[2].number,
		.between_ns = (uint64_t)args[3].number,
		.late_ns = (uint64_t)args[4].number,
		.early_ns = (uint64_t)args[5].number,
		.link_mbps = (uint64_t)args[6].number,
		.n_categories = (unsigned int)n,
		.categories = calloc(n, sizeof(burst_category_t)) };
	return instance->categories ? 0 : -ENOMEM;
}

static void std_burst_close(void *instance)
{
	struct std_burst_instance *self = instance;

	free(self->categories);
	self->categories = NULL;
}

static void std_burst_init(const void *instance, void *state)
{
	const struct std_burst_instance *self = instance;

	memset(self->categories, 0, self->n_categories * sizeof(self->categories[0]));
}

/* ---- packets ---- */

/* Of a burst or a gap. */
static burst_category_t *std_burst_category(
	const struct std_burst_instance *self, burst_category_t *categories, uint64_t bytes)
{
	if (bytes < self->min_bytes)
		return &categories[0];
	return &categories[MIN((bytes - self->min_bytes) / self->step_bytes + 1,
		(uint64_t)self->n_categories - 1)];
}

static void std_burst_add_burst(const struct std_burst_instance *self,
	const struct std_burst_state *s, burst_category_t *categories)
{
	burst_category_t *category = std_burst_category(self, categories, s->bytes);

	category->bytes += s->bytes;
	category->packets += s->pkts;
	category->bursts++;
}

static void std_burst_add_gap(const struct std_burst_instance *self, uint64_t gap_ns)
{
	unsigned __int128 bytes =
		(unsigned __int128)gap_ns * self->link_mbps / STD_BURST_NS_TIMES_MBPS_OF_BYTE;
	uint64_t gap_bytes = bytes > UINT64_MAX ? UINT64_MAX : (uint64_t)bytes;
	burst_category_t *category = std_burst_category(self, self->categories, gap_bytes);

	category->gap_bytes += gap_bytes;
	category->gaps++;
}

/* Does a packet at @ts_ns belong to the burst? If not, the burst is over. */
static bool std_burst_goes_on(
	const struct std_burst_instance *self, const struct std_burst_state *s, uint64_t ts_ns)
{
	/* Differences saturate at 0 (semantics T1). */
	uint64_t after_ns = ts_ns > s->last_ns ? ts_ns - s->last_ns : 0;
	uint64_t due_ns = s->last_bytes * STD_BURST_NS_TIMES_MBPS_OF_BYTE / self->link_mbps +
		self->between_ns;

	if (after_ns <= due_ns)
		return due_ns - after_ns <= self->early_ns;
	if (after_ns - due_ns <= self->late_ns)
		return true;
	std_burst_add_gap(self, after_ns - due_ns);
	return false;
}

static void std_burst_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct std_burst_instance *self = instance;
	struct std_burst_state *s = state;
	struct packet_mask mine = std_selected(call, selection);

	packet_mask_for_each (i, &mine) {
		uint64_t ts_ns = call->batch->ts_ns[i];

		if (s->pkts && !std_burst_goes_on(self, s, ts_ns)) {
			std_burst_add_burst(self, s, self->categories);
			s->pkts = s->bytes = 0;
		}
		s->pkts++;
		s->bytes += call->batch->wire_bytes[i];
		s->last_bytes = call->batch->wire_bytes[i];
		s->last_ns = ts_ns;
	}
}

static void std_burst_read(const void *instance, const void *state, void *ret_result)
{
	const struct std_burst_instance *self = instance;
	const struct std_burst_state *s = state;
	burst_category_t *categories = ret_result;

	memcpy(categories, self->categories, self->n_categories * sizeof(categories[0]));
	if (s->pkts)
		std_burst_add_burst(self, s, categories);
}

#define STD_BURST_ARG(name_, min_, code_, help_)                                  \
	{                                                                         \
		.name = name_, .type = MAPI_ARG_INT, .min = min_, .max = INT_MAX, \
		.error_code = code_, .help = help_,                               \
	}

static const struct mapi_arg std_burst_args[] = {
	STD_BURST_ARG("min", 0, MFUNCT_INVALID_ARGUMENT_1,
		"Bytes: smaller bursts and gaps are in the first category."),
	STD_BURST_ARG("max", 0, MFUNCT_INVALID_ARGUMENT_2,
		"Bytes: about where the last category begins, which has all larger ones."),
	STD_BURST_ARG("step", 1, MFUNCT_INVALID_ARGUMENT_3, "Bytes of each category between."),
	STD_BURST_ARG("iftime", 0, MFUNCT_INVALID_ARGUMENT_4,
		"Nanoseconds between two frames on the link."),
	STD_BURST_ARG("late", 0, MFUNCT_INVALID_ARGUMENT_5,
		"How many nanoseconds late a packet of a burst may be."),
	STD_BURST_ARG("early", 0, MFUNCT_INVALID_ARGUMENT_6,
		"How many nanoseconds early a packet of a burst may be."),
	STD_BURST_ARG("link_speed", 1, MFUNCT_INVALID_ARGUMENT, "Speed of the link in Mbit/s."),
};

#define STD_BURST_FIELD(name_, unit_, help_)                                                \
	{                                                                                   \
		.name = #name_, .type = MAPI_FIELD_U64,                                     \
		.offset_bytes = offsetof(burst_category_t, name_), .merge = MAPI_MERGE_SUM, \
		.unit = unit_, .help = help_,                                               \
	}

_Static_assert(sizeof(unsigned long) == sizeof(uint64_t), "the fields below");

static const struct mapi_field std_burst_fields[] = {
	STD_BURST_FIELD(bytes, "bytes", "Bytes on the wire of the bursts of this category."),
	STD_BURST_FIELD(packets, "packets", "Packets of these bursts."),
	STD_BURST_FIELD(bursts, "bursts", "Bursts whose size is of this category."),
	STD_BURST_FIELD(gap_bytes, "bytes", "Bytes for which the link had time in these gaps."),
	STD_BURST_FIELD(gaps, "gaps", "Gaps whose size is of this category."),
};

const struct function std_burst = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "BURST",
		.library = STD_LIBRARY,
		.help = "Gives the distribution of bursts, and of the gaps between them.",
		.example = "BURST(0, 10000, 1000, 96, 1000, 100, 1000)",
		.args = std_burst_args,
		.n_args = ARRAY_SIZE(std_burst_args),
		.fields = std_burst_fields,
		.n_fields = ARRAY_SIZE(std_burst_fields),
		.result_bytes = STD_BURST_CATEGORIES_MAX * sizeof(burst_category_t),
		.record_bytes = sizeof(burst_category_t),
	},
	.order = FUNCTION_ORDER,
	.instance_bytes = sizeof(struct std_burst_instance),
	.state_bytes = sizeof(struct std_burst_state),
	.result_bytes_of = std_burst_result_bytes_of,
	.open = std_burst_open,
	.close = std_burst_close,
	.process = std_burst_process,
	.init = std_burst_init,
	.read = std_burst_read,
};
