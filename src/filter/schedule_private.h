/* SPDX-License-Identifier: BSD-2-Clause */
/* What guard.c, schedule.c and slot.c share while a schedule is made. */
#ifndef MAPI_FILTER_SCHEDULE_PRIVATE_H
#define MAPI_FILTER_SCHEDULE_PRIVATE_H

#include "filter_private.h"

/* Tests known to be true; @all before any path was seen, that is where nothing leads. */
struct filter_guards {
	bool all;
	uint8_t n;
	uint32_t test[FILTER_STEP_GUARDS_MAX];
};

/* What is known and decided about each node, test and value of the graph. */
struct filter_schedule_node {
	bool is_used;
	bool is_root;
	bool is_fused; /* computed together with its only parent */
	uint32_t partner; /* the node that is computed together with this one, or itself */
	struct filter_guards known;
	uint32_t n_parents;
	uint32_t mask;
};

struct filter_schedule_test {
	bool is_done;
	struct filter_guards known;
	uint32_t mask;
	uint32_t next; /* test of the same value; 0 ends */
};

struct filter_schedule_value {
	bool is_done;
	bool is_wide; /* used otherwise than in tests against constants */
	struct filter_guards known;
	uint32_t column;
	uint32_t need;
	uint32_t inside; /* of a load: test */
	uint32_t first_test; /* against constants; 0 ends */
};

struct filter_schedule_job {
	struct filter_graph *g;
	struct filter_schedule *s;
	struct filter_schedule_node *nodes;
	struct filter_schedule_test *tests;
	struct filter_schedule_value *values;
	uint32_t *sorted; /* room for all tests */
	size_t column_bytes;
	unsigned int n_steps_room, n_columns_room;
	bool failed;
};

/* guard.c: fills is_used, is_root, known, is_wide, inside, and the lists of tests. */
void filter_guard_find(struct filter_schedule_job *j, const uint32_t roots[], unsigned int n_roots);

/* slot.c: makes the nodes of the schedule; their masks follow those that exist. -ENOMEM. */
int filter_slot_assign(struct filter_schedule_job *j);

#endif
