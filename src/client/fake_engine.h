/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An engine for the library's unit tests: a thread that answers the protocol, holds still while a
 * test looks, and misbehaves on demand. It takes the place of start.c.
 */
#ifndef MAPI_CLIENT_FAKE_ENGINE_H
#define MAPI_CLIENT_FAKE_ENGINE_H

#include "client.h"

/* What it does instead of answering as it should. */
enum fake_fault {
	FAKE_NO_FAULT,
	FAKE_DIES, /* closes the socket */
	FAKE_WRONG_ID,
	FAKE_GARBAGE, /* sends a frame that is no message */
	FAKE_REFUSES, /* says why it goes */
	FAKE_WRONG_REPLY, /* a reply of another kind */
	FAKE_BAD_OFFSET, /* places outside of the result area */
	FAKE_NO_FDS, /* forgets the descriptors */
	FAKE_WRONG_VERSION,
	FAKE_REFUSES_AT_ONCE, /* says so before the first request */
	FAKE_STALLS, /* until fake_stall_fd is readable, then it answers */
	_FAKE_FAULT_N
};

/* The next @call is answered so. */
void fake_engine_fault(Wire__Request__CallCase call, enum fake_fault fault);

/* The last FlowApply, and the types that its descriptors had. Valid until the next. */
struct fake_apply {
	unsigned int n_args;
	Wire__Value__KindCase kinds[CLIENT_ARGS_MAX];
	long long numbers[CLIENT_ARGS_MAX];
	unsigned long long large[CLIENT_ARGS_MAX];
	char texts[CLIENT_ARGS_MAX][256];
	unsigned int n_fds;
	uint32_t flow;
};
extern struct fake_apply fake_last_apply;

/* The ring that the last applied TO_BUFFER or RECORDS has. */
struct ring *fake_last_ring(void);
/* Slot @i of the last applied function with a result. */
void fake_write_slot(unsigned int i, uint64_t order, const void *data, size_t n_bytes);
/* The head of the last created flow. */
void fake_write_head(enum mapi_flow_status status, int error_code);
void fake_write_cell(uint64_t value);
/* There is news of the flow that was last asked about with FlowEvents. */
void fake_write_event(void);

extern _Atomic unsigned int fake_n_engines; /* started so far */
extern _Atomic unsigned int fake_n_closed; /* flows closed so far */
extern uint64_t fake_hello_seed, fake_hello_workers, fake_hello_batch_pkts;
extern bool fake_start_fails;

/**
 * fake_system_start() - be the system daemon
 * @path: of the socket to listen on; MAPI_SOCKET says it to the library. One connection at a time
 *
 * Live devices exist if their name begins with "fake".
 */
void fake_system_start(const char *path);

extern const char *fake_refuses; /* name of a function; NULL: none */
extern int fake_stall_fd;
extern _Atomic unsigned int fake_n_stalled; /* so far */

/* What it lists. */
struct fake_listed {
	int id;
	const char *device;
	const char *alias;
	unsigned int functions;
};
extern const struct fake_listed *fake_devices, *fake_flows; /* to an id of 0; NULL: none */

/* End the current engine as a crash would, and wait for its thread. */
void fake_engine_kill(void);

/* As fake_engine_kill(), but its sockets stay open: the kernel has not let it go. Whoever knows
 * that it is dead says so by its lifeline. */
void fake_engine_hang(void);

/* In a child of fork(), where its thread does not exist. */
void fake_engine_forget(void);

#define FAKE_MERGE_SLOTS 3

#endif
