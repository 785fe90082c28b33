/* SPDX-License-Identifier: BSD-2-Clause */
/* Times, addresses and bytes (print.h). */
#include "print.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define PRINT_BYTES_PER_LINE 16u

static void print_fraction(FILE *out, const struct print_options *options, uint64_t ns)
{
	if (options->digits == 9)
		fprintf(out, ".%09" PRIu64, ns);
	else
		fprintf(out, ".%06" PRIu64, ns / 1000);
}

/* A span of time; those below zero, from packets out of order, have a sign. */
static void print_span(FILE *out, const struct print_options *options, uint64_t from, uint64_t to)
{
	uint64_t span = to >= from ? to - from : from - to, s = span / 1000000000u;

	fprintf(out, " %s%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, to < from ? "-" : "", s / 3600,
		s / 60 % 60, s % 60);
	print_fraction(out, options, span % 1000000000u);
}

void print_time(
	FILE *out, const struct print_options *options, struct print_state *state, uint64_t ts_ns)
{
	uint64_t s = ts_ns / 1000000000u;
	time_t t = (time_t)s;
	struct tm tm;

	if (!state->any)
		*state = (struct print_state){
			.any = true, .first_ns = ts_ns, .previous_ns = ts_ns, .second = UINT64_MAX
		};
	switch (options->time) {
	case PRINT_TIME_CLOCK:
	case PRINT_TIME_DATE:
		/* Converting a second to local time costs more than printing the packet. */
		if (s != state->second && localtime_r(&t, &tm)) {
			(void)strftime(state->clock, sizeof(state->clock),
				options->time == PRINT_TIME_DATE ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S",
				&tm);
			state->second = s;
		}
		fputs(state->clock, out);
		print_fraction(out, options, ts_ns % 1000000000u);
		fputc(' ', out);
		break;
	case PRINT_TIME_UNIX:
		fprintf(out, "%" PRIu64, s);
		print_fraction(out, options, ts_ns % 1000000000u);
		fputc(' ', out);
		break;
	case PRINT_TIME_DELTA:
		print_span(out, options, state->previous_ns, ts_ns);
		fputc(' ', out);
		break;
	case PRINT_TIME_SINCE_FIRST:
		print_span(out, options, state->first_ns, ts_ns);
		fputc(' ', out);
		break;
	case PRINT_TIME_NONE:
	case _PRINT_TIME_N:
		break;
	}
	state->previous_ns = ts_ns;
}

void print_mac(FILE *out, const uint8_t mac[6])
{
	fprintf(out, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		mac[5]);
}

void print_address(char out[PRINT_ADDRESS_BYTES], uint8_t version, const uint8_t *address)
{
	if (version == 4)
		(void)snprintf(out, PRINT_ADDRESS_BYTES, "%u.%u.%u.%u", address[0], address[1],
			address[2], address[3]);
	else
		(void)inet_ntop(AF_INET6, address, out, PRINT_ADDRESS_BYTES);
}

static void print_ascii(FILE *out, const uint8_t *data, uint32_t n_bytes)
{
	uint32_t i;

	for (i = 0; i < n_bytes; i++) {
		uint8_t c = data[i];

		if (c == '\r')
			continue;
		fputc(c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f) ? c : '.', out);
	}
	fputc('\n', out);
}

void print_bytes(FILE *out, enum print_bytes how, const uint8_t *data, uint32_t n_bytes)
{
	uint32_t at, i;

	if (how == PRINT_BYTES_NONE)
		return;
	if (how == PRINT_BYTES_ASCII) {
		print_ascii(out, data, n_bytes);
		return;
	}
	for (at = 0; at < n_bytes; at += PRINT_BYTES_PER_LINE) {
		uint32_t n =
			n_bytes - at < PRINT_BYTES_PER_LINE ? n_bytes - at : PRINT_BYTES_PER_LINE;

		fprintf(out, "\t0x%04x: ", at);
		for (i = 0; i < n; i++)
			fprintf(out, "%s%02x", i % 2 ? "" : " ", data[at + i]);
		if (how == PRINT_BYTES_HEX_ASCII) {
			for (; i < PRINT_BYTES_PER_LINE; i++)
				fputs(i % 2 ? "  " : "   ", out);
			fputs("  ", out);
			for (i = 0; i < n; i++) {
				uint8_t c = data[at + i];

				fputc(c >= 0x20 && c < 0x7f ? c : '.', out);
			}
		}
		fputc('\n', out);
	}
}
