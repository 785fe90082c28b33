/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop over the nodes, which each instruction set compiles for itself. */
#ifndef MAPI_FILTER_COMPARE_NODES_PRIVATE_H
#define MAPI_FILTER_COMPARE_NODES_PRIVATE_H

#include "filter_private.h"

#define COMPARE_MASK(masks, at) ((filter_mask_vec *)(void *)((uint8_t *)(masks) + (at)))

__attribute__((always_inline)) static inline void compare_nodes_inline(
	const struct filter_run_node *nodes, unsigned int n_nodes, filter_mask_vec *masks)
{
	for (const struct filter_run_node *node = nodes; node < nodes + n_nodes; node++) {
		filter_mask_vec test = *COMPARE_MASK(masks, node->test);
		filter_mask_vec yes = *COMPARE_MASK(masks, node->yes);
		filter_mask_vec no = *COMPARE_MASK(masks, node->no);

		*COMPARE_MASK(masks, node->ret) =
			*COMPARE_MASK(masks, node->valid) & ((test & yes) | (~test & no));
	}
}

#endif
