/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets as people read them: one line each, in the manner of tcpdump, and bytes in hexadecimal;
 * and as programs read them: one JSON object each. Sequence numbers are absolute: relative ones
 * would need a table of connections, which a filter or a lost packet makes wrong.
 */
#ifndef MAPI_TOOL_PRINT_H
#define MAPI_TOOL_PRINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "facts.h"

enum print_time {
	PRINT_TIME_CLOCK, /* time of day */
	PRINT_TIME_NONE,
	PRINT_TIME_UNIX, /* seconds since the Unix epoch */
	PRINT_TIME_DELTA, /* since the previous packet */
	PRINT_TIME_DATE,
	PRINT_TIME_SINCE_FIRST,
	_PRINT_TIME_N
};

enum print_bytes { PRINT_BYTES_NONE, PRINT_BYTES_HEX, PRINT_BYTES_HEX_ASCII, PRINT_BYTES_ASCII };

/**
 * struct print_options - how to print
 * @digits:       of the fraction of a second: 6 or 9
 * @link:         the link header too
 * @bytes_link:   the bytes include the link header
 */
struct print_options {
	enum print_time time;
	unsigned int digits;
	unsigned int verbose;
	bool link;
	bool quick;
	bool number;
	bool colour;
	enum print_bytes bytes;
	bool bytes_link;
};

struct print_packet {
	uint64_t number; /* from 1 */
	uint64_t ts_ns;
	uint32_t linktype;
	uint32_t cap_bytes;
	uint32_t wire_bytes;
	const uint8_t *data;
};

/* What is remembered between packets; zeroed at first. @second: the one that @clock is the text of.
 */
struct print_state {
	bool any;
	uint64_t first_ns;
	uint64_t previous_ns;
	uint64_t second;
	char clock[40];
};

void print_packet(FILE *out, const struct print_options *options, struct print_state *state,
	const struct print_packet *packet);

void print_packet_json(FILE *out, const struct print_packet *packet);

/* ---- the parts ---- */

void print_time(
	FILE *out, const struct print_options *options, struct print_state *state, uint64_t ts_ns);
void print_bytes(FILE *out, enum print_bytes how, const uint8_t *data, uint32_t n_bytes);
void print_mac(FILE *out, const uint8_t mac[6]);

/* "10.0.0.1" or "2001:db8::1"; @version 4 or 6. */
#define PRINT_ADDRESS_BYTES 48
void print_address(char out[PRINT_ADDRESS_BYTES], uint8_t version, const uint8_t *address);

/* A DNS message (RFC 1035) in brief: "4711+ A? example.org." or "4711 1/0/0 A 192.0.2.1". Returns
 * false, and prints nothing, if it does not look like one. */
bool print_dns(FILE *out, const uint8_t *data, uint32_t n_bytes);

/* Names of numbers; NULL if there is none. */
const char *print_ethertype_name(uint16_t ethertype);
const char *print_proto_name(uint8_t proto);
void print_tcp_flags(char out[16], uint16_t flags);

#endif
