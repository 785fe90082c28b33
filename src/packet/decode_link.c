/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Link headers, one step for each link type; decode_link_types[] is the list.
 *
 * Sources: the link-layer header types registry of the Tcpdump Group; IEEE 802.2, 802.3 and 802.11;
 * RFC 1042 (SNAP), RFC 1661 and 1662 (PPP), RFC 2427 (frame relay), RFC 2684 (ATM).
 */
#include "decode_private.h"

#include <stddef.h>

#include "base/cleanup.h"

static uint16_t decode_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static bool decode_skip(struct decode_walk *w, uint32_t n_bytes)
{
	if (!decode_has(w, n_bytes))
		return false;
	w->at += n_bytes;
	return true;
}

bool decode_by_ip_version(struct decode_walk *w)
{
	w->ethertype = DECODE_TYPE_UNKNOWN;
	if (!decode_has(w, 1))
		return true;
	if (*decode_here(w) >> 4 == 4)
		w->ethertype = DECODE_TYPE_IPV4;
	else if (*decode_here(w) >> 4 == 6)
		w->ethertype = DECODE_TYPE_IPV6;
	return true;
}

bool decode_llc(struct decode_walk *w)
{
	const uint8_t *p = decode_here(w);

	w->ethertype = DECODE_TYPE_UNKNOWN;
	if (!decode_has(w, 3))
		return false;
	/* IPX directly in an 802.3 frame begins with its unused checksum, where LLC has its SAPs.
	 */
	if (p[0] == 0xff && p[1] == 0xff)
		return true;
	if (p[0] == 0xaa && p[1] == 0xaa && p[2] == 0x03) {
		if (!decode_has(w, 8))
			return false;
		/* OUI 00-00-00 (RFC 1042) and 00-00-f8 (IEEE 802.1H) are followed by an EtherType.
		 */
		if (p[3] == 0 && p[4] == 0 && (p[5] == 0 || p[5] == 0xf8))
			w->ethertype = decode_be16_at(w, 6);
		return decode_skip(w, 8);
	}
	if (p[0] == 0x06 && p[1] == 0x06 && p[2] == 0x03)
		w->ethertype = DECODE_TYPE_IPV4;
	/* Only unnumbered frames (both low bits set) have a control field of one byte. */
	return decode_skip(w, (p[2] & 3) == 3 ? 3 : 4);
}

bool decode_type_or_length(struct decode_walk *w)
{
	uint16_t value;

	if (!decode_has(w, 2))
		return false;
	value = decode_be16_at(w, 0);
	w->at += 2;
	w->ethertype = value >= 0x0600 ? value : DECODE_TYPE_UNKNOWN;
	if (value > 1500)
		return true;
	return decode_llc(w);
}

bool decode_ethernet(struct decode_walk *w)
{
	return decode_skip(w, 12) && decode_type_or_length(w);
}

/* Switch tags of the "Distributed Switch Architecture" that stand between the addresses and the
 * type. */
static bool decode_link_dsa4(struct decode_walk *w)
{
	return decode_skip(w, 16) && decode_type_or_length(w);
}

static bool decode_link_dsa8(struct decode_walk *w)
{
	return decode_skip(w, 20) && decode_type_or_length(w);
}

static bool decode_link_dsa_prepended(struct decode_walk *w)
{
	return decode_skip(w, 4) && decode_ethernet(w);
}

static bool decode_link_raw(struct decode_walk *w)
{
	return decode_by_ip_version(w);
}

static bool decode_link_ipv4(struct decode_walk *w)
{
	w->ethertype = DECODE_TYPE_IPV4;
	return true;
}

static bool decode_link_ipv6(struct decode_walk *w)
{
	w->ethertype = DECODE_TYPE_IPV6;
	return true;
}

static bool decode_link_mpls(struct decode_walk *w)
{
	w->ethertype = DECODE_TYPE_MPLS;
	return true;
}

static uint16_t decode_type_of_family(uint32_t family)
{
	switch (family) {
	case 2:
		return DECODE_TYPE_IPV4;
	case 10: /* Linux */
	case 24: /* NetBSD, OpenBSD */
	case 28: /* FreeBSD */
	case 30: /* Darwin */
		return DECODE_TYPE_IPV6;
	default:
		return DECODE_TYPE_UNKNOWN;
	}
}

/* The family is in the byte order of the machine that captured, which nobody tells; values are
 * small, so the order shows. */
static bool decode_link_null(struct decode_walk *w)
{
	uint32_t family;

	if (!decode_has(w, 4))
		return false;
	family = buf_peek_be32(decode_here(w));
	if (family > 0xffff)
		family = __builtin_bswap32(family);
	w->ethertype = decode_type_of_family(family);
	return decode_skip(w, 4);
}

static bool decode_link_enc(struct decode_walk *w)
{
	return decode_skip(w, 12) && decode_by_ip_version(w);
}

static bool decode_link_slip(struct decode_walk *w)
{
	return decode_skip(w, 16) && decode_by_ip_version(w);
}

static bool decode_link_pflog(struct decode_walk *w)
{
	/* The length leaves out the padding to a multiple of four. */
	return decode_has(w, 1) && decode_skip(w, (*decode_here(w) + 3u) & ~3u) &&
		decode_by_ip_version(w);
}

/* Linux "cooked" captures: what the interface had is told by its ARPHRD_ value. */
static bool decode_cooked_type(struct decode_walk *w, uint16_t arphrd, uint16_t protocol)
{
	w->ethertype = DECODE_TYPE_UNKNOWN;
	if (arphrd == 824) /* netlink: the protocol is a netlink family */
		return true;
	if (protocol == 0x0004)
		return decode_llc(w);
	if (protocol >= 0x0600)
		w->ethertype = protocol;
	return true;
}

static bool decode_link_sll(struct decode_walk *w)
{
	uint16_t arphrd, protocol;

	if (!decode_has(w, 16))
		return false;
	arphrd = decode_be16_at(w, 2);
	protocol = decode_be16_at(w, 14);
	w->at += 16;
	return decode_cooked_type(w, arphrd, protocol);
}

static bool decode_link_sll2(struct decode_walk *w)
{
	uint16_t arphrd, protocol;

	if (!decode_has(w, 20))
		return false;
	protocol = decode_be16_at(w, 0);
	arphrd = decode_be16_at(w, 8);
	w->at += 20;
	return decode_cooked_type(w, arphrd, protocol);
}

static bool decode_link_ppp(struct decode_walk *w)
{
	w->ethertype = DECODE_TYPE_PPP;
	return true;
}

static bool decode_link_chdlc(struct decode_walk *w)
{
	if (!decode_has(w, 4))
		return false;
	w->ethertype = decode_be16_at(w, 2);
	return decode_skip(w, 4);
}

static bool decode_link_ppp_hdlc(struct decode_walk *w)
{
	/* Cisco's framing is told by its address: unicast or broadcast. */
	if (decode_has(w, 1) && (*decode_here(w) == 0x0f || *decode_here(w) == 0x8f))
		return decode_link_chdlc(w);
	return decode_link_ppp(w);
}

static bool decode_link_ppp_ether(struct decode_walk *w)
{
	w->ethertype = DECODE_TYPE_PPPOE_SESSION;
	return true;
}

static bool decode_link_fddi(struct decode_walk *w)
{
	bool llc;

	if (!decode_has(w, 13))
		return false;
	llc = (*decode_here(w) & 0xf0) == 0x50;
	w->at += 13;
	return llc ? decode_llc(w) : true;
}

static bool decode_link_token_ring(struct decode_walk *w)
{
	uint32_t n_bytes = 14;
	const uint8_t *p = decode_here(w);

	if (!decode_has(w, 15))
		return false;
	if (p[8] & 0x80) /* the source address says that routing information follows */
		n_bytes += p[14] & 0x1fu;
	if ((p[1] & 0xc0) != 0x40)
		return decode_skip(w, n_bytes);
	return decode_skip(w, n_bytes) && decode_llc(w);
}

static bool decode_link_atm(struct decode_walk *w)
{
	static const uint8_t bridged[] = { 0xaa, 0xaa, 0x03, 0x00, 0x80, 0xc2, 0x00 };
	const uint8_t *p = decode_here(w);

	/* RFC 2684, 5.2: Ethernet frames, with and without their check sum, behind two pad bytes.
	 */
	if (decode_has(w, 10) && memcmp(p, bridged, sizeof(bridged)) == 0 &&
		(p[7] == 1 || p[7] == 7)) {
		w->at += 10;
		w->ethertype = DECODE_TYPE_ETHERNET;
		return true;
	}
	return decode_llc(w);
}

static bool decode_link_sunatm(struct decode_walk *w)
{
	bool llc;

	if (!decode_has(w, 4))
		return false;
	llc = (*decode_here(w) & 0x0f) == 2;
	w->at += 4;
	return llc ? decode_link_atm(w) : true;
}

static bool decode_link_frame_relay(struct decode_walk *w)
{
	const uint8_t *p = decode_here(w);
	uint32_t n = 0;

	/* Q.922: the lowest bit ends the address of two to four bytes. */
	while (n < 4 && decode_has(w, n + 1) && !(p[n] & 1))
		n++;
	if (!decode_has(w, n + 3))
		return false;
	w->at += n + 1;
	p = decode_here(w);
	if (p[0] != 0x03) { /* Cisco's encapsulation has an EtherType where others have "UI" */
		w->ethertype = decode_be16_at(w, 0);
		return decode_skip(w, 2);
	}
	w->at += p[1] == 0 && decode_has(w, 3) ? 2 : 1;
	switch (*decode_here(w)) {
	case 0xcc:
		w->ethertype = DECODE_TYPE_IPV4;
		break;
	case 0x8e:
		w->ethertype = DECODE_TYPE_IPV6;
		break;
	case 0x80:
		if (!decode_has(w, 6))
			return false;
		w->ethertype = decode_be16_at(w, 4);
		w->at += 5;
		break;
	default:
		break;
	}
	return decode_skip(w, 1);
}

static bool decode_link_ieee1394(struct decode_walk *w)
{
	return decode_skip(w, 16) && decode_type_or_length(w);
}

/* IEEE 802.11-2016, 9.2: only data frames that are not encrypted carry anything readable. */
static bool decode_80211(struct decode_walk *w, bool padded)
{
	const uint8_t *p = decode_here(w);
	uint32_t n_bytes = 24;
	bool qos, readable;

	if (!decode_has(w, 2))
		return false;
	if ((p[0] & 0x0c) != 0x08)
		return true;
	qos = p[0] & 0x80;
	readable = !(p[0] & 0x40) && !(p[1] & 0x40);
	if ((p[1] & 0x03) == 0x03)
		n_bytes += 6;
	if (qos) {
		if (!decode_has(w, n_bytes + 2))
			return false;
		/* An aggregate holds several frames, each with a header of its own. */
		if (p[n_bytes] & 0x80)
			readable = false;
		n_bytes += 2;
		if (p[1] & 0x80)
			n_bytes += 4;
	}
	if (padded)
		n_bytes = (n_bytes + 3) & ~3u;
	if (!decode_skip(w, n_bytes))
		return false;
	return readable ? decode_llc(w) : true;
}

static bool decode_link_80211(struct decode_walk *w)
{
	return decode_80211(w, false);
}

/* Whether the radiotap header at the walk, of @n_bytes, says that the 802.11 header is padded. */
static bool decode_radiotap_padded(const struct decode_walk *w, uint32_t n_bytes)
{
	const uint8_t *p = decode_here(w);
	uint32_t at = 4;
	uint8_t first = p[4];

	do {
		at += 4;
		if (at > n_bytes)
			return false;
	} while (p[at - 1] & 0x80);
	if (!(first & 0x02))
		return false;
	if (first & 0x01)
		at = ((at + 7) & ~7u) + 8;
	return at < n_bytes && p[at] & 0x20;
}

static bool decode_link_radiotap(struct decode_walk *w)
{
	uint32_t n_bytes;
	bool padded;

	if (!decode_has(w, 8))
		return false;
	n_bytes = decode_le16(decode_here(w) + 2);
	if (n_bytes < 8 || !decode_has(w, n_bytes))
		return false;
	padded = decode_radiotap_padded(w, n_bytes);
	w->at += n_bytes;
	return decode_80211(w, padded);
}

static bool decode_link_avs(struct decode_walk *w)
{
	return decode_has(w, 8) && decode_skip(w, buf_peek_be32(decode_here(w) + 4)) &&
		decode_80211(w, false);
}

static bool decode_link_prism(struct decode_walk *w)
{
	if (decode_has(w, 4) && (buf_peek_be32(decode_here(w)) & 0xfffff000) == 0x80211000)
		return decode_link_avs(w);
	return decode_skip(w, 144) && decode_80211(w, false);
}

/* Values are in the byte order of the machine that captured; all that log so are little endian. */
static bool decode_link_nflog(struct decode_walk *w)
{
	uint16_t ethertype;

	if (!decode_has(w, 4))
		return false;
	ethertype = decode_type_of_family(*decode_here(w));
	w->at += 4;
	for (unsigned int n = 0; n < 64; n++) {
		uint32_t n_bytes;

		if (!decode_has(w, 4))
			return false;
		n_bytes = decode_le16(decode_here(w));
		if (n_bytes < 4)
			return false;
		if (decode_le16(decode_here(w) + 2) == 9) { /* NFULA_PAYLOAD */
			w->ethertype = ethertype;
			return decode_skip(w, 4);
		}
		if (!decode_skip(w, (n_bytes + 3) & ~3u))
			return false;
	}
	return false;
}

static bool decode_link_ppi(struct decode_walk *w)
{
	uint32_t n_bytes, linktype;
	decode_step *step;

	if (!decode_has(w, 8))
		return false;
	n_bytes = decode_le16(decode_here(w) + 2);
	linktype = decode_le16(decode_here(w) + 4);
	if (n_bytes < 8 || !decode_skip(w, n_bytes))
		return false;
	step = decode_link_step(linktype);
	/* Headers within headers do not occur, and would recurse. */
	return step && step != decode_link_ppi ? step(w) : true;
}

static const struct decode_link_type {
	uint32_t linktype;
	decode_step *step;
} decode_link_types[] = {
	{ 0, decode_link_null },
	{ 1, decode_ethernet },
	{ 6, decode_link_token_ring },
	{ 8, decode_link_slip },
	{ 9, decode_link_ppp_hdlc },
	{ 10, decode_link_fddi },
	{ 12, decode_link_raw }, /* 12 and 14: DLT_RAW of some systems, found in files */
	{ 14, decode_link_raw },
	{ 50, decode_link_ppp_hdlc },
	{ 51, decode_link_ppp_ether },
	{ 100, decode_link_atm },
	{ 101, decode_link_raw },
	{ 104, decode_link_chdlc },
	{ 105, decode_link_80211 },
	{ 107, decode_link_frame_relay },
	{ 108, decode_link_null },
	{ 109, decode_link_enc },
	{ 113, decode_link_sll },
	{ 117, decode_link_pflog },
	{ 119, decode_link_prism },
	{ 123, decode_link_sunatm },
	{ 127, decode_link_radiotap },
	{ 138, decode_link_ieee1394 },
	{ 163, decode_link_avs },
	{ 192, decode_link_ppi },
	{ 219, decode_link_mpls },
	{ 228, decode_link_ipv4 },
	{ 229, decode_link_ipv6 },
	{ 239, decode_link_nflog },
	{ 276, decode_link_sll2 },
	{ 282, decode_link_dsa4 },
	{ 283, decode_link_dsa_prepended },
	{ 284, decode_link_dsa4 },
	{ 285, decode_link_dsa8 },
};

decode_step *decode_link_step(uint32_t linktype)
{
	for (size_t i = 0; i < ARRAY_SIZE(decode_link_types); i++) {
		if (decode_link_types[i].linktype == linktype)
			return decode_link_types[i].step;
	}
	return NULL;
}
