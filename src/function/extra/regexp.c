/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * REGEXP: passes the packets in which a regular expression of PCRE2 finds something, anywhere in
 * the captured bytes.
 *
 * Backtracking takes time that can grow exponentially with the packet, and both pattern and packet
 * may be hostile. So three things are bounded:
 *   - the pattern, by its length and depth; PCRE2 refuses what compiles to more than 64 KiB;
 *   - the work for a packet. PCRE2's match limit does not bound it: it counts from each position
 *     anew at which a match may begin, and not what a repetition of single characters passes over
 *     ("a++b" looks at a packet of "a" once from each of its bytes on). So PCRE2 calls back before
 *     each item of the pattern (PCRE2_AUTO_CALLOUT), and both the items and the bytes passed over
 *     between them are counted; extra_regexp_unseen() counts the little that is not seen so;
 *   - on live devices, the work per packet on average: who uses more is in debt, and its packets
 * are not looked at until it has paid. All is counted in work, not in time, so the same packets
 * give the same results everywhere. A packet that is given up does not pass, and is counted as
 * lost.
 *
 * PCRE2's JIT code is not used: it does not count all steps, so that no limit holds it, and memory
 * would have to be executable. Nothing is allocated while packets flow: what PCRE2 asks for lies on
 * the worker's stack.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <ctype.h>
#include <errno.h>
#include <pcre2.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "extra.h"
#include "mapi.h"
#include "mapi/errors.h"

#define EXTRA_REGEXP_PATTERN_BYTES_MAX 1024
#define EXTRA_REGEXP_NEST_MAX 64
#define EXTRA_REGEXP_HEAP_BYTES (256u << 10)
/* Work: bytes that were looked at, about a nanosecond each, and items, which take some 16. */
#define EXTRA_REGEXP_ITEM_WORK 16u
#define EXTRA_REGEXP_WORK_MAX (16 << 20) /* for one packet */
#define EXTRA_REGEXP_LIVE_WORK_PER_PKT 16000

/**
 * struct extra_regexp_instance - a pattern
 * @most_repeats: the largest number that follows a "{" in it
 * @debt:         work beyond what the live device's packets so far have allowed
 */
struct extra_regexp_instance {
	pcre2_code *code;
	char *pattern;
	uint32_t most_repeats;
	bool is_live;
	_Atomic int64_t debt;
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

/* ---- work ---- */

/**
 * struct extra_regexp_work - what a packet costs
 * @left: work that may still be done
 * @at:   offset in the packet at which the last item began
 */
struct extra_regexp_work {
	const struct extra_regexp_instance *self;
	int64_t left;
	PCRE2_SIZE at;
};

static bool extra_regexp_refers(const char *item, size_t n_bytes)
{
	return n_bytes >= 2 &&
		((item[0] == '\\' &&
			 (isdigit((unsigned char)item[1]) || item[1] == 'g' || item[1] == 'k')) ||
			(n_bytes >= 4 && memcmp(item, "(?P=", 4) == 0));
}

static uint64_t extra_regexp_longest_group(const pcre2_callout_block *callout)
{
	PCRE2_SIZE longest = 0;

	for (uint32_t i = 1; i < callout->capture_top; i++) {
		PCRE2_SIZE begin = callout->offset_vector[2 * i];
		PCRE2_SIZE end = callout->offset_vector[2 * i + 1];

		if (begin != PCRE2_UNSET && end > begin)
			longest = MAX(longest, end - begin);
	}
	return longest;
}

/* What the item to come may look at without going on: repetitions with a least number, and what
 * groups have found, which is compared. No more than that, and no more than there is. */
static uint64_t extra_regexp_unseen(
	const struct extra_regexp_instance *self, const pcre2_callout_block *callout)
{
	const char *item = self->pattern + callout->pattern_position;
	size_t n_bytes = callout->next_item_length;
	uint64_t rest_bytes = callout->subject_length - callout->current_position;
	uint64_t repeats = memchr(item, '{', n_bytes) ? self->most_repeats : 0;

	if (extra_regexp_refers(item, n_bytes)) /* also, repeatedly, to nothing */
		return repeats +
			MIN(rest_bytes,
				extra_regexp_longest_group(callout) * MAX(repeats, UINT64_C(1)));
	return MIN(rest_bytes, repeats);
}

/* PCRE2's callback before each item. Return: 0 to go on. */
static int extra_regexp_count(pcre2_callout_block *callout, void *data)
{
	struct extra_regexp_work *work = data;

	if (callout->current_position > work->at)
		work->left -= (int64_t)(callout->current_position - work->at);
	work->at = callout->current_position;
	work->left -= EXTRA_REGEXP_ITEM_WORK + (int64_t)extra_regexp_unseen(work->self, callout);
	return work->left < 0 ? PCRE2_ERROR_MATCHLIMIT : 0;
}

/* ---- matching ---- */

/* @ret_work: what was done. Return: as pcre2_match(). */
static int extra_regexp_match(const struct extra_regexp_instance *self, const uint8_t *data,
	uint32_t n_bytes, int64_t *ret_work)
{
	_Alignas(16) unsigned char frames[2][EXTRA_REGEXP_HEAP_BYTES];
	struct extra_regexp_work work = { .self = self, .left = EXTRA_REGEXP_WORK_MAX };
	struct extra_regexp_scratch s;
	int r;

	s.memory.used_bytes = 0;
	for (unsigned int k = 0; k < ARRAY_SIZE(s.memory.large); k++) {
		s.memory.large[k] = frames[k];
		s.memory.large_used[k] = false;
	}
	*ret_work = 0;
	if (!extra_regexp_prepare(&s))
		return PCRE2_ERROR_NOMEMORY;
	(void)pcre2_set_callout(s.context, extra_regexp_count, &work);
	(void)pcre2_set_heap_limit(s.context, EXTRA_REGEXP_HEAP_BYTES >> 10);
	r = pcre2_match(self->code, data, n_bytes, 0, PCRE2_NO_JIT, s.match, s.context);
	*ret_work = EXTRA_REGEXP_WORK_MAX - work.left;
	return r;
}

/* As extra_regexp_match(), within the means of a live device. */
static int extra_regexp_match_live(
	struct extra_regexp_instance *self, const uint8_t *data, uint32_t n_bytes)
{
	int64_t debt = atomic_load_explicit(&self->debt, memory_order_relaxed), work = 0;
	int r = PCRE2_ERROR_MATCHLIMIT;

	if (debt <= 0)
		r = extra_regexp_match(self, data, n_bytes, &work);
	/* Nothing is saved for later: credit is limited to a batch's. */
	debt += work - EXTRA_REGEXP_LIVE_WORK_PER_PKT;
	atomic_store_explicit(&self->debt,
		MAX(debt, -(int64_t)PACKET_BATCH_MAX * EXTRA_REGEXP_LIVE_WORK_PER_PKT),
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
		int64_t work;
		int r;

		if (!packet_mask_test(selection, i))
			continue;
		r = self->is_live ? extra_regexp_match_live(self, data, n_bytes)
				  : extra_regexp_match(self, data, n_bytes, &work);
		if (r < 0)
			packet_mask_clear(selection, i);
		s->given_up_pkts += r < 0 && r != PCRE2_ERROR_NOMATCH;
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

static uint32_t extra_regexp_most_repeats(const char *pattern)
{
	unsigned long most = 0;

	for (; (pattern = strchr(pattern, '{')); pattern++)
		most = MAX(most, strtoul(pattern + 1, NULL, 10));
	return (uint32_t)MIN(most, (unsigned long)UINT16_MAX); /* PCRE2 has no larger ones */
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
		PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_AUTO_CALLOUT, &code, &offset, context);
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
	r = extra_regexp_compile(instance, pattern, err);
	if (r < 0)
		return r;
	instance->pattern = strdup(pattern);
	if (!instance->pattern) {
		pcre2_code_free(instance->code);
		return -ENOMEM;
	}
	instance->most_repeats = extra_regexp_most_repeats(pattern);
	instance->is_live = !open->lossless;
	return 0;
}

static void extra_regexp_close(void *instance)
{
	struct extra_regexp_instance *self = instance;

	pcre2_code_free(self->code);
	free(self->pattern);
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
