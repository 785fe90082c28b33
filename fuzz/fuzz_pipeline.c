/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pipeline language: any text is either understood or refused with a place inside it; and once
 * more without memory for one of the allocations, which the text chooses.
 *
 * A first byte of space also puts a filter in front, of '\t' one line per expression: each line but
 * the first is NAME and arguments, in words, for a step that was not written as an expression.
 */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "tool/mapi/fake_functions.h"
#include "tool/mapi/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A line of @source behind the first: cut into words, which @source holds afterwards. */
static int fuzz_add_lines(struct pipeline_set *set, char *line, struct pipeline_error *error)
{
	int r = 0;

	while (line && r == 0) {
		char *next = strchr(line, '\n'), *word, *rest = NULL;
		const char *words[8];
		unsigned int n = 0;

		if (next)
			*next++ = '\0';
		for (word = strtok_r(line, " ", &rest); word && n < 8;
			word = strtok_r(NULL, " ", &rest))
			words[n++] = word;
		if (n)
			r = pipeline_add_step(set, set->n_pipelines - n % 2, false, words[0],
				words + 1, n - 1, NULL, fake_next, error);
		line = next;
	}
	return r;
}

static int fuzz_understand(struct pipeline_set *set, char *source, struct pipeline_error *error)
{
	char *lines = source[0] == '\t' ? strchr(source, '\n') : NULL;
	const char *arg = source;
	int r;

	if (lines)
		*lines++ = '\0';
	r = pipeline_parse(set, source, fake_next, error);
	if (r == 0 && source[0] == ' ')
		r = pipeline_add_step(
			set, 0, true, "BPF_FILTER", &arg, 1, source, fake_next, error);
	if (r == 0)
		r = fuzz_add_lines(set, lines, error);
	return r == 0 ? pipeline_resolve(set, error) : r;
}

/* Return: allocations. */
static unsigned int fuzz_run(const uint8_t *data, size_t size, unsigned int fail_in)
{
	struct pipeline_set set = { .n_pipelines = 0 };
	struct pipeline_error error = { .text = "" };
	char *source = malloc(size + 1);
	unsigned int i, n_allocations;
	bool failed;
	int r;

	assert(source);
	if (size)
		memcpy(source, data, size);
	source[size] = '\0';
	(void)pipeline_recognise(source, fake_next);
	fault_arm(fail_in);
	r = fuzz_understand(&set, source, &error);
	failed = fault_disarm(&n_allocations);
	assert(r == 0 || r == -EINVAL || (r == -ENOMEM && failed));
	assert(!failed || r == -ENOMEM);
	if (r == -EINVAL) {
		size_t text_bytes = 0;
		char *text = NULL;
		FILE *out = open_memstream(&text, &text_bytes);

		assert(out);
		assert(error.text[0]);
		if (error.place.source)
			assert(error.place.at + error.place.len <= strlen(error.place.source));
		pipeline_error_print(out, &error);
		fclose(out);
		free(text);
	}
	for (i = 0; r == 0 && i < set.n_order; i++)
		assert(set.order[i]->ordered);
	pipeline_set_deinit(&set);
	free(source);
	return n_allocations;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int chosen = 0, n_allocations;

	if (size > 4096)
		return 0;
	for (size_t i = 0; i < size; i++)
		chosen = chosen * 31 + data[i];
	n_allocations = fuzz_run(data, size, 0);
	(void)fuzz_run(data, size, chosen % n_allocations + 1);
	return 0;
}
