/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench_kernel_packets.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/test_random.h"

#define BENCH_FRAME_MIN 60u /* Ethernet, without the checksum */

static unsigned int bench_file(struct test_packet ret[], unsigned int n, const char *path)
{
	char message[PCAP_ERRBUF_SIZE];
	pcap_t *file = pcap_open_offline(path, message);
	struct pcap_pkthdr *header;
	const uint8_t *data;

	if (!file) {
		(void)fprintf(stderr, "%s\n", message);
		return n;
	}
	for (unsigned int i = 0; i < BENCH_PACKETS_PER_FILE && n < BENCH_PACKETS_MAX; i++) {
		uint32_t n_bytes;
		uint8_t *copy;

		if (pcap_datalink(file) != DLT_EN10MB || pcap_next_ex(file, &header, &data) != 1)
			break;
		n_bytes = MAX(header->caplen, BENCH_FRAME_MIN);
		copy = calloc(1, n_bytes);
		if (!copy || header->caplen > TEST_RUN_BYTES_MAX) {
			free(copy);
			continue;
		}
		memcpy(copy, data, header->caplen);
		ret[n++] = (struct test_packet){ .data = copy, .n_bytes = n_bytes };
	}
	pcap_close(file);
	return n;
}

unsigned int bench_packets(struct test_packet ret[BENCH_PACKETS_MAX], char *const paths[])
{
	unsigned int n = 0;

	while (*paths)
		n = bench_file(ret, n, *paths++);
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
