/* SPDX-License-Identifier: BSD-2-Clause */
/* What is right, for tests: the interpreter, itself compared with libpcap's at every question. */
#ifndef MAPI_FILTER_TEST_REFERENCE_H
#define MAPI_FILTER_TEST_REFERENCE_H

#include "filter_private.h"

/**
 * struct reference - a program and what libpcap's interpreter makes of it
 * @is_defined:   it does not shift by constants above 31, nor reads scratch memory that it has not
 *                written; if it does, libpcap decides anything
 * @jumps_back:   it may be endless
 */
struct reference {
	const struct filter_program *program;
	bool is_defined;
	bool jumps_back;
};

struct reference reference_of(const struct filter_program *program);

/* The interpreter's decision. Prints and aborts where libpcap's is another: on all packets but
 * those where it might not end, if the program is defined. */
enum filter_interpret_outcome reference_decide(const struct reference *reference,
	const uint8_t *data, uint32_t wire_bytes, uint32_t cap_bytes);

#endif
