/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by the tests of this library: made-up traffic, and running a function over it in any
 * split. The columns are filled by hand, so that these tests depend on no decoder.
 */
#ifndef MAPI_FUNCTION_STD_TEST_STD_PRIVATE_H
#define MAPI_FUNCTION_STD_TEST_STD_PRIVATE_H

#include "function/function.h"

struct ring_reader;

#define TEST_N_BATCHES 4
#define TEST_PACKET_BYTES 128
#define TEST_PAYLOAD_BYTES 20

enum test_kind {
	TEST_KIND_TCP4,
	TEST_KIND_UDP4,
	TEST_KIND_TCP6,
	TEST_KIND_ARP,
	TEST_KIND_FRAGMENT, /* a later one, of UDP over IPv4 */
	TEST_KIND_CUT, /* within the Ethernet header */
	TEST_KIND_EMPTY,
	_TEST_KIND_N
};

struct test_traffic {
	struct packet_batch batch[TEST_N_BATCHES];
	struct decode_columns decode[TEST_N_BATCHES];
	struct packet_mask selection[TEST_N_BATCHES];
	uint64_t source[TEST_N_BATCHES][PACKET_BATCH_MAX]; /* values of a function referred to */
	uint64_t second[TEST_N_BATCHES][PACKET_BATCH_MAX]; /* and of a second one */
	uint8_t bytes[TEST_N_BATCHES][PACKET_BATCH_MAX][TEST_PACKET_BYTES];
};

/* One of each kind, and more at random; batches of 256, 1, 70 and 256 packets. */
struct test_traffic *test_traffic_new(unsigned int seed);

/* Packet @i of batch @b becomes one of @kind; both directions of flow number @flow. */
void test_packet(struct test_traffic *t, unsigned int b, unsigned int i, enum test_kind kind,
	unsigned int flow, bool backwards);

/* How the packets of a batch are handed to process(). */
enum test_split { TEST_SPLIT_WHOLE, TEST_SPLIT_SINGLE, TEST_SPLIT_RANDOM, _TEST_SPLIT_N };

/* An applied function and what running it has given. */
struct test_run {
	const struct function *function;
	struct error error;
	_Alignas(16) unsigned char instance[128];
	_Alignas(16) unsigned char state[256];
	size_t result_bytes;
	_Alignas(16) unsigned char result[1024];
	struct packet_mask passed[TEST_N_BATCHES];
	uint64_t column[TEST_N_BATCHES][PACKET_BATCH_MAX];
	unsigned int n_resets;
	uint64_t deadline_ns; /* what tick() has asked for */
};

/* A number for INT and ULL arguments, a text for the others. */
struct function_value test_number(long long number);
struct function_value test_text(const char *text);

int test_open(struct test_run *run, const struct function *function,
	const struct function_value args[], unsigned int n_args, bool lossless);
void test_close(struct test_run *run);

/* Zero the state and run batches [first_batch, end_batch). */
void test_run(struct test_run *run, const struct test_traffic *t, unsigned int first_batch,
	unsigned int end_batch, enum test_split split, bool with_column);

/* Run one range, keeping the state; time passes before packets as in a plan. */
void test_process(struct test_run *run, const struct test_traffic *t, unsigned int b,
	unsigned int first, unsigned int n, bool with_column);

/* The function gives the same in whole batches, packet by packet, in random ranges, with a column
 * and without. */
void test_any_split(const struct test_traffic *t, const struct function *function,
	const struct function_value args[], unsigned int n_args, bool lossless);

void test_reset(struct test_run *run);
void test_read(struct test_run *run);
void test_assert_same_result(const struct test_run *a, const struct test_run *b);

/* A reader of the ring of the opened function; the caller frees it with ring_reader_free(). */
struct ring_reader *test_ring_reader(struct test_run *run);

/* Passed packets and column of batches [first_batch, end_batch) are those of @b. */
void test_assert_same_packets(const struct test_run *a, const struct test_run *b,
	unsigned int first_batch, unsigned int end_batch);

#endif
