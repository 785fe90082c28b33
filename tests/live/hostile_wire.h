/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection to the daemon and what is asked there: hostile_wire.c. */
#ifndef TESTS_LIVE_HOSTILE_WIRE_H
#define TESTS_LIVE_HOSTILE_WIRE_H

#include "mapi.pb-c.h"
#include "wire/wire.h"

/* A connection that has said hello. @ret_area_fd: its memory of results, to be closed; NULL: not
 * wanted. Return: NULL if there is none. */
struct wire_conn *hostile_greet(int *ret_area_fd);

/* The reply to a request; NULL: the connection is over. To be freed. */
Wire__Reply *hostile_call(
	struct wire_conn *conn, Wire__Request *request, const int *fds, unsigned int n_fds);

/* Frees a reply. Return: its error, 0: none, -1: the connection is over. */
int hostile_code(Wire__Reply *reply);

/* A flow on the device. Return: its number, 0: refused. */
uint32_t hostile_flow_new(struct wire_conn *conn);

/* Return: as hostile_code(). @fds: the file of TO_FILE */
int hostile_flow_apply(struct wire_conn *conn, uint32_t flow, const char *function, const int *fds,
	unsigned int n_fds);
int hostile_flow_connect(struct wire_conn *conn, uint32_t flow);
int hostile_flow_close(struct wire_conn *conn, uint32_t flow);

#endif
