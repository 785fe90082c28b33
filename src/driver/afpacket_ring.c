/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet socket with its ring (TPACKET_V3; Documentation/networking/packet_mmap.rst). The ring is
 * a circle of blocks. The kernel fills a block with frames of any length and hands it over when it
 * is full or AFPACKET_BLOCK_MS have passed since its first packet; we hand it back. Both do so in
 * order, by one word per block; when the kernel meets a block that is still ours, it counts what it
 * has no room for.
 *
 * Who claims and who releases may be different threads: claims go by n_claimed, which the device's
 * claim lock guards, releases by n_released.
 */
#include "afpacket_private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/release.h"
#include "mapi/errors.h"

/* The kernel wants to hear of frames of a fixed size, and ignores it. */
#define AFPACKET_FRAME_BYTES 2048u

/* Room before each packet, for a tag of 4 bytes that the kernel gives beside it; IP headers come to
 * stand at multiples of 16. */
static int afpacket_ring_reserve(struct afpacket_ring *ring)
{
	const int version = TPACKET_V3, one = 1;
	unsigned int reserve_bytes = 16;

	if (setsockopt(ring->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0)
		return -errno;
	ring->vnet = release_reaches(RELEASE_SUPER_PACKETS) &&
		setsockopt(ring->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) == 0;
	if (ring->vnet)
		reserve_bytes -= sizeof(struct virtio_net_hdr);
	if (setsockopt(ring->fd, SOL_PACKET, PACKET_RESERVE, &reserve_bytes,
		    sizeof(reserve_bytes)) < 0)
		return -errno;
	return 0;
}

int afpacket_ring_filter(const struct afpacket_ring *ring, const struct afpacket_filter *filter)
{
	struct sock_filter code[AFPACKET_FILTER_MAX];
	struct sock_fprog program = { .filter = code,
		.len = (unsigned short)afpacket_filter_make(filter, code) };

	if (setsockopt(ring->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return -errno;
	return 0;
}

int afpacket_ring_select(const struct afpacket_ring *ring, int program_fd)
{
	if (setsockopt(ring->fd, SOL_SOCKET, SO_ATTACH_BPF, &program_fd, sizeof(program_fd)) < 0)
		return -errno;
	return 0;
}

static int afpacket_ring_map(struct afpacket_ring *ring, uint64_t ring_bytes)
{
	struct tpacket_req3 request = { .tp_retire_blk_tov = AFPACKET_BLOCK_MS };

	ring_bytes = ring_bytes ? ring_bytes : AFPACKET_RING_BYTES;
	ring_bytes = MIN(MAX(ring_bytes, AFPACKET_RING_BYTES_MIN), AFPACKET_RING_BYTES_MAX);
	ring->block_bytes = ring_bytes < 16 * AFPACKET_BLOCK_BYTES ? AFPACKET_BLOCK_BYTES_SMALL
								   : AFPACKET_BLOCK_BYTES;
	ring->n_blocks = (unsigned int)(ring_bytes / ring->block_bytes);
	request.tp_block_size = (unsigned int)ring->block_bytes;
	request.tp_block_nr = ring->n_blocks;
	request.tp_frame_size = AFPACKET_FRAME_BYTES;
	request.tp_frame_nr =
		(unsigned int)(ring->block_bytes / AFPACKET_FRAME_BYTES) * ring->n_blocks;
	if (setsockopt(ring->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)) < 0)
		return -errno;
	ring->map = mmap(NULL, ring->block_bytes * ring->n_blocks, PROT_READ | PROT_WRITE,
		MAP_SHARED, ring->fd, 0);
	if (ring->map == MAP_FAILED) {
		ring->map = NULL;
		return -errno;
	}
	return 0;
}

int afpacket_ring_init(struct afpacket_ring *ring, int fd, const struct afpacket_filter *filter,
	uint64_t ring_bytes, const char *name, struct error *err)
{
	int r;

	*ring = (struct afpacket_ring){ .fd = fd };
	r = afpacket_ring_reserve(ring);
	if (r == 0)
		r = afpacket_ring_filter(ring, filter);
	if (r == 0)
		r = afpacket_ring_map(ring, ring_bytes);
	if (r == 0)
		return 0;
	afpacket_ring_deinit(ring);
	if (r == -ENOMEM)
		return error_set(err, MAPI_OUT_OF_MEMORY,
			"%s: no memory for a capture ring of %llu KiB; configure a smaller one",
			name,
			(unsigned long long)(ring_bytes ? ring_bytes : AFPACKET_RING_BYTES) >> 10);
	return error_set(err, MAPID_NO_DRIVER, "%s: the kernel refuses a capture ring: %s", name,
		strerror(-r));
}

void afpacket_ring_deinit(struct afpacket_ring *ring)
{
	if (ring->map)
		(void)munmap(ring->map, ring->block_bytes * ring->n_blocks);
	*ring = (struct afpacket_ring){ .fd = -1 };
}

static struct tpacket_block_desc *afpacket_ring_block(const struct afpacket_ring *ring, uint64_t no)
{
	return (void *)(ring->map + no % ring->n_blocks * ring->block_bytes);
}

/* Blocks that are not the kernel's to fill: in chunks, or in one of which frames are. */
static uint64_t afpacket_ring_n_out(const struct afpacket_ring *ring)
{
	return ring->n_claimed - atomic_load_explicit(&ring->n_released, memory_order_acquire);
}

static bool afpacket_block_is_ours(const struct tpacket_block_desc *block)
{
	/* Pairs with the barrier in the kernel's prb_flush_block(). */
	return __atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER;
}

bool afpacket_ring_ready(struct afpacket_ring *ring)
{
	struct tpacket_block_desc *block = afpacket_ring_block(ring, ring->n_claimed);
	const struct tpacket_hdr_v1 *head = &block->hdr.bh1;

	if (ring->at)
		return true;
	/* All blocks are out: the word below is that of a block that has not come back. */
	if (afpacket_ring_n_out(ring) == ring->n_blocks || !afpacket_block_is_ours(block))
		return false;
	ring->at = (uint8_t *)block + head->offset_to_first_pkt;
	ring->n_left = head->num_pkts;
	ring->end_ns = head->ts_last_pkt.ts_sec * 1000000000ull + head->ts_last_pkt.ts_nsec;
	ring->n_passed = 0;
	return true;
}

bool afpacket_ring_fills(const struct afpacket_ring *ring)
{
	struct tpacket_block_desc *block = afpacket_ring_block(ring, ring->n_claimed);

	return afpacket_ring_n_out(ring) < ring->n_blocks &&
		__atomic_load_n(&block->hdr.bh1.num_pkts, __ATOMIC_ACQUIRE) > 0;
}

bool afpacket_ring_is_short(const struct afpacket_ring *ring)
{
	uint64_t n_out = afpacket_ring_n_out(ring), n_half = ring->n_blocks / 2;

	/* Blocks are filled in turn. */
	return n_out >= n_half ||
		afpacket_block_is_ours(afpacket_ring_block(ring, ring->n_claimed - n_out + n_half));
}

struct tpacket_block_desc *afpacket_ring_claim(
	struct afpacket_ring *ring, uint8_t *end, unsigned int n_frames)
{
	ring->at = end;
	ring->n_left -= n_frames;
	ring->n_passed = 0;
	if (ring->n_left > 0)
		return NULL;
	ring->at = NULL;
	return afpacket_ring_block(ring, ring->n_claimed++);
}

void afpacket_ring_release(struct afpacket_ring *ring, struct tpacket_block_desc *block)
{
	/* So that nobody takes it for a block that fills until the kernel begins with it. */
	block->hdr.bh1.num_pkts = 0;
	/* Pairs with the kernel's reading of the status before it writes to the block. */
	__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	atomic_fetch_add_explicit(&ring->n_released, 1, memory_order_release);
}

void afpacket_ring_note(struct afpacket_ring *ring, uint64_t read_pkts, uint64_t foreign_pkts)
{
	atomic_fetch_add_explicit(&ring->foreign_pkts, foreign_pkts, memory_order_relaxed);
	atomic_fetch_add_explicit(&ring->read_pkts, read_pkts, memory_order_release);
}

void afpacket_ring_count(const struct afpacket_ring *ring, struct driver_drops *drops)
{
	drops->read_pkts += atomic_load_explicit(&ring->read_pkts, memory_order_acquire);
	drops->foreign_pkts += atomic_load_explicit(&ring->foreign_pkts, memory_order_relaxed);
}
