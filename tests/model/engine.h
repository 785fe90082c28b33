/* SPDX-License-Identifier: BSD-2-Clause */
/* A case in the hands of libmapi: what runs on files and on interfaces have in common. */
#ifndef TESTS_MODEL_ENGINE_H
#define TESTS_MODEL_ENGINE_H

#include "model.h"

/**
 * struct engine - a case and its flows
 * @device: of all its flows, so that they see the same packets and may refer to each other
 * @live:   nobody waits for packets or records that may still come
 * @number: of the case, among those that write files at the same time
 */
struct engine {
	const struct model_case *c;
	const char *device;
	bool live;
	unsigned int number;
	int fd[MODEL_FLOWS_MAX];
	int fid[MODEL_FLOWS_MAX][MODEL_FUNCTIONS_MAX];
	char output[MODEL_FLOWS_MAX][MODEL_FUNCTIONS_MAX][64];
};

/* All return 0, or -1 with a line on standard error: a call of libmapi failed. */

/* Make the flows of e->c and connect them. */
int engine_make(struct engine *e);
/* On a live device a flow is connected after those that it refers to. Return: false if some refer
 * to each other, which cannot be. */
bool engine_connect_order(const struct model_case *c, unsigned int ret[MODEL_FLOWS_MAX]);
/* Read the packets and records of functions that have some: until the file ends, or as many as
 * there are. Begins with it, for @ret is made anew. */
int engine_read_rings(struct engine *e, struct model_results *ret);
int engine_read_results(struct engine *e, struct model_results *ret);
/* Close the flows, whether or not they were all made. */
int engine_close(struct engine *e);
/* Read the files that functions have written, complete when the flows are closed; removes them. */
void engine_read_files(struct engine *e, struct model_results *ret);

#endif
