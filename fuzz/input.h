/* SPDX-License-Identifier: BSD-2-Clause */
/* A fuzzer's input, taken byte by byte; what is taken beyond its end is 0. */
#ifndef MAPI_FUZZ_INPUT_H
#define MAPI_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct input {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t input_byte(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

#endif
