/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside libmapi: what its files share. Programs see include/mapi.h.
 *
 * Rules that make mapi_close_flow() safe in a signal handler:
 *   - control calls hold one mutex and block all signals meanwhile, so a handler never runs in a
 *     thread that holds it;
 *   - closing allocates and frees nothing; a closed flow waits in a queue and is dismantled when a
 *     later mapi_create_flow() needs its memory, so packets and results that the interrupted code
 *     still uses stay readable;
 *   - everything else (packets, results) holds no lock, only a reference on its flow.
 *
 * A system daemon may be restarted. Then restart.c builds the flows again, under the lock, and
 * publishes what they have at the new daemon; what they had at the old one is kept until no call
 * can see it any more.
 */
#ifndef MAPI_CLIENT_CLIENT_H
#define MAPI_CLIENT_CLIENT_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "mapi.h"
#include "mapi.pb-c.h"
#include "mapi/errors.h"
#include "mapi/schema.h"
#include "wire/results.h"
#include "wire/ring.h"
#include "wire/wire.h"

#define CLIENT_FLOWS_MAX 4096
#define CLIENT_FUNCTIONS_MAX 256 /* of one flow; the daemon allows as many */
#define CLIENT_ARGS_MAX 12
/* Closed flows that are kept whole, for code that a signal handler has interrupted. */
#define CLIENT_GRACE_FLOWS 8

/* ---- errors (client_error.c) ---- */

/* Set this thread's error. Return: -1. */
int client_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int client_fail_error(const struct error *err); /* the same; 6142 if @err is empty */
void client_clear_error(void);
int client_error_code(void); /* 0: none */

/* A structure of the caller, of @n_bytes in its first member, which may be older and shorter or
 * newer and longer than ours. */
static inline void client_fill_sized(void *ret, size_t n_bytes, const void *from, size_t from_bytes)
{
	memcpy(ret, from, MIN(n_bytes, from_bytes));
	if (n_bytes > from_bytes)
		memset((char *)ret + from_bytes, 0, n_bytes - from_bytes);
	memcpy(ret, &n_bytes, sizeof(n_bytes));
}
void client_take_error(struct error *ret);

/* ---- the engine behind the socket (engine.c, start.c) ---- */

/* A connection to a daemon. Lives until the next one is made and no flow uses it. */
struct engine {
	struct wire_conn *conn;
	int fd; /* of conn; for waiters to notice the end */
	int life_fd; /* hangs up when the daemon has died, whatever the kernel does; -1: none */
	bool is_system; /* serves others, too; its flow numbers are its own */
	int fd_base;
	int fd_last;
	_Atomic bool is_lost;
	_Atomic uint64_t asked_ns; /* when a reader of results last asked whether it lives */
	const unsigned char *results;
	size_t results_bytes;
	uint64_t last_id;
	unsigned int n_users; /* guarded by the lock: flows and devices */
	unsigned int n_readers; /* guarded by the lock: who only needs the memory of the results */
	struct engine *next;
};

/* The lock, held: signals are blocked, errno is kept. */
struct client_lock {
	sigset_t signals;
	int saved_errno;
};

void client_lock(struct client_lock *lock);
void client_unlock(struct client_lock *lock);

/* First thing in every call. Return: 0, or -1 with 6141: nothing was created yet, or it was created
 * before a fork by a parent that still lives. */
int client_enter(void);

/* The same in calls that need nothing to be created before. */
int client_enter_freely(void);

/* First thing where something is created: whose handles are these? Under the lock. Return: 0, or -1
 * with this thread's error. */
int client_begin(void);

/* The private daemon, started if there is none. Under the lock. Return: NULL with this thread's
 * error. */
struct engine *client_engine(void);

/* Who captures: the system daemon if there is one that serves this program, else the private one.
 * Under the lock. Return: NULL with this thread's error. */
struct engine *client_live_engine(void);

/* Why @engine, a private daemon, captures although there is a system daemon: once, to be told to
 * whoever runs the program. Under the lock. Return: valid until client_live_engine(); "": there is
 * nothing to tell. */
const char *client_why_private(const struct engine *engine);

/* A device of @engine, which client_live_engine() has returned, was not opened. Where the private
 * daemon lacks the right, this thread's error then also says why it was not the system daemon's
 * business. Under the lock. @engine: or NULL. Return: -1. */
int client_refused_live(const struct engine *engine);

/* Who knows what is captured: as client_live_engine(), and if that does not serve this user, by the
 * socket for those who look. @needs_system: NULL without an error if there is only a private one,
 * which is not started. Under the lock. Return: NULL with this thread's error. */
struct engine *client_list_engine(bool needs_system);

/* How long a daemon may take to greet; else 10 seconds. Under the lock. */
void client_set_patience(int hello_timeout_ms);

/* Connect to the system daemon again. Under the lock. Return: 0, -1. */
int client_reconnect(void);

/* Whether the daemon is gone; asks the kernel. Any thread. */
bool engine_is_lost(struct engine *engine);

/* What tells of its end to who polls: until the engine is freed. Any thread. */
#define ENGINE_N_ENDS 2
void engine_ends(const struct engine *engine, struct pollfd ret[ENGINE_N_ENDS]);

/* One request and its reply. Under the lock.
 * @fds: borrowed.
 * Return: the reply, valid until the next call; NULL with this thread's error. */
const Wire__Reply *engine_call(
	struct engine *engine, Wire__Request *request, const int fds[], unsigned int n_fds);

/* Before a request whose reply brings descriptors. Return: 0, or -1 with this thread's error. */
int engine_make_room(struct engine *engine);

/* Descriptors that came with the last reply. Return: 0, -EBADMSG. */
int engine_take_fds(struct engine *engine, int ret_fds[], unsigned int n_fds);

/* Checks an offset into the result area. Return: NULL if it does not lie within. */
const void *engine_results(const struct engine *engine, uint64_t offset_bytes, uint64_t n_bytes);

/**
 * system_connect() - connect to the system daemon
 * @ret_fd:       the connection
 * @ret_explicit: the user wants this daemon and no other (MAPI_SOCKET)
 * @only_looks:   by the socket for those who look, which every user may use
 * @ret_why:      with -ENOENT: why there is none; code 0: none was wanted
 *
 * Return: 0; -ENOENT: there is none that this program could use, but a private daemon will do;
 * -EACCES with this thread's error: there is one, for others; -1 with this thread's error.
 */
int system_connect(int *ret_fd, bool *ret_explicit, bool only_looks, struct error *ret_why);

/* The daemon that was reached by @fd says nothing. Return: -1 with this thread's error. */
int system_fail_silent(int fd);

/* Start a private daemon. @ret_fd: our end. Return: 0, or -1 with this thread's error. */
int private_start(int *ret_fd);

/* ---- descriptions (describe.c) ---- */

/* Under the lock. Return: NULL with this thread's error (6144). */
const struct mapi_function_desc *describe_find(struct engine *engine, const char *name);

/* ---- arguments (args.c) ---- */

/* What a caller passed. */
enum arg_kind { ARG_MISSING, ARG_NUMBER, ARG_LARGE, ARG_REAL, ARG_TEXT, ARG_OTHER };

struct arg {
	enum arg_kind kind;
	bool is_null; /* ARG_NUMBER 0 that may be a NULL of C++ */
	bool is_unchecked; /* from a call without types: it may be anything */
	long long number;
	unsigned long long large;
	const char *text; /* ARG_TEXT: readable, or NULL */
};

/* Read variadic arguments. @types: of mapi_apply_function_typed(). */
void args_from_typed(struct arg args[CLIENT_ARGS_MAX], unsigned long long types, va_list *ap);
/* Read what the description promises. Each arg that is text is checked to be readable. */
void args_from_plain(
	struct arg args[CLIENT_ARGS_MAX], const struct mapi_function_desc *desc, va_list *ap);
void args_from_array(struct arg args[CLIENT_ARGS_MAX], char **texts, unsigned int n_texts);

/* Arguments as they are sent. */
struct args_message {
	Wire__Value values[CLIENT_ARGS_MAX];
	Wire__Value *pointers[CLIENT_ARGS_MAX];
	unsigned int n_values;
	char *texts[CLIENT_ARGS_MAX]; /* owned */
	int fds[CLIENT_ARGS_MAX]; /* output files, owned */
	unsigned int n_fds;
};

/* Convert, open output files. @directory, @restart: if the flow is built again, for the so manieth
 * time, a file gets another name: nothing that was written is lost. Return: 0, or -1 with this
 * thread's error. */
int args_convert(struct args_message *ret, const struct arg args[CLIENT_ARGS_MAX],
	const struct mapi_function_desc *desc, const char *directory, unsigned int restart);
void args_message_deinit(struct args_message *message);

/* A number or a readable text, whatever was passed. @ret_copy: of the text, to be freed. */
struct arg args_check(struct arg arg, char **ret_copy);

/* References to flows become what the daemon calls them. @id_of: of the program's descriptor.
 * Return: 0, or -1 with this thread's error. */
int args_translate(struct args_message *message, const struct mapi_function_desc *desc,
	int (*id_of)(const void *data, int fd), const void *data);

/* ---- flows (flow_table.c, flow.c) ---- */

/* A function of a flow, whichever daemon runs it: what it is made of, and what the program has got
 * of it. */
struct recipe {
	uint64_t order; /* among all functions of this program */
	char *name;
	struct arg args[CLIENT_ARGS_MAX]; /* as they were given; texts are owned */
	char *directory; /* where relative paths begin; NULL: not known */
	mapi_results_t result;
	size_t result_bytes;
	unsigned char *buffer;
	int poll_fd; /* given to the program; -1: none. Guarded by the lock */
};

/* What a daemon has made of it. */
struct applied {
	struct recipe *function;
	struct engine *engine;
	int fid;
	bool no_wait; /* an empty ring is not waited for */
	const struct mapi_function_desc *desc;
	const unsigned char *slots;
	size_t slot_bytes;
	unsigned int n_slots;
	size_t result_bytes;
	struct ring_reader *ring; /* NULL: none */
	_Atomic bool is_busy; /* a thread reads the ring */
	_Atomic bool was_read; /* the program may hold a record of the ring */
	_Atomic(const void *) cell;
};

/* What a flow had at a daemon that is gone. */
struct past {
	struct past *next; /* older */
	struct engine *engine; /* NULL: nobody needs it any more */
	bool is_left; /* @engine serves as memory only */
	bool has_cell; /* the program holds places of its results (MAPI_REF) */
	unsigned int n_functions;
	struct applied *functions[];
};

#define FLOW_PARKED ((uint64_t)1 << 32)

struct flow {
	/* Low half: references; 0: nobody may take one. High half: how many of those who hold one
	 * are parked, which means that they look at nothing but the ring that they are reading. */
	_Atomic uint64_t refs;
	_Atomic int fd;
	_Atomic bool is_closed;
	_Atomic bool is_connected;
	_Atomic(struct engine *) engine; /* stored under the lock */
	uint32_t id; /* at the engine; guarded by the lock */
	uint64_t device;
	bool owns_device;
	_Atomic int device_number; /* as in mapi_get_device_info(); of a capture file its own */
	const char *devtype; /* static; guarded by the lock */
	char device_name[MAPI_STR_LENGTH];
	_Atomic(const struct results_flow *) shared;
	_Atomic bool is_end_told; /* event_fd stays readable from now on */
	_Atomic int event_fd; /* readable when there are fresh results; -1: nobody has asked */
	int poll_fd; /* as in struct recipe */
	_Atomic uint64_t restarts;
	_Atomic uint64_t gap_ns;
	_Atomic bool is_over; /* could not be built again, for the cause in end */
	struct error end;
	unsigned int n_fatal; /* daemons that have died of building it; guarded by the lock */
	struct past *past; /* newest first; guarded by the lock */
	_Atomic unsigned int n_functions;
	struct applied *_Atomic functions[CLIENT_FUNCTIONS_MAX];
	struct flow *next; /* in the queue of closed flows */
};

/* Look up and take a reference. Any thread, signal handlers. Return: NULL without an error set. */
struct flow *flow_get(int fd);
/* The same. Return: NULL with this thread's error. */
struct flow *flow_find(int fd);
/* How a call about a flow begins: client_enter(), then flow_find(). */
struct flow *flow_enter(int fd);
/* There is no flow @fd. Return: -1 with this thread's error. */
int flow_unknown(int fd);
/* Return: 0, or -1 with this thread's error if the flow is not connected. */
int flow_need_connected(const struct flow *flow);
void flow_put(struct flow *flow);
void flow_put_locked(struct flow *flow); /* by who holds the lock */
static inline void flow_putp(struct flow **flow)
{
	if (*flow)
		flow_put(*flow);
}

struct applied *flow_function(const struct flow *flow, int fid);

/* Around a wait of a thread that holds a reference: see struct flow. */
void flow_park(struct flow *flow);
void flow_unpark(struct flow *flow);

/**
 * flow_request() - one request about a flow, repeated if the daemon is restarted meanwhile
 * @id:    in @request: where the flow's number goes
 * @take:  NULL, or called with the reply under the lock; its result is returned
 *
 * Return: 0, or -1 with this thread's error.
 */
int flow_request(struct flow *flow, Wire__Request *request, uint32_t *id,
	int (*take)(struct flow *flow, const Wire__Reply *reply, void *data), void *data);

/* For restart.c; under the lock. All return 0, or -1 with this thread's error. */
struct flow_device {
	uint64_t id; /* at the engine */
	int number;
	const char *devtype; /* static */
};
int flow_open_device(
	struct engine *engine, const char *name, int fd, struct flow_device *ret_device);
int flow_ask_new(struct engine *engine, uint64_t device, bool start, uint32_t *ret_id,
	const struct results_flow **ret_shared);
int flow_close_at_engine(struct engine *engine, uint32_t id);

/* The flow in a slot of the table. Under the lock. Return: NULL: none. */
struct flow *flow_in_slot(unsigned int i);
/* The flow with this descriptor, without a reference. Under the lock. Return: NULL: none. */
struct flow *flow_by_number(int fd);

/* For flow.c; under the lock. Memory for a flow, of a closed one if there are many. NULL: none. */
struct flow *flow_new(void);
/* Put back what flow_new() gave, before it was published. */
void flow_give_up(struct flow *flow, struct engine *engine);
/* It can be found from now on, with one reference, which is the table's. */
void flow_publish(struct flow *flow, int fd);
/* It is closed, and not found any more; then the table's reference is to be put. */
void flow_withdraw(struct flow *flow);

/* What engine @data calls the flow @fd of this program; 0: it does not know it. Under the lock. */
int flow_id_of(const void *data, int fd);

/* Why a flow gives nothing any more. Sets this thread's error. Return: false if there is no cause.
 */
bool flow_failed(struct flow *flow);

/* Somebody polls for fresh results (mapi_fileno): what there is now is about to be looked at. */
void flow_consume_news(struct flow *flow);

/* The flow gets no more packets; all results are in place. */
bool flow_finished(struct flow *flow);

/* Let results, and what MAPI_REF points to, cover all that came before. Return: as mapi_flush(). */
int flow_flush(struct flow *flow);

/* The next record of a function's ring. Waits, but for packets with NOWAIT. Return: 0, an outcome,
 * or -1 with this thread's error. */
enum client_outcome {
	CLIENT_E_EMPTY = 1, /* nothing now */
	CLIENT_E_END, /* nothing ever again, and no error */
	_CLIENT_E_N
};
int client_next_record(struct flow *flow, int fid, const void **ret_record, size_t *ret_bytes);

/* The flow of this program with the smallest descriptor above @fd. Return: 0: there is none. */
int flow_next(int fd);

/* Whether number @id of the engine is a flow of this program. */
bool flow_is_own(const struct engine *engine, uint32_t id);

/* A flow of this program on the device @name, whose daemon lives. Under the lock. Return: NULL:
 * there is none. */
const struct flow *flow_on_device(const char *name);

/* ---- applying (apply.c) ---- */

struct applied *applied_free(struct applied *applied); /* takes NULL; not its function */
DEFINE_CLEANUP(struct applied *, applied_free);
struct recipe *recipe_free(struct recipe *function); /* takes NULL */
DEFINE_CLEANUP(struct recipe *, recipe_free);

/* Ask the engine to apply @function to its flow number @id. Under the lock. Return: 0, or -1 with
 * this thread's error. */
int apply_ask(struct applied **ret, struct engine *engine, uint32_t id, struct recipe *function,
	const struct mapi_function_desc *desc, struct args_message *message);

/* ---- restarts of the system daemon (restart.c) ---- */

#define RESTART_BLOCKING_MS 5000 /* of calls that wait anyway */
#define RESTART_READING_MS 1000

/**
 * restart_recover() - the daemon of a flow is lost: have the flow at its successor
 * @timeout_ms: for the successor to appear
 *
 * Without the lock, by who holds a reference on the flow but has forgotten all that he has read of
 * it: functions, engine.
 *
 * Return: 0 (go on), or -1 with this thread's error: 9005, 6145 (closed meanwhile), or what has
 * ended the flow.
 */
int restart_recover(struct flow *flow, int timeout_ms);

/* Whether restart_recover() may help: the flow's daemon is lost, and the flow not over. */
bool restart_is_due(struct flow *flow);

/* Build the flows of lost system daemons again. Under the lock. Return: 0, or -1 with this thread's
 * error if @engine was lost, too. */
int restart_build_all(struct engine *engine);

/* Free all that a flow had at former daemons. Under the lock. */
void restart_forget(struct flow *flow);
/* Close its descriptors only. Async-signal-safe. */
void restart_close(struct flow *flow);

/* Descriptors that also tell the daemon's end. Under the lock. @ret_fd: belongs to the flow or its
 * function. Return: the descriptor, or -1 with this thread's error. */
int restart_poll_fd(int *poll_fd, const struct engine *engine, int news_fd);

/* ---- lists (list.c) ---- */

/* One request to who knows what is captured (client_list_engine()). Under the lock. @ret_engine:
 * who has answered. Return: NULL with this thread's error, or without one if there is no system
 * daemon.
 */
const Wire__Reply *list_ask(Wire__Request *request, Wire__Reply__ResultCase result,
	bool needs_system, struct engine **ret_engine);

/* A flow of another program. Return: 0, or -1 with this thread's error. */
int list_flow_info(int fd, mapi_flow_info_t *ret);

/* ---- management (manage.c) ---- */

/* Historical: exported, but in no header. Does nothing: all processes are alike. */
MAPI_API void set_agent(void);

/* After fork: the child's copies of all flows are dismantled. Under the lock. */
void flow_forget_all(void);
void device_forget_all(void);

/* ---- devices (device.c) ---- */

/* Under the lock. Return: the engine's number for "path@id"; false: no such device. */
bool device_find(
	const char *name, struct engine **ret_engine, uint64_t *ret_device, int *ret_number);

/* Open a capture file. Return: a descriptor, or -1 with this thread's error. */
int device_open_file(const char *path);

#endif
