/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * STR_SEARCH: passes packets that contain a byte string. A pure filter: the plan searches for the
 * patterns of all flows of the domain at once (search.h).
 */
#include <limits.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "search/search.h"
#include "std.h"

struct std_str_search_instance {
	struct search_pattern *pattern;
};

static int std_str_search_open(const struct function_open *open, struct error *err)
{
	struct std_str_search_instance *instance = open->instance;

	if (open->args[1].number < 0)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_2,
			"STR_SEARCH: offset %lld is negative; it counts from the first byte of the "
			"packet",
			open->args[1].number);
	if (open->args[2].number < 0)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_3,
			"STR_SEARCH: depth %lld is negative; 0 searches to the end of the packet",
			open->args[2].number);
	return search_pattern_new(&instance->pattern, open->args[0].text,
		(uint32_t)open->args[1].number, (uint32_t)open->args[2].number, err);
}

static void std_str_search_close(void *instance)
{
	struct std_str_search_instance *self = instance;

	self->pattern = search_pattern_free(self->pattern);
}

static struct search_pattern *std_str_search_search(const void *instance)
{
	const struct std_str_search_instance *self = instance;

	return self->pattern;
}

static const struct mapi_arg std_str_search_args[] = {
	{
		.name = "pattern",
		.type = MAPI_ARG_STRING,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "Text with |hex bytes| and backslash escapes; \"||\" separates "
			"alternatives.",
	},
	{
		.name = "offset",
		.type = MAPI_ARG_INT,
		.default_text = "0",
		.max = INT_MAX,
		.error_code = MFUNCT_INVALID_ARGUMENT_2,
		.help = "Where the search begins, in bytes from the start of the packet.",
	},
	{
		.name = "depth",
		.type = MAPI_ARG_INT,
		.default_text = "0",
		.max = INT_MAX,
		.error_code = MFUNCT_INVALID_ARGUMENT_3,
		.help = "How many bytes are searched; 0: to the end of the packet.",
	},
};

const struct function std_str_search = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "STR_SEARCH",
		.library = STD_LIBRARY,
		.help = "Passes the packets that contain a string.",
		.example = "STR_SEARCH(\"GET |2f|\") | PKT_COUNTER",
		.args = std_str_search_args,
		.n_args = ARRAY_SIZE(std_str_search_args),
		.flags = MAPI_FUNCTION_FILTERS,
	},
	.order = FUNCTION_FREE,
	.instance_bytes = sizeof(struct std_str_search_instance),
	.open = std_str_search_open,
	.close = std_str_search_close,
	.search = std_str_search_search,
};
