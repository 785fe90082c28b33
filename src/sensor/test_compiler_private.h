/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiler, with its real helper and with one that lies: compiler_helper_main() is wrapped
 * (--wrap), and does what test_lie says, if anything. Asked for what begins with "hang" it hangs.
 */
#ifndef MAPI_SENSOR_TEST_COMPILER_PRIVATE_H
#define MAPI_SENSOR_TEST_COMPILER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <pcap/bpf.h>

#include "compiler_private.h"
#include "filter/test_slow.h"

#define TEST_CODE 1025

/* Shared with the helpers. */
struct test_lie {
	bool told;
	struct compiler_answer head;
	uint8_t body[16384];
	size_t n_bytes; /* sent after the head, whatever it says */
};

extern struct test_lie *test_lie;
extern struct compiler *test_compiler;
extern int test_notify_fd; /* of the compiler; reading it waits */

int test_share(void **state); /* test_lie is there from now on */

/* A compiler, and a client of it. The end of both: neither a process nor a zombie is left. */
struct compiler_client *test_begin(void);
void test_end(struct compiler_client *client);
struct compiler_client *test_client(uid_t uid); /* another one */

/* Ask until there is an answer. */
int test_ask_for(struct compiler_client *client, const char *expression, uint32_t linktype,
	struct filter_program **ret, struct error *err);
int test_ask(struct compiler_client *client, const char *expression, struct filter_program **ret,
	struct error *err);
void test_works(struct compiler_client *client);

/* Processes of this name among our children, or (@grand) our children's. Return: how many. */
unsigned int test_find(const char *wanted, bool grand, pid_t *ret);
pid_t test_helper(void); /* the only one; 0: there is none */
void test_await_no_helper(void);
void test_kill(pid_t pid);

#endif
