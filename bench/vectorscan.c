/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vectorscan alone: the literals of a file, one per line, searched in every packet of a mapped
 * capture (little-endian pcap), a callback that counts, nothing else.
 *
 * usage: vectorscan FILE LITERALS
 * Prints "vectorscan_setup SECONDS s" and "vectorscan_scan SECONDS s".
 */
#include <fcntl.h>
#include <hs/hs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define VECTORSCAN_LITERALS_MAX 4096
#define VECTORSCAN_HEAD_BYTES 24
#define VECTORSCAN_RECORD_BYTES 16

static double vectorscan_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static hs_database_t *vectorscan_build(const char *path)
{
	static const char *literals[VECTORSCAN_LITERALS_MAX];
	static size_t lens[VECTORSCAN_LITERALS_MAX];
	static unsigned int flags[VECTORSCAN_LITERALS_MAX], ids[VECTORSCAN_LITERALS_MAX];
	hs_database_t *database = NULL;
	hs_compile_error_t *why;
	FILE *file = fopen(path, "r");
	unsigned int n = 0;
	char line[1024];

	while (file && n < VECTORSCAN_LITERALS_MAX && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		literals[n] = strdup(line);
		lens[n] = strlen(line);
		/* One match per packet is enough. */
		flags[n] = HS_FLAG_SINGLEMATCH;
		ids[n] = n;
		n++;
	}
	if (file)
		fclose(file);
	if (hs_compile_lit_multi(
		    literals, flags, ids, lens, n, HS_MODE_BLOCK, NULL, &database, &why) != 0)
		fprintf(stderr, "vectorscan: %s\n", why->message);
	return database;
}

static int vectorscan_found(unsigned int id, unsigned long long from, unsigned long long to,
	unsigned int flags, void *context)
{
	uint64_t *counts = context;

	counts[id]++;
	return 0;
}

int main(int argc, char *argv[])
{
	static uint64_t counts[VECTORSCAN_LITERALS_MAX];
	double begin = vectorscan_seconds(), ready;
	hs_scratch_t *scratch = NULL;
	hs_database_t *database;
	uint64_t sum = 0;
	struct stat info;
	uint8_t *map;
	int fd;

	if (argc != 3 || (fd = open(argv[1], O_RDONLY)) < 0 || fstat(fd, &info) < 0) {
		fprintf(stderr, "usage: vectorscan FILE LITERALS\n");
		return 2;
	}
	database = vectorscan_build(argv[2]);
	map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (!database || map == MAP_FAILED || hs_alloc_scratch(database, &scratch) != 0)
		return 1;
	ready = vectorscan_seconds();
	for (size_t at = VECTORSCAN_HEAD_BYTES;
		at + VECTORSCAN_RECORD_BYTES <= (size_t)info.st_size;) {
		uint32_t cap_bytes;

		memcpy(&cap_bytes, map + at + 8, sizeof(cap_bytes));
		at += VECTORSCAN_RECORD_BYTES;
		if (cap_bytes > (size_t)info.st_size - at)
			break;
		(void)hs_scan(database, (const char *)map + at, cap_bytes, 0, scratch,
			vectorscan_found, counts);
		at += cap_bytes;
	}
	for (unsigned int i = 0; i < VECTORSCAN_LITERALS_MAX; i++)
		sum += counts[i];
	printf("vectorscan_setup %.4f s\nvectorscan_scan %.4f s\nvectorscan_packets_found %llu 1\n",
		ready - begin, vectorscan_seconds() - ready, (unsigned long long)sum);
	hs_free_scratch(scratch);
	hs_free_database(database);
	return 0;
}
