/* SPDX-License-Identifier: BSD-2-Clause */
/* DNS in brief (RFC 1035): the question of a query, the answers of a response. */
#include "print.h"

#include "base/buf.h"

#define PRINT_DNS_JUMPS_MAX 64
#define PRINT_DNS_NAME_MAX 255 /* RFC 1035, 2.3.4 */
#define PRINT_DNS_ANSWERS_MAX 8

#define PRINT_DNS_RESPONSE 0x8000u
#define PRINT_DNS_AUTHORITATIVE 0x0400u
#define PRINT_DNS_TRUNCATED 0x0200u
#define PRINT_DNS_RECURSION 0x0100u

static void print_dns_type(FILE *out, uint16_t type)
{
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = { { 1, "A" }, { 2, "NS" }, { 5, "CNAME" }, { 6, "SOA" }, { 12, "PTR" },
		{ 13, "HINFO" }, { 15, "MX" }, { 16, "TXT" }, { 28, "AAAA" }, { 33, "SRV" },
		{ 35, "NAPTR" }, { 41, "OPT" }, { 43, "DS" }, { 46, "RRSIG" }, { 47, "NSEC" },
		{ 48, "DNSKEY" }, { 64, "SVCB" }, { 65, "HTTPS" }, { 252, "AXFR" },
		{ 255, "ANY" } };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].type == type) {
			fputs(names[i].name, out);
			return;
		}
	fprintf(out, "TYPE%u", type);
}

/* Step over a name; print it if @out is not NULL. Pointers (RFC 1035, 4.1.4) may only be followed a
 * number of times, and a name may not be longer than the standard allows: both end loops. */
static bool print_dns_name(FILE *out, const uint8_t *message, uint32_t message_bytes, struct buf *b)
{
	struct buf at = *b;
	unsigned int jumps = 0, length = 0, i;
	bool jumped = false;

	for (;;) {
		unsigned int label = buf_get_u8(&at);
		const uint8_t *text;

		if ((label & 0xc0) == 0xc0) {
			uint32_t to = (label & 0x3f) << 8 | buf_get_u8(&at);

			if (!buf_ok(&at) || to >= message_bytes || ++jumps > PRINT_DNS_JUMPS_MAX)
				return false;
			if (!jumped)
				*b = at;
			jumped = true;
			at = buf_from(message + to, message_bytes - to);
			continue;
		}
		if (!buf_ok(&at) || label & 0xc0)
			return false;
		if (!label)
			break;
		text = buf_take(&at, label);
		length += label + 1;
		if (!text || length > PRINT_DNS_NAME_MAX)
			return false;
		for (i = 0; out && i < label; i++)
			if (text[i] > 0x20 && text[i] < 0x7f && text[i] != '.' && text[i] != '\\')
				fputc(text[i], out);
			else
				fprintf(out, "\\%03u", text[i]);
		if (out)
			fputc('.', out);
	}
	if (out && !length)
		fputc('.', out);
	if (!jumped)
		*b = at;
	return true;
}

static void print_dns_data(
	FILE *out, const uint8_t *message, uint32_t message_bytes, struct buf data, uint16_t type)
{
	char address[PRINT_ADDRESS_BYTES];
	size_t left = buf_left(&data);

	if ((type == 1 && left == 4) || (type == 28 && left == 16)) {
		print_address(address, type == 1 ? 4 : 6, data.at);
		fprintf(out, " %s", address);
	} else if (type == 2 || type == 5 || type == 12 || type == 15) {
		if (type == 15)
			(void)buf_get_be16(&data);
		fputc(' ', out);
		(void)print_dns_name(out, message, message_bytes, &data);
	}
}

static void print_dns_answers(
	FILE *out, const uint8_t *message, uint32_t message_bytes, struct buf *b, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n && i < PRINT_DNS_ANSWERS_MAX; i++) {
		uint16_t type, data_bytes;
		const uint8_t *data;

		if (!print_dns_name(NULL, message, message_bytes, b))
			break;
		type = buf_get_be16(b);
		(void)buf_take(b, 6);
		data_bytes = buf_get_be16(b);
		data = buf_take(b, data_bytes);
		if (!data)
			break;
		fputs(i ? ", " : " ", out);
		print_dns_type(out, type);
		print_dns_data(out, message, message_bytes, buf_from(data, data_bytes), type);
	}
	if (i < n)
		fputs(" ...", out);
}

static void print_dns_code(FILE *out, unsigned int code)
{
	static const char *const names[] = { "", "FormErr", "ServFail", "NXDomain", "NotImp",
		"Refused" };

	if (code < sizeof(names) / sizeof(names[0]))
		fprintf(out, " %s", names[code]);
	else
		fprintf(out, " Resp%u", code);
}

bool print_dns(FILE *out, const uint8_t *data, uint32_t n_bytes)
{
	struct buf b = buf_from(data, n_bytes);
	unsigned int id = buf_get_be16(&b), flags = buf_get_be16(&b), counts[4], i;
	bool response = flags & PRINT_DNS_RESPONSE;

	for (i = 0; i < 4; i++)
		counts[i] = buf_get_be16(&b);
	/* More questions than one are not DNS in practice; neither are opcodes above 6. */
	if (!buf_ok(&b) || counts[0] > 8 || (flags >> 11 & 15) > 6)
		return false;
	fprintf(out, "%u%s%s%s", id, !response && flags & PRINT_DNS_RECURSION ? "+" : "",
		response && flags & PRINT_DNS_AUTHORITATIVE ? "*" : "",
		flags & PRINT_DNS_TRUNCATED ? "|" : "");
	if (response) {
		if (flags & 15)
			print_dns_code(out, flags & 15);
		fprintf(out, " %u/%u/%u", counts[1], counts[2], counts[3]);
	}
	for (i = 0; i < counts[0]; i++) {
		struct buf name = b;
		uint16_t type;

		if (!print_dns_name(NULL, data, n_bytes, &b))
			return true;
		type = buf_get_be16(&b);
		(void)buf_get_be16(&b);
		if (!buf_ok(&b))
			return true;
		if (!response) {
			fputc(' ', out);
			print_dns_type(out, type);
			fputs("? ", out);
			(void)print_dns_name(out, data, n_bytes, &name);
		}
	}
	if (response)
		print_dns_answers(out, data, n_bytes, &b, counts[1]);
	return true;
}
