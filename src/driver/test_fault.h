/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test helper: a system that fails. The linker puts these in front of the functions of the C
 * library (fault_link in meson.build); all zero, they change nothing. Not for threads.
 */
#ifndef MAPI_DRIVER_TEST_FAULT_H
#define MAPI_DRIVER_TEST_FAULT_H

#include <stddef.h>

/**
 * struct test_fault - what goes wrong
 * @alloc_in:    this allocation fails, counted down from here; 0: none. Those of the decompressors
 *               are counted when they are opened
 * @read_in:     this read fails with EIO, counted alike
 * @piece_bytes: a read of a pipe gives at most so many bytes, every third is interrupted first,
 *               and every third time nothing is there for who does not wait; 0: as usual
 * @n_calls:     reads and polls so far
 * @before_poll: called before each poll; NULL: none
 * @after_poll:  called after each poll that found something; NULL: none
 */
struct test_fault {
	unsigned int alloc_in;
	unsigned int read_in;
	size_t piece_bytes;
	unsigned int n_calls;
	void (*before_poll)(void);
	void (*after_poll)(void);
};

extern struct test_fault test_fault;

#endif
