/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How TO_FILE writes on a live device: a worker copies packets into a bounded queue, and a thread
 * of the queue writes them. The worker never waits: what finds no room is dropped and counted.
 *
 * One producer (the worker whose turn it is) and one consumer (the thread). The control thread ends
 * it. A disk or a reader that hangs can hold nobody up for long, the control thread included: after
 * STD_FILE_QUEUE_DRAIN_NS what is left is given up, and a thread that does not even come back from
 * its system call is left behind with the queue, which it frees when it does.
 */
#ifndef MAPI_FUNCTION_STD_TO_FILE_PRIVATE_H
#define MAPI_FUNCTION_STD_TO_FILE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "capfile/writer.h"

#define STD_FILE_QUEUE_BYTES (32u << 20)
#define STD_FILE_QUEUE_DRAIN_NS 1000000000u

struct std_file_queue;

/**
 * std_file_queue_new() - make a queue and start its thread
 * @writer:  taken on success only
 * @path:    for messages; copied
 * @n_bytes: of packets waiting to be written, a power of two
 *
 * Return: 0, -ENOMEM, or another negative errno of mmap, eventfd, pthread_create.
 */
int std_file_queue_new(struct std_file_queue **ret, struct capfile_writer *writer, const char *path,
	size_t n_bytes);

/* The producer: append a copy of @packet (its comment and lost_pkts are not looked at). No lock,
 * allocation or system call. Return: false if there was no room: the packet is counted as lost. */
bool std_file_queue_put(struct std_file_queue *queue, const struct capfile_packet *packet);

/* The producer, after some puts: let the thread have them. A system call only if it sleeps. */
void std_file_queue_publish(struct std_file_queue *queue);

/* The producer, or the control thread when there is no producer any more: no packet will follow;
 * the thread completes the file. May be called again. */
void std_file_queue_end(struct std_file_queue *queue);

/* Any thread: the thread has nothing left to do, because the file is complete or writing failed. */
bool std_file_queue_is_done(const struct std_file_queue *queue);

/* Any thread: whether writing has failed, and if so why. */
bool std_file_queue_failed(const struct std_file_queue *queue, struct error *err);

/* Any thread: packets that were dropped for want of room, and, once writing has failed, those that
 * were taken and not written. */
uint64_t std_file_queue_lost_pkts(const struct std_file_queue *queue);

/* Any thread: from now on STD_FILE_QUEUE_DRAIN_NS are left to write what is in the queue; later
 * calls give no more. */
void std_file_queue_hurry(struct std_file_queue *queue);

/* Control thread, after std_file_queue_end(): is something still being written, in its time? Once
 * this is false, std_file_queue_close() does not wait. */
bool std_file_queue_is_draining(struct std_file_queue *queue);

/* Control thread: end, wait while it drains, free; takes NULL. Return: 0, -EINVAL with @err (9003)
 * filled if something that was taken has not been written. */
int std_file_queue_close(struct std_file_queue *queue, struct error *err);

#endif
