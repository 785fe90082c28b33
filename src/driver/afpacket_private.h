/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AF_PACKET driver's parts. afpacket.c: the driver's table, opening, claiming, and the essay on
 * the design. afpacket_ring.c: a socket with its ring. afpacket_merge.c: several rings become one
 * sequence of chunks. afpacket_frame.c: from the ring's frames to batches. afpacket_filter.c: the
 * program that the kernel runs for each packet. afpacket_watch.c: what becomes of the interface,
 * and what it lost. afpacket_link.c: questions to the kernel about interfaces. afpacket_counter.c:
 * what an interface has dropped.
 */
#ifndef MAPI_DRIVER_AFPACKET_PRIVATE_H
#define MAPI_DRIVER_AFPACKET_PRIVATE_H

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>

#include "driver.h"

#define AFPACKET_RING_BYTES (32u << 20)
#define AFPACKET_RING_BYTES_MIN (512u << 10)
#define AFPACKET_RING_BYTES_MAX (1u << 30)
/* At least the longest super-packet with what stands before it. A block is also what a ring loses
 * of its room when a single packet waits in it. */
#define AFPACKET_BLOCK_BYTES (256u << 10)
#define AFPACKET_BLOCK_BYTES_SMALL (128u << 10) /* of rings with few blocks */
#define AFPACKET_BLOCK_MS 4 /* after that a block is handed over however little it holds */

#define AFPACKET_LINKTYPE_ETHERNET 1u
#define AFPACKET_LINKTYPE_RAW 101u

/* Descriptors of prepare(): one socket per ring, then those for events, questions, questions about
 * counters, and the machine's queues. */
#define AFPACKET_FDS_EXTRA 4
#define AFPACKET_RINGS_MAX (DRIVER_FDS_MAX - AFPACKET_FDS_EXTRA)

/* -- afpacket_link.c -- */

/**
 * struct afpacket_link - what the kernel says of an interface
 * @type:      ARPHRD_
 * @flags:     IFF_
 */
struct afpacket_link {
	int ifindex;
	uint16_t type;
	unsigned int flags;
	uint32_t mtu_bytes;
	char name[IFNAMSIZ];
};

/**
 * struct afpacket_counts - what an interface has not given to the stack, since it exists
 * @missed_pkts:  the card had no room for them
 * @dropped_pkts: lost by the driver, or in front of the taps, or captured and then of no use
 */
struct afpacket_counts {
	uint64_t missed_pkts;
	uint64_t dropped_pkts;
};

/**
 * afpacket_link_get() - ask about one interface
 * @fd:      of afpacket_link_open(); one caller at a time
 * @ifindex: of the interface; 0: the one called @name
 *
 * Return: 0, -ENODEV if there is none, -errno.
 */
int afpacket_link_get(int fd, int ifindex, const char *name, struct afpacket_link *ret);

/* A socket for questions, or (@events) one that becomes readable when some interface changes.
 * Return: a descriptor that the caller owns, -errno. */
int afpacket_link_open(bool events);

/**
 * afpacket_link_counts() - ask for the counters of one interface
 * @fd: of afpacket_link_open(); one caller at a time
 *
 * Return: 0, -ENODEV if there is none, -errno.
 */
int afpacket_link_counts(int fd, int ifindex, struct afpacket_counts *ret);

/* The link type of packets of such an interface. Return: 0, -ENOENT: another driver's business. */
int afpacket_linktype(uint16_t type, uint32_t *ret);

/* -- afpacket_filter.c -- */

#define AFPACKET_FILTER_MAX 256

/* A load from there: whether the kernel keeps a tag beside the packet. */
#define AFPACKET_TAG_IS_BESIDE ((uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT))

/**
 * struct afpacket_filter - what a socket's program does
 * @snaplen_bytes: how much of a packet is kept
 * @skip_outgoing: on loopback, where everything comes back
 * @share, @n_shares: of @n_shares sockets on one interface each keeps the packets whose hash says
 *                so. The hash is that of semantics O6: symmetric, fragments by addresses
 * @is_wire:      packets are seen as they were on the wire: no tag is beside them
 */
struct afpacket_filter {
	uint32_t linktype;
	uint32_t snaplen_bytes;
	bool skip_outgoing;
	unsigned int share;
	unsigned int n_shares;
	bool is_wire;
};

/* Return: the number of instructions written. */
unsigned int afpacket_filter_make(
	const struct afpacket_filter *filter, struct sock_filter ret[AFPACKET_FILTER_MAX]);

/* -- afpacket_ring.c -- */

/**
 * struct afpacket_ring - a socket and the memory that it shares with the kernel
 * @fd:         borrowed from the watch
 * @vnet:       a struct virtio_net_hdr stands before each packet
 * @n_claimed:  blocks whose last frame is in a chunk; the next is number n_claimed % n_blocks
 * @n_released: blocks given back so far; pairs with the acquire in afpacket_ring_ready()
 * @at:         of the next block: the first frame that is in no chunk; NULL: the block has not been
 *              looked at, or the kernel has it
 * @n_left:     frames from @at on
 * @end_ns:     time of the last of them
 * @n_passed:   chunks made since without one of them
 * @is_awaited: packets of others wait for what the kernel is filling its block with
 * @read_pkts, @foreign_pkts: in chunks given back; @read_pkts pairs with the acquire in
 *              afpacket_ring_count()
 */
struct afpacket_ring {
	int fd;
	bool vnet;
	uint8_t *map;
	size_t block_bytes;
	unsigned int n_blocks;
	uint64_t n_claimed;
	_Atomic uint64_t n_released;
	uint8_t *at;
	unsigned int n_left;
	uint64_t end_ns;
	uint64_t n_passed;
	bool is_awaited;
	_Atomic uint64_t read_pkts;
	_Atomic uint64_t foreign_pkts;
};

/* Give the socket its program and its ring. Return: 0, -EINVAL with @err filled, -ENOMEM. */
int afpacket_ring_init(struct afpacket_ring *ring, int fd, const struct afpacket_filter *filter,
	uint64_t ring_bytes, const char *name, struct error *err);
void afpacket_ring_deinit(struct afpacket_ring *ring);

/* Which packets come into the ring: the driver's own program decides, or (SO_ATTACH_BPF) one of the
 * kernel tier, each packet by one of the two. Return: 0, -errno. */
int afpacket_ring_filter(const struct afpacket_ring *ring, const struct afpacket_filter *filter);
int afpacket_ring_select(const struct afpacket_ring *ring, int program_fd);

/* Whether there are frames to be claimed: then ring->at and its neighbours tell which. */
bool afpacket_ring_ready(struct afpacket_ring *ring);

/* Of a ring that is not ready: whether the kernel has put frames into the block that it has. */
bool afpacket_ring_fills(const struct afpacket_ring *ring);

/* Whether half the ring waits for us. */
bool afpacket_ring_is_short(const struct afpacket_ring *ring);

/* The ring's next @n_frames are in a chunk. Return: the block, if they are its last; else NULL. */
struct tpacket_block_desc *afpacket_ring_claim(
	struct afpacket_ring *ring, uint8_t *end, unsigned int n_frames);
void afpacket_ring_release(struct afpacket_ring *ring, struct tpacket_block_desc *block);

/* -- afpacket_merge.c -- */

/**
 * struct afpacket_slice - frames of one ring, of one block, one after the other
 * @first, @n:    the frames
 * @block:        to be given back with them; NULL: more of its frames are to come
 * @at, @n_left:  the frame to be given next, and how many there are from it on
 * @n_foreign:    of those before it that came in, how many have a protocol that the stack may not
 *                know
 */
struct afpacket_slice {
	struct afpacket_ring *ring;
	struct tpacket_block_desc *block;
	uint8_t *first;
	unsigned int n;
	uint8_t *at;
	unsigned int n_left;
	unsigned int n_foreign;
};

/* struct afpacket_chunk - frames that follow each other in time, of as many rings as have some. */
struct afpacket_chunk {
	_Atomic bool held; /* by a worker; pairs release with acquire */
	struct afpacket_slice *slices;
	unsigned int n_slices;
};

/**
 * struct afpacket_merge - from rings to chunks
 * @rings:   borrowed
 * @held_ns: since when packets have waited for others; 0: they do not
 */
struct afpacket_merge {
	struct afpacket_ring *rings;
	unsigned int n_rings;
	struct afpacket_chunk *chunks;
	unsigned int n_chunks;
	uint64_t held_ns;
};

enum afpacket_outcome {
	AFPACKET_E_NONE = 1, /* no packets */
	AFPACKET_E_HELD, /* packets wait for a ring that may have earlier ones; not for long */
};

/* @n_chunks: how many may be out. Return: 0, -ENOMEM. */
int afpacket_merge_init(struct afpacket_merge *merge, struct afpacket_ring *rings,
	unsigned int n_rings, unsigned int n_chunks);
void afpacket_merge_deinit(struct afpacket_merge *merge);

/* The chunk that comes next. @now_ns: monotonic. One caller at a time. Return: 0,
 * AFPACKET_E_NONE, AFPACKET_E_HELD. */
int afpacket_merge_claim(
	struct afpacket_merge *merge, uint64_t now_ns, struct afpacket_chunk **ret);

/* In the order of the claims. */
void afpacket_merge_release(struct afpacket_chunk *chunk);

/* So many packets have been read, and of them @foreign_pkts may be of no use to the stack. */
void afpacket_ring_note(struct afpacket_ring *ring, uint64_t read_pkts, uint64_t foreign_pkts);

/* Add what has been read of the ring. Any thread. */
void afpacket_ring_count(const struct afpacket_ring *ring, struct driver_drops *drops);

/* -- afpacket_frame.c -- */

static inline uint64_t afpacket_frame_ns(const uint8_t *at)
{
	const struct tpacket3_hdr *frame = (const void *)at; /* aligned by the kernel */

	return frame->tp_sec * 1000000000ull + frame->tp_nsec;
}

/* Begin, or begin again. */
void afpacket_chunk_start(struct afpacket_chunk *chunk);

/* struct afpacket_frames - what must be known to read frames; @mtu_bytes of the interface now;
 * @has_ipv6: this machine speaks it. */
struct afpacket_frames {
	uint32_t linktype;
	uint32_t snaplen_bytes;
	uint32_t mtu_bytes;
	unsigned int batch_pkts;
	bool has_ipv6;
};

/* The chunk's next frames, those of all its slices by time. Return: 0, DRIVER_E_END. */
int afpacket_chunk_next(struct afpacket_chunk *chunk, const struct afpacket_frames *frames,
	struct packet_batch *ret);

/* -- afpacket_counter.c -- */

/**
 * struct afpacket_reading - counts, and when they were read
 * @n:       how many readings there were with this one; 0: none yet
 * @ifindex, @binding: as asked for
 * @queues_before, @queues_after: of struct driver_drops
 */
struct afpacket_reading {
	uint64_t n;
	int ifindex;
	uint64_t binding;
	struct afpacket_counts counts;
	uint64_t queues_before;
	uint64_t queues_after;
};

struct afpacket_counter;

/* @query_fd: of afpacket_link_open(), @queues_fd: /proc/net/softnet_stat; both taken, also on
 * failure. Return: 0, -errno. */
int afpacket_counter_new(struct afpacket_counter **ret, int query_fd, int queues_fd);
struct afpacket_counter *afpacket_counter_free(struct afpacket_counter *counter); /* takes NULL */

/**
 * afpacket_counter_ask() - what an interface has dropped
 * @binding: a number of the caller's, to be found in the reading
 * @ret:     the last reading: a new one, if the last is a tenth of a second old and the kernel
 *           answers within some milliseconds
 *
 * Thread safety: one caller at a time.
 */
void afpacket_counter_ask(struct afpacket_counter *counter, int ifindex, uint64_t binding,
	struct afpacket_reading *ret);

/* -- afpacket_watch.c -- */

/**
 * struct afpacket_watch - the sockets, and what becomes of their interface
 * @fds:        owned; the sockets of the rings
 * @events_fd:  readable when some interface has changed; used by claim() alone
 * @bind_lock:  of who binds the sockets: the caller of claim(), and whoever makes them listen
 * @protocol:   that they are bound to
 * @mtu_bytes:  read by workers
 * @state:      read by claim()
 * @ifindex:    of the caller of claim(), as @looked_ns: when the interface was last looked at
 * @lock:       guards what follows; never taken on the way of a packet, never held while the kernel
 *              is asked about the interface
 * @name:       of the interface now
 * @first_name: as the user gave it
 * @binding:    counts to which interface the sockets were bound, @bound_to its index
 * @counted:    the interface's own counts as of reading number @n_read; what is lost goes by their
 *              increments. @has_counted: there is such a reading of this binding
 * @met_pkts:   that came into the rings
 */
struct afpacket_watch {
	int *fds;
	unsigned int n_fds;
	int events_fd;
	int query_fd;
	struct afpacket_counter *counter;
	bool promisc;
	pthread_mutex_t bind_lock;
	uint16_t protocol; /* GUARDED_BY(bind_lock) */
	_Atomic uint32_t mtu_bytes;
	_Atomic int state; /* enum driver_state */
	int ifindex;
	uint64_t looked_ns;
	uint32_t linktype;
	pthread_mutex_t lock;
	char name[IFNAMSIZ];
	char first_name[IFNAMSIZ];
	uint64_t binding;
	int bound_to;
	struct afpacket_counts counted;
	bool has_counted;
	uint64_t n_read;
	uint64_t nic_lost;
	uint64_t dropped;
	uint64_t met_pkts;
	uint64_t ring_lost;
	uint64_t outages;
	uint64_t changes;
};

/**
 * afpacket_watch_new() - take the descriptors of prepare()
 * @fds, @n_fds: consumed, also on failure
 * @ret_link:    the interface that the sockets are bound to
 *
 * Return: 0, -EINVAL with @err filled, -ENOMEM.
 */
int afpacket_watch_new(struct afpacket_watch **ret, const int fds[], unsigned int n_fds,
	const char *name, struct afpacket_link *ret_link, struct error *err);
struct afpacket_watch *afpacket_watch_free(struct afpacket_watch *watch);

/* Packets begin to arrive. Return: 0, -errno. */
int afpacket_watch_start(struct afpacket_watch *watch);

/* The interface may have changed: look, and follow; the caller of claim(). */
void afpacket_watch_look(struct afpacket_watch *watch);

/* The same, and events are forgotten; the caller of claim(). */
void afpacket_watch_drain(struct afpacket_watch *watch);

/* If it is time to look again without being told: the caller of claim(). */
void afpacket_watch_idle(struct afpacket_watch *watch);

/* Any thread: packets arrive, or none does. Return: 0, -errno. */
int afpacket_watch_listen(struct afpacket_watch *watch, bool listens);

/* Any thread. */
void afpacket_watch_stats(struct afpacket_watch *watch, struct driver_stats *ret);
void afpacket_watch_name(struct afpacket_watch *watch, char *ret, size_t ret_bytes);

/* Bind a socket. @protocol: 0: no packets yet. Return: 0, -errno. */
int afpacket_bind(int fd, int ifindex, uint16_t protocol);
int afpacket_promisc(int fd, int ifindex);

#endif
