/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * REGEXP: passes the packets in which a regular expression of PCRE2 finds something, anywhere in
 * the captured bytes.
 *
 * Backtracking takes time that can grow exponentially with the packet, and both pattern and packet
 * may be hostile. So three things are bounded:
 *   - the pattern, by its length and depth; PCRE2 refuses what compiles to more than 64 KiB;
 *   - the steps: PCRE2's match limit counts from each position anew at which a match may begin, so
 *     it is chosen by the number of positions. Long packets are searched in spans, of which a few
 *     may have more;
 *   - on live devices, the time: of one packet, because the steps do not count what a repetition of
 *     single characters passes over, which makes them too few for long packets ("a++b" looks at a
 *     packet of "a" once from each of its bytes on); and per packet on average: who uses more is in
 *     debt, and its packets are not looked at until it has paid.
 * A packet that is given up does not pass, and is counted as lost.
 *
 * PCRE2's JIT code is not used: it does not count all steps, so that no limit holds it, and memory
 * would have to be executable. Nothing is allocated while packets flow: what PCRE2 asks for lies on
 * the worker's stack.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdatomic.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "extra.h"
#include "mapi.h"
#include "mapi/errors.h"

#define EXTRA_REGEXP_PATTERN_BYTES_MAX 1024
#define EXTRA_REGEXP_NEST_MAX 64
#define EXTRA_REGEXP_SPAN_BYTES 2048u
#define EXTRA_REGEXP_STEPS_MAX 4000000u /* shared by the places where a match may begin */
#define EXTRA_REGEXP_AGAIN_MAX                                            \
	2 /* parts of a long packet that get as many steps for themselves \
	   */
#define EXTRA_REGEXP_STEPS_PER_POSITION_MAX 100000u
#define EXTRA_REGEXP_HEAP_BYTES (256u << 10)
#define EXTRA_REGEXP_LIVE_NS_PER_PKT 16000
#define EXTRA_REGEXP_LIVE_NS_MAX 10000000 /* of one packet; looked at after each span */
/* Places where a match may begin times bytes behind them, in a span: about 10 ms at worst. */
#define EXTRA_REGEXP_LIVE_SPAN_WORK (16u << 20)
#define EXTRA_REGEXP_LIVE_SPAN_BYTES_MIN 64u

struct extra_regexp_instance {
	pcre2_code *code;
	bool is_live;
	_Atomic int64_t debt_ns;
};

struct extra_regexp_state {
	uint64_t given_up_pkts;
};

/* ---- memory for PCRE2 ---- */

/* Small things are never freed singly; of the large ones, interpreter's frames, there are two while
 * they grow. */
struct extra_regexp_memory {
	_Alignas(16) unsigned char small[1024];
	size_t used_bytes;
	unsigned char *large[2];
	bool large_used[2];
};

static void *extra_regexp_malloc(size_t n_bytes, void *data)
{
	struct extra_regexp_memory *m = data;
	size_t rounded = (n_bytes + 15) / 16 * 16;
	void *p;

	if (rounded <= sizeof(m->small) - m->used_bytes) {
		p = m->small + m->used_bytes;
		m->used_bytes += rounded;
		return p;
	}
	for (unsigned int k = 0; k < ARRAY_SIZE(m->large); k++) {
		if (m->large[k] && !m->large_used[k] && n_bytes <= EXTRA_REGEXP_HEAP_BYTES) {
			m->large_used[k] = true;
			return m->large[k];
		}
	}
	return NULL;
}

static void extra_regexp_free(void *p, void *data)
{
	struct extra_regexp_memory *m = data;

	for (unsigned int k = 0; k < ARRAY_SIZE(m->large); k++)
		if (p && p == m->large[k])
			m->large_used[k] = false;
}

struct extra_regexp_scratch {
	struct extra_regexp_memory memory;
	pcre2_match_context *context;
	pcre2_match_data *match;
};

/* Return: false if PCRE2 wants more than there is, which a build of it may. */
static bool extra_regexp_prepare(struct extra_regexp_scratch *ret)
{
	pcre2_general_context *general =
		pcre2_general_context_create(extra_regexp_malloc, extra_regexp_free, &ret->memory);

	ret->context = general ? pcre2_match_context_create(general) : NULL;
	ret->match = general ? pcre2_match_data_create(1, general) : NULL;
	return ret->context && ret->match;
}

/* ---- matching ---- */

/* Where a match may begin, and in how many steps from each such place it must be decided. */
struct extra_regexp_span {
	uint32_t start;
	uint32_t end;
	uint32_t steps;
};

static void extra_regexp_limit(pcre2_match_context *context, const struct extra_regexp_span *span)
{
	(void)pcre2_set_match_limit(context, MIN(span->steps, EXTRA_REGEXP_STEPS_PER_POSITION_MAX));
	(void)pcre2_set_offset_limit(context, span->end);
}

/* Return: as pcre2_match(). */
static int extra_regexp_match_span(const struct extra_regexp_instance *self, const uint8_t *data,
	uint32_t n_bytes, const struct extra_regexp_span *span)
{
	_Alignas(16) unsigned char frames[2][EXTRA_REGEXP_HEAP_BYTES];
	struct extra_regexp_scratch s;

	s.memory.used_bytes = 0;
	for (unsigned int k = 0; k < ARRAY_SIZE(s.memory.large); k++) {
		s.memory.large[k] = frames[k];
		s.memory.large_used[k] = false;
	}
	if (!extra_regexp_prepare(&s))
		return PCRE2_ERROR_NOMEMORY;
	extra_regexp_limit(s.context, span);
	(void)pcre2_set_heap_limit(s.context, EXTRA_REGEXP_HEAP_BYTES >> 10);
	return pcre2_match(
		self->code, data, n_bytes, span->start, PCRE2_NO_JIT, s.match, s.context);
}

/* @span_bytes: how many places are searched at once, at most EXTRA_REGEXP_SPAN_BYTES. @until_ns: no
 * longer than that (CLOCK_MONOTONIC); 0: as long as the steps suffice. Return: 1 found, 0 not
 * found, negative: given up. */
static int extra_regexp_match(const struct extra_regexp_instance *self, const uint8_t *data,
	uint32_t n_bytes, uint32_t span_bytes, uint64_t until_ns)
{
	const uint32_t fair_steps = EXTRA_REGEXP_STEPS_MAX / (n_bytes + 1);
	const uint32_t most_steps = EXTRA_REGEXP_STEPS_MAX / EXTRA_REGEXP_SPAN_BYTES;
	unsigned int n_again = 0;

	for (uint32_t start = 0; start <= n_bytes; start += span_bytes) {
		struct extra_regexp_span span = { .start = start,
			.end = MIN(start + span_bytes - 1, n_bytes),
			.steps = fair_steps };
		int r = extra_regexp_match_span(self, data, n_bytes, &span);

		/* A long packet has too little for each place, but a few parts may have more. */
		if (r == PCRE2_ERROR_MATCHLIMIT && fair_steps < most_steps &&
			n_again++ < EXTRA_REGEXP_AGAIN_MAX) {
			span.steps = most_steps;
			r = extra_regexp_match_span(self, data, n_bytes, &span);
		}
		if (r >= 0)
			return 1;
		if (r != PCRE2_ERROR_NOMATCH)
			return r;
		if (until_ns && n_bytes - start >= span_bytes && clock_monotonic_ns() > until_ns)
			return PCRE2_ERROR_MATCHLIMIT;
	}
	return 0;
}

/* As extra_regexp_match(), within the means of a live device. */
static int extra_regexp_match_live(
	struct extra_regexp_instance *self, const uint8_t *data, uint32_t n_bytes)
{
	int64_t debt_ns = atomic_load_explicit(&self->debt_ns, memory_order_relaxed);
	uint32_t span_bytes = EXTRA_REGEXP_LIVE_SPAN_WORK / (n_bytes + 1);
	uint64_t begin_ns;
	int r;

	if (debt_ns > 0) {
		atomic_store_explicit(&self->debt_ns, debt_ns - EXTRA_REGEXP_LIVE_NS_PER_PKT,
			memory_order_relaxed);
		return PCRE2_ERROR_MATCHLIMIT;
	}
	begin_ns = clock_monotonic_ns();
	span_bytes =
		MIN(MAX(span_bytes, EXTRA_REGEXP_LIVE_SPAN_BYTES_MIN), EXTRA_REGEXP_SPAN_BYTES);
	r = extra_regexp_match(
		self, data, n_bytes, span_bytes, begin_ns + EXTRA_REGEXP_LIVE_NS_MAX);
	/* Nothing is saved for later: credit is limited to a batch's. */
	debt_ns += (int64_t)(clock_monotonic_ns() - begin_ns) - EXTRA_REGEXP_LIVE_NS_PER_PKT;
	atomic_store_explicit(&self->debt_ns,
		MAX(debt_ns, -(int64_t)PACKET_BATCH_MAX * EXTRA_REGEXP_LIVE_NS_PER_PKT),
		memory_order_relaxed);
	return r;
}

static void extra_regexp_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	static const uint8_t nothing[1];
	struct extra_regexp_instance *self = instance;
	struct extra_regexp_state *s = state;

	for (unsigned int i = call->first; i < call->first + call->n; i++) {
		uint32_t n_bytes = call->batch->cap_bytes[i];
		const uint8_t *data = n_bytes ? call->batch->data[i] : nothing;
		int r;

		if (!packet_mask_test(selection, i))
			continue;
		r = self->is_live
			? extra_regexp_match_live(self, data, n_bytes)
			: extra_regexp_match(self, data, n_bytes, EXTRA_REGEXP_SPAN_BYTES, 0);
		if (r <= 0)
			packet_mask_clear(selection, i);
		s->given_up_pkts += r < 0;
	}
}

static void extra_regexp_merge(const void *instance, void *into, const void *from)
{
	struct extra_regexp_state *s = into;
	const struct extra_regexp_state *other = from;

	s->given_up_pkts += other->given_up_pkts;
}

static void extra_regexp_lost(const void *instance, const void *state, uint64_t lost_pkts[])
{
	const struct extra_regexp_state *s = state;

	lost_pkts[MAPI_LOSS_MEMORY] += s->given_up_pkts;
}

/* ---- opening ---- */

/* "Where the search began" has no meaning when it begins anew at every span. */
static bool extra_regexp_has_start(const char *pattern)
{
	for (; *pattern; pattern++) {
		if (*pattern != '\\')
			continue;
		pattern++;
		if (*pattern == 'G')
			return true;
		if (!*pattern)
			return false;
	}
	return false;
}

static int extra_regexp_compile(
	struct extra_regexp_instance *instance, const char *pattern, struct error *err)
{
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	char why[256] = "";
	PCRE2_SIZE offset = 0;
	int code = 0;

	if (!context)
		return -ENOMEM;
	/* Not what the system's PCRE2 was built for: the same everywhere. */
	(void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	(void)pcre2_set_bsr(context, PCRE2_BSR_UNICODE);
	(void)pcre2_set_max_pattern_length(context, EXTRA_REGEXP_PATTERN_BYTES_MAX);
	(void)pcre2_set_parens_nest_limit(context, EXTRA_REGEXP_NEST_MAX);
	/* Packets are bytes, not text: in UTF mode each would have to be checked first. */
	instance->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
		PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_USE_OFFSET_LIMIT, &code, &offset,
		context);
	pcre2_compile_context_free(context);
	if (instance->code)
		return 0;
	(void)pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
	return error_set(err, MFUNCT_INVALID_ARGUMENT,
		"REGEXP: the pattern is not valid at its character %zu: %s", (size_t)offset + 1,
		why);
}

static int extra_regexp_open(const struct function_open *open, struct error *err)
{
	struct extra_regexp_instance *instance = open->instance;
	const char *pattern = open->args[0].text;
	int r;

	if (!*pattern)
		return error_set(err, MFUNCT_INVALID_ARGUMENT, "REGEXP: the pattern is empty");
	if (strlen(pattern) > EXTRA_REGEXP_PATTERN_BYTES_MAX)
		return error_set(err, MFUNCT_INVALID_ARGUMENT,
			"REGEXP: a pattern may have %d characters, not %zu",
			EXTRA_REGEXP_PATTERN_BYTES_MAX, strlen(pattern));
	if (extra_regexp_has_start(pattern))
		return error_set(err, MFUNCT_INVALID_ARGUMENT,
			"REGEXP: \\G has no meaning here; ^ is the first byte of the packet");
	r = extra_regexp_compile(instance, pattern, err);
	if (r < 0)
		return r;
	instance->is_live = !open->lossless;
	return 0;
}

static void extra_regexp_close(void *instance)
{
	struct extra_regexp_instance *self = instance;

	pcre2_code_free(self->code);
}

static const struct mapi_arg extra_regexp_args[] = {
	{
		.name = "pattern",
		.type = MAPI_ARG_STRING,
		.error_code = MFUNCT_INVALID_ARGUMENT,
		.help = "Regular expression as of Perl (PCRE2), up to 1024 characters.",
	},
};

const struct function extra_regexp = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "REGEXP",
		.library = EXTRA_LIBRARY,
		.help = "Passes the packets in which a regular expression matches.",
		.example = "REGEXP(\"GET /[a-z]+\") | PKT_COUNTER",
		.args = extra_regexp_args,
		.n_args = ARRAY_SIZE(extra_regexp_args),
		.flags = MAPI_FUNCTION_FILTERS,
	},
	.order = FUNCTION_FREE,
	.instance_bytes = sizeof(struct extra_regexp_instance),
	.state_bytes = sizeof(struct extra_regexp_state),
	.open = extra_regexp_open,
	.close = extra_regexp_close,
	.process = extra_regexp_process,
	.merge = extra_regexp_merge,
	.lost = extra_regexp_lost,
};
