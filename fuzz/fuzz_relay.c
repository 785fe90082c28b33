/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the engine reads of a relay (driver/relay.h): ring, memory and descriptors, of which the
 * process that captures may make anything at any time, as it meets packets, too.
 *
 * The input is what the two do: a byte each, and what that takes. The process that captures hands
 * over packets, or writes somewhere, or changes a descriptor; the engine opens the relay, claims
 * packets, or asks about the device. Whatever happens, calls return what they may, packets are
 * packets, interfaces stay what they were, and in the end the engine is told that there is no more,
 * and nothing is left. Time passes when somebody looks at it, or waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>

#include "driver/relay_private.h"
#include "fault.h"
#include "input.h"
#include "mapi/errors.h"
#include "wire/ring.h"
#include "wire/ring_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

#define FUZZ_LOOK_NS UINT64_C(1000000)
#define FUZZ_LOOKS_MAX 100u /* in one call */
#define FUZZ_CLAIMS_MAX 100000u
#define FUZZ_BATCH_PKTS 64u
#define FUZZ_WORKERS 2u
#define FUZZ_PKTS_MAX 8u
#define FUZZ_CAP_BYTES_MAX (PACKET_CAP_BYTES_MAX + 64)

/**
 * struct fuzz - both sides
 * @ring, @shared: written by the one that captures, who maps them as @index and @data, @page
 * @fds:           for the engine
 * @lease_fd:      of the one that captures; -1: it has ended
 * @source:        of the engine; NULL: not open
 * @seen:          interfaces that the engine was told of, @n_seen
 * @is_over:       the engine was told so
 */
struct fuzz {
	struct input in;
	struct ring *ring;
	struct ring_shared *index;
	uint8_t *data;
	size_t data_bytes;
	struct relay_shared *page;
	int fds[RELAY_N_FDS];
	int lease_fd;
	struct driver_source *source;
	struct driver_interface seen[RELAY_INTERFACES_MAX];
	unsigned int n_seen;
	bool is_over;
};

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static uint64_t input_number(struct input *in, unsigned int n_bytes)
{
	uint64_t ret = 0;

	while (n_bytes-- > 0)
		ret = ret << 8 | input_byte(in);
	return ret;
}

/* ---- time ---- */

static uint64_t fuzz_now_ns;
static unsigned int fuzz_n_looks;

int __wrap_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	(void)id;
	check(++fuzz_n_looks < FUZZ_LOOKS_MAX, "a call does not end");
	fuzz_now_ns += FUZZ_LOOK_NS;
	*ret = (struct timespec){ .tv_sec = (time_t)(fuzz_now_ns / 1000000000u),
		.tv_nsec = (long)(fuzz_now_ns % 1000000000u) };
	return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int r = __real_poll(fds, n, 0);

	check(timeout_ms >= 0, "waits for ever");
	if (r == 0)
		fuzz_now_ns += (uint64_t)timeout_ms * FUZZ_LOOK_NS;
	return r;
}

/* ---- the engine ---- */

static void fuzz_see_interfaces(struct fuzz *f)
{
	struct driver_interface interface;
	struct driver_stats stats;
	unsigned int n;

	driver_relay.stats(f->source, &stats);
	n = stats.n_interfaces;
	check(stats.state == DRIVER_UP || stats.state == DRIVER_DOWN || stats.state == DRIVER_GONE,
		"a state");
	check(n >= f->n_seen && n <= RELAY_INTERFACES_MAX, "interfaces come, and stay");
	check(driver_relay.interface(f->source, n, &interface) == -ENOENT, "no more interfaces");
	for (unsigned int i = 0; i < n; i++) {
		struct driver_interface *seen = &f->seen[i];

		check(driver_relay.interface(f->source, i, &interface) == 0, "an interface");
		check(interface.linktype <= UINT16_MAX && interface.ts_units_per_s > 0 &&
				memchr(interface.name, '\0', sizeof(interface.name)),
			"an interface as there may be");
		if (i >= f->n_seen)
			*seen = interface;
		check(seen->linktype == interface.linktype &&
				seen->snaplen_bytes == interface.snaplen_bytes &&
				seen->ts_units_per_s == interface.ts_units_per_s &&
				strcmp(seen->name, interface.name) == 0,
			"interfaces stay what they were");
	}
	f->n_seen = n;
}

static void fuzz_ask(struct fuzz *f)
{
	if (f->source)
		fuzz_see_interfaces(f);
}

static volatile uint8_t fuzz_read_byte; /* what is written there has been read */

static void fuzz_see_batch(const struct fuzz *f, const struct packet_batch *batch)
{
	check(batch->n > 0 && batch->n <= FUZZ_BATCH_PKTS && batch->is_live && !batch->has_super,
		"a batch");
	for (unsigned int i = 0; i < batch->n; i++) {
		check(batch->ifindex[i] < f->n_seen &&
				batch->linktype == f->seen[batch->ifindex[i]].linktype,
			"the link type is the interface's");
		check(batch->cap_bytes[i] <= PACKET_CAP_BYTES_MAX &&
				batch->wire_bytes[i] >= batch->cap_bytes[i] &&
				batch->all_wire_bytes[i] == batch->wire_bytes[i] &&
				batch->wire_pkts[i] == 1 && batch->flags[i] == 0 &&
				batch->ts_ns[i] <= INT64_MAX,
			"a packet");
		if (batch->cap_bytes[i] > 0)
			fuzz_read_byte =
				batch->data[i][0] ^ batch->data[i][batch->cap_bytes[i] - 1];
	}
}

/* Return: how many packets the chunk has. */
static uint64_t fuzz_see_chunk(struct fuzz *f, struct driver_chunk *chunk)
{
	static struct packet_batch batch;
	uint64_t n = 0;

	while (driver_relay.next_batch(f->source, chunk, &batch) == 0) {
		fuzz_see_batch(f, &batch);
		n += batch.n;
	}
	return n;
}

static void fuzz_claim(struct fuzz *f)
{
	struct driver_chunk chunk = { .seq = 0 };
	uint64_t n;
	int r;

	if (!f->source)
		return;
	fuzz_n_looks = 0;
	r = driver_relay.claim(f->source, &chunk);
	check(r == 0 || r == DRIVER_E_IDLE || r == DRIVER_E_END, "outcome of claim()");
	check(!f->is_over || r == DRIVER_E_END, "what is over is over");
	f->is_over = r == DRIVER_E_END;
	fuzz_see_interfaces(f);
	if (r != 0)
		return;
	n = fuzz_see_chunk(f, &chunk);
	check(n > 0 ? chunk.error.code == 0 : chunk.error.code == MAPI_CAPTURE_DAMAGED,
		"packets, or why there are no more");
	f->is_over = n == 0;
	driver_relay.rewind(f->source, &chunk);
	check(fuzz_see_chunk(f, &chunk) == n, "the same again");
	driver_relay.release(f->source, &chunk);
}

static void fuzz_wake(struct fuzz *f)
{
	if (!f->source)
		return;
	driver_relay.wake(f->source);
	fuzz_claim(f);
	check(f->is_over, "who is woken ends");
}

/* They may be too few descriptors, or of other memory, or memory may run out. */
static void fuzz_open(struct fuzz *f)
{
	struct driver_open_args args = {
		.name = "fuzz", .fd = -1, .batch_pkts = FUZZ_BATCH_PKTS, .n_workers = FUZZ_WORKERS
	};
	uint8_t fault = input_byte(&f->in), other = input_byte(&f->in) % 4;
	struct error err = ERROR_INIT;
	int fds[RELAY_N_FDS];
	bool failed;
	int r;

	f->source = driver_relay.close(f->source);
	f->n_seen = 0;
	f->is_over = false;
	args.fds = fds;
	args.n_fds = other == 1 ? 1 : RELAY_N_FDS;
	for (unsigned int i = 0; i < args.n_fds; i++) {
		unsigned int from = i;

		if (i == 0 && other == 2)
			from = RELAY_FD_SHARED;
		else if (i == RELAY_FD_SHARED && other == 3)
			from = 0;
		fds[i] = fcntl(f->fds[from], F_DUPFD_CLOEXEC, 0);
		check(fds[i] >= 0, "no descriptors");
	}
	fault_arm(fault % 8);
	r = driver_relay.open(&f->source, &args, &err);
	failed = fault_disarm(NULL);
	check(r == 0 || (r == -ENOMEM && failed) ||
			(r == -EINVAL && err.code == MAPID_NO_DRIVER && strstr(err.text, "fuzz: ")),
		"outcome of open()");
	check((r == 0) == (f->source != NULL), "a source where it was opened");
	fuzz_ask(f);
}

/* ---- who captures ---- */

static void fuzz_hand_over(struct fuzz *f)
{
	static const uint8_t bytes[FUZZ_CAP_BYTES_MAX];
	static const uint64_t times_ns[] = { 0, 1, UINT64_C(1700000000000000000), INT64_MAX,
		UINT64_C(1) << 63, UINT64_MAX };
	unsigned int n = 1 + input_byte(&f->in) % FUZZ_PKTS_MAX;
	uint8_t how = input_byte(&f->in);
	struct relay_packet packet = { .interface = input_byte(&f->in) % 32,
		.ts_ns = times_ns[how % 8 % ARRAY_SIZE(times_ns)],
		.wire_bytes = how & 8 ? UINT32_MAX : 0 };
	size_t cap_bytes = input_number(&f->in, 2);

	if (how & 16)
		cap_bytes = MIN(cap_bytes * 8, sizeof(bytes));
	for (unsigned int i = 0; i < n; i++) {
		struct error err = ERROR_INIT;

		(void)ring_write(f->ring, &packet, sizeof(packet), bytes, cap_bytes, &err);
		packet.interface = (packet.interface + (how >> 5)) % 32;
	}
}

static void fuzz_add_interface(struct fuzz *f)
{
	uint8_t i = input_byte(&f->in);
	struct relay_interface *interface = &f->page->interfaces[i % RELAY_INTERFACES_MAX];

	*interface = (struct relay_interface){ .linktype = (uint32_t)input_number(&f->in, 2) };
	interface->snaplen_bytes = (uint32_t)input_number(&f->in, 2);
	interface->ts_units_per_s = 1 + input_number(&f->in, 1);
	memset(interface->name, 'n', i % (sizeof(interface->name) + 1));
	atomic_store(&f->page->n_interfaces, i % RELAY_INTERFACES_MAX + 1);
}

/* A record of which the ring knows nothing. */
static void fuzz_write_record(struct fuzz *f)
{
	uint64_t head = atomic_load(&f->index->head);
	struct ring_record record = { .n_bytes = (uint32_t)input_number(&f->in, 4) };
	size_t at = head % f->data_bytes;

	if (at + sizeof(record) <= f->data_bytes)
		memcpy(f->data + at, &record, sizeof(record));
	atomic_store(&f->index->head, head + input_number(&f->in, 3));
}

static void fuzz_write_index(struct fuzz *f)
{
	size_t at = input_byte(&f->in);

	((uint8_t *)f->index)[at % sizeof(*f->index)] = input_byte(&f->in);
}

static void fuzz_write_data(struct fuzz *f)
{
	size_t at = input_number(&f->in, 2);

	f->data[at] = input_byte(&f->in);
}

static void fuzz_write_page(struct fuzz *f)
{
	size_t at = input_number(&f->in, 2);

	((uint8_t *)f->page)[at % sizeof(*f->page)] = input_byte(&f->in);
}

/* Their flags are of both sides, and so is when they expire. */
static void fuzz_change_descriptor(struct fuzz *f)
{
	uint8_t how = input_byte(&f->in);
	int fd = f->fds[1 + how % (RING_N_FDS - 1)];
	const struct itimerspec time = { .it_value = { .tv_nsec = how & 2 },
		.it_interval = { .tv_nsec = how & 4 } };

	(void)timerfd_settime(fd, 0, &time, NULL);
	(void)fcntl(fd, F_SETFL, how & 8 ? O_NONBLOCK : 0);
}

static void fuzz_hang_up(struct fuzz *f)
{
	cleanup_closep(&f->lease_fd);
	f->lease_fd = -1;
}

static void (*const fuzz_actions[])(struct fuzz *f) = { fuzz_open, fuzz_claim, fuzz_ask,
	fuzz_hand_over, fuzz_add_interface, fuzz_write_record, fuzz_write_index, fuzz_write_data,
	fuzz_write_page, fuzz_change_descriptor, fuzz_wake, fuzz_hang_up };

/* ---- both ---- */

static void *fuzz_map(int fd, size_t n_bytes)
{
	void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	check(memory != MAP_FAILED, "no memory");
	return memory;
}

static void fuzz_begin(struct fuzz *f)
{
	int lease[2];

	check(ring_new(&f->ring, RELAY_BYTES_MIN, false) == 0, "no ring");
	ring_fds(f->ring, f->fds);
	f->data_bytes = (size_t)lseek(f->fds[0], 0, SEEK_END) - ring_header_bytes();
	f->index = fuzz_map(f->fds[0], ring_header_bytes() + f->data_bytes);
	f->data = (uint8_t *)f->index + ring_header_bytes();
	f->fds[RELAY_FD_SHARED] = memfd_create("fuzz", MFD_CLOEXEC);
	check(ftruncate(f->fds[RELAY_FD_SHARED], sizeof(*f->page)) == 0, "no page");
	f->page = fuzz_map(f->fds[RELAY_FD_SHARED], sizeof(*f->page));
	f->page->magic = RELAY_MAGIC;
	f->page->layout = RELAY_LAYOUT;
	check(pipe2(lease, O_CLOEXEC) == 0, "no pipe");
	f->lease_fd = lease[0];
	f->fds[RELAY_FD_LEASE] = lease[1];
}

/* Nobody writes any more: what there is has an end. */
static void fuzz_end(struct fuzz *f)
{
	fuzz_hang_up(f);
	for (unsigned int n = 0; f->source && !f->is_over; n++) {
		check(n < FUZZ_CLAIMS_MAX, "it does not end");
		fuzz_claim(f);
	}
	f->source = driver_relay.close(f->source);
	(void)munmap(f->index, ring_header_bytes() + f->data_bytes);
	(void)munmap(f->page, sizeof(*f->page));
	ring_free(f->ring);
	(void)close(f->fds[RELAY_FD_SHARED]);
	(void)close(f->fds[RELAY_FD_LEASE]);
}

static int fuzz_lowest_fd(void)
{
	int fd = dup(STDERR_FILENO);

	check(fd >= 0 && close(fd) == 0, "no descriptor");
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
	struct fuzz f = { .in = { .at = data, .left = n_bytes }, .lease_fd = -1 };
	int lowest = fuzz_lowest_fd();

	fuzz_begin(&f);
	while (f.in.left > 0)
		fuzz_actions[input_byte(&f.in) % ARRAY_SIZE(fuzz_actions)](&f);
	fuzz_end(&f);
	check(fuzz_lowest_fd() == lowest, "a descriptor stays");
	return 0;
}
