/* SPDX-License-Identifier: BSD-2-Clause */
/* The parent's side in parts: privileged.c answers, privileged_load.c loads and attaches,
 * privileged_helper.c has done what may hang, privileged_keep.c keeps what cannot be handed over.
 */
#ifndef MAPI_SENSOR_PRIVILEGED_PRIVATE_H
#define MAPI_SENSOR_PRIVILEGED_PRIVATE_H

#include <stdbool.h>
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
int privileged_load_foreign(const struct config *config, struct privileged_loads *loads,
	const void *area, size_t n_bytes, int ret_fds[PRIVILEGED_LOAD_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err);

/* Memory in which roots tell programs of this engine of super-packets. @ret: borrowed; -1: it is
 * not wanted. Return: 0, negative errno with @err filled. */
int privileged_take_super(
	struct privileged_loads *loads, bool is_wanted, int *ret, struct error *err);

#define PRIVILEGED_ATTACH_FDS_MAX (1 + KERNEL_ROOT_LINKS_MAX)

/*
 * Put a root to the interface of a device that the configuration allows; its descriptors are
 * @ret_fds: the slots, then the links. Return: 0, negative errno with @err filled.
 */
int privileged_attach_foreign(const struct config *config, struct privileged_loads *loads,
	const char *name, enum kernel_way way, int ret_fds[PRIVILEGED_ATTACH_FDS_MAX],
	unsigned int *ret_n_fds, char ret_others[KERNEL_TEXT_BYTES], struct error *err);

/* Answer. Never waits: an engine that does not read what it has asked for is up to something.
 * @fds: stay the caller's. Return: 0, -EPIPE, -EBADMSG. */
int privileged_reply(int fd, const struct privileged_reply *reply, const int *fds);

/* Do what was asked, and answer. @area: of PRIVILEGED_LOAD alone. Return: 0, -EPIPE,
 * -EBADMSG. */
int privileged_serve(int fd, const struct config *config, const void *area,
	struct privileged_loads *loads, const struct privileged_request *request);

/*
 * In a helper, in place of privileged_serve(), if the device is one that is relayed: answers at
 * @fd, and keeps the device for the engine. @phase: of this helper. @is_again: another one keeps
 * the device still, but not for long. Return: whether it was one; then 0, -EPIPE or -EBADMSG of the
 * answer in
 * @ret, when all is over.
 */
bool privileged_keep(int fd, const struct config *config, const struct privileged_request *request,
	_Atomic uint32_t *phase, bool is_again, int *ret);

/* Have a process do it, which answers by itself. Return: 0, -EPIPE, -EBADMSG. */
int privileged_help(struct privileged_helpers *helpers, int fd, const struct config *config,
	struct privileged_loads *loads, const struct privileged_request *request);

/* Name programs that are before the one with that number at the interface of a device that the
 * configuration allows. Return: 0, negative errno with @err filled. */
int privileged_look_foreign(const struct config *config, const char *name, uint32_t id,
	char ret_others[KERNEL_TEXT_BYTES], struct error *err);

#endif
