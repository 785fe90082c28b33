/* SPDX-License-Identifier: BSD-2-Clause */
/* What guard.c, schedule.c and slot.c share while a schedule is made. */
#ifndef MAPI_FILTER_SCHEDULE_PRIVATE_H
#define MAPI_FILTER_SCHEDULE_PRIVATE_H

#include "filter_private.h"

/* Tests known to be true; @all before any path was seen, that is where nothing leads. */
struct guards {
	bool all;
	uint8_t n;
	uint32_t test[STEP_GUARDS_MAX];
};

/* What is known and decided about each node, test and value of the graph. */
struct schedule_node {
	bool is_used;
	bool is_root;
	bool is_fused; /* computed together with its only parent */
	uint32_t partner; /* the node that is computed together with this one, or itself */
	struct guards known;
	uint32_t n_parents;
	uint32_t mask;
};

struct schedule_test {
	bool is_done;
	struct guards known;
	uint32_t mask;
	uint32_t next; /* test of the same value; 0 ends */
};

struct schedule_value {
	bool is_done;
	bool is_wide; /* used otherwise than in tests against constants */
	struct guards known;
	uint32_t column;
	uint32_t need;
	uint32_t inside; /* of a load: test */
	uint32_t first_test; /* against constants; 0 ends */
};

struct schedule_job {
	struct filter_graph *g;
	struct schedule *s;
	struct schedule_node *nodes;
	struct schedule_test *tests;
	struct schedule_value *values;
	uint32_t *sorted; /* room for all tests */
	size_t column_bytes;
	unsigned int n_steps_room, n_columns_room;
	bool failed;
};

/* guard.c: fills is_used, is_root, known, is_wide, inside, and the lists of tests. */
void guard_find(struct schedule_job *j, const uint32_t roots[], unsigned int n_roots);

/* slot.c: makes the nodes of the schedule; their masks follow those that exist. -ENOMEM. */
int slot_assign(struct schedule_job *j);

#endif
