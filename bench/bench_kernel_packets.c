/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench_kernel_packets.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/test_random.h"

#define BENCH_FRAME_MIN 60u /* Ethernet, without the checksum */

static pcap_t *bench_open(const char *path)
{
	char message[PCAP_ERRBUF_SIZE];
	pcap_t *file = pcap_open_offline(path, message);

	if (!file)
		(void)fprintf(stderr, "%s\n", message);
	return file;
}

/* The next packet that can be run. Return: NULL at the end. */
static const uint8_t *bench_next(pcap_t *file, struct pcap_pkthdr **ret)
{
	const uint8_t *data;

	while (pcap_datalink(file) == DLT_EN10MB && pcap_next_ex(file, ret, &data) == 1)
		if ((*ret)->caplen == (*ret)->len && (*ret)->caplen <= TEST_RUN_BYTES_MAX)
			return data;
	return NULL;
}

static uint64_t bench_file_pkts(const char *path)
{
	pcap_t *file = bench_open(path);
	struct pcap_pkthdr *header;
	uint64_t n = 0;

	while (file && bench_next(file, &header))
		n++;
	if (file)
		pcap_close(file);
	return n;
}

static bool bench_copy(struct test_packet *ret, const uint8_t *data, uint32_t n_bytes)
{
	uint8_t *copy = calloc(1, MAX(n_bytes, BENCH_FRAME_MIN));

	if (!copy)
		return false;
	memcpy(copy, data, n_bytes);
	*ret = (struct test_packet){ .data = copy, .n_bytes = MAX(n_bytes, BENCH_FRAME_MIN) };
	return true;
}

/* Every so many-th packet, so that there are @room of them. Return: their number. */
static unsigned int bench_file(struct test_packet ret[], unsigned int room, const char *path)
{
	const uint64_t step = MAX(bench_file_pkts(path) / room, (uint64_t)1);
	pcap_t *file = bench_open(path);
	struct pcap_pkthdr *header;
	const uint8_t *data;
	unsigned int n = 0;

	for (uint64_t i = 0; file && n < room && (data = bench_next(file, &header)); i++)
		if (i % step == 0 && bench_copy(&ret[n], data, header->caplen))
			n++;
	if (file)
		pcap_close(file);
	return n;
}

unsigned int bench_packets(
	struct test_packet ret[BENCH_PACKETS_MAX], char *const paths[], unsigned int n_paths)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < n_paths && n < BENCH_PACKETS_MAX; i++)
		n += bench_file(ret + n, (BENCH_PACKETS_MAX - n) / (n_paths - i), paths[i]);
	return n;
}

int bench_filters(const struct filter_program *ret[], unsigned int n)
{
	struct random r = { .state = 1 };
	char text[256] = "tcp port 80";

	for (unsigned int i = 0; i < n; i++) {
		struct filter_program *program;
		struct error err = ERROR_INIT;

		if (filter_compile(&program, text, 1, &err) < 0) {
			(void)fprintf(stderr, "%s: %s\n", text, err.text);
			return -1;
		}
		ret[i] = program;
		random_plain_expression(&r, text, sizeof(text));
	}
	return 0;
}
