/* SPDX-License-Identifier: BSD-2-Clause */
/* The pipeline language: any text is either understood or refused with a place inside it. */
#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tool/mapi/fake_functions.h"
#include "tool/mapi/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pipeline_set set = { .n_pipelines = 0 };
	struct pipeline_error error = { .text = "" };
	char *source, *text = NULL;
	size_t text_bytes = 0;
	unsigned int i;
	int r;

	if (size > 4096)
		return 0;
	source = malloc(size + 1);
	assert(source);
	if (size)
		memcpy(source, data, size);
	source[size] = '\0';
	(void)pipeline_recognise(source, fake_next);
	r = pipeline_parse(&set, source, fake_next, &error);
	if (r == 0 && size && data[0] == ' ') {
		const char *arg = source;

		r = pipeline_add_step(
			&set, 0, true, "BPF_FILTER", &arg, 1, source, fake_next, &error);
	}
	if (r == 0)
		r = pipeline_resolve(&set, &error);
	if (r < 0) {
		FILE *out = open_memstream(&text, &text_bytes);

		assert(error.text[0]);
		if (error.place.source)
			assert(error.place.at + error.place.len <= strlen(error.place.source));
		pipeline_error_print(out, &error);
		fclose(out);
		free(text);
	} else {
		for (i = 0; i < set.n_order; i++)
			assert(set.order[i]->ordered);
	}
	pipeline_set_deinit(&set);
	free(source);
	return 0;
}
