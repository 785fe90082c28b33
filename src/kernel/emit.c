/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A set of filters becomes pages of instructions.
 *
 * Equal filters are one root of the graph, and get one slot of counters. All roots go on one page;
 * if that is more than a program may be, each half goes on a page of its own, and so on. A filter
 * that is too large for a page stays in user space.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "kernel_private.h"

/*
 * struct emit_job - while a code is made
 * @roots:   of each slot
 * @actions: of each slot
 * @reasons: of each slot
 * @n_deliver: the first slots deliver, or choose what is delivered: nothing is counted before them
 * @samples: programs that sample, in the order of their slots
 * @sample_of: of each program: its sample + 1
 * @own:     root of the filter of the same name, ACCEPT if there is none
 */
struct emit_job {
	const struct kernel_options *options;
	struct kernel_code *code;
	struct filter_graph graph;
	struct kernel_cofactor cofactor;
	uint32_t *roots;
	uint8_t *actions;
	uint8_t *reasons;
	uint32_t n_slots; /* of filters; those of samples follow */
	uint32_t n_deliver;
	uint32_t own;
	struct kernel_sample *samples;
	uint32_t *sample_of;
	uint32_t n_samples;
};

const char *kernel_reason_text(enum kernel_reason reason)
{
	static const char *const texts[_KERNEL_REASON_N] = {
		[KERNEL_LOWERED] = "runs in the kernel",
		[KERNEL_REASON_LOOP] = "the filter loops (protochain), or its paths multiply",
		[KERNEL_REASON_SIZE] = "the filter has more instructions than a program may have",
		[KERNEL_REASON_PAGES] = "the filters before it fill all programs of a chain",
		[KERNEL_REASON_COUNTERS] = "the filters before it fill the memory for counters",
		[KERNEL_REASON_DIRECTION] =
			"the filter asks where packets go, which is not known there",
		[KERNEL_REASON_SAMPLES] = "functions before it take samples, as many as may",
	};

	return reason < _KERNEL_REASON_N ? texts[reason] : "unknown";
}

static void emit_deinit(struct kernel_emit *e)
{
	kernel_asm_deinit(&e->code);
	free(e->uses);
	free(e->column);
	free(e->kept);
	free(e->is_kept);
}

static int emit_init(struct kernel_emit *e, struct emit_job *j)
{
	uint32_t n = j->graph.values.n;

	*e = (struct kernel_emit){ .g = &j->graph,
		.options = j->options,
		.actions = j->actions,
		.n_early = j->n_deliver,
		.samples = j->samples,
		.n_samples = j->n_samples };
	e->uses = calloc(n, sizeof(*e->uses));
	e->column = calloc(n, sizeof(*e->column));
	e->kept = calloc(n, sizeof(*e->kept));
	e->is_kept = calloc(n, sizeof(*e->is_kept));
	if (!e->uses || !e->column || !e->kept || !e->is_kept) {
		emit_deinit(e);
		return -ENOMEM;
	}
	e->slow = kernel_asm_label(&e->code);
	e->part = kernel_asm_label(&e->code);
	e->delivered = kernel_asm_label(&e->code);
	e->foreign = kernel_asm_label(&e->code);
	return 0;
}

/* Counts uses of values, and finds how much of a packet is to be read in place. */
static void emit_survey(struct kernel_emit *e)
{
	const struct filter_graph *g = e->g;

	for (uint32_t i = 0; i < g->values.n; i++) {
		const struct filter_value *v = filter_graph_value(g, i);

		if (v->a != FILTER_VALUE_NONE)
			e->uses[v->a]++;
		if (v->b != FILTER_VALUE_NONE)
			e->uses[v->b]++;
		if (kernel_operand_end(g, v) <= DIRECT_BYTES_MAX)
			e->direct_bytes = MAX(e->direct_bytes, kernel_operand_end(g, v));
	}
	for (uint32_t i = 0; i < g->tests.n; i++) {
		const struct filter_test *t = filter_graph_test(g, i);

		e->uses[t->value]++;
		if (t->other != FILTER_VALUE_NONE)
			e->uses[t->other]++;
	}
}

/* Packets of other programs end here. */
static void emit_own(struct kernel_emit *e, struct emit_job *j)
{
	uint32_t own = kernel_asm_label(&e->code);

	e->sees_all = true;
	kernel_decide(e, &j->cofactor, j->own, own, e->foreign);
	e->sees_all = false;
	emit_place(e, own);
}

/* One page of the slots from @first. Return: 0, -ENOMEM, -E2BIG. */
static int emit_page(struct emit_job *j, struct kernel_frame_page *frame, uint32_t first,
	uint32_t n, struct kernel_page *ret)
{
	uint32_t n_deliver = first < j->n_deliver ? MIN(n, j->n_deliver - first) : 0;
	struct kernel_emit e;
	uint32_t end, last, undelivered;
	int r = emit_init(&e, j);

	if (r < 0)
		return r;
	emit_survey(&e);
	end = kernel_asm_label(&e.code);
	last = kernel_asm_label(&e.code);
	kernel_frame_begin(&e, frame, last);
	if (frame->index == 0)
		emit_own(&e, j);
	if (n_deliver) {
		undelivered = kernel_asm_label(&e.code);
		kernel_trie(&e, &j->cofactor, j->roots + first, n_deliver, first, undelivered);
		emit_place(&e, undelivered);
	}
	kernel_frame_counts(&e, frame);
	if (frame->index == frame->counts_from) {
		kernel_sample_deliver(&e);
		kernel_sample_count(&e, 0, j->n_deliver);
	}
	first += n_deliver;
	n -= n_deliver;
	kernel_trie(&e, &j->cofactor, j->roots + first, n, first, end);
	emit_place(&e, end);
	kernel_sample_count(&e, first, n);
	kernel_frame_end(&e, frame, last);
	if (e.code.failed || j->graph.failed)
		r = -ENOMEM;
	else if (e.too_large)
		r = -E2BIG;
	else
		r = kernel_asm_finish(&e.code, !j->options->no_long_jumps);
	if (r == 0)
		*ret = (struct kernel_page){ .insns = TAKE(e.code.insns), .n_insns = e.code.n };
	emit_deinit(&e);
	return r;
}

struct emit_span {
	uint32_t first, n;
};

static void emit_free_pages(struct kernel_code *code)
{
	for (unsigned int i = 0; i < code->n_pages; i++)
		free(code->pages[i].insns);
	code->n_pages = 0;
}

/* The first page that has more than delivering slots, or else the last. */
static unsigned int emit_counts_from(
	const struct emit_job *j, const struct emit_span spans[], unsigned int n_spans)
{
	unsigned int i = 0;

	while (j->n_deliver && i + 1 < n_spans && spans[i].first + spans[i].n <= j->n_deliver)
		i++;
	return i;
}

/* All pages, now that it is known how many there are. */
static int emit_spans(struct emit_job *j, const struct emit_span spans[], unsigned int n_spans)
{
	struct kernel_code *code = j->code;

	for (unsigned int i = 0; i < n_spans; i++) {
		struct kernel_frame_page frame = { .index = i,
			.n_pages = n_spans,
			.counts_from = emit_counts_from(j, spans, n_spans),
			.n_cpus = code->options.n_cpus,
			.stride_bytes = code->stride_bytes };
		int r = emit_page(j, &frame, spans[i].first, spans[i].n, &code->pages[i]);

		if (r < 0)
			return r;
		code->n_pages = i + 1;
	}
	return 0;
}

/* Halves span @i of @n. Return: false if that cannot be. */
static bool emit_halve(struct emit_span spans[], unsigned int *n, unsigned int i)
{
	if (spans[i].n < 2 || *n == KERNEL_PAGES_MAX)
		return false;
	memmove(&spans[i + 1], &spans[i], (*n - i) * sizeof(*spans));
	spans[i].n /= 2;
	spans[i + 1].first += spans[i].n;
	spans[i + 1].n -= spans[i].n;
	++*n;
	return true;
}

/* Takes the slots of a span out. */
static void emit_leave(struct emit_job *j, const struct emit_span *span)
{
	for (uint32_t i = span->first; i < span->first + span->n; i++) {
		j->roots[i] = FILTER_NODE_REJECT;
		j->reasons[i] = span->n > 1 ? KERNEL_REASON_PAGES : KERNEL_REASON_SIZE;
	}
}

/* Spans of equal size to begin with. Return: their number. */
static unsigned int emit_first_spans(const struct emit_job *j, struct emit_span spans[])
{
	uint32_t page_max = j->options->page_max ? j->options->page_max : UINT32_MAX;
	unsigned int n = 0;

	page_max = MAX(page_max, kernel_pages(j->n_slots, KERNEL_PAGES_MAX));
	do {
		uint32_t first = n ? spans[n - 1].first + spans[n - 1].n : 0;

		spans[n++] = (struct emit_span){ .first = first,
			.n = MIN(page_max, j->n_slots - first) };
	} while (spans[n - 1].first + spans[n - 1].n < j->n_slots);
	return n;
}

static int emit_pages(struct emit_job *j)
{
	struct emit_span spans[KERNEL_PAGES_MAX + 1];
	unsigned int n = emit_first_spans(j, spans);

	j->code->pages = calloc(KERNEL_PAGES_MAX, sizeof(*j->code->pages));
	if (!j->code->pages)
		return -ENOMEM;
	for (;;) {
		int r = emit_spans(j, spans, n);
		unsigned int which = j->code->n_pages;

		if (r != -E2BIG)
			return r;
		emit_free_pages(j->code);
		if (!emit_halve(spans, &n, which))
			emit_leave(j, &spans[which]);
	}
}

static bool emit_samples(const struct kernel_options *options, unsigned int i)
{
	return options->samplings && options->samplings[i].rule.mode != SAMPLING_NONE;
}

/* The slot of a root, new or old. */
static uint32_t emit_slot(struct emit_job *j, uint32_t *slot_of, uint32_t root)
{
	if (slot_of[root] == 0) {
		j->roots[j->n_slots] = root;
		slot_of[root] = ++j->n_slots;
	}
	return slot_of[root] - 1;
}

/* Program @i chooses among the packets of filter @slot. */
static void emit_sample(struct emit_job *j, unsigned int i, uint32_t slot, bool deliver)
{
	j->samples[j->n_samples++] = (struct kernel_sample){
		.of = j->options->samplings[i], .filter = slot, .deliver = deliver
	};
	j->sample_of[i] = j->n_samples;
	j->actions[slot] |= ACTION_SAMPLE;
}

/* Slots for all programs that deliver, or that do not. */
static void emit_slots(
	struct emit_job *j, uint32_t *slot_of, const uint32_t roots[], bool is_delivering)
{
	struct kernel_code *code = j->code;

	for (unsigned int i = 0; i < code->n_programs; i++) {
		if (code->reasons[i] != KERNEL_LOWERED ||
			is_delivering != (j->options->deliver && j->options->deliver[i]))
			continue;
		if (emit_samples(j->options, i) && j->n_samples == KERNEL_SAMPLES_MAX) {
			code->reasons[i] = KERNEL_REASON_SAMPLES;
			continue;
		}
		code->slots[i] = emit_slot(j, slot_of, roots[i]);
		if (emit_samples(j->options, i))
			emit_sample(j, i, code->slots[i], is_delivering);
		else
			j->actions[code->slots[i]] |=
				is_delivering ? ACTION_COUNT | ACTION_DELIVER : ACTION_COUNT;
	}
}

static int emit_lift(
	struct emit_job *j, const struct filter_program *const programs[], unsigned int n_programs)
{
	struct kernel_code *code = j->code;
	_cleanup_(cleanup_freep) uint32_t *roots = calloc(n_programs + 1, sizeof(*roots));
	_cleanup_(cleanup_freep) uint32_t *slot_of = NULL;

	if (!roots)
		return -ENOMEM;
	j->own = FILTER_NODE_ACCEPT;
	if (j->options->own && filter_lift(&j->graph, j->options->own, &j->own) != 0)
		return j->graph.failed ? -ENOMEM : -EINVAL;
	for (unsigned int i = 0; i < n_programs; i++) {
		int r = filter_lift(&j->graph, programs[i], &roots[i]);

		if (r < 0)
			return r;
		code->reasons[i] = r == FILTER_LIFT_E_REFUSED ? KERNEL_REASON_LOOP : KERNEL_LOWERED;
		if (j->options->hook == KERNEL_TC && filter_program_asks_direction(programs[i]))
			code->reasons[i] = KERNEL_REASON_DIRECTION;
		code->slots[i] = UINT32_MAX;
	}
	slot_of = calloc(j->graph.nodes.n, sizeof(*slot_of));
	if (!slot_of)
		return -ENOMEM;
	/* Those that deliver are first: where they are decided first, nobody counts in vain. */
	emit_slots(j, slot_of, roots, true);
	j->n_deliver = j->options->undelivered ? j->n_slots : 0;
	emit_slots(j, slot_of, roots, false);
	return 0;
}

/* Slots of samples. */
static void emit_sample_slots(struct emit_job *j)
{
	for (uint32_t i = 0; i < j->n_samples; i++) {
		struct kernel_sample *s = &j->samples[i];
		uint32_t leader = 0;

		s->slot = j->n_slots + i;
		while (j->samples[leader].filter != s->filter)
			leader++;
		s->leader = j->samples[leader].slot;
	}
}

static void emit_finish(struct emit_job *j)
{
	struct kernel_code *code = j->code;

	for (unsigned int i = 0; i < code->n_programs; i++) {
		if (code->reasons[i] == KERNEL_LOWERED)
			code->reasons[i] = j->reasons[code->slots[i]];
		if (j->sample_of[i])
			code->slots[i] = j->samples[j->sample_of[i] - 1].slot;
		if (code->reasons[i] != KERNEL_LOWERED)
			code->slots[i] = UINT32_MAX;
		code->n_lowered += code->reasons[i] == KERNEL_LOWERED;
	}
}

/* Leaves out the slots for which there is no memory. */
static void emit_limit(struct emit_job *j)
{
	uint32_t stride_bytes = KERNEL_AREA_BYTES_MAX / j->code->options.n_cpus & ~63u;
	uint32_t max = (uint32_t)((stride_bytes - sizeof(struct kernel_area)) /
		sizeof(struct kernel_slot));

	max -= MIN(j->n_samples, max);
	if (max == 0)
		j->n_samples = 0;
	for (uint32_t i = max; i < j->n_slots; i++)
		j->reasons[i] = KERNEL_REASON_COUNTERS;
	j->n_slots = MIN(j->n_slots, max);
	j->n_deliver = MIN(j->n_deliver, max);
}

static int emit_all(struct emit_job *j, const struct filter_program *const programs[])
{
	struct kernel_code *code = j->code;
	int r = emit_lift(j, programs, code->n_programs);

	if (r < 0)
		return r;
	emit_limit(j);
	emit_sample_slots(j);
	code->n_slots = j->n_slots + j->n_samples;
	code->samples = j->n_samples > 0;
	code->stride_bytes = kernel_stride_bytes(code->n_slots);
	r = emit_pages(j);
	if (r == 0)
		emit_finish(j);
	return r;
}

static bool emit_are_samplings_right(const struct kernel_options *options, unsigned int n)
{
	for (unsigned int i = 0; options->samplings && i < n; i++) {
		const struct kernel_sampling *s = &options->samplings[i];

		if (emit_samples(options, i) &&
			((options->deliver && !options->undelivered) ||
				s->cell >= KERNEL_TURNS_MAX || s->rule.value > INT32_MAX ||
				(s->rule.mode == SAMPLING_PERIODIC && s->rule.value < 1)))
			return false;
	}
	return true;
}

static bool emit_are_options_right(const struct kernel_options *options)
{
	return (unsigned int)options->hook < _KERNEL_HOOK_N &&
		(options->hook == KERNEL_SOCKET ||
			(!options->deliver && !options->undelivered && !options->skip_outgoing &&
				!options->own && !options->is_cut && !options->is_raw)) &&
		(!options->is_cut || options->snaplen_bytes <= INT32_MAX) &&
		(options->hook == KERNEL_TC || !options->has_root) &&
		(options->hook == KERNEL_XDP || !options->has_frags) &&
		(options->has_frags || !options->discards);
}

unsigned int kernel_n_cpus(void)
{
	return (unsigned int)MAX(libbpf_num_possible_cpus(), 1);
}

int kernel_code_new(struct kernel_code **ret, const struct kernel_options *options,
	const struct filter_program *const programs[], unsigned int n_programs)
{
	_cleanup_(kernel_code_freep) struct kernel_code *code = NULL;
	struct emit_job j = { .options = options };
	int r = -ENOMEM;

	if (!emit_are_options_right(options) || !emit_are_samplings_right(options, n_programs))
		return -EINVAL;
	code = calloc(1, sizeof(*code));
	if (!code)
		return -ENOMEM;
	code->options = *options;
	code->options.deliver = NULL;
	code->options.own = NULL;
	code->options.samplings = NULL;
	if (code->options.n_cpus == 0)
		code->options.n_cpus = kernel_n_cpus();
	if (code->options.n_cpus < 1 ||
		code->options.n_cpus > KERNEL_AREA_BYTES_MAX / kernel_stride_bytes(0))
		return -EINVAL;
	code->n_programs = n_programs;
	code->slots = calloc(n_programs + 1, sizeof(*code->slots));
	code->reasons = calloc(n_programs + 1, sizeof(*code->reasons));
	j.code = code;
	j.roots = calloc(n_programs + 1, sizeof(*j.roots));
	j.actions = calloc(n_programs + 1, sizeof(*j.actions));
	j.reasons = calloc(n_programs + 1, sizeof(*j.reasons));
	j.cofactor = (struct kernel_cofactor){ .g = &j.graph };
	j.samples = calloc(n_programs + 1, sizeof(*j.samples));
	j.sample_of = calloc(n_programs + 1, sizeof(*j.sample_of));
	if (code->slots && code->reasons && j.roots && j.actions && j.reasons && j.samples &&
		j.sample_of)
		r = filter_graph_init(&j.graph);
	j.graph.has_parts = true;
	if (r == 0)
		r = emit_all(&j, programs);
	kernel_cofactor_deinit(&j.cofactor);
	filter_graph_deinit(&j.graph);
	free(j.roots);
	free(j.actions);
	free(j.reasons);
	free(j.samples);
	free(j.sample_of);
	if (r == 0)
		*ret = TAKE(code);
	return r;
}

struct kernel_code *kernel_code_free(struct kernel_code *code)
{
	if (!code)
		return NULL;
	if (code->pages)
		emit_free_pages(code);
	free(code->pages);
	free(code->slots);
	free(code->reasons);
	free(code);
	return NULL;
}

enum kernel_hook kernel_code_hook(const struct kernel_code *code)
{
	return code->options.hook;
}

struct kernel_stats kernel_code_stats(const struct kernel_code *code)
{
	struct kernel_stats stats = {
		.n_pages = code->n_pages, .n_slots = code->n_slots, .n_lowered = code->n_lowered
	};

	for (unsigned int i = 0; i < code->n_pages; i++)
		stats.n_insns += code->pages[i].n_insns;
	return stats;
}

bool kernel_code_samples(const struct kernel_code *code)
{
	return code->samples;
}

bool kernel_code_has_root(const struct kernel_code *code)
{
	return code->options.has_root;
}

bool kernel_code_discards(const struct kernel_code *code)
{
	return code->options.discards;
}

enum kernel_reason kernel_code_reason(const struct kernel_code *code, unsigned int i)
{
	return code->reasons[i];
}
