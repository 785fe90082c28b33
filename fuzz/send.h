/* SPDX-License-Identifier: BSD-2-Clause */
/* What hostile peers of a socket do. */
#ifndef MAPI_FUZZ_SEND_H
#define MAPI_FUZZ_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUZZ_FDS_MAX 253 /* SCM_MAX_FD */

/**
 * fuzz_send() - send bytes, and a descriptor several times beside them
 * @fd:    borrowed
 * @n_fds: how many times, 0 to FUZZ_FDS_MAX
 *
 * Never waits. Return: whether all bytes went out.
 */
bool fuzz_send(int to, const uint8_t *bytes, size_t n_bytes, int fd, unsigned int n_fds);

#endif
