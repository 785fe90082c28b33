/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the filter engine share: see filter.h for the idea. */
#ifndef MAPI_FILTER_PRIVATE_H
#define MAPI_FILTER_PRIVATE_H

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter.h"

/* Limits on what a client may ask for; libpcap's optimiser recurses once per block. */
#define FILTER_EXPRESSION_MAX 32768u
#define FILTER_INSNS_MAX 65536u

struct filter_program {
	unsigned int n_insns;
	struct bpf_insn insns[];
};

/* Copies @insns; checks nothing. */

int filter_program_copy(
	struct filter_program **ret, const struct bpf_insn *insns, unsigned int n_insns);

#endif
