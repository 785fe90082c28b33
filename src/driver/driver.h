/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drivers: where packets come from. A driver is one const table; its state is a struct
 * driver_source. One file per kind of device; drivers.c holds the visible list.
 *
 * Packets are handed out in chunks. A chunk is a run of consecutive packets that one worker
 * processes; it consists of batches. Several workers may hold chunks of one source at once:
 *
 *   claim()       one caller at a time (the device's claim lock): reserves the next run of packets
 *   next_batch()  the worker that holds the chunk, in parallel with other chunks
 *   rewind()      the same worker: start again at the first batch
 *   verify()      one caller at a time, in the order of the claims: is the start of the chunk where
 *                 the previous chunk really ended? If not, the chunk is moved there and must be
 *                 processed again (a file is split by speculation, semantics O5)
 *   release()     in the order of the claims
 */
#ifndef MAPI_DRIVER_DRIVER_H
#define MAPI_DRIVER_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "packet/packet.h"

struct driver_source; /* each driver defines its own */

enum driver_outcome {
	DRIVER_E_END = 1, /* no more packets, now or ever */
	DRIVER_E_REDO, /* verify(): the chunk was moved, process it again */
	_DRIVER_E_N
};

/**
 * struct driver_chunk - a run of packets held by one worker
 * @seq:       0, 1, 2 ... in the order of the claims
 * @error:     set by next_batch() when the source is damaged: the packets before the damage were
 *             delivered, nothing follows. Its text names the offset
 * @last:      set by next_batch() when nothing follows this chunk (end of file, or damage)
 * @impl:      of the driver
 */
struct driver_chunk {
	uint64_t seq;
	struct error error;
	bool last;
	void *impl;
};

/**
 * struct driver_open_args - what a driver opens
 * @name:         device name or path as the user gave it, for messages
 * @fd:           an open descriptor of a file, or -1; consumed by open() also on failure
 * @batch_pkts:   packets per batch, 1 .. PACKET_BATCH_MAX
 * @n_workers:    how many workers will call claim()
 */
struct driver_open_args {
	const char *name;
	int fd;
	unsigned int batch_pkts;
	unsigned int n_workers;
};

/* struct driver_interface - one capture interface of a source, for output files. */
struct driver_interface {
	uint32_t linktype;
	uint32_t snaplen_bytes; /* 0: unlimited */
	uint64_t ts_units_per_s; /* resolution of the timestamps: 1000000, 1000000000 ... */
	char name[64]; /* may be empty */
};

/**
 * struct driver_stats - what a source knows about itself
 * @done_bytes:  how much of @total_bytes has been handed out (progress); total 0: unknown
 * @n_interfaces: capture interfaces seen so far
 * Lost packets are counts since open.
 */
struct driver_stats {
	uint64_t done_bytes;
	uint64_t total_bytes;
	uint64_t nic_lost_pkts;
	uint64_t ring_lost_pkts;
	unsigned int n_interfaces;
};

struct driver {
	const char *name;
	bool lossless; /* the source waits for its readers: a file */
	bool (*match)(const struct driver_open_args *args);
	/* Never waits: whether a pipe holds packets is told by its first chunk (error 1026 there).
	 * Return: 0, -EINVAL with @err filled, -ENOMEM. */
	int (*open)(
		struct driver_source **ret, const struct driver_open_args *args, struct error *err);
	/* Return: 0, DRIVER_E_END. May block (pipe) until wake() is called. */
	int (*claim)(struct driver_source *source, struct driver_chunk *chunk);
	/* Fills @batch with 1 .. batch_pkts packets. Return: 0, DRIVER_E_END at the end of the
	 * chunk. */
	int (*next_batch)(struct driver_source *source, struct driver_chunk *chunk,
		struct packet_batch *batch);
	void (*rewind)(struct driver_source *source, struct driver_chunk *chunk);
	/* Return: 0, DRIVER_E_REDO. */
	int (*verify)(struct driver_source *source, struct driver_chunk *chunk);
	void (*release)(struct driver_source *source, struct driver_chunk *chunk);
	/* Any thread: make a blocked claim() return DRIVER_E_END soon. */
	void (*wake)(struct driver_source *source);
	/* Any thread. */
	void (*stats)(const struct driver_source *source, struct driver_stats *ret);
	/* Any thread. Return: 0, -ENOENT. Interface 0 exists once open() has returned, unless the
	 * source is a pipe or pcapng describes it late. */
	int (*interface)(const struct driver_source *source, unsigned int index,
		struct driver_interface *ret);
	struct driver_source *(*close)(struct driver_source *source); /* takes NULL */
};

extern const struct driver driver_file; /* pcap, pcapng, ERF; compressed or not; pipes */

/**
 * driver_find() - the driver of a device
 * @args: what is to be opened
 *
 * Return: the first driver of the list that matches, NULL if none.
 */
const struct driver *driver_find(const struct driver_open_args *args);

#endif
