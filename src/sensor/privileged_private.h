/* SPDX-License-Identifier: BSD-2-Clause */
/* The parent's side of PRIVILEGED_LOAD and PRIVILEGED_ATTACH: privileged_load.c does it for
 * privileged.c. */
#ifndef MAPI_SENSOR_PRIVILEGED_PRIVATE_H
#define MAPI_SENSOR_PRIVILEGED_PRIVATE_H

#include <stddef.h>

#include "base/error.h"
#include "config/config.h"
#include "privileged.h"

#define PRIVILEGED_LOAD_FDS 3 /* and one more, if it samples */
#define PRIVILEGED_LOAD_FDS_MAX 4

/*
 * Load what the engine has written to @area. @ret_fds: the program, its counters, the lease, and if
 * it samples the numbers that it takes. Return: 0, negative errno with @err filled.
 */
int privileged_load_foreign(struct privileged_loads *loads, const void *area, size_t n_bytes,
	int ret_fds[PRIVILEGED_LOAD_FDS_MAX], unsigned int *ret_n_fds, struct error *err);

#define PRIVILEGED_ATTACH_FDS_MAX (1 + KERNEL_ROOT_LINKS_MAX)

/*
 * Put a root to the interface of a device that the configuration allows; its descriptors are
 * @ret_fds: the slots, then the links. Return: 0, negative errno with @err filled.
 */
int privileged_attach_foreign(const struct config *config, const char *name, enum kernel_way way,
	int ret_fds[PRIVILEGED_ATTACH_FDS_MAX], unsigned int *ret_n_fds,
	char ret_others[KERNEL_TEXT_BYTES], struct error *err);

#endif
