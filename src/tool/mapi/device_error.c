/* SPDX-License-Identifier: BSD-2-Clause */
/* See device_error.h. */
#include "device_error.h"

#include <string.h>
#include <sys/stat.h>

#include "mapi.h"

#include "text.h"

/* Offer one name; the suggestion keeps a copy of it. */
static void device_error_offer(
	struct text_suggestion *s, const char *name, char best[MAPI_STR_LENGTH])
{
	text_suggest(s, name);
	if (s->best == name) {
		(void)snprintf(best, MAPI_STR_LENGTH, "%s", name);
		s->best = best;
	}
}

void device_error_advise(FILE *out, const char *message)
{
	char name[MAPI_STR_LENGTH], best[MAPI_STR_LENGTH];
	mapi_device_info_t info = { .id = -1 };
	struct text_suggestion s;
	struct stat st;

	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(message, ":"), message);
	s = TEXT_SUGGESTION(name, strlen(name));
	while (mapi_get_next_device_info(info.id, &info) == 0) {
		device_error_offer(&s, info.device, best);
		device_error_offer(&s, info.alias, best);
	}
	(void)mapi_read_error(&(int){ 0 }, NULL);
	if (stat(name, &st) == 0 && S_ISREG(st.st_mode)) {
		fputs("it is a file: -r reads capture files\n", out);
	} else if (text_suggested(&s) && strcmp(text_suggested(&s), name) != 0) {
		fputs("did you mean ", out);
		text_safe(out, text_suggested(&s));
		fputs("?\n", out);
	} else {
		fputs("\"mapi devices\" lists what there is\n", out);
	}
}
