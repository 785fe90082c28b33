/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop over the nodes, which each instruction set compiles for itself. */
#ifndef MAPI_FILTER_COMPARE_NODES_PRIVATE_H
#define MAPI_FILTER_COMPARE_NODES_PRIVATE_H

#include "filter_private.h"

__attribute__((always_inline)) static inline void compare_nodes_inline(
	const struct run_node *nodes, unsigned int n_nodes, mask_vec *masks, uint32_t first_node)
{
	mask_vec *ret = masks + first_node;

	for (unsigned int i = 0; i < n_nodes; i++) {
		const struct run_node *node = &nodes[i];
		mask_vec test = masks[node->test];

		ret[i] = (test & masks[node->yes]) | (~test & masks[node->no]);
	}
}

#endif
