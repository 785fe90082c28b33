/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tool finds out about the machine, as far as it can be given to it. */
#undef NDEBUG
#include "host.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "arguments.h"
#include "base/release.h"
#include "doctor.h"

/* In place of that of doctor.c, which prints. */
struct doctor_finding *doctor_add(struct doctor *d, const char *name, enum doctor_state state,
	const char *cost, const char *fix, const char *format, ...)
{
	struct doctor_finding *f = &d->findings[d->n_findings];

	assert_true(d->n_findings < sizeof(d->findings) / sizeof(d->findings[0]));
	*f = (struct doctor_finding){ .name = name, .state = state };
	d->n_findings++;
	return f;
}

static const char *test_release; /* of the kernel */

int __wrap_uname(struct utsname *ret);

int __wrap_uname(struct utsname *ret)
{
	*ret = (struct utsname){ .sysname = "Linux" };
	(void)snprintf(ret->release, sizeof(ret->release), "%s", test_release);
	return 0;
}

static int test_route(int (*route)(FILE *, char *), const char *text, char *ret_name)
{
	char copy[2048];
	FILE *in;
	int r;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	in = fmemopen(copy, strlen(copy), "r");
	assert_non_null(in);
	r = route(in, ret_name);
	fclose(in);
	return r;
}

#define TEST_HEAD4 "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"

static void test_route4(void **state)
{
	char name[IF_NAMESIZE] = "before";

	assert_int_equal(test_route(host_route4, TEST_HEAD4, name), -ENOENT);
	assert_int_equal(test_route(host_route4,
				 TEST_HEAD4 "eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"
					    "eth1\t00000000\t0102000A\t0002\t0\t0\t0\t00000000\n"
					    "eth2\t00000000\t00000000\t0201\t0\t0\t0\t00000000\n"
					    "eth3\t00000000\n"
					    "nonsense\n",
				 name),
		-ENOENT); /* no default route; one that is down; one that rejects; cut lines */
	assert_string_equal(name, "before");
	assert_int_equal(test_route(host_route4,
				 TEST_HEAD4 "wlan0\t00000000\t0102000A\t0003\t0\t0\t600\t00000000\n"
					    "eth0\t00000000\t0102000A\t0003\t0\t0\t100\t00000000\n"
					    "ppp0\t00000000\t0102000A\t0003\t0\t0\t700\t00000000\n",
				 name),
		0);
	assert_string_equal(name, "eth0");
}

#define TEST_ZERO "00000000000000000000000000000000"

static void test_route6(void **state)
{
	char name[IF_NAMESIZE] = "before";

	/* The unreachable one that every kernel has, and a route that is no default. */
	assert_int_equal(
		test_route(host_route6,
			TEST_ZERO " 00 " TEST_ZERO " 00 " TEST_ZERO
				  " ffffffff 00000001 00000000 00200200       lo\n"
				  "fe800000000000000000000000000000 40 " TEST_ZERO " 00 " TEST_ZERO
				  " 00000100 00000001 00000000 00000001     eth1\n",
			name),
		-ENOENT);
	assert_string_equal(name, "before");
	assert_int_equal(test_route(host_route6,
				 TEST_ZERO " 00 " TEST_ZERO " 00 fe800000000000000000000000000001"
					   " 00000400 00000001 00000000 00000003     eth0\n",
				 name),
		0);
	assert_string_equal(name, "eth0");
}

static void test_kinds(void **state)
{
	assert_string_equal(host_kind(ARPHRD_ETHER, false), "ethernet");
	assert_string_equal(host_kind(ARPHRD_ETHER, true), "wifi");
	assert_string_equal(host_kind(ARPHRD_NONE, false), "ip");
	assert_string_equal(host_kind(~0u, false), "other");
}

static void test_interfaces(void **state)
{
	struct host_interface *interfaces;
	unsigned int n, i;

	assert_int_equal(host_interfaces(&interfaces, &n), 0);
	for (i = 0; i < n; i++) {
		assert_true(*interfaces[i].name && interfaces[i].index);
		assert_true(!i || interfaces[i].index > interfaces[i - 1].index);
		if (!strcmp(interfaces[i].name, "lo"))
			assert_string_equal(interfaces[i].kind, "loopback");
	}
	free(interfaces);
}

static void test_advice(void **state)
{
	struct host_rights rights = { .daemon = HOST_DAEMON_NONE, .group = "watchers" };
	char text[256];

	host_advice(text, sizeof(text), &rights);
	assert_non_null(strstr(text, "systemctl start mapid"));
	rights.daemon = HOST_DAEMON_DENIED;
	host_advice(text, sizeof(text), &rights);
	assert_non_null(strstr(text, "usermod -aG watchers"));
	rights.member = true;
	host_advice(text, sizeof(text), &rights);
	assert_non_null(strstr(text, "log in again"));
	rights.raw = true;
	host_advice(text, sizeof(text), &rights);
	assert_string_equal(text, "");
}

static void test_seconds(void **state)
{
	static const char *const wrong[] = { "", "0", "-1", "1s", "inf", "nan", "0x10", "1e3",
		"99999999999", ".", "1.2.3", " 1" };
	uint64_t ms = 7;
	unsigned int i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(arguments_seconds("--test", wrong[i], &ms), -EINVAL);
	assert_int_equal(ms, 7);
	assert_int_equal(arguments_seconds("--test", "2", &ms), 0);
	assert_int_equal(ms, 2000);
	assert_int_equal(arguments_seconds("--test", "0.25", &ms), 0);
	assert_int_equal(ms, 250);
	assert_int_equal(arguments_seconds("--test", "0.0000001", &ms), 0);
	assert_int_equal(ms, 1);
}

static void test_doctor(void **state)
{
	struct doctor d = { .device = "no-such-device" };
	unsigned int i, missing = 0;

	assert_int_equal(release_number("6.1.0-18-amd64"), 6001);
	assert_int_equal(release_number("6.18.44"), 6018);
	assert_int_equal(release_number("unknown"), 0);
	test_release = "6.18.44";
	doctor_kernel(&d);
	doctor_rights(&d);
	assert_true(d.n_findings > 8);
	d.n_findings = 0;
	doctor_device(&d);
	for (i = 0; i < d.n_findings; i++)
		missing += !strcmp(d.findings[i].name, "device") &&
			d.findings[i].state == DOCTOR_MISSING;
	assert_int_equal(missing, 1);
}

/* What a kernel does not tell cannot be tried, and goes by its version. */
static void test_doctor_of_kernels(void **state)
{
	static const struct {
		const char *release;
		enum doctor_state kernel, super;
	} rows[] = {
		{ "5.10.0-35-amd64", DOCTOR_NOTE, DOCTOR_NOTE },
		{ "6.1.0-18-amd64", DOCTOR_OK, DOCTOR_NOTE },
		{ "6.2.1", DOCTOR_OK, DOCTOR_OK },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct doctor d = { .device = "no-such-device" };
		unsigned int n_found = 0;

		test_release = rows[i].release;
		doctor_kernel(&d);
		for (unsigned int f = 0; f < d.n_findings; f++) {
			bool is_super = strcmp(d.findings[f].name, "super-packets") == 0;

			if (!is_super && strcmp(d.findings[f].name, "kernel") != 0)
				continue;
			n_found++;
			assert_int_equal(
				d.findings[f].state, is_super ? rows[i].super : rows[i].kernel);
		}
		assert_int_equal(n_found, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route4),
		cmocka_unit_test(test_route6),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_interfaces),
		cmocka_unit_test(test_advice),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_doctor),
		cmocka_unit_test(test_doctor_of_kernels),
	};

	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
