/* SPDX-License-Identifier: BSD-2-Clause */
/* What a function costs its user, and whether that is within the user's limits. */
#include <string.h>

#include "mapi/errors.h"
#include "requests_private.h"

/* A character of an expression or of strings to search for: programs, graphs, databases. The most
 * that was seen, of sets of short strings, is 280 bytes. */
#define REQUEST_TEXT_COST 256u

size_t request_text_bytes(const struct function *f, const struct function_value *values)
{
	size_t n_bytes = 0;

	for (unsigned int i = 0; i < f->desc.n_args; i++)
		if (f->desc.args[i].type == MAPI_ARG_STRING)
			n_bytes += strlen(values[i].text);
	return n_bytes;
}

size_t request_charged_bytes(
	const struct function *f, size_t result_bytes, size_t text_bytes, unsigned int n_workers)
{
	unsigned int n_states = f->merge && n_workers > 1 ? 1 + n_workers : 1;

	return sizeof(struct plan_instance) + f->instance_bytes + f->live_bytes +
		n_states * f->state_bytes + n_workers * f->memory_bytes +
		text_bytes * (f->filter || f->search ? REQUEST_TEXT_COST : 1) +
		(result_bytes ? results_slot_bytes(result_bytes) : 0) +
		(f->result_bytes_of ? result_bytes : 0);
}

int request_charge(const struct session *session, const struct function *f, size_t charged_bytes,
	size_t result_bytes, size_t text_bytes, struct error *err)
{
	const struct user *user = session->env.user;

	if (user->n_functions >= user->functions_max)
		return error_set(err, MAPI_QUOTA_EXCEEDED,
			"%s: this user's programs may have %u functions together", f->desc.name,
			user->functions_max);
	if (f->ring && user->n_rings >= user->rings_max)
		return error_set(err, MAPI_QUOTA_EXCEEDED,
			"%s: this user's programs may have %u functions with packets or records "
			"together",
			f->desc.name, user->rings_max);
	if (f->draining && user->n_writers >= user->writers_max)
		return error_set(err, MAPI_QUOTA_EXCEEDED,
			"%s: this user's programs may write %u files together", f->desc.name,
			user->writers_max);
	if (f->search && text_bytes > user->search_max_bytes - user->search_bytes)
		return error_set(err, MAPI_QUOTA_EXCEEDED,
			"%s: this user's programs may search for %u characters together",
			f->desc.name, user->search_max_bytes);
	if (result_bytes > user->result_max_bytes - user->result_bytes)
		return error_set(err, MAPI_QUOTA_EXCEEDED,
			"%s: the results of this user's programs may be %zu KiB together",
			f->desc.name, user->result_max_bytes >> 10);
	if (charged_bytes <= user->memory_max_bytes - user->memory_bytes)
		return 0;
	return error_set(err, MAPI_QUOTA_EXCEEDED,
		"%s: this user's programs have %llu MiB of memory, and may have %llu "
		"(max_memory_mb in mapi.conf)",
		f->desc.name, (unsigned long long)(user->memory_bytes >> 20),
		(unsigned long long)(user->memory_max_bytes >> 20));
}

int request_charge_filter(const struct user *user, unsigned int n_insns, struct error *err)
{
	if (n_insns <= user->filter_max_insns - user->filter_insns)
		return 0;
	return error_set(err, MAPI_QUOTA_EXCEEDED,
		"this filter is a program of %u instructions: those of all filters of this user's "
		"programs may be %u together, and %u of these are taken",
		n_insns, user->filter_max_insns, user->filter_insns);
}
