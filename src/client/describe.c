/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptions of functions, fetched from the daemon once. They are kept until the process ends,
 * because programs keep pointers to them.
 */
#include <string.h>

#include "client.h"

/* Grows only; readers need no lock. */
static struct describe_table {
	struct mapi_function_desc *descs;
	_Atomic unsigned int n_descs;
} describe_table;

/* ---- copying a message; on failure what was copied so far is lost with the process ---- */

static const char *describe_text(const char *text, bool *failed)
{
	char *copy = strdup(text ? text : "");

	*failed |= !copy;
	return copy;
}

static bool describe_arg(struct mapi_arg *arg, const Wire__ArgDesc *m)
{
	struct mapi_choice *choices = NULL;
	bool failed = false;

	if (m->type > 127 || !strchr("ilcsrfwSR", (int)m->type) || m->type == 0)
		return false;
	if (m->n_choices > 0) {
		choices = calloc(m->n_choices, sizeof(*choices));
		if (!choices)
			return false;
		for (size_t i = 0; i < m->n_choices; i++)
			choices[i] = (struct mapi_choice){
				.name = describe_text(m->choices[i]->name, &failed),
				.value = m->choices[i]->value,
			};
	}
	*arg = (struct mapi_arg){
		.name = describe_text(m->name, &failed),
		.type = (enum mapi_arg_type)m->type,
		.default_text = m->has_default ? describe_text(m->default_text, &failed) : NULL,
		.min = m->min,
		.max = m->max,
		.error_code = m->error_code,
		.choices = choices,
		.n_choices = (unsigned int)m->n_choices,
		.help = describe_text(m->help, &failed),
		.legacy_optional = m->legacy_optional,
	};
	return !failed;
}

static bool describe_field(
	struct mapi_field *field, const Wire__FieldDesc *m, unsigned int end_bytes)
{
	static const unsigned char sizes[] = {
		[MAPI_FIELD_U16] = 2,
		[MAPI_FIELD_U32] = 4,
		[MAPI_FIELD_U64] = 8,
		[MAPI_FIELD_I32] = 4,
		[MAPI_FIELD_I64] = 8,
		[MAPI_FIELD_F64] = sizeof(double),
		[MAPI_FIELD_F80] = sizeof(long double),
		[MAPI_FIELD_TS] = 8,
		[MAPI_FIELD_IPV4] = 4,
		[MAPI_FIELD_KEY] = 22,
	};
	bool failed = false;

	if (m->type >= ARRAY_SIZE(sizes) || m->merge > MAPI_MERGE_LAST ||
		m->offset_bytes > end_bytes || end_bytes - m->offset_bytes < sizes[m->type])
		return false;
	*field = (struct mapi_field){
		.name = describe_text(m->name, &failed),
		.type = (enum mapi_field_type)m->type,
		.offset_bytes = m->offset_bytes,
		.merge = (enum mapi_merge)m->merge,
		.unit = describe_text(m->unit, &failed),
		.help = describe_text(m->help, &failed),
	};
	return !failed;
}

/* Whether a list, its head and its first record lie where they should. */
static bool describe_is_list(const Wire__FunctionDesc *m)
{
	bool counted = m->flags & MAPI_FUNCTION_COUNTED;

	return m->n_head_fields <= m->n_fields && m->record_bytes <= m->result_bytes &&
		m->list_offset_bytes <= m->result_bytes - m->record_bytes &&
		(!counted || m->list_offset_bytes >= sizeof(unsigned int));
}

/* Where field number @i of a function must end. */
static unsigned int describe_end(const Wire__FunctionDesc *m, size_t i)
{
	if (!m->record_bytes)
		return m->result_bytes;
	return m->list_offset_bytes + (i < m->n_head_fields ? 0 : m->record_bytes);
}

static bool describe_copy(struct mapi_function_desc *desc, const Wire__FunctionDesc *m)
{
	struct mapi_arg *args = calloc(m->n_args + 1, sizeof(*args));
	struct mapi_field *fields = calloc(m->n_fields + 1, sizeof(*fields));
	bool failed = !args || !fields || m->n_args > CLIENT_ARGS_MAX ||
		m->result_bytes > RING_RECORD_BYTES_MAX ||
		(m->record_bytes && !describe_is_list(m));

	for (size_t i = 0; i < m->n_args && !failed; i++)
		failed = !describe_arg(&args[i], m->args[i]);
	for (size_t i = 0; i < m->n_fields && !failed; i++)
		failed = !describe_field(&fields[i], m->fields[i], describe_end(m, i));
	*desc = (struct mapi_function_desc){
		.name = describe_text(m->name, &failed),
		.library = describe_text(m->library, &failed),
		.help = describe_text(m->help, &failed),
		.args = args,
		.n_args = (unsigned int)m->n_args,
		.fields = fields,
		.n_fields = (unsigned int)m->n_fields,
		.result_bytes = m->result_bytes,
		.flags = m->flags,
		.record_bytes = m->record_bytes,
		.list_offset_bytes = m->list_offset_bytes,
		.n_head_fields = m->n_head_fields,
		.example = describe_text(m->example, &failed),
	};
	return !failed;
}

/* ---- asking ---- */

static const Wire__Reply *describe_ask(struct engine *engine, const char *name)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__Describe describe = WIRE__DESCRIBE__INIT;
	const Wire__Reply *reply;

	describe.name = (char *)(uintptr_t)name;
	request.call_case = WIRE__REQUEST__CALL_DESCRIBE;
	request.describe = &describe;
	reply = engine_call(engine, &request, NULL, 0);
	if (reply && reply->result_case != WIRE__REPLY__RESULT_DESCRIBE) {
		client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
		return NULL;
	}
	return reply;
}

static int describe_load(struct engine *engine)
{
	struct mapi_function_desc *descs;
	const Wire__DescribeReply *m;
	const Wire__Reply *reply;

	if (describe_table.descs)
		return 0;
	reply = describe_ask(engine, "");
	if (!reply)
		return -1;
	m = reply->describe;
	descs = calloc(m->n_functions + 1, sizeof(*descs));
	if (!descs)
		return client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
	for (size_t i = 0; i < m->n_functions; i++)
		if (!describe_copy(&descs[i], m->functions[i])) {
			free(descs);
			return client_fail(MCOM_UNKNOWN_ERROR,
				"the daemon describes a function in a way that this library does "
				"not understand");
		}
	describe_table.descs = descs;
	atomic_store(&describe_table.n_descs, (unsigned int)m->n_functions);
	return 0;
}

static const struct mapi_function_desc *describe_look(const char *name)
{
	const char *colon = strchr(name, ':');
	const char *base = colon ? colon + 1 : name;
	size_t base_len = strcspn(base, "!");
	unsigned int n_descs = atomic_load(&describe_table.n_descs);

	for (unsigned int i = 0; i < n_descs; i++) {
		const struct mapi_function_desc *d = &describe_table.descs[i];

		if (strlen(d->name) != base_len || memcmp(d->name, base, base_len) != 0)
			continue;
		if (!colon ||
			(strlen(d->library) == (size_t)(colon - name) &&
				memcmp(d->library, name, (size_t)(colon - name)) == 0))
			return d;
	}
	return NULL;
}

const struct mapi_function_desc *describe_find(struct engine *engine, const char *name)
{
	const struct mapi_function_desc *desc;

	if (describe_load(engine) < 0)
		return NULL;
	desc = describe_look(name);
	/* The daemon knows what was probably meant. */
	if (!desc && describe_ask(engine, name))
		client_fail(MAPI_FUNCTION_NOT_FOUND, "there is no function '%s'", name);
	return desc;
}

MAPI_API const struct mapi_function_desc *mapi_describe_function(const char *name)
{
	const struct mapi_function_desc *desc = NULL;
	struct client_lock lock;
	struct engine *engine;

	if (!name) {
		client_fail(MFUNCT_COULD_NOT_APPLY_FUNCT, "the name of the function is NULL");
		return NULL;
	}
	if (atomic_load(&describe_table.n_descs) > 0) {
		desc = describe_look(name);
		if (desc)
			return desc;
	}
	client_lock(&lock);
	engine = client_engine();
	if (engine)
		desc = describe_find(engine, name);
	client_unlock(&lock);
	return desc;
}

MAPI_API const struct mapi_function_desc *mapi_describe_next_function(
	const struct mapi_function_desc *previous)
{
	unsigned int n_descs = atomic_load(&describe_table.n_descs);

	if (n_descs == 0) {
		struct client_lock lock;
		struct engine *engine;

		client_lock(&lock);
		engine = client_engine();
		if (engine)
			(void)describe_load(engine); /* the thread's error says why */
		client_unlock(&lock);
		n_descs = atomic_load(&describe_table.n_descs);
	}
	if (!previous)
		return n_descs > 0 ? &describe_table.descs[0] : NULL;
	for (unsigned int i = 0; i + 1 < n_descs; i++)
		if (&describe_table.descs[i] == previous)
			return &describe_table.descs[i + 1];
	return NULL;
}
