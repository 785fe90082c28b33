/* SPDX-License-Identifier: BSD-2-Clause */
/* See filter_error.h. */
#include "filter_error.h"

#include <string.h>

#include "base/cleanup.h"
#include "text.h"

/* Words of pcap-filter(7) that people write. */
static const char *const filter_error_keywords[] = { "ah", "and", "arp", "atalk", "broadcast",
	"carp", "decnet", "dst", "esp", "ether", "fddi", "gateway", "geneve", "greater", "host",
	"icmp", "icmp6", "icmptype", "icmpcode", "igmp", "igrp", "inbound", "ip", "ip6", "ipx",
	"iso", "lat", "len", "less", "link", "llc", "mask", "moprc", "mopdl", "mpls", "multicast",
	"net", "netbeui", "not", "on", "or", "outbound", "pim", "port", "portrange", "pppoed",
	"pppoes", "proto", "protochain", "rarp", "sctp", "src", "stp", "tcp", "tcpflags", "tcp-ack",
	"tcp-fin", "tcp-push", "tcp-rst", "tcp-syn", "tcp-urg", "tr", "type", "udp", "vlan", "vrrp",
	"wlan", "vxlan" };

/* Words after these are names of the user's own. */
static const char *const filter_error_before_names[] = { "host", "net", "port", "portrange",
	"gateway", "src", "dst", "proto", "protochain", "ifname", "on", "mask" };

static bool filter_error_in(const char *word, size_t len, const char *const *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (text_equal(word, len, list[i]))
			return true;
	return false;
}

static bool filter_error_is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '-' || c == '_' || c == '.' || c == ':';
}

/* "unknown host 'foo'", "illegal token: foo": the last thing that the message quotes or ends with.
 */
static bool filter_error_quoted(struct pipeline_place *place, const char *message)
{
	const char *open = strchr(message, '\''), *close, *at;
	const char *begin = place->source + place->at;
	size_t i, len;

	if (open) {
		close = strchr(open + 1, '\'');
		len = close ? (size_t)(close - open - 1) : 0;
		open++;
	} else {
		open = strrchr(message, ' ');
		len = open ? strlen(++open) : 0;
		/* The sentence's own words would be found in many an expression. */
		if (len && !strchr("0123456789", *open) && !strstr(message, "illegal"))
			len = 0;
	}
	if (!len || len > place->len)
		return false;
	for (i = 0; i + len <= place->len; i++) {
		at = begin + i;
		if (memcmp(at, open, len) != 0 || (i && filter_error_is_word(at[-1])) ||
			(i + len < place->len && filter_error_is_word(at[len])))
			continue;
		place->at += i;
		place->len = len;
		return true;
	}
	return false;
}

static bool filter_error_parenthesis(struct pipeline_place *place)
{
	size_t open[64];
	size_t depth = 0, i;

	for (i = place->at; i < place->at + place->len; i++) {
		char c = place->source[i];

		if ((c == '(' || c == '[') && depth < sizeof(open) / sizeof(open[0])) {
			open[depth++] = i;
		} else if (c == ')' || c == ']') {
			if (!depth || place->source[open[depth - 1]] != (c == ')' ? '(' : '[')) {
				open[0] = i;
				depth = 1;
				break;
			}
			depth--;
		}
	}
	if (!depth)
		return false;
	place->at = open[depth - 1];
	place->len = 1;
	return true;
}

static bool filter_error_misspelt(struct pipeline_place *place, const char **ret_keyword)
{
	const size_t n_keywords = sizeof(filter_error_keywords) / sizeof(filter_error_keywords[0]);
	size_t at = place->at, end = place->at + place->len;
	bool name_follows = false;

	while (at < end) {
		const char *word = place->source + at;
		struct text_suggestion s;
		size_t len = 0, i;

		while (at + len < end && filter_error_is_word(word[len]))
			len++;
		if (!len) {
			at++;
			continue;
		}
		at += len;
		s = TEXT_SUGGESTION(word, len);
		if (!filter_error_in(word, len, filter_error_keywords, n_keywords) &&
			!name_follows && !(*word >= '0' && *word <= '9') &&
			!memchr(word, '.', len)) {
			for (i = 0; i < n_keywords; i++)
				text_suggest(&s, filter_error_keywords[i]);
			if (text_suggested(&s)) {
				place->at = (size_t)(word - place->source);
				place->len = len;
				*ret_keyword = text_suggested(&s);
				return true;
			}
		}
		name_follows = filter_error_in(word, len, filter_error_before_names,
			sizeof(filter_error_before_names) / sizeof(filter_error_before_names[0]));
	}
	return false;
}

void filter_error_find(struct pipeline_place whole, const char *message,
	struct pipeline_place *ret_place, const char **ret_keyword)
{
	struct pipeline_place place = whole, misspelt = whole;

	*ret_keyword = NULL;
	if (!whole.source || filter_error_parenthesis(&place)) {
		*ret_place = place;
		return;
	}
	(void)filter_error_misspelt(&misspelt, ret_keyword);
	*ret_place = filter_error_quoted(&place, message) ? place : misspelt;
	if (ret_place->at != misspelt.at)
		*ret_keyword = NULL;
}

/* Behind these something must follow. */
static const char *const filter_error_unfinished[] = { "and", "or", "not", "len", "proto" };

/* Keywords that are numbers of protocols, too, behind a backslash. */
static const char *const filter_error_protocols[] = { "tcp", "udp", "icmp", "icmp6" };

bool filter_error_is_cut(const char *filter)
{
	const char *at = filter, *word = filter;
	size_t len = 0, before_len;
	bool after_proto = false;

	while (*at) {
		before_len = len;
		after_proto = before_len && text_equal(word, before_len, "proto");
		word = at += strspn(at, " ");
		len = strcspn(at, " ");
		at += len;
		if (after_proto &&
			filter_error_in(word, len, filter_error_protocols,
				ARRAY_SIZE(filter_error_protocols)))
			return true;
	}
	return len &&
		(strchr("]&|=!+-*/<>", word[len - 1]) ||
			filter_error_in(word, len, filter_error_unfinished,
				ARRAY_SIZE(filter_error_unfinished)));
}
