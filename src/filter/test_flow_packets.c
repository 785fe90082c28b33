/* SPDX-License-Identifier: BSD-2-Clause */
/* See the header. */
#undef NDEBUG
#include "test_flow_packets.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"

static void flow_add(struct test_flow_packet *p, unsigned int n, const uint8_t *bytes)
{
	assert(p->n + n <= sizeof(p->bytes));
	memcpy(p->bytes + p->n, bytes, n);
	p->n += n;
}

static void flow_add_random(struct test_flow_packet *p, struct random *r, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		p->bytes[p->n++] = (uint8_t)random_next(r);
}

/* Extension headers, then TCP, UDP or something else. @at: of the field that tells the first. */
static void flow_add_extensions(struct test_flow_packet *p, struct random *r, uint32_t at)
{
	static const uint8_t kinds[] = { 0, 43, 44, 51, 60, 135, 139, 140 };
	static const uint8_t ends[] = { 6, 17, 58, 59 };
	unsigned int n = random_below(r, 5) ? random_below(r, 4) : 40;

	for (unsigned int i = 0; i < n && p->n + 100 < sizeof(p->bytes); i++) {
		uint8_t kind = kinds[random_below(r, ARRAY_SIZE(kinds))];
		uint32_t here = p->n;

		p->bytes[at] = kind;
		flow_add_random(p, r, 8);
		p->bytes[here + 1] = random_below(r, 4) ? 0 : (uint8_t)random_below(r, 3);
		if (kind == 44 && random_below(r, 2))
			memset(p->bytes + here + 2, 0, 2);
		if (kind == 51)
			p->bytes[here + 1] = 0;
		flow_add_random(p, r, kind == 44 ? 0 : p->bytes[here + 1] * 8u);
		at = here;
	}
	p->bytes[at] = ends[random_below(r, ARRAY_SIZE(ends))];
}

void test_flow_packet(struct test_flow_packet *p, struct random *r)
{
	static const uint8_t tags[][2] = { { 0x81, 0 }, { 0x88, 0xa8 }, { 0x91, 0 }, { 0x92, 0 },
		{ 0x88, 0x47 }, { 0x88, 0x64 }, { 0, 46 } };
	bool is_ipv6 = random_below(r, 2);
	uint32_t ip;

	*p = (struct test_flow_packet){ .n = 0 };
	flow_add_random(p, r, 12);
	for (unsigned int n = random_below(r, 5); n > 2; n--) {
		flow_add(p, 2, tags[random_below(r, ARRAY_SIZE(tags))]);
		flow_add_random(p, r, 2);
	}
	flow_add(p, 2, is_ipv6 ? (const uint8_t *)"\x86\xdd" : (const uint8_t *)"\x08\x00");
	ip = p->n;
	if (is_ipv6) {
		flow_add_random(p, r, 40);
		p->bytes[ip] = 0x60;
		if (random_below(r, 3) == 0)
			memcpy(p->bytes + ip + 24, p->bytes + ip + 8, 16);
		flow_add_extensions(p, r, ip + 6);
	} else {
		flow_add_random(p, r, 20);
		p->bytes[ip] = (uint8_t)(0x45 + (random_below(r, 3) ? 0 : random_below(r, 4)));
		if (random_below(r, 4))
			memset(p->bytes + ip + 6, 0, 2);
		if (random_below(r, 3) == 0)
			memcpy(p->bytes + ip + 16, p->bytes + ip + 12, 4);
		flow_add_random(p, r, (p->bytes[ip] & 0xfu) * 4 - 20);
		p->bytes[ip + 9] = random_below(r, 2) ? IPPROTO_TCP : IPPROTO_UDP;
		if (random_below(r, 10) == 0)
			flow_add_extensions(p, r, ip + 9);
	}
	flow_add_random(p, r, 20);
	if (is_ipv6) {
		uint32_t payload = p->n - ip - 40 - (random_below(r, 4) ? 0 : random_below(r, 30));

		p->bytes[ip + 4] = 0;
		p->bytes[ip + 5] = (uint8_t)(random_below(r, 8) ? payload : 0);
	} else {
		uint32_t total = p->n - ip - (random_below(r, 4) ? 0 : random_below(r, 30));

		p->bytes[ip + 2] = 0;
		p->bytes[ip + 3] = (uint8_t)(random_below(r, 8) ? total : 0);
	}
}
