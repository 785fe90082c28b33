/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One end of a connection between libmapi and an engine: frames of protobuf messages (mapi.proto)
 * and the descriptors that travel with them, over a unix stream socket.
 */
#ifndef MAPI_WIRE_WIRE_H
#define MAPI_WIRE_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define WIRE_VERSION 2u
#define WIRE_FRAME_BYTES_MAX (1u << 20)
#define WIRE_FDS_MAX 16 /* received and not taken yet */
#define WIRE_SPARE_FDS 4 /* as many as any one honest frame carries */

/* An arena of WIRE_ARENA_BYTES(frame) holds whatever any frame of that size unpacks to. */
#define WIRE_ARENA_FACTOR 128u
#define WIRE_ARENA_BYTES(frame_bytes) (4096u + WIRE_ARENA_FACTOR * (size_t)(frame_bytes))

struct wire_conn;

enum wire_outcome {
	WIRE_E_AGAIN = 1, /* nothing (more) now */
	WIRE_E_CLOSED, /* the peer has closed in good order, at a frame boundary */
	WIRE_E_NO_PLACES, /* for descriptors that have come: see wire_conn_set_places() */
	_WIRE_E_N
};

/**
 * wire_conn_new() - frame a connected unix stream socket
 * @ret: the connection; the caller owns it
 * @fd:  taken on success; set to non-blocking
 *
 * Return: 0, -ENOMEM, -EBADF.
 */
int wire_conn_new(struct wire_conn **ret, int fd);
struct wire_conn *wire_conn_free(struct wire_conn *conn); /* closes; takes NULL */
DEFINE_CLEANUP(struct wire_conn *, wire_conn_free);

int wire_conn_fd(const struct wire_conn *conn);

/**
 * wire_conn_next() - the next frame that has arrived
 * @ret_frame, @ret_bytes: the message without its length; valid until the next call
 *
 * Reads from the socket only when no complete frame is buffered. Allocates only for frames longer
 * than any before.
 *
 * Return: 0, WIRE_E_AGAIN, WIRE_E_CLOSED, WIRE_E_NO_PLACES, -EBADMSG (frame too long, or end within
 * a frame, or too many descriptors), or a negative errno of recvmsg.
 */
int wire_conn_next(struct wire_conn *conn, const uint8_t **ret_frame, size_t *ret_bytes);

/**
 * wire_conn_take_fds() - take descriptors that came with the current or an earlier frame
 * @ret_fds: the oldest @n_fds; the caller owns them
 *
 * Return: 0, -EBADMSG if fewer have come: none is taken.
 */
int wire_conn_take_fds(struct wire_conn *conn, int ret_fds[], unsigned int n_fds);

/* Are there places for the descriptors of the next frame? Who asks for some, or has received some,
 * asks this first: descriptors without a place break the connection. */
bool wire_conn_has_spare_fds(struct wire_conn *conn);

/**
 * wire_conn_put() - queue one message and send what the socket takes
 * @fds: borrowed; duplicated if they must wait
 *
 * Small messages on an empty queue cause no allocation.
 *
 * Return: 0 (sent), WIRE_E_AGAIN (queued: call wire_conn_flush() when the socket is writable),
 * -EMSGSIZE, -ENOMEM, or a negative errno of sendmsg (-EPIPE: the peer is gone; no SIGPIPE).
 */
int wire_conn_put(struct wire_conn *conn, const ProtobufCMessage *message, const int fds[],
	unsigned int n_fds);
int wire_conn_flush(struct wire_conn *conn); /* as wire_conn_put() */

/* Send one short message (1 KiB at most) on a connected unix stream socket that nothing was sent on
 * yet. Never waits; what cannot be sent is lost. */
void wire_say(int fd, const ProtobufCMessage *message);

size_t wire_conn_queued_bytes(const struct wire_conn *conn);

/* The peer takes too little of what is put: more would only pile up here. */
bool wire_conn_is_clogged(const struct wire_conn *conn);

/* Which descriptors the peer may send. Others are closed, and the next wire_conn_next() fails. */
enum wire_fds {
	WIRE_FDS_ANY, /* as it is */
	WIRE_FDS_FILES, /* no sockets: there is nothing to write to them */
	WIRE_FDS_NONE,
};

void wire_conn_allow_fds(struct wire_conn *conn, enum wire_fds allowed);

/**
 * wire_conn_set_close() - who closes what the peer has sent, and the socket itself
 * @close_fd: takes a descriptor; does not wait, as close() of one that a stranger has sent may:
 *            sockets linger, files may be of a file system that does not answer
 * @context:  of close_fd(); outlives the connection
 */
void wire_conn_set_close(
	struct wire_conn *conn, void (*close_fd)(void *context, int fd), void *context);

/**
 * wire_conn_set_places() - who knows whether there are places for descriptors
 * @has_places: whether the process has places for all that a message can bring. Where it has not,
 *              the kernel closes what finds none, and waits as close() does
 * @context:    of has_places(); outlives the connection
 *
 * Without places wire_conn_next() leaves messages with descriptors where they are, and says
 * WIRE_E_NO_PLACES; others go on.
 */
void wire_conn_set_places(struct wire_conn *conn, bool (*has_places)(void *context), void *context);

/**
 * struct wire_arena - memory for one unpacked message, without malloc
 *
 * allocator is handed to protobuf-c's unpack; nothing needs to be freed; unpacking fails (NULL)
 * when the arena is full.
 */
struct wire_arena {
	ProtobufCAllocator allocator;
	uint8_t *bytes;
	size_t n_bytes;
	size_t used_bytes;
};

/* @bytes: borrowed, aligned to 16. May be called again to use the same bytes for another message.
 */
void wire_arena_init(struct wire_arena *arena, void *bytes, size_t n_bytes);

#endif
