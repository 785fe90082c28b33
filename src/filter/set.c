/* SPDX-License-Identifier: BSD-2-Clause */
/* A set of filters: one mask per program out of one batch. */
#include "filter_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct filter_set {
	unsigned int n_programs;
	struct filter_program *programs[];
};

int filter_set_new(struct filter_set **ret, const struct filter_program *const programs[],
	unsigned int n_programs)
{
	struct filter_set *set;

	set = calloc(1, sizeof(*set) + n_programs * sizeof(set->programs[0]));
	if (!set)
		return -ENOMEM;
	set->n_programs = n_programs;
	for (unsigned int i = 0; i < n_programs; i++) {
		int r = filter_program_copy(
			&set->programs[i], programs[i]->insns, programs[i]->n_insns);

		if (r < 0) {
			filter_set_free(set);
			return r;
		}
	}
	*ret = set;
	return 0;
}

struct filter_set *filter_set_free(struct filter_set *set)
{
	if (!set)
		return NULL;
	for (unsigned int i = 0; i < set->n_programs; i++)
		filter_program_free(set->programs[i]);
	free(set);
	return NULL;
}

size_t filter_set_scratch_bytes(const struct filter_set *set)
{
	return 64;
}

void filter_set_run(const struct filter_set *set, void *scratch, const struct packet_batch *batch,
	struct packet_mask ret[])
{
	for (unsigned int f = 0; f < set->n_programs; f++) {
		ret[f] = (struct packet_mask){ 0 };
		for (unsigned int i = 0; i < batch->n; i++) {
			if (bpf_filter(set->programs[f]->insns, batch->data[i],
				    batch->wire_bytes[i], batch->cap_bytes[i]))
				packet_mask_set(&ret[f], i);
		}
	}
}

struct filter_set_stats filter_set_stats(const struct filter_set *set)
{
	return (struct filter_set_stats){
		.n_programs = set->n_programs,
		.n_distinct = set->n_programs,
		.n_interpreted = set->n_programs,
	};
}
