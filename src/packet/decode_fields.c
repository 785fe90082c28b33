/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test program: prints what the decoder sees in a capture file, one line for each packet, for
 * decode_oracle.py to compare with tshark. libpcap reads the file.
 *
 *   decode_fields FILE MAX_PACKETS
 *
 * Columns: number, EtherType, number of VLAN tags, first VLAN id, then for the outer and the inner
 * network header: version, protocol, offset of it, header length up to the transport header (-1:
 * unknown), transport header length (-1), source and destination port, flags.
 */
#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>

#include "packet/decode.h"

static void print_layers(const struct decode_layers *l)
{
	long header = l->l4_offset == DECODE_NONE ? -1 : (long)(l->l4_offset - l->l3_offset);
	long transport =
		l->payload_offset == DECODE_NONE ? -1 : (long)(l->payload_offset - l->l4_offset);

	printf(" %u %u %ld %ld %ld %u %u %u", l->ip_version, l->l4_proto,
		l->l3_offset == DECODE_NONE ? -1 : (long)l->l3_offset, header, transport,
		l->src_port, l->dst_port, l->flags);
}

/* The DLT_ values of libpcap that differ from LINKTYPE_ values on Linux. */
static uint32_t linktype_of(int dlt)
{
	return dlt == DLT_RAW ? 101 : dlt == DLT_ATM_RFC1483 ? 100 : (uint32_t)dlt;
}

int main(int argc, char *argv[])
{
	static struct decode_columns columns;
	static struct packet_batch batch = { .n = 1 };
	char text[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const unsigned char *data;
	unsigned long max_pkts;
	pcap_t *pcap;

	if (argc != 3)
		return 2;
	max_pkts = strtoul(argv[2], NULL, 10);
	pcap = pcap_open_offline(argv[1], text);
	if (!pcap) {
		fprintf(stderr, "%s\n", text);
		return 1;
	}
	batch.linktype = linktype_of(pcap_datalink(pcap));
	for (unsigned long n = 1; n <= max_pkts && pcap_next_ex(pcap, &header, &data) == 1; n++) {
		batch.data[0] = data;
		batch.cap_bytes[0] = header->caplen;
		decode_batch(&batch, &columns);
		printf("%lu %u %u %u", n, columns.ethertype[0], columns.n_vlans[0],
			columns.vlan_tci[0] & 0xfffu);
		print_layers(&columns.outer[0]);
		print_layers(&columns.inner[0]);
		printf("\n");
	}
	pcap_close(pcap);
	return 0;
}
