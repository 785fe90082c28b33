/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the capture file reader share: see reader.h. */
#ifndef MAPI_CAPFILE_READER_PRIVATE_H
#define MAPI_CAPFILE_READER_PRIVATE_H

#include <endian.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "mapi/errors.h"
#include "reader.h"

/* Link types that this module must know (LINKTYPE_ values). */
enum capfile_linktype {
	CAPFILE_LINKTYPE_ETHERNET = 1,
	CAPFILE_LINKTYPE_PPP_HDLC = 50,
	CAPFILE_LINKTYPE_C_HDLC = 104,
	CAPFILE_LINKTYPE_LINUX_SLL = 113,
	CAPFILE_LINKTYPE_PFLOG = 117,
	CAPFILE_LINKTYPE_USB_LINUX = 189,
	CAPFILE_LINKTYPE_USB_LINUX_MMAPPED = 220,
	CAPFILE_LINKTYPE_IPV4 = 228,
	CAPFILE_LINKTYPE_IPV6 = 229,
	CAPFILE_LINKTYPE_DBUS = 231,
	CAPFILE_LINKTYPE_NFLOG = 239,
	CAPFILE_LINKTYPE_USBPCAP = 249,
	CAPFILE_LINKTYPE_EBHSCR = 279
};

#define CAPFILE_NS_PER_S 1000000000u

/* How far ahead of the walk memory is fetched. Every line, not only those of headers: where headers
 * are is not known before the lines in between have arrived. Measured on 1 GB with records of 840
 * bytes: no prefetch 1, one line per record 0.9, every line of 1 KiB 0.6, of 2 KiB 0.3. More does
 * not help: what lies in pages that are not mapped yet is not fetched. */
#define CAPFILE_AHEAD_BYTES 2048u
#define CAPFILE_LINE_BYTES 64u

/**
 * struct capfile_record - one record taken apart
 * @bytes:  length of the whole record; with CAPFILE_E_MORE: what must be there to go on
 * @packet: false: nothing for users (a block that is skipped); the rest is not set
 * @tells:  flags, wire_pkts and all_wire_bytes are set, as in struct packet_batch
 * @why:    with CAPFILE_E_DAMAGED: what is wrong, set by capfile_bad()
 */
struct capfile_record {
	size_t bytes;
	bool packet;
	const uint8_t *data;
	uint32_t cap_bytes;
	uint32_t wire_bytes;
	uint64_t ts_ns;
	uint32_t linktype;
	uint16_t ifindex;
	bool tells;
	uint8_t flags;
	uint16_t wire_pkts;
	uint32_t all_wire_bytes;
	char why[200];
};

/* Return: CAPFILE_E_DAMAGED. */
int capfile_bad(struct capfile_record *record, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), cold));

static inline uint16_t capfile_u16(const uint8_t *p, bool swapped)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return swapped ? __builtin_bswap16(v) : v;
}

static inline uint32_t capfile_u32(const uint8_t *p, bool swapped)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return swapped ? __builtin_bswap32(v) : v;
}

static inline uint64_t capfile_u64(const uint8_t *p, bool swapped)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return swapped ? __builtin_bswap64(v) : v;
}

/* Longest captured data of a link type: libpcap's limits. */
uint32_t capfile_cap_max(uint32_t linktype);

/* The snapshot length in force for what the header says: 0 and absurd mean the largest. */
uint32_t capfile_snaplen(uint32_t linktype, uint32_t snaplen_bytes);

/* Record parsers. Return 0, CAPFILE_E_MORE or CAPFILE_E_DAMAGED; they read [@at, @at + @left). */
int capfile_pcapng_record(const struct capfile_file *format, const struct capfile_cursor *cursor,
	const uint8_t *at, size_t left, struct capfile_record *ret);
int capfile_erf_record(const uint8_t *at, size_t left, struct capfile_record *ret);

/* The head of a file; outcomes of capfile_file_open(). */
int capfile_pcap_open(struct capfile_file *ret, const uint8_t *bytes, size_t n_bytes, bool more,
	const char *name, struct error *err);
int capfile_pcapng_open(struct capfile_file *ret, const uint8_t *bytes, size_t n_bytes, bool more,
	const char *name, struct error *err);
int capfile_erf_open(struct capfile_file *ret, const uint8_t *bytes, size_t n_bytes, bool more);

int capfile_pcap_scan(const struct capfile_file *format, struct capfile_span *span,
	uint64_t *n_pkts, struct capfile_record *record);
int capfile_pcap_walk(const struct capfile_file *format, struct capfile_span *span,
	struct packet_batch *batch, unsigned int max_pkts, struct capfile_record *record);

/* Effects of the blocks that describe sections and interfaces. The scan learns new interfaces
 * (@grow set) unless it has been here before, the walk only steps over them. Return: 0,
 * CAPFILE_E_DAMAGED, -ENOMEM. */
int capfile_pcapng_enter(struct capfile_file *grow, struct capfile_cursor *cursor,
	const uint8_t *block, size_t bytes, struct capfile_record *record);

/* Append to the table. Return: 0, CAPFILE_E_DAMAGED if it is full, -ENOMEM. */
int capfile_interface_add(struct capfile_file *format, const struct capfile_interface *add);

/* Headers that a foreign host wrote in its own byte order. */
bool capfile_swap_wanted(uint32_t linktype);
void capfile_swap(uint32_t linktype, uint8_t *data, uint32_t cap_bytes, uint32_t wire_bytes);

/* The length on the wire of a packet with a USB header, which old libpcaps wrote wrongly. */
uint32_t capfile_usb_wire_bytes(const uint8_t *data, uint32_t cap_bytes, uint32_t wire_bytes);

/* Fill @err from a record that is damaged. Return: CAPFILE_E_DAMAGED. */
int capfile_damaged(const struct capfile_span *span, const struct capfile_record *record,
	const char *name, struct error *err);

/* Fetch the lines ahead of @at that have not been asked for. Return: where the next call goes on,
 * given as its @fetched; 0 the first time. */
static inline size_t capfile_fetch(const struct capfile_span *span, size_t at, size_t fetched)
{
	size_t to = MIN(at + CAPFILE_AHEAD_BYTES, span->end);

	for (fetched = MAX(fetched, at); fetched < to; fetched += CAPFILE_LINE_BYTES)
		__builtin_prefetch(span->bytes + fetched);
	return fetched;
}

/* The last packet of the batch tells more than its length, or one before it did. */
void capfile_batch_tell(struct packet_batch *batch, const struct capfile_record *r);

static inline void capfile_batch_add(struct packet_batch *batch, const struct capfile_record *r)
{
	unsigned int i = batch->n;

	batch->data[i] = r->data;
	batch->cap_bytes[i] = r->cap_bytes;
	batch->wire_bytes[i] = r->wire_bytes;
	batch->ts_ns[i] = r->ts_ns;
	batch->ifindex[i] = r->ifindex;
	batch->n = i + 1;
	if (__builtin_expect(r->tells || batch->is_live, false))
		capfile_batch_tell(batch, r);
}

#endif
