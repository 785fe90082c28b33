/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Relays: a reader and an engine in one process, one after the other, with a driver whose packets
 * are made up; and both sides with a hostile other one.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "mapi/errors.h"
#include "relay_private.h"

#define CAP_BYTES_MAX 200u
#define CHUNK_PKTS 100u

/* ---- a driver: packet number i is 20 + i % 100 bytes long, and of interface i / 1000 % 3 ---- */

struct driver_source {
	uint64_t next; /* number of the next packet */
	uint64_t end;
	uint64_t chunk_end;
	unsigned int n_idle;
	bool is_up_for_ever; /* else there are no packets soon */
	struct driver_stats at_end;
	uint8_t bytes[CHUNK_PKTS][CAP_BYTES_MAX];
};

static uint32_t cap_bytes(uint64_t no)
{
	return 20 + (uint32_t)(no % 100);
}

static unsigned int interface_of(uint64_t no)
{
	return (unsigned int)(no / 1000 % 3);
}

static int made_claim(struct driver_source *source, struct driver_chunk *chunk)
{
	if (source->next == source->end)
		return source->at_end.state == DRIVER_UP && !source->is_up_for_ever &&
				source->n_idle++
			? DRIVER_E_END
			: DRIVER_E_IDLE;
	source->chunk_end = MIN(source->end, source->next + CHUNK_PKTS);
	return 0;
}

static int made_next_batch(
	struct driver_source *source, struct driver_chunk *chunk, struct packet_batch *batch)
{
	for (batch->n = 0; source->next < source->chunk_end; source->next++) {
		uint8_t *bytes = source->bytes[batch->n];

		memset(bytes, (int)(source->next & 0xff), CAP_BYTES_MAX);
		memcpy(bytes, &source->next, sizeof(source->next));
		batch->data[batch->n] = bytes;
		batch->cap_bytes[batch->n] = cap_bytes(source->next);
		batch->wire_bytes[batch->n] = cap_bytes(source->next) + 7;
		batch->ts_ns[batch->n] = 1000000000u + source->next;
		batch->ifindex[batch->n] = (uint16_t)interface_of(source->next);
		batch->n++;
	}
	return batch->n ? 0 : DRIVER_E_END;
}

static void made_release(struct driver_source *source, struct driver_chunk *chunk)
{
}

static void made_stats(const struct driver_source *source, struct driver_stats *ret)
{
	*ret = source->at_end;
	if (source->next < source->end)
		ret->state = DRIVER_UP;
}

static int made_interface(
	const struct driver_source *source, unsigned int index, struct driver_interface *ret)
{
	if (index >= 3)
		return -ENOENT;
	*ret = (struct driver_interface){ .linktype = 100 + index,
		.snaplen_bytes = 1000 + index,
		.ts_units_per_s = 1000000000u };
	(void)snprintf(ret->name, sizeof(ret->name), "made%u", index);
	return 0;
}

static const struct driver made = { .name = "made",
	.claim = made_claim,
	.next_batch = made_next_batch,
	.release = made_release,
	.stats = made_stats,
	.interface = made_interface };

/* ---- both sides ---- */

static struct relay *new_relay(void)
{
	const struct driver_options options = { .ring_bytes = 1 };
	struct relay *relay = NULL;

	assert_int_equal(relay_new(&relay, &options), 0);
	return relay;
}

static int open_fds(struct driver_source **ret, const int *fds, unsigned int n, struct error *err)
{
	const struct driver_open_args args = {
		.name = "made0", .fd = -1, .batch_pkts = 64, .n_workers = 2, .fds = fds, .n_fds = n
	};

	*err = ERROR_INIT;
	return driver_relay.open(ret, &args, err);
}

/* As the engine has them, over a socket. */
static void copy_fds(const struct relay *relay, int ret_fds[RELAY_N_FDS])
{
	relay_fds(relay, ret_fds);
	for (unsigned int i = 0; i < RELAY_N_FDS; i++) {
		ret_fds[i] = fcntl(ret_fds[i], F_DUPFD_CLOEXEC, 0);
		assert_true(ret_fds[i] >= 0);
	}
}

static struct driver_source *open_relay(struct relay *relay)
{
	struct driver_source *source = NULL;
	struct error err;
	int fds[RELAY_N_FDS];

	copy_fds(relay, fds);
	if (open_fds(&source, fds, RELAY_N_FDS, &err) != 0)
		fail_msg("%s", err.text);
	relay_give(relay);
	return source;
}

/* A reader that opens the device, and finds it @stats when @n packets have come. */
static int read_device(
	struct relay *relay, uint64_t first, uint64_t n, const struct driver_stats *stats)
{
	struct driver_source *source = calloc(1, sizeof(*source));
	int r;

	assert_non_null(source);
	source->next = first;
	source->end = first + n;
	source->at_end = *stats;
	r = relay_begin(relay, &made, source);
	if (r == 0)
		r = relay_run(relay);
	free(source);
	return r;
}

static struct driver_stats stats_of(const struct driver_source *source)
{
	struct driver_stats ret;

	driver_relay.stats(source, &ret);
	return ret;
}

static void see_packet(const struct packet_batch *batch, unsigned int i, uint64_t *next)
{
	uint64_t no;

	memcpy(&no, batch->data[i], sizeof(no));
	assert_true(no >= *next);
	assert_int_equal(batch->cap_bytes[i], cap_bytes(no));
	assert_int_equal(batch->wire_bytes[i], cap_bytes(no) + 7);
	assert_int_equal(batch->all_wire_bytes[i], cap_bytes(no) + 7);
	assert_int_equal(batch->wire_pkts[i], 1);
	assert_int_equal(batch->ts_ns[i], 1000000000u + no);
	assert_int_equal(batch->ifindex[i], interface_of(no));
	assert_int_equal(batch->linktype, 100 + interface_of(no));
	assert_int_equal(batch->data[i][cap_bytes(no) - 1], no & 0xff);
	*next = no + 1;
}

/* Return: of claim(); @ret: packets. @err: of the chunk */
static int see_chunk(struct driver_source *source, uint64_t *next, uint64_t *ret, struct error *err)
{
	static struct packet_batch batch;
	struct driver_chunk chunk = { .seq = 99 };
	uint64_t again = 0;
	int r = driver_relay.claim(source, &chunk);

	*err = ERROR_INIT;
	if (r != 0)
		return r;
	while (driver_relay.next_batch(source, &chunk, &batch) == 0) {
		assert_true(batch.n > 0 && batch.n <= 64 && batch.is_live);
		for (unsigned int i = 0; i < batch.n; i++)
			see_packet(&batch, i, next);
		*ret += batch.n;
	}
	*err = chunk.error;
	driver_relay.rewind(source, &chunk);
	while (driver_relay.next_batch(source, &chunk, &batch) == 0)
		again += batch.n;
	assert_true(again <= *ret);
	driver_relay.release(source, &chunk);
	return 0;
}

/* What there is. */
static uint64_t see_all(struct driver_source *source, uint64_t *next)
{
	struct error err;
	uint64_t n = 0;
	int r;

	while ((r = see_chunk(source, next, &n, &err)) == 0)
		assert_int_equal(err.code, 0);
	assert_int_equal(r, DRIVER_E_IDLE);
	return n;
}

static const struct driver_stats is_down = { .state = DRIVER_DOWN };

/* ---- tests ---- */

static void packets_come_as_they_are(void **unused)
{
	struct relay *relay = new_relay();
	struct driver_source *source = open_relay(relay);
	struct driver_interface interface;
	uint64_t next = 0;

	(void)unused;
	assert_int_equal(stats_of(source).n_interfaces, 0);
	assert_int_equal(driver_relay.interface(source, 0, &interface), -ENOENT);
	assert_int_equal(read_device(relay, 0, 3500, &is_down), 0);
	assert_int_equal(see_all(source, &next), 3500);
	assert_int_equal(next, 3500);
	assert_int_equal(stats_of(source).n_interfaces, 3);
	assert_int_equal(stats_of(source).ring_lost_pkts, 0);
	assert_int_equal(driver_relay.interface(source, 2, &interface), 0);
	assert_int_equal(interface.linktype, 102);
	assert_int_equal(interface.snaplen_bytes, 1002);
	assert_int_equal(interface.ts_units_per_s, 1000000000u);
	assert_string_equal(interface.name, "made2");
	assert_int_equal(driver_relay.interface(source, 3, &interface), -ENOENT);
	driver_relay.close(source);
	assert_null(driver_relay.close(NULL));
	assert_null(relay_free(relay));
	assert_null(relay_free(NULL));
}

static void what_the_engine_does_not_read_is_counted(void **unused)
{
	const uint64_t sent = 50000; /* several times what fits */
	struct relay *relay = new_relay();
	struct driver_source *source = open_relay(relay);
	uint64_t next = 0, seen;

	(void)unused;
	assert_int_equal(read_device(relay, 0, sent, &is_down), 0);
	seen = see_all(source, &next);
	assert_true(seen > 1000 && seen < sent);
	assert_int_equal(seen + stats_of(source).ring_lost_pkts, sent);
	/* There is room again. */
	assert_int_equal(read_device(relay, sent, 1000, &is_down), 0);
	assert_int_equal(see_all(source, &next), 1000);
	assert_int_equal(seen + stats_of(source).ring_lost_pkts, sent);
	driver_relay.close(source);
	relay_free(relay);
}

static void what_readers_have_counted_adds_up(void **unused)
{
	const struct driver_stats stats = {
		.state = DRIVER_DOWN, .outages = 1, .nic_lost_pkts = 5, .ring_lost_pkts = 70
	};
	struct relay *relay = new_relay();
	struct driver_source *source = open_relay(relay);
	uint64_t next = 0, seen = 0;

	(void)unused;
	for (unsigned int i = 1; i <= 4; i++) {
		assert_int_equal(read_device(relay, 777 * (i - 1), 777, &stats), 0);
		assert_int_equal(stats_of(source).state, DRIVER_DOWN);
		assert_int_equal(stats_of(source).outages, i);
		assert_int_equal(stats_of(source).nic_lost_pkts, 5 * i);
		assert_int_equal(stats_of(source).ring_lost_pkts, 70 * i);
		seen += see_all(source, &next);
	}
	assert_int_equal(seen, 4 * 777);
	assert_int_equal(stats_of(source).n_interfaces, 3);
	/* No outage: it was down. Later one has it up, and is killed. */
	relay_gone(relay);
	assert_int_equal(stats_of(source).state, DRIVER_GONE);
	assert_int_equal(stats_of(source).outages, 4);
	driver_relay.close(source);
	relay_free(relay);
}

static void a_reader_that_dies_is_an_outage(void **unused)
{
	struct relay *relay = new_relay();
	struct driver_source *source = open_relay(relay);
	struct driver_source *device = calloc(1, sizeof(*device));

	(void)unused;
	assert_int_equal(relay_begin(relay, &made, device), 0);
	assert_int_equal(stats_of(source).state, DRIVER_UP);
	relay_gone(relay);
	assert_int_equal(stats_of(source).state, DRIVER_GONE);
	assert_int_equal(stats_of(source).outages, 1);
	relay_gone(relay);
	assert_int_equal(stats_of(source).outages, 1);
	free(device);
	driver_relay.close(source);
	relay_free(relay);
}

/* Time passes as far as the reader has looked. */
static void when_there_was_no_packet_is_known(void **unused)
{
	const struct driver_stats is_up = { .state = DRIVER_UP };
	struct relay *relay = new_relay();
	struct driver_source *source = open_relay(relay);
	struct driver_source *device = calloc(1, sizeof(*device));
	uint64_t begin_ns, end_ns, next = 0;

	(void)unused;
	assert_int_equal(relay_begin(relay, &made, device), 0);
	assert_int_equal(see_all(source, &next), 0);
	assert_int_equal(driver_relay.asked_ns(source), 0);
	begin_ns = clock_monotonic_ns();
	assert_int_equal(read_device(relay, 0, 10, &is_up), 0);
	end_ns = clock_monotonic_ns();
	assert_int_equal(see_all(source, &next), 10);
	assert_true(driver_relay.asked_ns(source) >= begin_ns);
	assert_true(driver_relay.asked_ns(source) <= end_ns);
	relay_gone(relay);
	assert_int_equal(see_all(source, &next), 0);
	assert_int_equal(driver_relay.asked_ns(source), UINT64_MAX);
	free(device);
	driver_relay.close(source);
	relay_free(relay);
}

static void each_side_hears_of_the_others_end(void **unused)
{
	struct relay *relay = new_relay();
	struct driver_source *source = open_relay(relay), *device = calloc(1, sizeof(*device));
	struct pollfd lease = { .fd = relay_lease_fd(relay) };
	uint64_t next = 0, n = 0;
	struct error err;

	(void)unused;
	assert_int_equal(read_device(relay, 0, 10, &is_down), 0);
	assert_int_equal(poll(&lease, 1, 0), 0);
	relay_free(relay);
	/* What came before is not lost. */
	assert_int_equal(see_chunk(source, &next, &n, &err), 0);
	assert_int_equal(n, 10);
	assert_int_equal(err.code, 0);
	assert_int_equal(see_chunk(source, &next, &n, &err), 0);
	assert_int_equal(n, 10);
	assert_int_equal(err.code, MAPI_CAPTURE_DAMAGED);
	assert_non_null(strstr(err.text, "made0: the process that kept the device was ended"));
	assert_int_equal(stats_of(source).state, DRIVER_GONE);
	assert_int_equal(see_chunk(source, &next, &n, &err), DRIVER_E_END);
	driver_relay.close(source);

	relay = new_relay();
	source = open_relay(relay);
	driver_relay.close(source);
	lease.fd = relay_lease_fd(relay);
	assert_int_equal(poll(&lease, 1, 0), 1);
	device->next = device->end = 0;
	device->is_up_for_ever = true;
	assert_int_equal(relay_begin(relay, &made, device), 0);
	assert_int_equal(relay_run(relay), 0);
	free(device);
	relay_free(relay);
}

static void *wake_main(void *source)
{
	driver_relay.wake(source);
	return NULL;
}

static void waking_ends_it(void **unused)
{
	struct relay *relay = new_relay();
	struct driver_source *source = open_relay(relay);
	struct driver_chunk chunk;
	pthread_t thread;

	(void)unused;
	assert_int_equal(driver_relay.claim(source, &chunk), DRIVER_E_IDLE);
	assert_int_equal(pthread_create(&thread, NULL, wake_main, source), 0);
	while (driver_relay.claim(source, &chunk) == DRIVER_E_IDLE)
		;
	assert_int_equal(driver_relay.claim(source, &chunk), DRIVER_E_END);
	pthread_join(thread, NULL);
	driver_relay.close(source);
	relay_free(relay);
}

/* Of the right size, if it is the page, but not a relay's. */
static int other_memory(void)
{
	int fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, sizeof(struct relay_shared)), 0);
	return fd;
}

static void other_descriptors_are_refused(void **unused)
{
	static const unsigned int wrong[] = { 0, RELAY_FD_SHARED };
	struct relay *relay = new_relay();
	struct driver_source *source = NULL;
	struct error err;
	int fds[RELAY_N_FDS];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		copy_fds(relay, fds);
		close(fds[wrong[i]]);
		fds[wrong[i]] = other_memory();
		assert_int_equal(open_fds(&source, fds, RELAY_N_FDS, &err), -EINVAL);
		assert_int_equal(err.code, MAPID_NO_DRIVER);
		assert_non_null(strstr(err.text, "made0: no way to the process"));
		assert_null(source);
		for (unsigned int n = 0; n < RELAY_N_FDS; n++)
			assert_int_equal(fcntl(fds[n], F_GETFD), -1);
	}
	fds[0] = dup(0);
	assert_int_equal(open_fds(&source, fds, 1, &err), -EINVAL);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	relay_free(relay);
}

/* ---- hostile sides ---- */

struct memory {
	uint8_t *ring;
	size_t ring_bytes;
	struct relay_shared *shared;
};

static struct memory map_memory(const struct relay *relay)
{
	struct memory ret;
	int fds[RELAY_N_FDS];

	relay_fds(relay, fds);
	ret.ring_bytes = (size_t)lseek(fds[0], 0, SEEK_END);
	ret.ring = mmap(NULL, ret.ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	assert_true(ret.ring != MAP_FAILED);
	/* Who has not had it before may only read it. */
	assert_true(mmap(NULL, sizeof(*ret.shared), PROT_READ | PROT_WRITE, MAP_SHARED,
			    fds[RELAY_FD_SHARED], 0) == MAP_FAILED);
	ret.shared =
		mmap(NULL, sizeof(*ret.shared), PROT_READ, MAP_SHARED, fds[RELAY_FD_SHARED], 0);
	assert_true(ret.shared != MAP_FAILED);
	return ret;
}

static void unmap_memory(const struct memory *memory)
{
	munmap(memory->ring, memory->ring_bytes);
	munmap(memory->shared, sizeof(*memory->shared));
}

/* Of a reader that somebody has taken over: where it may write for ever. @ret_fd: the caller's */
static struct relay_shared *hostile_memory(int *ret_fd)
{
	struct relay_shared *shared;

	*ret_fd = other_memory();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
	assert_true(shared != MAP_FAILED);
	shared->magic = RELAY_MAGIC;
	shared->layout = RELAY_LAYOUT;
	shared->interfaces[0] = (struct relay_interface){ .linktype = 100,
		.snaplen_bytes = 1000,
		.ts_units_per_s = 1000000000u,
		.name = "hostile" };
	atomic_store(&shared->n_interfaces, 1);
	return shared;
}

/* Filters are compiled for each link type that comes. What else it may write: fuzz_relay. */
static void interfaces_stay_what_they_were(void **unused)
{
	struct relay *relay = new_relay();
	struct driver_source *source = NULL;
	struct driver_interface interface;
	struct relay_shared *shared;
	uint64_t next = 0, n = 0;
	struct error err;
	int fds[RELAY_N_FDS];

	(void)unused;
	copy_fds(relay, fds);
	close(fds[RELAY_FD_SHARED]);
	shared = hostile_memory(&fds[RELAY_FD_SHARED]);
	assert_int_equal(open_fds(&source, fds, RELAY_N_FDS, &err), 0);
	relay_give(relay);
	assert_int_equal(read_device(relay, 0, 100, &is_down), 0);
	shared->interfaces[0] = (struct relay_interface){ .linktype = 200, .name = "other" };
	assert_int_equal(see_all(source, &next), 100); /* all of link type 100 */
	assert_int_equal(driver_relay.interface(source, 0, &interface), 0);
	assert_int_equal(interface.linktype, 100);
	assert_int_equal(interface.snaplen_bytes, 1000);
	assert_int_equal(interface.ts_units_per_s, 1000000000u);
	assert_string_equal(interface.name, "hostile");
	/* There is no such link type. */
	shared->interfaces[1] =
		(struct relay_interface){ .linktype = UINT16_MAX + 1, .ts_units_per_s = 1 };
	atomic_store(&shared->n_interfaces, 2);
	assert_int_equal(read_device(relay, 100, 1, &is_down), 0);
	assert_int_equal(see_chunk(source, &next, &n, &err), 0);
	assert_int_equal(n, 0);
	assert_non_null(strstr(err.text, "made0: the process that captures writes nonsense"));
	assert_int_equal(stats_of(source).n_interfaces, 1);
	assert_int_equal(see_chunk(source, &next, &n, &err), DRIVER_E_END);
	driver_relay.close(source);
	munmap(shared, sizeof(*shared));
	relay_free(relay);
}

/* It can only damage the index of the ring. */
static void a_hostile_engine_ends_the_reader(void **unused)
{
	unsigned int refused = 0;

	(void)unused;
	srand(1);
	for (unsigned int round = 0; round < 100; round++) {
		struct relay *relay = new_relay();
		struct driver_source *source = open_relay(relay);
		struct memory memory = map_memory(relay);
		int r;

		assert_int_equal(read_device(relay, 0, 10, &is_down), 0);
		for (unsigned int i = 0; i < 4; i++)
			memory.ring[(size_t)rand() % 256] = (uint8_t)rand();
		r = read_device(relay, 10, 20000, &is_down);
		assert_true(r == 0 || r == -EBADMSG);
		refused += r != 0;
		unmap_memory(&memory);
		driver_relay.close(source);
		relay_free(relay);
	}
	assert_true(refused > 2 && refused < 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_come_as_they_are),
		cmocka_unit_test(what_the_engine_does_not_read_is_counted),
		cmocka_unit_test(what_readers_have_counted_adds_up),
		cmocka_unit_test(a_reader_that_dies_is_an_outage),
		cmocka_unit_test(when_there_was_no_packet_is_known),
		cmocka_unit_test(each_side_hears_of_the_others_end),
		cmocka_unit_test(waking_ends_it),
		cmocka_unit_test(other_descriptors_are_refused),
		cmocka_unit_test(interfaces_stay_what_they_were),
		cmocka_unit_test(a_hostile_engine_ends_the_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
