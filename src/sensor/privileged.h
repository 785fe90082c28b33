/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the two processes of the system daemon: the parent, which keeps the right to open devices
 * and parses nothing hostile, and the engine, which has no rights and meets packets and clients.
 *
 * They share a SOCK_SEQPACKET socketpair. A message is one struct privileged_request or
 * privileged_reply, of exactly its size, with descriptors beside the reply. The parent believes the
 * engine nothing: every field is checked, and a device must be allowed by the configuration.
 */
#ifndef MAPI_SENSOR_PRIVILEGED_H
#define MAPI_SENSOR_PRIVILEGED_H

#include <stdint.h>

#include "base/error.h"
#include "config/config.h"
#include "driver/driver.h"

#define PRIVILEGED_NAME_BYTES 256

enum privileged_op {
	PRIVILEGED_PREPARE = 1, /* run the driver's prepare() */
	PRIVILEGED_ALIVE, /* the engine's loop turns: for the watchdog; no reply */
	PRIVILEGED_READY, /* the engine serves; no reply */
	_PRIVILEGED_N
};

struct privileged_request {
	uint32_t op;
	uint32_t n_workers;
	char name[PRIVILEGED_NAME_BYTES]; /* zero-terminated */
};

struct privileged_reply {
	int32_t code; /* 0, or of mapi/errors.h: the device cannot be opened */
	uint32_t n_fds;
	char text[ERROR_TEXT_BYTES]; /* zero-terminated */
};

/**
 * privileged_prepare() - the engine's side: have a device opened
 * @fd:   the engine's end of the socketpair
 * @name: of the device
 *
 * Waits for the answer, at most 5 seconds. Return: 0; -EINVAL with @err filled; -EPIPE: the parent
 * is gone.
 */
int privileged_prepare(int fd, const char *name, unsigned int n_workers,
	int ret_fds[DRIVER_FDS_MAX], unsigned int *ret_n_fds, struct error *err);

/* Tell the parent. Never waits. @op: PRIVILEGED_ALIVE, PRIVILEGED_READY. */
void privileged_tell(int fd, enum privileged_op op);

/**
 * privileged_answer() - the parent's side: answer one request of the engine
 * @fd: the parent's end, readable
 * @ret_op: what was asked
 *
 * Return: 0; -EPIPE: the engine is gone; -EBADMSG: it sent nonsense, and must be ended.
 */
int privileged_answer(int fd, const struct config *config, enum privileged_op *ret_op);

#endif
