/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The standard function library, "stdflib": one file per function; std.c is the list.
 * A new function: write its file, declare its descriptor here, add it to the list in std.c.
 */
#ifndef MAPI_FUNCTION_STD_STD_H
#define MAPI_FUNCTION_STD_STD_H

#include "function/function.h"

#define STD_LIBRARY "stdflib"

extern const struct function std_binop;
extern const struct function std_bpf_filter;
extern const struct function std_burst;
extern const struct function std_bucket;
extern const struct function std_byte_counter;
extern const struct function std_cut;
extern const struct function std_dist;
extern const struct function std_gap;
extern const struct function std_hash;
extern const struct function std_hashsamp;
extern const struct function std_pkt_counter;
extern const struct function std_pktinfo;
extern const struct function std_res2file;
extern const struct function std_sample;
extern const struct function std_startstop;
extern const struct function std_stats;
extern const struct function std_str_search;
extern const struct function std_sync;
extern const struct function std_threshold;
extern const struct function std_to_buffer;
extern const struct function std_to_file;

extern const struct function *const std_functions[];
extern const unsigned int std_n_functions;

#endif
