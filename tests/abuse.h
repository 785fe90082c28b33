/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two halves of abuse share: abuse.c runs rounds and judges them, abuse_calls.c makes the
 * calls. */
#ifndef TESTS_ABUSE_H
#define TESTS_ABUSE_H

#include <mapi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define ABUSE_FLOWS 12
#define ABUSE_DEVICES 4
#define ABUSE_PIPES 2
#define ABUSE_FORGOTTEN_MAX 64

/* What a round does besides random calls. */
enum abuse_trait {
	ABUSE_SIGNALS = 1 << 0,
	ABUSE_KILL = 1 << 1, /* the daemon, once */
	ABUSE_FORK = 1 << 2,
	ABUSE_EXIT = 1 << 3 /* in the middle, by _exit(), exit() or a signal */
};

struct abuse {
	char **captures;
	unsigned int n_captures;
	unsigned int traits;
	_Atomic int flows[ABUSE_FLOWS];
	_Atomic int functions[ABUSE_FLOWS];
	_Atomic int forgotten[ABUSE_FORGOTTEN_MAX]; /* somebody may still wait for one of them */
	_Atomic unsigned int n_forgotten;
	_Atomic(char *) devices[ABUSE_DEVICES];
	char device_names[ABUSE_DEVICES][MAPI_STR_LENGTH];
	int pipes[ABUSE_PIPES][2];
	_Atomic unsigned int n_pipes;
	pthread_mutex_t names_lock;
	_Atomic bool over;
	_Atomic bool killed;
	_Atomic unsigned int ticks;
};

extern struct abuse abuse;

/* Of this thread's random numbers. */
extern _Thread_local uint64_t abuse_state;
uint32_t abuse_random(uint32_t below);

/* One call, or a few, or something else that the round's traits allow. */
void abuse_step(void);
void abuse_close_all(void);
/* Daemons that belong to this test, whoever has adopted them. */
void abuse_kill_daemons(void);

#endif
