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
 *
 * Live sources never wait for their readers: what does not fit is counted as lost. Opening one
 * takes privileges, so that part is prepare(), which the privileged parent of the system daemon
 * runs for the engine; a private daemon runs it itself. Devices that belong to who opens them are
 * read by a process of their own for the system daemon's engine (relay.h).
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
	DRIVER_E_IDLE, /* claim() of a live source: no packet for DRIVER_IDLE_MS; nothing reserved
			*/
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

#define DRIVER_IDLE_MS 10 /* semantics T1: how often time passes on an idle live device */
#define DRIVER_FDS_MAX 64 /* what prepare() may give */

/**
 * struct driver_options - how a device is configured
 * @driver:        name of the driver that must open it; NULL: the first that matches
 * @trace_dir:     of the driver that replays a directory of captures; NULL: none
 * @snaplen_bytes: of live capture; 0: whole packets
 * @ring_bytes:    of live capture, memory between kernel and workers, per worker; 0: default
 * @no_promisc:    live capture: only what the interface receives anyway
 * @incoming_only: live capture: not what leaves by the interface
 */
struct driver_options {
	const char *driver;
	const char *trace_dir;
	uint32_t snaplen_bytes;
	uint64_t ring_bytes;
	bool no_promisc;
	bool incoming_only;
};

/**
 * struct driver_open_args - what a driver opens
 * @name:         device name or path as the user gave it, for messages
 * @fd:           an open descriptor of a file, or -1; consumed by open() also on failure
 * @batch_pkts:   packets per batch, 1 .. PACKET_BATCH_MAX
 * @n_workers:    how many workers will call claim()
 * @fds, @n_fds:  what prepare() or the relay gave; consumed by open() also on failure. 0: neither
 * was asked
 * @options:      NULL: defaults
 */
struct driver_open_args {
	const char *name;
	int fd;
	unsigned int batch_pkts;
	unsigned int n_workers;
	const int *fds;
	unsigned int n_fds;
	const struct driver_options *options;
};

/* struct driver_interface - one capture interface of a source, for output files. */
struct driver_interface {
	uint32_t linktype;
	uint32_t snaplen_bytes; /* 0: unlimited */
	uint64_t ts_units_per_s; /* resolution of the timestamps: 1000000, 1000000000 ... */
	bool skips_outgoing; /* packets that leave are not captured */
	bool tells_direction; /* of packets, though not of each (struct packet_batch) */
	char name[64]; /* may be empty */
};

/**
 * struct driver_select - what programs that select packets must know
 * @snaplen_bytes: how much of a packet they have kept
 * @is_cut:        that is less than all of it, and filters go by what is kept
 * @is_raw:        packets begin with their IP header (LINKTYPE_RAW); else with Ethernet's
 * @skip_outgoing: packets that leave are not captured: on loopback, where everything comes back
 * @has_ipv6: the machine speaks it: such packets are not foreign (struct driver_drops)
 * @n_programs:    as many select together
 * @own:           of each program, a filter for the packets that it decides, by the whole packet as
 *                 it was on the wire: each packet is one program's. Belongs to the source. NULL:
 *                 the one program decides all
 */
struct driver_select {
	uint32_t snaplen_bytes;
	bool is_cut;
	bool is_raw;
	bool skip_outgoing;
	bool has_ipv6;
	unsigned int n_programs;
	const struct filter_program *const *own;
};

enum driver_state {
	DRIVER_UP, /* also: not a live source */
	DRIVER_DOWN, /* the interface is down; capture goes on when it comes up */
	DRIVER_GONE, /* there is no such interface now; capture goes on when there is one again */
};

/**
 * struct driver_drops - packets of a live source that the kernel calls dropped
 * @n_read:     how often @pkts and the queues have been read; 0: there is no such count
 * @pkts:       dropped since open, as of the last reading
 * @queues_before, @queues_after: dropped by the machine's queues in front of all captures, of
 *              whatever interface; right before @pkts was read, and right after
 * @met_pkts:   captured at some moment after that reading, those included that wait to be read
 * @read_pkts:  of them, read
 * @foreign_pkts: of those, such as the kernel may call dropped, too
 *
 * Some were lost before anybody could see them. Others were captured, and only then the kernel
 * found no use for them, because nothing speaks their protocol (net/core/dev.c). It counts both in
 * one.
 */
struct driver_drops {
	uint64_t n_read;
	uint64_t pkts;
	uint64_t queues_before;
	uint64_t queues_after;
	uint64_t met_pkts;
	uint64_t read_pkts;
	uint64_t foreign_pkts;
};

/**
 * struct driver_stats - what a source knows about itself
 * @done_bytes:  how much of @total_bytes has been handed out (progress); total 0: unknown
 * @n_interfaces: capture interfaces seen so far
 * @state:       of a live source, now
 * @outages:     how often a live source has left DRIVER_UP
 * @changes:     how often its interface got another name or MTU
 * @nic_lost_pkts: lost before anybody could see them, for certain
 * @drops:       those of which some were
 * Lost packets are counts since open.
 */
struct driver_stats {
	uint64_t done_bytes;
	uint64_t total_bytes;
	uint64_t nic_lost_pkts;
	uint64_t ring_lost_pkts;
	unsigned int n_interfaces;
	enum driver_state state;
	uint64_t outages;
	uint64_t changes;
	struct driver_drops drops;
};

struct driver {
	const char *name;
	bool lossless; /* the source waits for its readers: a file */
	bool real_time; /* while no packet comes, the time of the packets goes on as the machine's
			 * does (semantics T1); not so where captures are replayed */
	bool (*match)(const struct driver_open_args *args);
	/* What takes privileges. Gives at most DRIVER_FDS_MAX descriptors for open(). NULL: nothing
	 * does. Return: 0, -EINVAL with @err filled (3200; 9007 where the right to capture is
	 * missing). */
	int (*prepare)(const struct driver_open_args *args, int ret_fds[DRIVER_FDS_MAX],
		unsigned int *ret_n_fds, struct error *err);
	/* What one process opens is of no use to another: another one without rights may read the
	 * device for the engine of the system daemon (relay.h). Whether that can be. Each packet of
	 * such a driver is one on the wire. NULL: it is not such a driver. Return: 0, -EINVAL with
	 * @err filled. */
	int (*relays)(const struct driver_open_args *args, struct error *err);
	/* Never waits: whether a pipe holds packets is told by its first chunk (error 1026 there).
	 * Return: 0, -EINVAL with @err filled, -ENOMEM. */
	int (*open)(
		struct driver_source **ret, const struct driver_open_args *args, struct error *err);
	/* Return: 0, DRIVER_E_END, DRIVER_E_IDLE. May block (pipe) until wake() is called; a live
	 * source blocks for at most DRIVER_IDLE_MS, unless it has packets that wait for earlier
	 * ones: some milliseconds more. A worker claims when it has released what it held. */
	int (*claim)(struct driver_source *source, struct driver_chunk *chunk);
	/* By the one who claims, after DRIVER_E_IDLE: all packets have been handed out that had
	 * come by this monotonic time, or by the call of claim(), if that was earlier. NULL: by the
	 * call.
	 */
	uint64_t (*asked_ns)(const struct driver_source *source);
	/* Fills @batch with 1 .. batch_pkts packets. Return: 0, DRIVER_E_END at the end of the
	 * chunk. */
	int (*next_batch)(struct driver_source *source, struct driver_chunk *chunk,
		struct packet_batch *batch);
	void (*rewind)(struct driver_source *source, struct driver_chunk *chunk);
	/* NULL: it always is. Return: 0, DRIVER_E_REDO. */
	int (*verify)(struct driver_source *source, struct driver_chunk *chunk);
	void (*release)(struct driver_source *source, struct driver_chunk *chunk);
	/* Any thread, one at a time. An eBPF program of the type socket filter decides which
	 * packets are captured, from this call on; each packet is decided by one program.
	 * @program_fds: borrowed, as many as selects() says; NULL: all packets are captured again.
	 * NULL: not with this driver. Return: 0, -EINVAL with @err filled: some of the programs may
	 * decide, beside those of before. */
	int (*select)(struct driver_source *source, const int program_fds[], struct error *err);
	/* Whether select() can do justice to this source, and what programs have to do beside.
	 * Return: 0; -ENOTSUP with @err filled: why not. NULL if select is. */
	int (*selects)(
		const struct driver_source *source, struct driver_select *ret, struct error *err);
	/* Any thread. Whether packets come at all, from this call on: nobody may want them, because
	 * they are counted elsewhere. What becomes of the source is noticed all the same. NULL:
	 * they always come. Return: 0, -errno: the source is as it was. */
	int (*listen)(struct driver_source *source, bool listens);
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
extern const struct driver driver_afpacket; /* Linux interfaces */
extern const struct driver driver_pcap; /* live, what else libpcap opens */
extern const struct driver driver_tracedir; /* replays a directory of captures */

/**
 * driver_find() - the driver of a device
 * @args: what is to be opened
 *
 * Return: the first driver of the list that matches, NULL if none; driver_relay where that one is
 * relayed, and @args has the relay's descriptors.
 */
const struct driver *driver_find(const struct driver_open_args *args);

/* What to say behind "there is no such device" if @name looks like a file's; else "". */
const char *driver_file_advice(const char *name);

#endif
