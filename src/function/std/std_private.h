/* SPDX-License-Identifier: BSD-2-Clause */
/* What the functions of this library share: walking the selected packets of one call. */
#ifndef MAPI_FUNCTION_STD_STD_PRIVATE_H
#define MAPI_FUNCTION_STD_STD_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "function/function.h"
#include "packet/mask.h"

static inline bool std_whole_batch(const struct function_call *call)
{
	return call->first == 0 && call->n == call->batch->n;
}

/* The selected packets within the range of @call. */
static inline struct packet_mask std_selected(
	const struct function_call *call, const struct packet_mask *selection)
{
	struct packet_mask from, ret;

	if (std_whole_batch(call))
		return *selection;
	from = packet_mask_first(call->first);
	ret = packet_mask_first(call->first + call->n);
	for (unsigned int w = 0; w < PACKET_MASK_WORDS; w++)
		ret.word[w] &= ~from.word[w] & selection->word[w];
	return ret;
}

/* The last packet of @m; PACKET_BATCH_MAX if it is empty. */
static inline unsigned int std_last(const struct packet_mask *m)
{
	for (unsigned int w = PACKET_MASK_WORDS; w-- > 0;) {
		if (m->word[w])
			return w * 64 + 63 - (unsigned int)__builtin_clzll(m->word[w]);
	}
	return PACKET_BATCH_MAX;
}

#endif
