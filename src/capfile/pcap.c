/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pcap format (draft-ietf-opsawg-pcap) in all the shapes that libpcap 1.10 reads, and two of
 * Ixia: both byte orders, micro- and nanoseconds, lengths in the order of versions before 2.3, and
 * the longer records of A. Kuznetsov's patched libpcap.
 *
 * Walking is bound by memory latency: where the next record starts is known only when the length of
 * this one has arrived. So the memory ahead is fetched line by line: see capfile_fetch().
 */
#include "reader_private.h"

#include <errno.h>
#include <limits.h>

#define PCAP_MAGIC_US 0xa1b2c3d4u
#define PCAP_MAGIC_NS 0xa1b23c4du
#define PCAP_MAGIC_KUZNETSOV 0xa1b2cd34u
#define PCAP_MAGIC_IXIA_HW 0x1c0001acu
#define PCAP_MAGIC_IXIA_SW 0x1c0001abu

#define PCAP_HEADER_BYTES 24u
#define PCAP_RECORD_BYTES 16u
#define PCAP_RECORD_KUZNETSOV_BYTES 24u

/* The upper bits of the link type hold the length of the frame check sequence. */
#define PCAP_LINKTYPE_MASK 0x03ffffffu

/* How many likely records in a row make capfile_guess() believe. */
#define PCAP_GUESS_RECORDS 6u

static bool pcap_magic_known(uint32_t magic)
{
	return magic == PCAP_MAGIC_US || magic == PCAP_MAGIC_NS || magic == PCAP_MAGIC_KUZNETSOV ||
		magic == PCAP_MAGIC_IXIA_HW || magic == PCAP_MAGIC_IXIA_SW;
}

static int pcap_version(struct capfile_file *format, unsigned int major, unsigned int minor,
	const char *name, struct error *err)
{
	/* Captured and original length changed places in 2.3, but not all programs that wrote 2.3
	 * did it. 543.0 is the tcpdump of DG/UX, with the old order. */
	if (major == 543 && minor == 0) {
		format->lengths_swapped = true;
		return 0;
	}
	if (major != 2 || minor > 4)
		return error_set(err, PCAP_OPEN_ERR,
			"%s: pcap version %u.%u cannot be read, only 2.0 to 2.4 can", name, major,
			minor);
	format->lengths_swapped = minor < 3;
	format->lengths_maybe_swapped = minor == 3;
	return 0;
}

int capfile_pcap_open(struct capfile_file *ret, const uint8_t *bytes, size_t n_bytes, bool more,
	const char *name, struct error *err)
{
	bool swapped = false;
	uint32_t magic, snaplen_bytes;
	int r;

	if (n_bytes < 4)
		return more ? CAPFILE_E_MORE : CAPFILE_E_UNKNOWN;
	magic = capfile_u32(bytes, false);
	if (!pcap_magic_known(magic)) {
		magic = __builtin_bswap32(magic);
		swapped = true;
		if (!pcap_magic_known(magic))
			return CAPFILE_E_UNKNOWN;
	}
	ret->kind = CAPFILE_KIND_PCAP;
	ret->swapped = swapped;
	ret->header_bytes = PCAP_HEADER_BYTES;
	if (magic == PCAP_MAGIC_IXIA_HW || magic == PCAP_MAGIC_IXIA_SW)
		ret->header_bytes += 4; /* total length of the records; not needed */
	if (n_bytes < ret->header_bytes) {
		if (more)
			return CAPFILE_E_MORE;
		return error_set(err, PCAP_OPEN_ERR,
			"%s: the file ends in its pcap header, after %zu of %u bytes", name,
			n_bytes, ret->header_bytes);
	}
	r = pcap_version(
		ret, capfile_u16(bytes + 4, swapped), capfile_u16(bytes + 6, swapped), name, err);
	if (r < 0)
		return r;
	ret->linktype = capfile_u32(bytes + 20, swapped) & PCAP_LINKTYPE_MASK;
	ret->record_max_bytes = capfile_cap_max(ret->linktype);
	snaplen_bytes = capfile_snaplen(ret->linktype, capfile_u32(bytes + 16, swapped));
	ret->record_bytes = PCAP_RECORD_BYTES;
	if (magic == PCAP_MAGIC_KUZNETSOV) {
		ret->record_bytes = PCAP_RECORD_KUZNETSOV_BYTES;
		/* Its cooked captures have an Ethernet header added behind the snapshot's back. */
		if (ret->linktype == CAPFILE_LINKTYPE_ETHERNET)
			snaplen_bytes = MIN(snaplen_bytes, (uint32_t)INT_MAX - 14) + 14;
	}
	ret->snaplen_bytes = MIN(snaplen_bytes, PACKET_CAP_BYTES_MAX);
	ret->frac_ns = magic == PCAP_MAGIC_US || magic == PCAP_MAGIC_KUZNETSOV ? 1000 : 1;
	ret->must_rewrite = swapped && capfile_swap_wanted(ret->linktype);
	ret->plain = !swapped && !ret->lengths_swapped && !ret->lengths_maybe_swapped &&
		ret->record_bytes == PCAP_RECORD_BYTES &&
		ret->linktype != CAPFILE_LINKTYPE_USB_LINUX_MMAPPED;
	return capfile_interface_add(ret,
		&(struct capfile_interface){ .linktype = ret->linktype,
			.snaplen_bytes = snaplen_bytes,
			.ts_units_per_s = CAPFILE_NS_PER_S / ret->frac_ns });
}

/* @plain is a constant where this is called, so that the common file costs no tests. */
static inline __attribute__((always_inline)) int pcap_record(const struct capfile_file *format,
	bool plain, const uint8_t *at, size_t left, struct capfile_record *ret)
{
	bool swapped = !plain && format->swapped;
	uint32_t head_bytes = plain ? PCAP_RECORD_BYTES : format->record_bytes;
	uint32_t cap_bytes, wire_bytes;

	if (left < head_bytes) {
		ret->bytes = head_bytes;
		return CAPFILE_E_MORE;
	}
	cap_bytes = capfile_u32(at + 8, swapped);
	wire_bytes = capfile_u32(at + 12, swapped);
	if (!plain &&
		(format->lengths_swapped ||
			(format->lengths_maybe_swapped && cap_bytes > wire_bytes))) {
		uint32_t t = cap_bytes;

		cap_bytes = wire_bytes;
		wire_bytes = t;
	}
	ret->bytes = (size_t)head_bytes + cap_bytes;
	if (__builtin_expect(ret->bytes > left || cap_bytes > format->record_max_bytes, 0)) {
		if (cap_bytes <= format->record_max_bytes)
			return CAPFILE_E_MORE;
		return capfile_bad(ret,
			"the record says %u captured bytes, more than the possible %u", cap_bytes,
			format->record_max_bytes);
	}
	ret->data = at + head_bytes;
	ret->cap_bytes = MIN(cap_bytes, format->snaplen_bytes);
	ret->wire_bytes = wire_bytes;
	ret->ts_ns = (uint64_t)capfile_u32(at, swapped) * CAPFILE_NS_PER_S +
		(uint64_t)capfile_u32(at + 4, swapped) * format->frac_ns;
	ret->ifindex = 0;
	ret->tells = false;
	if (!plain && format->linktype == CAPFILE_LINKTYPE_USB_LINUX_MMAPPED)
		ret->wire_bytes = capfile_usb_wire_bytes(ret->data, ret->cap_bytes, wire_bytes);
	return 0;
}

int capfile_pcap_scan(const struct capfile_file *format, struct capfile_span *span,
	uint64_t *n_pkts, struct capfile_record *record)
{
	if (format->must_rewrite && !span->rewrite)
		return CAPFILE_E_PRIVATE;
	while (span->at < span->stop) {
		const uint8_t *at = span->bytes + span->at;
		int r = pcap_record(format, false, at, span->end - span->at, record);

		if (r != 0)
			return r;
		if (format->must_rewrite)
			capfile_swap(format->linktype, (uint8_t *)record->data, record->cap_bytes,
				record->wire_bytes);
		span->at += record->bytes;
		*n_pkts += 1;
	}
	return CAPFILE_E_STOP;
}

static inline __attribute__((always_inline)) int pcap_walk(const struct capfile_file *format,
	bool plain, struct capfile_span *span, struct packet_batch *batch, unsigned int max_pkts,
	struct capfile_record *record)
{
	size_t fetched = 0;

	batch->linktype = format->linktype;
	while (batch->n < max_pkts) {
		const uint8_t *at;
		int r;

		if (span->at >= span->stop)
			return CAPFILE_E_STOP;
		at = span->bytes + span->at;
		fetched = capfile_fetch(span, span->at, fetched);
		r = pcap_record(format, plain, at, span->end - span->at, record);
		if (r != 0)
			return r;
		capfile_batch_add(batch, record);
		span->at += record->bytes;
	}
	return 0;
}

int capfile_pcap_walk(const struct capfile_file *format, struct capfile_span *span,
	struct packet_batch *batch, unsigned int max_pkts, struct capfile_record *record)
{
	if (format->plain)
		return pcap_walk(format, true, span, batch, max_pkts, record);
	return pcap_walk(format, false, span, batch, max_pkts, record);
}

/* Would a program write such a record? Wrong answers cost time, not correctness. */
static bool pcap_likely(
	const struct capfile_file *format, const uint8_t *at, const struct capfile_record *record)
{
	uint32_t frac = capfile_u32(at + 4, format->swapped);

	return record->wire_bytes > 0 && record->wire_bytes <= PACKET_CAP_BYTES_MAX &&
		record->cap_bytes <= record->wire_bytes &&
		frac < CAPFILE_NS_PER_S / format->frac_ns;
}

static bool pcap_likely_chain(
	const struct capfile_file *format, const struct capfile_span *span, size_t at)
{
	struct capfile_record record;
	uint64_t last_s = 0;

	for (unsigned int n = 0; n < PCAP_GUESS_RECORDS; n++) {
		uint64_t s;

		if (at == span->end)
			return n > 0;
		if (pcap_record(format, false, span->bytes + at, span->end - at, &record) != 0 ||
			!pcap_likely(format, span->bytes + at, &record))
			return false;
		s = record.ts_ns / CAPFILE_NS_PER_S;
		/* Neighbours within a day: rare exceptions fall back to sequential reading. */
		if (n > 0 && (s > last_s + 86400 || last_s > s + 86400))
			return false;
		last_s = s;
		at += record.bytes;
	}
	return true;
}

size_t capfile_guess(const struct capfile_file *format, const struct capfile_span *span)
{
	for (size_t at = span->at; at < span->stop; at++)
		if (pcap_likely_chain(format, span, at))
			return at;
	return span->stop;
}
