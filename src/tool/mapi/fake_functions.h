/* SPDX-License-Identifier: BSD-2-Clause */
/* A small table of functions for the tests and the fuzzer of the pipeline language. */
#ifndef MAPI_TOOL_FAKE_FUNCTIONS_H
#define MAPI_TOOL_FAKE_FUNCTIONS_H

#include "mapi/schema.h"

static const struct mapi_arg fake_filter_args[] = {
	{ .name = "expression", .type = MAPI_ARG_STRING, .help = "a pcap filter" },
};
static const struct mapi_arg fake_search_args[] = {
	{ .name = "pattern", .type = MAPI_ARG_STRING, .help = "what to search" },
	{ .name = "offset", .type = MAPI_ARG_INT, .default_text = "0", .min = 0, .max = 65535 },
	{ .name = "depth", .type = MAPI_ARG_INT, .default_text = "0", .min = 0, .max = 65535 },
};
static const struct mapi_choice fake_modes[] = { { "PERIODIC", 2 }, { "PROBABILISTIC", 3 } };
static const struct mapi_arg fake_sample_args[] = {
	{ .name = "value", .type = MAPI_ARG_INT },
	{ .name = "mode",
		.type = MAPI_ARG_INT,
		.default_text = "2",
		.choices = fake_modes,
		.n_choices = 2 },
};
static const struct mapi_choice fake_infos[] = { { "PKT_TS", 0 }, { "PKT_SIZE", 1 } };
static const struct mapi_arg fake_info_args[] = {
	{ .name = "what",
		.type = MAPI_ARG_INT,
		.min = 0,
		.max = 1,
		.choices = fake_infos,
		.n_choices = 2 },
};
static const struct mapi_arg fake_stats_args[] = {
	{ .name = "fd", .type = MAPI_ARG_FLOW },
	{ .name = "fid", .type = MAPI_ARG_FUNCTION },
	{ .name = "interval", .type = MAPI_ARG_STRING, .default_text = "0" },
};
static const struct mapi_choice fake_formats[] = { { "MFF_PCAP", 0 }, { "MFF_PCAPNG", 100 },
	{ "MFF_PCAP_NS", 101 } };
static const struct mapi_arg fake_file_args[] = {
	{ .name = "format", .type = MAPI_ARG_INT, .choices = fake_formats, .n_choices = 3 },
	{ .name = "path", .type = MAPI_ARG_FILE },
	{ .name = "limit", .type = MAPI_ARG_ULL, .default_text = "0" },
};
static const struct mapi_arg fake_export_args[] = {
	{ .name = "refs", .type = MAPI_ARG_REFS },
	{ .name = "separator", .type = MAPI_ARG_CHAR, .default_text = "32" },
	{ .name = "count", .type = MAPI_ARG_ULL, .default_text = "1", .min = 1, .max = 1000 },
};
static const struct mapi_arg fake_sync_args[] = {
	{ .name = "flows", .type = MAPI_ARG_FLOWS },
};
static const struct mapi_choice fake_operations[] = { { "BINOP_ADD", 0 }, { "BINOP_SUB", 1 } };
static const struct mapi_arg fake_binop_args[] = {
	{ .name = "operation",
		.type = MAPI_ARG_INT,
		.min = 0,
		.max = 1,
		.choices = fake_operations,
		.n_choices = 2 },
	{ .name = "fd1", .type = MAPI_ARG_FLOW },
	{ .name = "fid1", .type = MAPI_ARG_FUNCTION },
	{ .name = "fd2", .type = MAPI_ARG_FLOW },
	{ .name = "fid2", .type = MAPI_ARG_FUNCTION },
};
static const struct mapi_arg fake_threshold_args[] = {
	{ .name = "type", .type = MAPI_ARG_INT },
	{ .name = "fd", .type = MAPI_ARG_FLOW },
	{ .name = "fid", .type = MAPI_ARG_FUNCTION },
	{ .name = "threshold", .type = MAPI_ARG_ULL },
	{ .name = "boundary", .type = MAPI_ARG_INT },
	{ .name = "timeout",
		.type = MAPI_ARG_INT,
		.default_text = "0",
		.min = 0,
		.max = INT32_MAX },
	{ .name = "divider",
		.type = MAPI_ARG_INT,
		.default_text = "1",
		.min = 0,
		.max = INT32_MAX },
	{ .name = "count", .type = MAPI_ARG_INT, .default_text = "0", .min = 0, .max = INT32_MAX },
};
static const struct mapi_field fake_u64_fields[] = {
	{ .name = "value", .type = MAPI_FIELD_U64, .unit = "packets" },
};

#define FAKE(n, lib, a, ...)                                                                \
	{                                                                                   \
		.name = n, .library = lib, .args = a, .n_args = sizeof(a) / sizeof((a)[0]), \
		__VA_ARGS__                                                                 \
	}
static const struct mapi_function_desc fake_functions[] = {
	FAKE("BPF_FILTER", "stdflib", fake_filter_args, .flags = MAPI_FUNCTION_FILTERS),
	{ .name = "PKT_COUNTER",
		.library = "stdflib",
		.fields = fake_u64_fields,
		.n_fields = 1,
		.result_bytes = 8,
		.flags = MAPI_FUNCTION_REFERABLE },
	{ .name = "BYTE_COUNTER",
		.library = "stdflib",
		.fields = fake_u64_fields,
		.n_fields = 1,
		.result_bytes = 8,
		.flags = MAPI_FUNCTION_REFERABLE },
	FAKE("STR_SEARCH", "stdflib", fake_search_args, .flags = MAPI_FUNCTION_FILTERS),
	FAKE("SAMPLE", "stdflib", fake_sample_args, .flags = MAPI_FUNCTION_FILTERS),
	FAKE("PKTINFO", "stdflib", fake_info_args, .flags = MAPI_FUNCTION_REFERABLE),
	FAKE("STATS", "stdflib", fake_stats_args, .flags = 0),
	FAKE("TO_FILE", "stdflib", fake_file_args, .flags = 0),
	FAKE("BINOP", "stdflib", fake_binop_args, .fields = fake_u64_fields, .n_fields = 1,
		.result_bytes = 8, .flags = MAPI_FUNCTION_REFERABLE),
	FAKE("THRESHOLD", "stdflib", fake_threshold_args, .flags = MAPI_FUNCTION_FILTERS),
	FAKE("EXPORT", "otherlib", fake_export_args, .flags = 0),
	FAKE("SYNC", "stdflib", fake_sync_args, .flags = MAPI_FUNCTION_FILTERS),
};

static inline const struct mapi_function_desc *fake_next(const struct mapi_function_desc *previous)
{
	const struct mapi_function_desc *end =
		fake_functions + sizeof(fake_functions) / sizeof(fake_functions[0]);

	previous = previous ? previous + 1 : fake_functions;
	return previous < end ? previous : NULL;
}

#endif
