/* SPDX-License-Identifier: BSD-2-Clause */
/* See util_series.h. */
#include "util_series.h"

#include <stddef.h>

/* Fixed point times have 32 bits for seconds. */
#define UTIL_ERA_NS (UINT64_C(1000000000) << 32)

static struct util_run *util_series_run(struct util_series *s, unsigned int i)
{
	return &s->runs[(s->first + i) % UTIL_SERIES_RUNS];
}

static void util_series_drop(struct util_series *s)
{
	s->first = (s->first + 1) % UTIL_SERIES_RUNS;
	s->n--;
}

void util_series_add(struct util_series *s, uint64_t begin_ns, uint64_t interval_ns, uint64_t value)
{
	struct util_run *last = s->n ? util_series_run(s, s->n - 1) : NULL;

	if (begin_ns < s->last_ns)
		begin_ns += UTIL_ERA_NS;
	s->last_ns = begin_ns;
	if (last && last->value == value && begin_ns == last->begin_ns + last->n * interval_ns) {
		last->n++;
		return;
	}
	if (s->n == UTIL_SERIES_RUNS)
		util_series_drop(s);
	*util_series_run(s, s->n++) =
		(struct util_run){ .begin_ns = begin_ns, .n = 1, .value = value };
}

static void util_series_take(struct util_series *s, uint64_t interval_ns)
{
	struct util_run *run = util_series_run(s, 0);

	run->begin_ns += interval_ns;
	if (--run->n == 0)
		util_series_drop(s);
}

bool util_series_pair(struct util_series s[2], uint64_t interval_ns, struct util_pair *ret_pair)
{
	while (s[0].n && s[1].n) {
		const struct util_run *a = util_series_run(&s[0], 0);
		const struct util_run *b = util_series_run(&s[1], 0);

		if (a->begin_ns != b->begin_ns) {
			util_series_take(&s[a->begin_ns > b->begin_ns], interval_ns);
			continue;
		}
		*ret_pair = (struct util_pair){ .begin_ns = a->begin_ns,
			.values = { a->value, b->value } };
		util_series_take(&s[0], interval_ns);
		util_series_take(&s[1], interval_ns);
		return true;
	}
	return false;
}
