/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of the functions of this library, in the order in which users see them. */
#include "std.h"

#include "base/cleanup.h"

const struct function *const std_functions[] = {
	&std_bpf_filter,
	&std_str_search,
	&std_sample,
	&std_hashsamp,
	&std_startstop,
	&std_sync,
	&std_threshold,
	&std_pkt_counter,
	&std_byte_counter,
	&std_pktinfo,
	&std_hash,
	&std_gap,
	&std_binop,
	&std_stats,
	&std_dist,
	&std_burst,
	&std_bucket,
	&std_res2file,
	&std_to_buffer,
	&std_to_file,
	&std_cut,
};

const unsigned int std_n_functions = ARRAY_SIZE(std_functions);
