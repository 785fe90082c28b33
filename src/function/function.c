/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of function libraries and the look-up of functions by name: see function.h. */
#include "function.h"

#include <ctype.h>
#include <string.h>

#include "base/cleanup.h"
#include "dag/dag.h"
#include "extra/extra.h"
#include "std/std.h"

static const struct function_library {
	const struct function *const *functions;
	const unsigned int *n_functions;
} function_libraries[] = {
	/* In order of look-up. */
	{ std_functions, &std_n_functions },
	{ extra_functions, &extra_n_functions },
	{ dag_functions, &dag_n_functions },
};

const struct function *function_at(unsigned int index)
{
	for (size_t l = 0; l < ARRAY_SIZE(function_libraries); l++) {
		if (index < *function_libraries[l].n_functions)
			return function_libraries[l].functions[index];
		index -= *function_libraries[l].n_functions;
	}
	return NULL;
}

const struct function *function_find(const char *name)
{
	const char *colon = strchr(name, ':');
	const char *base = colon ? colon + 1 : name;
	size_t base_len = strcspn(base, "!");

	for (unsigned int i = 0;; i++) {
		const struct function *f = function_at(i);

		if (!f)
			return NULL;
		if (strlen(f->desc.name) != base_len || strncmp(f->desc.name, base, base_len) != 0)
			continue;
		if (!colon ||
			(strlen(f->desc.library) == (size_t)(colon - name) &&
				strncmp(f->desc.library, name, (size_t)(colon - name)) == 0))
			return f;
	}
}

/* Levenshtein distance without regard to case; names longer than 63 bytes are never near. */
static unsigned int function_distance(const char *a, const char *b)
{
	unsigned int row[64];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > 63 || b_len > 63)
		return 64;
	for (unsigned int j = 0; j <= b_len; j++)
		row[j] = j;
	for (unsigned int i = 1; i <= a_len; i++) {
		unsigned int diagonal = row[0];

		row[0] = i;
		for (unsigned int j = 1; j <= b_len; j++) {
			unsigned int above = row[j];
			bool same = toupper((unsigned char)a[i - 1]) ==
				toupper((unsigned char)b[j - 1]);

			row[j] = MIN(MIN(row[j] + 1, row[j - 1] + 1), diagonal + (same ? 0 : 1));
			diagonal = above;
		}
	}
	return row[b_len];
}

const char *function_suggest(const char *name)
{
	const char *best = NULL;
	unsigned int best_distance = 1 + (unsigned int)strlen(name) / 3;

	for (unsigned int i = 0;; i++) {
		const struct function *f = function_at(i);
		unsigned int distance;

		if (!f)
			return best;
		distance = function_distance(name, f->desc.name);
		if (distance <= best_distance && (!best || distance < best_distance)) {
			best = f->desc.name;
			best_distance = distance;
		}
	}
}
