/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this build has been made without. Every optional part is a feature of meson_options.txt and
 * one entry here, so that programs can say what is missing, what that costs, and which switch
 * brings it back. build_config.h is made by meson.
 */
#ifndef MAPI_BASE_BUILD_H
#define MAPI_BASE_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/build_config.h"

/* Whether sanitizers watch: they need memory without limit, and look into the process. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BUILD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BUILD_SANITIZED 1
#endif
#endif
#ifndef BUILD_SANITIZED
#define BUILD_SANITIZED 0
#endif

/**
 * struct build_part - a part that a build may leave out
 * @option:   its name, that of the meson option
 * @is_built: whether this build has it
 * @function: the function (bare name) that is missing without it; NULL if none is
 * @cost:     what its absence costs, half a sentence
 */
struct build_part {
	const char *option;
	bool is_built;
	const char *function;
	const char *cost;
};

/* Return: part @index of all, NULL after the last. Any thread. */
static inline const struct build_part *build_part_at(size_t index)
{
	static const struct build_part parts[] = {
		{ "vectorscan", MAPI_WITH_VECTORSCAN, NULL,
			"STR_SEARCH looks for one string after the other" },
		{ "pcre2", MAPI_WITH_PCRE2, "REGEXP", "there is no REGEXP" },
		{ "zlib", MAPI_WITH_ZLIB, NULL, "captures compressed by gzip are refused" },
		{ "zstd", MAPI_WITH_ZSTD, NULL, "captures compressed by zstd are refused" },
		{ "lzma", MAPI_WITH_LZMA, NULL, "captures compressed by xz are refused" },
		{ "lz4", MAPI_WITH_LZ4, NULL, "captures compressed by lz4 are refused" },
		{ "kernel", MAPI_WITH_KERNEL, NULL, "every packet is looked at in user space" },
		{ "pcap-live", MAPI_WITH_PCAP_LIVE, NULL,
			"of live devices only network interfaces are opened" },
	};

	return index < sizeof(parts) / sizeof(parts[0]) ? &parts[index] : NULL;
}

/**
 * build_left_out() - the part whose absence explains that there is no such function
 * @name: "NAME", "library:NAME", either with a "!OID" behind it; case is ignored
 *
 * Return: the part; NULL if this build lacks no function of that name. Any thread.
 */
static inline const struct build_part *build_left_out(const char *name)
{
	const char *colon = strchr(name, ':');
	const char *bare = colon ? colon + 1 : name;
	size_t bare_len = strcspn(bare, "!");
	const struct build_part *part;

	for (size_t i = 0; (part = build_part_at(i)); i++)
		if (!part->is_built && part->function && strlen(part->function) == bare_len &&
			strncasecmp(part->function, bare, bare_len) == 0)
			return part;
	return NULL;
}

#endif
