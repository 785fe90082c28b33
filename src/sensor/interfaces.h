/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers of network interfaces, for daemons whose configuration names no devices: 0, 1, 2 ... in
 * the order of the kernel's. An interface keeps its number as long as it exists, also under another
 * name; one that comes takes the smallest number that is free. So there are no gaps but those of
 * interfaces that have gone. One thread at a time.
 */
#ifndef MAPI_SENSOR_INTERFACES_H
#define MAPI_SENSOR_INTERFACES_H

#include <net/if.h>
#include <stdbool.h>

/**
 * struct interfaces - all of this network namespace, as they were read last
 * @present:   @n_present of them by the kernel's number, NULL before the first reading
 * @kernels:   the kernel's number of each of ours, below @n_kernels; 0: ours is free
 */
struct interfaces {
	struct if_nameindex *present;
	unsigned int n_present;
	unsigned int *kernels;
	unsigned int n_kernels;
};

/* Names that were given before are no longer valid. Return: 0, negative errno: as it was. */
int interfaces_read(struct interfaces *interfaces);
void interfaces_deinit(struct interfaces *interfaces);

/* The interface with number @number, or (@next) the first with a greater one. Return: its name,
 * borrowed until the next reading, and @ret_number; NULL if there is none. */
const char *interfaces_at(
	const struct interfaces *interfaces, int number, bool next, int *ret_number);

/* Return: the number of the interface called @name, -1 if there is none. */
int interfaces_find(const struct interfaces *interfaces, const char *name);

#endif
