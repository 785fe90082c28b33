/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that runs out when a fuzz target wants it: the linker puts these in front of the
 * allocators of the C library (fuzz_fault_link in meson.build). Not for threads.
 */
#ifndef MAPI_FUZZ_FAULT_H
#define MAPI_FUZZ_FAULT_H

#include <stdbool.h>

/* The @in-th allocation from here fails, once; 0: none does. They are counted in any case. */
void fault_arm(unsigned int in);

/* @ret_n: NULL, or allocations since fault_arm(). Return: whether one has failed. */
bool fault_disarm(unsigned int *ret_n);

#endif
