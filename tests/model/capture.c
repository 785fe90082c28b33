/* SPDX-License-Identifier: BSD-2-Clause */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t model_ts(uint64_t ts_ns)
{
	return (ts_ns / 1000000000u) << 32 |
		(((ts_ns % 1000000000u) << 32) + 999999999u) / 1000000000u;
}

uint64_t model_digest_bytes(uint64_t digest, const void *bytes, size_t n_bytes)
{
	for (size_t i = 0; i < n_bytes; i++)
		digest = (digest ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
	return digest;
}

uint64_t model_digest(
	uint64_t digest, uint64_t ts, uint32_t cap_bytes, uint32_t wire_bytes, const uint8_t *data)
{
	const uint64_t head[3] = { ts, cap_bytes, wire_bytes };

	digest = model_digest_bytes(digest, head, sizeof(head));
	return model_digest_bytes(digest, data, cap_bytes);
}

static int model_capture_add(struct model_capture *capture, const struct pcap_pkthdr *head,
	const uint8_t *data, size_t *used_bytes, size_t *room_bytes)
{
	int64_t seconds = head->ts.tv_sec;

	if (capture->n_pkts % 1024 == 0) {
		size_t n = capture->n_pkts + 1024;
		struct model_packet *pkts = realloc(capture->pkts, n * sizeof(*pkts));

		if (!pkts)
			return -1;
		capture->pkts = pkts;
	}
	if (!capture->bytes || *used_bytes + head->caplen > *room_bytes) {
		size_t room = (*used_bytes + head->caplen + 4096) * 2;
		uint8_t *bytes = realloc(capture->bytes, room);

		if (!bytes)
			return -1;
		capture->bytes = bytes;
		*room_bytes = room;
	}
	/* Seconds are unsigned in the file; libpcap reads them as signed, which ends in 2038. */
	if (seconds < 0)
		seconds = (uint32_t)seconds;
	memcpy(capture->bytes + *used_bytes, data, head->caplen);
	/* The bytes may still move: remember an offset, model_capture_read() makes it a pointer. */
	capture->pkts[capture->n_pkts++] = (struct model_packet){
		.ts_ns = (uint64_t)seconds * 1000000000u + (uint64_t)head->ts.tv_usec,
		.cap_bytes = head->caplen,
		.wire_bytes = head->len,
		.data = (const uint8_t *)*used_bytes,
	};
	*used_bytes += head->caplen;
	return 0;
}

/* ---- interfaces: libpcap does not tell them ---- */

static uint32_t model_le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Blocks of packets in the order of the file: enhanced, and two kinds that know one interface. */
static void model_capture_interfaces(struct model_capture *capture, const uint8_t *p, size_t left)
{
	unsigned int n = 0;

	while (left >= 12 && n < capture->n_pkts) {
		uint32_t type = model_le32(p), n_bytes = model_le32(p + 4);

		if (n_bytes < 12 || n_bytes > left)
			break;
		if (type == 6)
			capture->pkts[n++].interface = model_le32(p + 8);
		else if (type == 2)
			capture->pkts[n++].interface = model_le32(p + 8) & 0xffff;
		else if (type == 3)
			n++;
		p += n_bytes;
		left -= n_bytes;
	}
}

/* Of pcapng files of little endian hosts; all others count as having one. */
static void model_capture_find_interfaces(struct model_capture *capture)
{
	static const uint8_t begin[] = { 0x0a, 0x0d, 0x0d, 0x0a },
			     order[] = { 0x4d, 0x3c, 0x2b, 0x1a };
	FILE *file = fopen(capture->path, "rb");
	uint8_t *bytes = NULL;
	size_t n_bytes = 0;

	if (file && fseek(file, 0, SEEK_END) == 0)
		n_bytes = (size_t)ftell(file);
	if (n_bytes >= 28)
		bytes = malloc(n_bytes);
	if (bytes && fseek(file, 0, SEEK_SET) == 0 && fread(bytes, 1, n_bytes, file) == n_bytes &&
		memcmp(bytes, begin, 4) == 0 && memcmp(bytes + 8, order, 4) == 0)
		model_capture_interfaces(capture, bytes, n_bytes);
	free(bytes);
	if (file)
		fclose(file);
}

int model_capture_read(struct model_capture *ret, const char *path)
{
	char why[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *head;
	size_t used_bytes = 0, room_bytes = 0;
	const uint8_t *data;
	pcap_t *pcap;
	int r;

	*ret = (struct model_capture){ .path = path };
	pcap = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!pcap) {
		fprintf(stderr, "%s: libpcap: %s\n", path, why);
		return -1;
	}
	while ((r = pcap_next_ex(pcap, &head, &data)) == 1)
		if (model_capture_add(ret, head, data, &used_bytes, &room_bytes) < 0)
			break;
	if (r != PCAP_ERROR_BREAK) {
		fprintf(stderr, "%s: libpcap: %s\n", path, pcap_geterr(pcap));
		pcap_close(pcap);
		model_capture_free(ret);
		return -1;
	}
	ret->pcap = pcap;
	model_capture_find_interfaces(ret);
	for (unsigned int i = 0; i < ret->n_pkts; i++)
		ret->pkts[i].data = ret->bytes + (size_t)ret->pkts[i].data;
	return 0;
}

void model_capture_free(struct model_capture *capture)
{
	if (capture->pcap)
		pcap_close(capture->pcap);
	free(capture->pkts);
	free(capture->bytes);
	*capture = (struct model_capture){ 0 };
}
