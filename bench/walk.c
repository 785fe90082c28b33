/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * walk [-p] [-t THREADS] [-n REPEATS] FILE.pcap - the physical limit of reading a capture
 *
 * The least that any program must do with a mapped file: follow the record headers and count
 * packets and bytes, while every line of the coming 2 KiB is being fetched. (Without, each header
 * is a miss that waits for the one before: three times the time. Fetching one line per record gains
 * a tenth.) -p also looks at each packet as far as the expression "tcp port 80" must (Ethernet with
 * IPv4 or IPv6, no VLAN). With more threads the file is split at places that look like the start of
 * a record, and each part must end exactly where the next one began.
 *
 * Prints "name value unit", the best and the median of the repeats.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define WALK_THREADS_MAX 8
#define WALK_REPEATS_MAX 1001
#define WALK_HEADER_BYTES 24
#define WALK_RECORD_BYTES 16
#define WALK_AHEAD_BYTES 2048
#define WALK_LINE_BYTES 64

struct walk_part {
	pthread_t thread;
	const uint8_t *bytes;
	size_t start;
	size_t stop;
	size_t end;
	bool look;
	uint64_t pkts;
	uint64_t wire_bytes;
	uint64_t matches;
};

static uint32_t walk_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t walk_be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* libpcap's "tcp port 80" on Ethernet. */
static bool walk_is_http(const uint8_t *p, uint32_t n)
{
	uint32_t at;

	if (n < 14 + 20)
		return false;
	if (walk_be16(p + 12) == 0x0800) {
		if (p[23] != 6 || (walk_be16(p + 20) & 0x1fff))
			return false;
		at = 14 + (p[14] & 15u) * 4;
	} else if (walk_be16(p + 12) == 0x86dd && p[20] == 6) {
		at = 14 + 40;
	} else {
		return false;
	}
	return n >= at + 4 && (walk_be16(p + at) == 80 || walk_be16(p + at + 2) == 80);
}

static void *walk_run(void *argument)
{
	struct walk_part *part = argument;
	const uint8_t *bytes = part->bytes;
	size_t at = part->start, end = part->end, fetched = at;
	uint64_t pkts = 0, wire_bytes = 0, matches = 0;

	while (at < part->stop && at + WALK_RECORD_BYTES <= end) {
		uint32_t cap_bytes;

		if (fetched < at)
			fetched = at;
		for (; fetched < at + WALK_AHEAD_BYTES; fetched += WALK_LINE_BYTES)
			__builtin_prefetch(bytes + fetched);
		cap_bytes = walk_u32(bytes + at + 8);
		if (cap_bytes > end - at - WALK_RECORD_BYTES)
			break;
		pkts++;
		wire_bytes += walk_u32(bytes + at + 12);
		if (part->look)
			matches += walk_is_http(bytes + at + WALK_RECORD_BYTES, cap_bytes);
		at += WALK_RECORD_BYTES + cap_bytes;
	}
	part->pkts = pkts;
	part->wire_bytes = wire_bytes;
	part->matches = matches;
	part->stop = at;
	return NULL;
}

/* The first place from @at on where eight sensible records follow each other. */
static size_t walk_boundary(const uint8_t *bytes, size_t at, size_t end)
{
	for (; at < end; at++) {
		size_t next = at;
		unsigned int n = 0;

		while (n < 8 && next + WALK_RECORD_BYTES <= end &&
			walk_u32(bytes + next + 4) < 1000000 && walk_u32(bytes + next + 8) > 0 &&
			walk_u32(bytes + next + 8) <= walk_u32(bytes + next + 12) &&
			walk_u32(bytes + next + 12) <= 262144) {
			next += WALK_RECORD_BYTES + walk_u32(bytes + next + 8);
			n++;
		}
		if (n == 8)
			return at;
	}
	return end;
}

/* Return: seconds; the sums in part 0; negative if the parts do not meet. */
static double walk_once(const uint8_t *bytes, size_t end, unsigned int n_threads, bool look,
	struct walk_part *parts)
{
	uint64_t start_ns = clock_monotonic_ns();

	for (unsigned int i = 0; i < n_threads; i++) {
		size_t start = WALK_HEADER_BYTES;

		if (i > 0)
			start = walk_boundary(bytes, end / n_threads * i, end);
		parts[i] = (struct walk_part){
			.bytes = bytes, .start = start, .stop = end, .end = end, .look = look
		};
		if (i > 0)
			parts[i - 1].stop = start;
	}
	for (unsigned int i = 1; i < n_threads; i++)
		if (pthread_create(&parts[i].thread, NULL, walk_run, &parts[i]) != 0)
			return -1;
	(void)walk_run(&parts[0]);
	for (unsigned int i = 1; i < n_threads; i++) {
		(void)pthread_join(parts[i].thread, NULL);
		if (parts[i - 1].stop != parts[i].start)
			return -1;
		parts[0].pkts += parts[i].pkts;
		parts[0].wire_bytes += parts[i].wire_bytes;
		parts[0].matches += parts[i].matches;
	}
	return (double)(clock_monotonic_ns() - start_ns) / 1e9;
}

static int walk_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	struct walk_part parts[WALK_THREADS_MAX];
	static double seconds[WALK_REPEATS_MAX];
	unsigned long n_threads = 1, repeats = 1;
	bool look = false;
	const uint8_t *bytes;
	struct stat st;
	int c, fd;

	while ((c = getopt(argc, argv, "pt:n:")) != -1) {
		if (c == 'p')
			look = true;
		else if (c == 't')
			n_threads = strtoul(optarg, NULL, 10);
		else if (c == 'n')
			repeats = strtoul(optarg, NULL, 10);
	}
	if (optind + 1 != argc || n_threads < 1 || n_threads > WALK_THREADS_MAX || repeats < 1 ||
		repeats > WALK_REPEATS_MAX) {
		fprintf(stderr, "usage: walk [-p] [-t THREADS] [-n REPEATS] FILE.pcap\n");
		return 2;
	}
	fd = open(argv[optind], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < WALK_HEADER_BYTES) {
		fprintf(stderr, "walk: cannot read %s\n", argv[optind]);
		return 1;
	}
	/* Filling the page tables beforehand (MAP_POPULATE) is slower than faults are. */
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED ||
		(walk_u32(bytes) != 0xa1b2c3d4 && walk_u32(bytes) != 0xa1b23c4d)) {
		fprintf(stderr, "walk: %s: not a pcap file of this byte order\n", argv[optind]);
		return 1;
	}
	for (unsigned long i = 0; i < repeats; i++) {
		seconds[i] =
			walk_once(bytes, (size_t)st.st_size, (unsigned int)n_threads, look, parts);
		if (seconds[i] < 0) {
			fprintf(stderr, "walk: the parts do not meet\n");
			return 1;
		}
	}
	qsort(seconds, repeats, sizeof(seconds[0]), walk_compare);
	printf("walk_packets %llu packets\n", (unsigned long long)parts[0].pkts);
	printf("walk_bytes %llu bytes\n", (unsigned long long)parts[0].wire_bytes);
	if (look)
		printf("walk_tcp_port_80 %llu packets\n", (unsigned long long)parts[0].matches);
	printf("walk_best %.4f s\n", seconds[0]);
	printf("walk_median %.4f s\n", seconds[repeats / 2]);
	return 0;
}
