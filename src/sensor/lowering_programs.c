/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs of a set: one for each ring of the device, each with packets of its own. */
#include <string.h>

#include "lowering_private.h"

struct lowering_programs *lowering_programs_new(unsigned int n, unsigned int n_places)
{
	struct lowering_programs *p = calloc(1, sizeof(*p) + n * sizeof(p->at[0]));

	if (!p)
		return NULL;
	p->n = n;
	p->counts = calloc(n_places, sizeof(p->counts[0]));
	return p->counts ? p : lowering_programs_free(p);
}

struct lowering_programs *lowering_programs_free(struct lowering_programs *programs)
{
	if (!programs)
		return NULL;
	for (unsigned int i = 0; i < programs->n; i++)
		kernel_program_free(programs->at[i]);
	free(programs->counts);
	free(programs);
	return NULL;
}

void lowering_programs_read(
	struct lowering_programs *programs, struct kernel_count ret[], unsigned int n)
{
	memset(ret, 0, n * sizeof(ret[0]));
	for (unsigned int i = 0; i < programs->n; i++) {
		kernel_program_read(programs->at[i], programs->counts, n);
		for (unsigned int place = 0; place < n; place++) {
			ret[place].pkts += programs->counts[place].pkts;
			ret[place].bytes += programs->counts[place].bytes;
			ret[place].units += programs->counts[place].units;
		}
	}
}

uint64_t lowering_programs_cost_ns(const struct lowering_programs *programs)
{
	uint64_t cost_ns = 0;

	for (unsigned int i = 0; i < programs->n; i++)
		cost_ns += kernel_program_cost_ns(programs->at[i]);
	return cost_ns;
}
