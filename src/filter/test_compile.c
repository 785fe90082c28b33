/* SPDX-License-Identifier: BSD-2-Clause */
/* Expressions: what is accepted, what is refused in which words, and for which link types. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filter_private.h"

static const uint8_t bytes_64[64];

static struct filter_program *compile(const char *text)
{
	struct error err = ERROR_INIT;
	struct filter_program *program = NULL;

	assert_int_equal(filter_compile(&program, text, 1, &err), 0);
	return program;
}

static bool accepts(const struct filter_program *program, const uint8_t *data, uint32_t cap_bytes,
	uint32_t wire_bytes)
{
	return bpf_filter(program->insns, data, wire_bytes, cap_bytes) != 0;
}

static void wrong_expressions_are_explained(void **state)
{
	static const struct {
		const char *text, *words;
	} table[] = {
		{ "tcp prt 80", "syntax error" },
		{ "port 99999999", "99999999" },
		{ "ip and not ip", "rejects all packets" },
		{ "host 1.2.3.4.5.6", "" },
		{ "tcp port 80 and\n)", "syntax error" },
		{ "ifindex 3", "ifindex" },
		{ "inbound and ifindex 3", "inbound" },
		{ "inbound and outbound", "inbound" },
		{ "ip[3", "" },
		{ "\x01\x02 tcp", "" },
	};
	struct filter_program *untouched = NULL;
	char *endless = malloc(100001);

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(filter_compile(&untouched, table[i].text, 1, &err), -EINVAL);
		assert_int_equal(err.code, 1025);
		assert_non_null(strstr(err.text, table[i].words));
		for (const char *c = err.text; *c; c++)
			assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
	}
	assert_int_equal(filter_compile(&untouched, "ip", 0xffffffff, NULL), -EINVAL);
	assert_non_null(endless);
	memset(endless, '(', 100000);
	endless[100000] = '\0';
	assert_int_equal(filter_compile(&untouched, endless, 1, NULL), -EINVAL);
	endless[30000] = '\0';
	assert_int_equal(filter_compile(&untouched, endless, 1, NULL), -EINVAL);
	free(endless);
	assert_null(untouched);
}

static void link_types_are_those_of_files(void **state)
{
	struct filter_program *program;
	static const uint8_t raw_ip[20] = { 0x45, [9] = 6 };

	assert_int_equal(filter_dlt(1), DLT_EN10MB);
	assert_int_equal(filter_dlt(101), DLT_RAW);
	assert_int_equal(filter_dlt(60000), 60000);
	assert_int_equal(filter_dlt(0xffffffff), -1);
	assert_int_equal(filter_compile(&program, "ip proto \\tcp", 101, NULL), 0);
	assert_true(accepts(program, raw_ip, 20, 20));
	filter_program_free(program);
	/* "vlan" reads the packet, not what a kernel keeps beside it */
	program = compile("vlan 5 and ip");
	assert_true(
		accepts(program, (const uint8_t[34]){ [12] = 0x81, 0, 0, 5, 8, 0, 0x45 }, 34, 34));
	filter_program_free(program);
	/* valid without a netmask: tcpdump takes that of a file for 0 */
	program = compile("ip broadcast");
	assert_true(accepts(program,
		(const uint8_t[34]){ [12] = 8, 0, 0x45, [30] = 255, 255, 255, 255 }, 34, 34));
	filter_program_free(program);
	/* the empty expression */
	program = compile("");
	assert_true(accepts(program, bytes_64, 0, 0));
	filter_program_free(program);
}

static bool asks_direction(const char *text, uint32_t linktype)
{
	struct filter_program *program;
	bool ret;

	assert_int_equal(filter_compile(&program, text, linktype, NULL), 0);
	ret = filter_program_asks_direction(program);
	filter_program_free(program);
	return ret;
}

static void directions_are_asked_of_who_knows_them(void **state)
{
	assert_true(asks_direction("inbound", 1));
	assert_true(asks_direction("outbound", 101));
	assert_true(asks_direction("vlan and not inbound and tcp port 80", 1));
	assert_false(asks_direction("ip", 1));
	/* what is a place in a packet for tcpdump -r stays one, though none has so many bytes */
	assert_false(asks_direction("ether[0xfffff004:2] = 4", 1));
	/* headers that say it themselves: Linux cooked capture, SLIP */
	assert_false(asks_direction("inbound", 113));
	assert_false(asks_direction("outbound", 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_expressions_are_explained),
		cmocka_unit_test(link_types_are_those_of_files),
		cmocka_unit_test(directions_are_asked_of_who_knows_them),
	};

	return cmocka_run_group_tests_name("filter compile", tests, NULL, NULL);
}
