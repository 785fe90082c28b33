/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ERF, the format of Endace DAG cards ("Extensible Record Format", EDM 11-01). A file is nothing
 * but records, without a magic number: it is recognised by records that make sense one after
 * another.
 *
 * Lengths are those that libtrace and Wireshark report: the length on the wire includes the frame
 * check sequence of Ethernet; alignment bytes behind the packet do not count as captured.
 */
#include "reader_private.h"

#define ERF_HEADER_BYTES 16u
#define ERF_EXTENSION_BYTES 8u
#define ERF_TYPE_MASK 0x7fu
#define ERF_TYPE_MORE 0x80u /* extension headers follow, each says whether it is the last */
#define ERF_PROBE_RECORDS 16u
#define ERF_PROBE_GAP_S (7u * 86400u)
#define ERF_INTERFACES 4u

enum erf_type {
	ERF_TYPE_HDLC_POS = 1,
	ERF_TYPE_ETH = 2,
	ERF_TYPE_COLOR_HDLC_POS = 10,
	ERF_TYPE_COLOR_ETH = 11,
	ERF_TYPE_DSM_COLOR_HDLC_POS = 15,
	ERF_TYPE_DSM_COLOR_ETH = 16,
	ERF_TYPE_COLOR_HASH_POS = 19,
	ERF_TYPE_COLOR_HASH_ETH = 20,
	ERF_TYPE_IPV4 = 22,
	ERF_TYPE_IPV6 = 23,
	ERF_TYPE_META = 27,
	ERF_TYPE_LAST = 33,
	ERF_TYPE_PAD = 48
};

/* Link type of a record; *@ret_skip bytes lie in front of the packet. 0: not a packet for us. */
static uint32_t erf_linktype(
	uint8_t type, const uint8_t *payload, size_t n_bytes, uint32_t *ret_skip)
{
	*ret_skip = 0;
	switch (type) {
	case ERF_TYPE_ETH:
	case ERF_TYPE_COLOR_ETH:
	case ERF_TYPE_DSM_COLOR_ETH:
	case ERF_TYPE_COLOR_HASH_ETH:
		*ret_skip = 2; /* offset and pad: they align the network header */
		return CAPFILE_LINKTYPE_ETHERNET;
	case ERF_TYPE_HDLC_POS:
	case ERF_TYPE_COLOR_HDLC_POS:
	case ERF_TYPE_DSM_COLOR_HDLC_POS:
	case ERF_TYPE_COLOR_HASH_POS:
		/* PPP starts with address 0xff and control 3, Cisco's HDLC with 0x0f or 0x8f. */
		if (n_bytes >= 2 && payload[0] == 0xff && payload[1] == 0x03)
			return CAPFILE_LINKTYPE_PPP_HDLC;
		return CAPFILE_LINKTYPE_C_HDLC;
	case ERF_TYPE_IPV4:
		return CAPFILE_LINKTYPE_IPV4;
	case ERF_TYPE_IPV6:
		return CAPFILE_LINKTYPE_IPV6;
	default:
		return 0;
	}
}

static uint64_t erf_ts(const uint8_t *at)
{
	uint64_t ts;

	memcpy(&ts, at, sizeof(ts));
	ts = le64toh(ts);
	return (ts >> 32) * CAPFILE_NS_PER_S + ((ts & UINT32_MAX) * CAPFILE_NS_PER_S >> 32);
}

int capfile_erf_record(const uint8_t *at, size_t left, struct capfile_record *ret)
{
	uint32_t head_bytes = ERF_HEADER_BYTES, rec_bytes, skip;
	uint8_t type, more;

	ret->packet = false;
	ret->bytes = ERF_HEADER_BYTES;
	if (left < ERF_HEADER_BYTES)
		return CAPFILE_E_MORE;
	rec_bytes = buf_peek_be16(at + 10);
	if (rec_bytes < ERF_HEADER_BYTES)
		return capfile_bad(ret, "the record says it has %u bytes, but its header has %u",
			rec_bytes, ERF_HEADER_BYTES);
	ret->bytes = rec_bytes;
	if (rec_bytes > left)
		return CAPFILE_E_MORE;
	type = at[8] & ERF_TYPE_MASK;
	for (more = at[8] & ERF_TYPE_MORE; more; head_bytes += ERF_EXTENSION_BYTES) {
		if (rec_bytes - head_bytes < ERF_EXTENSION_BYTES)
			return capfile_bad(ret,
				"extension headers are longer than the record, %u bytes",
				rec_bytes);
		more = at[head_bytes] & 0x80;
	}
	ret->linktype = erf_linktype(type, at + head_bytes, rec_bytes - head_bytes, &skip);
	if (ret->linktype == 0)
		return 0;
	if (rec_bytes - head_bytes < skip)
		return capfile_bad(ret, "an Ethernet record of only %u bytes", rec_bytes);
	ret->packet = true;
	ret->tells = false;
	ret->data = at + head_bytes + skip;
	ret->wire_bytes = buf_peek_be16(at + 14);
	ret->cap_bytes = MIN(rec_bytes - head_bytes - skip, ret->wire_bytes);
	ret->ts_ns = erf_ts(at);
	ret->ifindex = at[9] & (ERF_INTERFACES - 1);
	return 0;
}

static bool erf_likely(const uint8_t *at, uint64_t *last_s)
{
	uint8_t type = at[8] & ERF_TYPE_MASK;
	uint64_t s = erf_ts(at) / CAPFILE_NS_PER_S;

	if (type == ERF_TYPE_PAD)
		return true;
	if (type == 0 || type > ERF_TYPE_LAST || s == 0)
		return false;
	if (buf_peek_be16(at + 14) == 0 && type != ERF_TYPE_META)
		return false;
	if (*last_s != 0 && (s > *last_s + ERF_PROBE_GAP_S || *last_s > s + ERF_PROBE_GAP_S))
		return false;
	*last_s = s;
	return true;
}

int capfile_erf_open(struct capfile_file *ret, const uint8_t *bytes, size_t n_bytes, bool more)
{
	uint32_t linktype = 0;
	uint64_t last_s = 0;
	bool meta = false;
	size_t at = 0, n;

	for (n = 0; n < ERF_PROBE_RECORDS && at < n_bytes; n++) {
		struct capfile_record record;
		int r;

		if (n_bytes - at >= ERF_HEADER_BYTES && !erf_likely(bytes + at, &last_s))
			return CAPFILE_E_UNKNOWN;
		r = capfile_erf_record(bytes + at, n_bytes - at, &record);
		if (r == CAPFILE_E_DAMAGED)
			return CAPFILE_E_UNKNOWN;
		if (r == CAPFILE_E_MORE)
			break;
		if (record.packet && linktype == 0)
			linktype = record.linktype;
		meta = meta || (bytes[at + 8] & ERF_TYPE_MASK) == ERF_TYPE_META;
		at += record.bytes;
	}
	/* A decision must not depend on how much has come so far. */
	if (n < ERF_PROBE_RECORDS && more && n_bytes < CAPFILE_PROBE_BYTES)
		return CAPFILE_E_MORE;
	/* Padding alone proves nothing. */
	if (linktype == 0 && !meta)
		return CAPFILE_E_UNKNOWN;
	ret->kind = CAPFILE_KIND_ERF;
	ret->linktype = linktype ? linktype : CAPFILE_LINKTYPE_ETHERNET;
	for (unsigned int i = 0; i < ERF_INTERFACES; i++) {
		int r = capfile_interface_add(ret,
			&(struct capfile_interface){ .linktype = ret->linktype,
				.snaplen_bytes = UINT16_MAX,
				.ts_units_per_s = 1ULL << 32 });

		if (r < 0)
			return r;
	}
	return 0;
}
