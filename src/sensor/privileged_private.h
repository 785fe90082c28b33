/* SPDX-License-Identifier: BSD-2-Clause */
/* The parent's side of PRIVILEGED_LOAD: privileged_load.c does it for privileged.c. */
#ifndef MAPI_SENSOR_PRIVILEGED_PRIVATE_H
#define MAPI_SENSOR_PRIVILEGED_PRIVATE_H

#include <stddef.h>

#include "base/error.h"

#define PRIVILEGED_LOAD_FDS_MAX 3

/*
 * Load what the engine has written to @area. @ret_fds: the program, its counters, and if there are
 * further pages, their chain. Return: 0, negative errno with @err filled.
 */
int privileged_load_foreign(const void *area, size_t n_bytes, int ret_fds[PRIVILEGED_LOAD_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err);

#endif
