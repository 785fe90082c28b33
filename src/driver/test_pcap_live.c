/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices opened through libpcap, in a network namespace of the test's own: loopback, and a TAP
 * interface, which receives exactly what the test writes. Skipped without the right to have one.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver.h"
#include "mapi/errors.h"
#include "relay.h"

#define TAP "mapitest0"
#define FRAME_BYTES 64
#define S_NS 1000000000ull

static const char *no_right; /* why tests are skipped */

static int set_up(void **unused)
{
	(void)unused;
	if (unshare(CLONE_NEWNET) < 0)
		no_right = "no right to make a network namespace";
	return 0;
}

static void need_right(void)
{
	if (!no_right)
		return;
	print_message("skipped: %s\n", no_right);
	skip();
}

static void set_flags(const char *name, bool up)
{
	struct ifreq request = { .ifr_flags = up ? IFF_UP : 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

/* Return: -1 without /dev/net/tun. */
static int tap_new(void)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), TAP);
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int need_tap(void)
{
	int fd;

	need_right();
	fd = tap_new();
	if (fd < 0) {
		print_message("skipped: no right to make a TAP interface\n");
		skip();
	}
	return fd;
}

/* A frame that nobody answers, with @no in it. */
static void tap_send(int tap, uint32_t no)
{
	uint8_t frame[FRAME_BYTES] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5 };

	memcpy(frame + 14, &no, sizeof(no));
	assert_int_equal(write(tap, frame, sizeof(frame)), sizeof(frame));
}

static int open_device(struct driver_source **ret, const char *name,
	const struct driver_options *options, struct error *err)
{
	const struct driver_open_args args = {
		.name = name, .fd = -1, .batch_pkts = 7, .n_workers = 2, .options = options
	};

	*err = ERROR_INIT;
	assert_ptr_equal(driver_find(&args), &driver_pcap);
	return driver_pcap.open(ret, &args, err);
}

static struct driver_source *open_good(const char *name, const struct driver_options *options)
{
	struct driver_source *source = NULL;
	struct error err;

	if (open_device(&source, name, options, &err) != 0)
		fail_msg("%s", err.text);
	return source;
}

static struct driver_stats stats(const struct driver_source *source)
{
	struct driver_stats ret;

	driver_pcap.stats(source, &ret);
	return ret;
}

struct seen {
	uint64_t pkts;
	uint64_t ours; /* frames of tap_send() */
	uint32_t last_no;
	bool in_order;
	uint64_t first_ts_ns;
	uint32_t cap_bytes;
	uint32_t wire_bytes;
	uint32_t linktype;
};

static void see_batch(const struct packet_batch *batch, struct seen *ret)
{
	assert_true(batch->n >= 1 && batch->n <= 7 && batch->is_live);
	for (unsigned int i = 0; i < batch->n; i++) {
		uint32_t no;

		if (ret->pkts++ == 0)
			ret->first_ts_ns = batch->ts_ns[i];
		ret->linktype = batch->linktype;
		assert_int_equal(batch->wire_pkts[i], 1);
		assert_int_equal(batch->all_wire_bytes[i], batch->wire_bytes[i]);
		if (batch->cap_bytes[i] < 18 || batch->data[i][12] != 0x88 ||
			batch->data[i][13] != 0xb5)
			continue;
		memcpy(&no, batch->data[i] + 14, sizeof(no));
		ret->in_order = ret->ours == 0 || (ret->in_order && no > ret->last_no);
		ret->last_no = no;
		ret->ours++;
		ret->cap_bytes = batch->cap_bytes[i];
		ret->wire_bytes = batch->wire_bytes[i];
	}
}

/* Claim once; what comes is looked at twice. */
static int see(struct driver_source *source, struct seen *ret)
{
	static struct packet_batch batch;
	struct driver_chunk chunk;
	struct seen once = *ret;
	int r = driver_pcap.claim(source, &chunk);

	if (r != 0)
		return r;
	while (driver_pcap.next_batch(source, &chunk, &batch) == 0)
		see_batch(&batch, &once);
	driver_pcap.rewind(source, &chunk);
	while (driver_pcap.next_batch(source, &chunk, &batch) == 0)
		see_batch(&batch, ret);
	assert_memory_equal(&once, ret, sizeof(once));
	driver_pcap.release(source, &chunk);
	return 0;
}

/* Until @n of ours have come; ten seconds are for machines that are very busy. */
static void see_ours(struct driver_source *source, struct seen *ret, uint64_t n)
{
	uint64_t until_ns = clock_monotonic_ns() + 10 * S_NS;

	while (ret->ours < n && clock_monotonic_ns() < until_ns)
		assert_true(see(source, ret) != DRIVER_E_END);
	assert_int_equal(ret->ours, n);
}

static void see_state(struct driver_source *source, enum driver_state state)
{
	uint64_t until_ns = clock_monotonic_ns() + 10 * S_NS;
	struct seen seen = { .pkts = 0 };

	while (stats(source).state != state && clock_monotonic_ns() < until_ns)
		assert_true(see(source, &seen) != DRIVER_E_END);
	assert_int_equal(stats(source).state, state);
}

static void loopback_is_seen_once(void **unused)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t to_bytes = sizeof(to);
	struct driver_interface interface;
	struct driver_source *source;
	struct seen seen = { .pkts = 0 };
	uint64_t before_ns;
	int fd;

	(void)unused;
	need_right();
	set_flags("lo", true);
	source = open_good("pcap:lo", NULL);
	assert_int_equal(driver_pcap.interface(source, 0, &interface), 0);
	assert_int_equal(interface.linktype, 1);
	assert_int_equal(interface.ts_units_per_s, S_NS);
	assert_string_equal(interface.name, "lo");
	assert_int_equal(driver_pcap.interface(source, 1, &interface), -ENOENT);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &to_bytes), 0);
	before_ns = clock_realtime_ns();
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(sendto(fd, "mapi", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
	while (seen.pkts < 100)
		assert_true(see(source, &seen) != DRIVER_E_END);
	while (see(source, &seen) != DRIVER_E_IDLE)
		;
	assert_int_equal(seen.pkts, 100);
	assert_int_equal(seen.linktype, 1);
	/* The kernel's packet stamps may be a tick behind. */
	assert_true(seen.first_ts_ns + S_NS > before_ns &&
		seen.first_ts_ns < clock_realtime_ns() + S_NS);
	assert_int_equal(stats(source).state, DRIVER_UP);
	assert_int_equal(stats(source).outages, 0);
	close(fd);
	assert_null(driver_pcap.close(source));
	assert_null(driver_pcap.close(NULL));
}

static void snaplen_cuts_what_is_captured(void **unused)
{
	const struct driver_options options = { .driver = "pcap", .snaplen_bytes = 20 };
	int tap = need_tap();
	struct seen seen = { .pkts = 0 };
	struct driver_source *source;

	(void)unused;
	set_flags(TAP, true);
	source = open_good(TAP, &options);
	for (uint32_t i = 0; i < 500; i++)
		tap_send(tap, i);
	see_ours(source, &seen, 500);
	assert_true(seen.in_order);
	assert_int_equal(seen.cap_bytes, 20);
	assert_int_equal(seen.wire_bytes, FRAME_BYTES);
	driver_pcap.close(source);
	close(tap);
}

static void all_that_is_sent_is_delivered_or_reported(void **unused)
{
	const struct driver_options options = { .driver = "pcap", .ring_bytes = 1 << 20 };
	const uint64_t sent = 50000;
	int tap = need_tap();
	struct seen seen = { .pkts = 0 };
	struct driver_source *source;
	uint64_t until_ns = clock_monotonic_ns() + 10 * S_NS;

	(void)unused;
	set_flags(TAP, true);
	source = open_good("pcap:" TAP, &options);
	for (uint32_t i = 0; i < sent; i++)
		tap_send(tap, i); /* nobody reads meanwhile */
	while (seen.ours + stats(source).ring_lost_pkts < sent && clock_monotonic_ns() < until_ns)
		(void)see(source, &seen);
	assert_true(stats(source).ring_lost_pkts > 0);
	assert_true(seen.ours > 0 && seen.in_order);
	/* The interface's own packets (IPv6) may be lost, too. */
	assert_true(seen.ours + stats(source).ring_lost_pkts >= sent);
	assert_true(seen.ours + stats(source).ring_lost_pkts <= sent + 20);
	driver_pcap.close(source);
	close(tap);
}

static void an_interface_goes_down_and_comes_back(void **unused)
{
	int tap = need_tap();
	struct seen seen = { .pkts = 0 };
	struct driver_source *source;

	(void)unused;
	set_flags(TAP, true);
	source = open_good("pcap:" TAP, NULL);
	tap_send(tap, 1);
	see_ours(source, &seen, 1);
	set_flags(TAP, false);
	see_state(source, DRIVER_DOWN);
	assert_int_equal(stats(source).outages, 1);
	set_flags(TAP, true);
	see_state(source, DRIVER_UP);
	tap_send(tap, 2);
	see_ours(source, &seen, 2);
	assert_int_equal(stats(source).outages, 1);
	driver_pcap.close(source);
	close(tap);
}

static void an_interface_is_removed_and_made_again(void **unused)
{
	int tap = need_tap();
	struct seen seen = { .pkts = 0 };
	struct driver_source *source;

	(void)unused;
	set_flags(TAP, true);
	source = open_good("pcap:" TAP, NULL);
	tap_send(tap, 1);
	see_ours(source, &seen, 1);
	close(tap);
	see_state(source, DRIVER_GONE);
	tap = tap_new();
	assert_true(tap >= 0);
	see_state(source, DRIVER_DOWN);
	set_flags(TAP, true);
	see_state(source, DRIVER_UP);
	tap_send(tap, 2);
	see_ours(source, &seen, 2);
	assert_int_equal(stats(source).outages, 1);
	assert_int_equal(stats(source).n_interfaces, 1);
	driver_pcap.close(source);
	close(tap);
}

/* Nobody looks meanwhile. */
static void an_interface_is_replaced_by_another(void **unused)
{
	int tap = need_tap();
	struct seen seen = { .pkts = 0 };
	struct driver_source *source;
	uint64_t until_ns = clock_monotonic_ns() + 10 * S_NS;

	(void)unused;
	set_flags(TAP, true);
	source = open_good("pcap:" TAP, NULL);
	close(tap);
	tap = tap_new();
	assert_true(tap >= 0);
	set_flags(TAP, true);
	while (stats(source).outages == 0 && clock_monotonic_ns() < until_ns)
		(void)see(source, &seen);
	see_state(source, DRIVER_UP);
	tap_send(tap, 1);
	see_ours(source, &seen, 1);
	driver_pcap.close(source);
	close(tap);
}

static void a_device_may_be_down_at_first(void **unused)
{
	int tap = need_tap();
	struct seen seen = { .pkts = 0 };
	struct driver_source *source;

	(void)unused;
	source = open_good("pcap:" TAP, NULL);
	assert_int_equal(stats(source).state, DRIVER_DOWN);
	assert_int_equal(stats(source).outages, 0);
	assert_int_equal(see(source, &seen), DRIVER_E_IDLE);
	set_flags(TAP, true);
	see_state(source, DRIVER_UP);
	tap_send(tap, 1);
	see_ours(source, &seen, 1);
	driver_pcap.close(source);
	close(tap);
}

static void *wake_main(void *source)
{
	driver_pcap.wake(source);
	return NULL;
}

static void waking_ends_it(void **unused)
{
	struct driver_source *source;
	struct driver_chunk chunk;
	pthread_t thread;

	(void)unused;
	need_right();
	set_flags("lo", true);
	source = open_good("pcap:lo", NULL);
	assert_int_equal(driver_pcap.claim(source, &chunk), DRIVER_E_IDLE);
	assert_int_equal(pthread_create(&thread, NULL, wake_main, source), 0);
	while (driver_pcap.claim(source, &chunk) == DRIVER_E_IDLE)
		;
	assert_int_equal(driver_pcap.claim(source, &chunk), DRIVER_E_END);
	pthread_join(thread, NULL);
	driver_pcap.close(source);
}

static void what_libpcap_does_not_know_is_told_in_its_words(void **unused)
{
	struct driver_source *source = NULL;
	struct error err;

	(void)unused;
	need_right();
	assert_int_equal(open_device(&source, "pcap:nosuch0", NULL, &err), -EINVAL);
	assert_int_equal(err.code, MAPID_NO_DRIVER);
	assert_non_null(strstr(err.text, "pcap:nosuch0: libpcap cannot open it: "));
	assert_non_null(strstr(err.text, "No such device"));
	assert_null(strchr(err.text, '\n'));
	assert_null(source);
	assert_int_equal(open_device(&source, "trace.pcap", NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "mapi_create_offline_device()"));
}

static void who_may_not_is_told_so(void **unused)
{
	int status;
	pid_t pid;

	(void)unused;
	need_right();
	set_flags("lo", true);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct driver_source *source = NULL;
		struct error err;

		if (setresuid(65534, 65534, 65534) < 0)
			_exit(2);
		if (open_device(&source, "pcap:lo", NULL, &err) != -EINVAL)
			_exit(3);
		if (err.code != MAPI_NO_PERMISSION || strchr(err.text, '\n') ||
			strstr(err.text, "no such interface"))
			_exit(4);
		if (open_device(&source, "missing0", NULL, &err) != -EINVAL)
			_exit(5);
		_exit(strstr(err.text, "missing0: there is no such interface;") ? 0 : 6);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void which_devices_match(void **unused)
{
	static const char *const names[] = { "usbmon1", "dag0", "nflog", "bluetooth0",
		"dbus-system", "pcap:lo", "any" };
	struct driver_open_args args = { .fd = -1 };
	const struct driver_options options = { .driver = "pcap" };
	struct error err = ERROR_INIT;

	(void)unused;
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		args.name = names[i];
		assert_ptr_equal(driver_find(&args), &driver_pcap);
	}
	args.name = "lo";
	args.options = &options;
	assert_ptr_equal(driver_find(&args), &driver_pcap);
	args.options = NULL;
	assert_ptr_equal(driver_find(&args), &driver_afpacket);
	args.fd = 3;
	assert_ptr_equal(driver_find(&args), &driver_file);
	assert_null(driver_pcap.prepare);
	assert_int_equal(driver_pcap.relays(&args, &err), 0);
	/* For an engine that has been given a relay. */
	args = (struct driver_open_args){ .name = "any", .fd = -1, .n_fds = 1 };
	assert_ptr_equal(driver_find(&args), &driver_relay);
	args.name = "pcap:nfqueue:7";
	assert_int_equal(driver_pcap.relays(&args, &err), -EINVAL);
	assert_non_null(strstr(err.text, "use nflog"));
	assert_false(driver_pcap.lossless);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loopback_is_seen_once),
		cmocka_unit_test(snaplen_cuts_what_is_captured),
		cmocka_unit_test(all_that_is_sent_is_delivered_or_reported),
		cmocka_unit_test(an_interface_goes_down_and_comes_back),
		cmocka_unit_test(an_interface_is_removed_and_made_again),
		cmocka_unit_test(an_interface_is_replaced_by_another),
		cmocka_unit_test(a_device_may_be_down_at_first),
		cmocka_unit_test(waking_ends_it),
		cmocka_unit_test(what_libpcap_does_not_know_is_told_in_its_words),
		cmocka_unit_test(who_may_not_is_told_so),
		cmocka_unit_test(which_devices_match),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
