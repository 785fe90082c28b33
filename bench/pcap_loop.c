/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The libpcap loop that the filter engine is compared with: a mapped capture file, and for each
 * packet libpcap's interpreter once per filter, each with its counter.
 *
 * usage: pcap_loop FILE FILTERS [PACKETS]
 *
 * FILTERS has one filter per line. With PACKETS only so many are read, from the beginning, and the
 * time is scaled to the whole file. Prints "pcap_loop SECONDS s" and the sum of all counts.
 */
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define LOOP_FILTERS_MAX 4096

struct loop_record {
	uint32_t s;
	uint32_t fraction;
	uint32_t cap_bytes;
	uint32_t wire_bytes;
};

static double loop_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static unsigned int loop_compile(const char *path, struct bpf_program programs[])
{
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, 262144);
	FILE *file = fopen(path, "r");
	char line[1024];
	unsigned int n = 0;

	while (file && n < LOOP_FILTERS_MAX && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		if (pcap_compile(dead, &programs[n], line, 1, 0) != 0) {
			fprintf(stderr, "pcap_loop: %s: %s\n", line, pcap_geterr(dead));
			exit(1);
		}
		n++;
	}
	if (file)
		fclose(file);
	pcap_close(dead);
	return n;
}

int main(int argc, char *argv[])
{
	static struct bpf_program programs[LOOP_FILTERS_MAX];
	static uint64_t counts[LOOP_FILTERS_MAX];
	uint64_t n_pkts = 0, max_pkts = argc > 3 ? strtoull(argv[3], NULL, 10) : UINT64_MAX,
		 sum = 0;
	unsigned int n_filters;
	struct stat info;
	double seconds;
	const uint8_t *map;
	size_t at;
	int fd;

	if (argc < 3 || (fd = open(argv[1], O_RDONLY)) < 0 || fstat(fd, &info) < 0) {
		fprintf(stderr, "usage: pcap_loop FILE FILTERS [PACKETS]\n");
		return 2;
	}
	n_filters = loop_compile(argv[2], programs);
	map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED) {
		perror(argv[1]);
		return 1;
	}
	seconds = loop_seconds();
	for (at = 24;
		at + sizeof(struct loop_record) <= (size_t)info.st_size && n_pkts < max_pkts;) {
		struct loop_record head;
		struct pcap_pkthdr pkt;

		memcpy(&head, map + at, sizeof(head));
		at += sizeof(head);
		pkt = (struct pcap_pkthdr){ .caplen = head.cap_bytes, .len = head.wire_bytes };
		for (unsigned int i = 0; i < n_filters; i++)
			counts[i] += pcap_offline_filter(&programs[i], &pkt, map + at) != 0;
		at += head.cap_bytes;
		n_pkts++;
	}
	seconds = loop_seconds() - seconds;
	for (unsigned int i = 0; i < n_filters; i++)
		sum += counts[i];
	/* By bytes: what is read is the same mix as the rest. */
	printf("pcap_loop %.4f s (%llu packets read, %u filters, sum of counts %llu)\n",
		seconds * (double)info.st_size / (double)at, (unsigned long long)n_pkts, n_filters,
		(unsigned long long)sum);
	return 0;
}
