/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Search databases of a device, built by the compiler's helpers (compiler.h) while flows wait to be
 * connected. Each owner of flows has one, of all that its flows on the device search for; who comes
 * while one is being built waits for the next, which is for all that wait. Control thread, but
 * searches_free().
 */
#ifndef MAPI_SENSOR_SEARCHES_H
#define MAPI_SENSOR_SEARCHES_H

#include <stdbool.h>

#include "compiler.h"
#include "plan/plan.h"

struct searches;

enum searches_outcome {
	SEARCHES_E_AGAIN = 1, /* being built: ask again when searches_have_answered() */
	_SEARCHES_E_N
};

/* @compiler: outlives it. Return: 0, -ENOMEM. */
int searches_new(struct searches **ret, struct compiler *compiler);
struct searches *searches_free(struct searches *searches); /* abandons what is built; takes NULL */

/**
 * struct searches_wanted - flows of one device
 * @plan:   present plan, NULL: none
 * @flows:  those that are, or are to be, in the next one
 * @others: those that wait to be
 */
struct searches_wanted {
	const struct plan *plan;
	struct plan_flow **flows;
	unsigned int n_flows;
	struct plan_flow **others;
	unsigned int n_others;
};

/**
 * searches_get() - a database for flows
 * @owner: whose
 * @flow:  brings it to the next plan, unless that needs none
 *
 * Return: 0; SEARCHES_E_AGAIN; -EINVAL and what of compiler_build() has filled @err; -ENOMEM.
 */
int searches_get(struct searches *searches, const struct searches_wanted *wanted,
	unsigned int owner, struct plan_flow *flow, struct error *err);

/* How many databases have been taken over for @owner; and whether there is something new to who was
 * told to ask again when it was @n. */
uint64_t searches_n_answers(const struct searches *searches, unsigned int owner);
bool searches_have_answered(const struct searches *searches, unsigned int owner, uint64_t n);

/* The owner has no flow on the device any more. */
void searches_forget(struct searches *searches, unsigned int owner);

#endif
