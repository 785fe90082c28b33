/* SPDX-License-Identifier: BSD-2-Clause */
/* Pipelines as text, for those who look into a difference. */
#include <stdio.h>

#include "model.h"

static void model_function_print(const struct model_function *f)
{
	switch (f->kind) {
	case MODEL_BPF_FILTER:
		printf("BPF_FILTER(\"%s\")", f->text);
		break;
	case MODEL_STR_SEARCH:
		printf("STR_SEARCH(\"%s\", %d, %d)", f->text, f->number, f->depth);
		break;
	case MODEL_SAMPLE:
		printf("SAMPLE(%d, PERIODIC)", f->number);
		break;
	case MODEL_CUT:
		printf("CUT(%d)", f->number);
		break;
	case MODEL_PKT_COUNTER:
		printf("PKT_COUNTER");
		break;
	case MODEL_BYTE_COUNTER:
		printf("BYTE_COUNTER");
		break;
	case MODEL_PKTINFO:
		printf("PKTINFO(%d)", f->number);
		break;
	case MODEL_HASH:
		printf("HASH(%d)", f->number);
		break;
	case MODEL_STATS:
		printf("STATS(flow %u function %u, \"%s\")", f->ref_flow + 1, f->ref_function + 1,
			f->text);
		break;
	case MODEL_TO_BUFFER:
		printf("TO_BUFFER");
		break;
	case MODEL_TO_FILE:
		printf("TO_FILE(%d, ..., %d)", f->number, f->depth);
		break;
	case MODEL_GAP:
		printf("GAP");
		break;
	case MODEL_BINOP:
		printf("BINOP(%d, flow %u function %u, flow %u function %u)", f->number,
			f->refs[0].flow + 1, f->refs[0].function + 1, f->refs[1].flow + 1,
			f->refs[1].function + 1);
		break;
	case MODEL_DIST:
		printf("DIST(flow %u function %u, %d, %d, %d)", f->ref_flow + 1,
			f->ref_function + 1, f->numbers[0], f->numbers[1], f->numbers[2]);
		break;
	case MODEL_BUCKET:
		printf("BUCKET(flow %u function %u, \"%s\", %d)", f->ref_flow + 1,
			f->ref_function + 1, f->text, f->number);
		break;
	case MODEL_THRESHOLD:
		printf("THRESHOLD(%d, flow %u function %u, %d, %d, %s, %d, %d)", f->number,
			f->ref_flow + 1, f->ref_function + 1, f->depth, f->numbers[0], f->text,
			f->numbers[1], f->numbers[2]);
		break;
	case MODEL_RES2FILE:
		printf("RES2FILE(");
		for (unsigned int r = 0; r < f->n_refs; r++)
			printf("%d of flow %u function %u, ", f->refs[r].format,
				f->refs[r].flow + 1, f->refs[r].function + 1);
		printf("\"%s\", %d)", f->text, f->number);
		break;
	case MODEL_STARTSTOP:
		printf("STARTSTOP(\"%s\", \"%s\")", f->text, f->stop);
		break;
	case MODEL_BURST:
		printf("BURST(%d, %d, %d, %d, %d, %d, %d)", f->numbers[0], f->numbers[1],
			f->numbers[2], f->numbers[3], f->numbers[4], f->numbers[5], f->numbers[6]);
		break;
	case MODEL_SYNC:
		printf("SYNC(flows %s, from 0)", f->text);
		break;
	case MODEL_CHANCE:
		printf("SAMPLE(%d, PROBABILISTIC)", f->number);
		break;
	case MODEL_HASHSAMP:
		printf("HASHSAMP(%d, %d)", f->number, f->depth);
		break;
	case MODEL_REGEXP:
		printf("REGEXP(\"%s\")", f->text);
		break;
	case MODEL_INTERFACE:
		printf("INTERFACE(%d)", f->number);
		break;
	case MODEL_TOP:
		printf("TOP(%d, %d, %d, %d, %s)", f->numbers[0], f->numbers[1], f->numbers[2],
			f->numbers[3], f->text);
		break;
	case _MODEL_KIND_N:
		break;
	}
}

void model_case_print(const struct model_case *c)
{
	for (unsigned int i = 0; i < c->n_flows; i++) {
		printf("  flow %u: ", i + 1);
		for (unsigned int k = 0; k < c->flows[i].n_functions; k++) {
			printf("%s", k ? " | " : "");
			model_function_print(&c->flows[i].functions[k]);
		}
		printf("\n");
	}
}
