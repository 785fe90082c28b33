/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What may stand between the link header and the network header, in any order: VLAN tags, MPLS
 * label stacks, PPPoE and PPP, and Ethernet in one of them.
 *
 * Sources: IEEE 802.1Q, 802.1ad, 802.1ah; RFC 3032 (MPLS), RFC 4448 (Ethernet over MPLS), RFC 2516
 * (PPPoE), RFC 1661 (PPP).
 */
#include "decode_private.h"

static bool decode_tag_vlan(struct decode_walk *w)
{
	if (!decode_has(w, 4))
		return false;
	if (w->n_vlans++ == 0)
		w->vlan_tci = decode_be16_at(w, 0);
	w->at += 2;
	return decode_type_or_length(w);
}

/* Whether an Ethernet header @ahead of the walk has a type that makes the guess safe. */
static bool decode_tag_looks_ethernet(const struct decode_walk *w, uint32_t ahead)
{
	if (!decode_has(w, ahead + 14))
		return false;
	switch (decode_be16_at(w, ahead + 12)) {
	case DECODE_TYPE_IPV4:
	case DECODE_TYPE_ARP:
	case DECODE_TYPE_IPV6:
	case DECODE_TYPE_VLAN:
	case DECODE_TYPE_QINQ:
	case DECODE_TYPE_MPLS:
	case DECODE_TYPE_PPPOE_SESSION:
		return true;
	default:
		return false;
	}
}

/* A label stack does not say what it carries: RFC 4928 makes the first four bits tell IP from the
 * control word of a pseudowire. */
static bool decode_tag_mpls(struct decode_walk *w)
{
	unsigned int n = 0;
	bool bottom;

	do {
		if (n++ == DECODE_LABELS_MAX || !decode_has(w, 4))
			return false;
		bottom = decode_here(w)[2] & 1;
		w->at += 4;
	} while (!bottom);
	decode_by_ip_version(w);
	if (w->ethertype != DECODE_TYPE_UNKNOWN)
		return true;
	if (decode_has(w, 4) && decode_here(w)[0] == 0 && decode_tag_looks_ethernet(w, 4)) {
		w->at += 4;
		w->ethertype = DECODE_TYPE_ETHERNET;
	} else if (decode_tag_looks_ethernet(w, 0)) {
		w->ethertype = DECODE_TYPE_ETHERNET;
	}
	return true;
}

static bool decode_tag_pppoe(struct decode_walk *w)
{
	bool data;

	if (!decode_has(w, 6))
		return false;
	data = decode_here(w)[0] == 0x11 && decode_here(w)[1] == 0;
	w->at += 6;
	w->ethertype = data ? DECODE_TYPE_PPP : DECODE_TYPE_UNKNOWN;
	return true;
}

static bool decode_tag_ppp(struct decode_walk *w)
{
	uint16_t protocol;

	/* The address and control fields are there unless the peers agreed to leave them out. */
	if (decode_has(w, 2) && decode_be16_at(w, 0) == 0xff03)
		w->at += 2;
	if (!decode_has(w, 1))
		return false;
	if (*decode_here(w) & 1) { /* RFC 1661, 6.5: the protocol field is compressed */
		protocol = *decode_here(w);
		w->at += 1;
	} else {
		if (!decode_has(w, 2))
			return false;
		protocol = decode_be16_at(w, 0);
		w->at += 2;
	}
	switch (protocol) {
	case 0x0021:
		w->ethertype = DECODE_TYPE_IPV4;
		break;
	case 0x0057:
		w->ethertype = DECODE_TYPE_IPV6;
		break;
	case 0x0281:
	case 0x0283:
		w->ethertype = DECODE_TYPE_MPLS;
		break;
	default:
		w->ethertype = DECODE_TYPE_UNKNOWN;
		break;
	}
	return true;
}

static bool decode_tag_backbone(struct decode_walk *w)
{
	if (!decode_has(w, 4))
		return false;
	w->at += 4;
	return decode_ethernet(w);
}

bool decode_tags(struct decode_walk *w)
{
	for (unsigned int n = 0; n <= DECODE_TAGS_MAX; n++) {
		bool whole;

		switch (w->ethertype) {
		case DECODE_TYPE_VLAN:
		case DECODE_TYPE_QINQ:
		case DECODE_TYPE_QINQ_OLD:
		case DECODE_TYPE_QINQ_OLDER:
			whole = decode_tag_vlan(w);
			break;
		case DECODE_TYPE_MPLS:
		case DECODE_TYPE_MPLS_UPSTREAM:
			whole = decode_tag_mpls(w);
			break;
		case DECODE_TYPE_PPPOE_SESSION:
			whole = decode_tag_pppoe(w);
			break;
		case DECODE_TYPE_PPP:
			whole = decode_tag_ppp(w);
			break;
		case DECODE_TYPE_ETHERNET:
			whole = decode_ethernet(w);
			break;
		case DECODE_TYPE_BACKBONE:
			whole = decode_tag_backbone(w);
			break;
		default:
			return true;
		}
		if (!whole)
			return false;
	}
	return false;
}
