/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How functions write on a live device: a worker copies records into a bounded queue, and a thread
 * of the queue writes them. The worker never waits: what finds no room is dropped and counted.
 *
 * One producer (the worker whose turn it is) and one consumer (the thread). The control thread ends
 * it. A disk or a reader that hangs can hold nobody up for long, the control thread included: after
 * STD_QUEUE_DRAIN_NS what is left is given up, and a thread that does not even come back from its
 * system call is not waited for: the queue can be freed when it has, or is left to it.
 */
#ifndef MAPI_FUNCTION_STD_OUTPUT_QUEUE_PRIVATE_H
#define MAPI_FUNCTION_STD_OUTPUT_QUEUE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define STD_QUEUE_DRAIN_NS 1000000000u

struct std_queue;

/**
 * struct std_queue_record - as the thread gets it
 * @lost: records of this channel that were dropped since the last one that was taken
 */
struct std_queue_record {
	uint64_t lost;
	uint32_t n_bytes;
	uint16_t channel;
	uint16_t reserved;
	uint8_t bytes[];
};
_Static_assert(sizeof(struct std_queue_record) == 16, "no padding, and bytes are aligned to 8");

/**
 * struct std_queue_ops - what the thread does with records; called by the thread alone, but for
 * @cancel
 * @unit:       what records are, for messages: "packets"
 * @n_channels: drops are told for each channel by itself
 * @n_bytes_max: of a record
 * @write:      return 0, -EINVAL with @err filled (9003)
 * @complete:   all records have been written; @gaps: per channel, what was dropped after the last
 *              one that was taken. Return: as of write
 * @flush:      what comes slowly must not be kept back. Return: as of write
 * @cancel:     any thread: wait for no reader any more
 * @lost:       after a failure: records that write has taken, and that did not get out
 * @close:      the end, which may hang, too; also frees the sink
 */
struct std_queue_ops {
	const char *unit;
	unsigned int n_channels;
	size_t n_bytes_max;
	int (*write)(void *sink, const struct std_queue_record *record, struct error *err);
	int (*complete)(void *sink, const uint64_t gaps[], struct error *err);
	int (*flush)(void *sink, struct error *err);
	void (*cancel)(void *sink);
	uint64_t (*lost)(const void *sink);
	void (*close)(void *sink);
};

/**
 * std_queue_new() - make a queue and start its thread
 * @sink:    of @ops; taken on success only
 * @path:    for messages; copied
 * @n_bytes: of records waiting to be written, a power of two
 *
 * Return: 0, -ENOMEM, or another negative errno of mmap, eventfd, pthread_create.
 */
int std_queue_new(struct std_queue **ret, const struct std_queue_ops *ops, void *sink,
	const char *path, size_t n_bytes);

/* The producer: append a record of two parts, which are copied. No lock, allocation or system call.
 * Return: false if there was no room: the record is counted as lost. */
bool std_queue_put(struct std_queue *queue, uint16_t channel, const void *head, size_t head_bytes,
	const void *data, size_t data_bytes);

/* The producer, after some puts: let the thread have them. A system call only if it sleeps. */
void std_queue_publish(struct std_queue *queue);

/* The producer, or the control thread when there is no producer any more: no record will follow;
 * the thread completes the output. May be called again. */
void std_queue_end(struct std_queue *queue);

/* Any thread: the thread has nothing left to do: the output is complete or writing has failed, and
 * is closed. */
bool std_queue_is_done(const struct std_queue *queue);

/* Any thread: whether writing has failed, and if so why. */
bool std_queue_failed(const struct std_queue *queue, struct error *err);

/* Any thread: records that were dropped for want of room, and, once writing has failed, those that
 * were taken and not written. */
uint64_t std_queue_lost(const struct std_queue *queue);

/* Any thread: from now on STD_QUEUE_DRAIN_NS are left to write what is in the queue; later calls
 * give no more. */
void std_queue_hurry(struct std_queue *queue);

/* Control thread, after std_queue_end(): is something still being written, in its time? Once this
 * is false, std_queue_close() does not wait. */
bool std_queue_is_draining(struct std_queue *queue);

/* Control thread: end, wait while it drains. Return: 0, -EINVAL with @err (9003) filled if
 * something that was taken has not been written. */
int std_queue_finish(struct std_queue *queue, struct error *err);

/* The same, and free; takes NULL. A thread that hangs keeps its memory until it comes back: wait
 * for std_queue_is_done() where that matters. */
int std_queue_close(struct std_queue *queue, struct error *err);

#endif
