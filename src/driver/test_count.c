/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test helper: what the file driver reads, for comparison with other programs.
 *
 *   test_count [-e] [-w WORKERS] [-r RANGE_BYTES] [-b BATCH] FILE ...
 *
 * One line per file: name, packets, captured bytes, bytes on the wire, outcome. -e prints a line
 * per packet instead: seconds, captured and wire length, link type, sum of the bytes. WORKERS
 * chunks are held at once, each read before the one in front of it, so that speculation is at work.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "file_private.h"

#define COUNT_WORKERS_MAX 8

struct count {
	uint64_t pkts;
	uint64_t cap_bytes;
	uint64_t wire_bytes;
	uint64_t redos;
	struct error err;
};

struct count_options {
	bool each;
	unsigned int n_workers;
	unsigned int batch_pkts;
	size_t range_bytes;
};

static void count_packet(const struct packet_batch *batch, unsigned int i)
{
	uint32_t sum = 0;

	for (uint32_t b = 0; b < batch->cap_bytes[i]; b++)
		sum = sum * 31 + batch->data[i][b];
	printf("%" PRIu64 ".%09" PRIu64 " %u %u %u %08x\n", batch->ts_ns[i] / 1000000000,
		batch->ts_ns[i] % 1000000000, batch->cap_bytes[i], batch->wire_bytes[i],
		batch->linktype, sum);
}

static void count_chunk(
	struct driver_source *source, struct driver_chunk *chunk, bool each, struct count *ret)
{
	struct packet_batch *batch = malloc(sizeof(*batch));

	*ret = (struct count){ .pkts = 0 };
	while (batch && driver_file.next_batch(source, chunk, batch) == 0) {
		for (unsigned int i = 0; i < batch->n; i++) {
			ret->cap_bytes += batch->cap_bytes[i];
			ret->wire_bytes += batch->wire_bytes[i];
			if (each)
				count_packet(batch, i);
		}
		ret->pkts += batch->n;
	}
	free(batch);
}

/* Hold as many chunks as there are workers; read the newest first. */
static void count_source(
	struct driver_source *source, const struct count_options *options, struct count *total)
{
	struct driver_chunk chunks[COUNT_WORKERS_MAX];
	struct count counts[COUNT_WORKERS_MAX];
	bool last = false;

	while (!last) {
		unsigned int n = 0;

		while (n < options->n_workers && driver_file.claim(source, &chunks[n]) == 0)
			n++;
		if (n == 0)
			break;
		for (unsigned int i = n; i-- > 0;)
			count_chunk(source, &chunks[i], options->each && n == 1, &counts[i]);
		for (unsigned int i = 0; i < n; i++) {
			if (driver_file.verify(source, &chunks[i]) == DRIVER_E_REDO) {
				driver_file.rewind(source, &chunks[i]);
				count_chunk(source, &chunks[i], false, &counts[i]);
				total->redos++;
			}
			total->pkts += counts[i].pkts;
			total->cap_bytes += counts[i].cap_bytes;
			total->wire_bytes += counts[i].wire_bytes;
			last = last || chunks[i].last;
			if (chunks[i].error.code)
				total->err = chunks[i].error;
			driver_file.release(source, &chunks[i]);
		}
	}
}

static int count_file(const char *name, const struct count_options *options)
{
	struct driver_open_args args = { .name = name,
		.fd = open(name, O_RDONLY | O_CLOEXEC),
		.batch_pkts = options->batch_pkts,
		.n_workers = options->n_workers };
	struct driver_source *source = NULL;
	struct count total = { .pkts = 0 };
	int r = file_open_sized(
		&source, &args, options->range_bytes, FILE_STREAM_BYTES, &total.err);

	if (r == 0)
		count_source(source, options, &total);
	(void)driver_file.close(source);
	if (!options->each)
		printf("%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%d %s\n", name, total.pkts,
			total.cap_bytes, total.wire_bytes, total.err.code,
			total.err.code ? total.err.text : "ok");
	else if (total.err.code)
		fprintf(stderr, "%s\n", total.err.text);
	return total.err.code != 0;
}

int main(int argc, char **argv)
{
	struct count_options options = {
		.n_workers = 1, .batch_pkts = PACKET_BATCH_MAX, .range_bytes = FILE_RANGE_BYTES
	};
	int failed = 0, c;

	while ((c = getopt(argc, argv, "ew:r:b:")) != -1) {
		if (c == 'e')
			options.each = true;
		else if (c == 'w')
			options.n_workers = (unsigned int)strtoul(optarg, NULL, 10);
		else if (c == 'r')
			options.range_bytes = strtoul(optarg, NULL, 10);
		else if (c == 'b')
			options.batch_pkts = (unsigned int)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (options.n_workers < 1 || options.n_workers > COUNT_WORKERS_MAX)
		return 2;
	for (int i = optind; i < argc; i++)
		failed |= count_file(argv[i], &options);
	return failed;
}
