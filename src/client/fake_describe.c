/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions that the fake engine describes: see fake_engine.h. */
#undef NDEBUG
#include "fake_engine_private.h"

#include <string.h>

static const struct fake_function fake_functions[] = {
	{ .name = "PKT_COUNTER", .result_bytes = 8, .n_slots = 1 },
	{ .name = "BPF_FILTER", .args = { { "expression", 's', NULL, 0, 0, 7001, false } } },
	{ .name = "STR_SEARCH",
		.args = { { "pattern", 's', NULL, 0, 0, 7001, false },
			{ "offset", 'i', "0", 0, 65535, 7002, false },
			{ "depth", 'i', "0", 0, 65535, 7003, false } } },
	{ .name = "TO_BUFFER",
		.args = { { "wait", 'i', "0", 0, 1, 7001, true } },
		.flags = MAPI_FUNCTION_PACKETS,
		.has_ring = true },
	{ .name = "TO_FILE",
		.args = { { "format", 'i', NULL, 0, 0, 7001, false },
			{ "path", 'w', NULL, 0, 0, 6155, false },
			{ "limit", 'l', "0", 0, 0, 7003, false } } },
	{ .name = "STATS",
		.args = { { "fd", 'r', NULL, 0, 0, 7001, false },
			{ "fid", 'f', NULL, 0, 0, 7001, false },
			{ "interval", 's', "0", 0, 0, 7003, false } } },
	{ .name = "REFS", .args = { { "refs", 'S', NULL, 0, 0, 7002, false } } },
	{ .name = "FLOWS", .args = { { "flows", 'R', NULL, 0, 0, 7001, false } } },
	{ .name = "CHAR", .args = { { "char", 'c', "65", 0, 0, 7001, false } } },
	{ .name = "RECORDS",
		.result_bytes = 16,
		.flags = MAPI_FUNCTION_BLOCKING,
		.has_ring = true },
	{ .name = "MERGE", .result_bytes = 64, .n_slots = FAKE_MERGE_SLOTS },
};

const struct fake_function *fake_find(const char *name)
{
	const char *colon = strchr(name, ':');

	name = colon ? colon + 1 : name;
	for (size_t i = 0; i < ARRAY_SIZE(fake_functions); i++)
		if (strncmp(fake_functions[i].name, name, strcspn(name, "!")) == 0 &&
			strlen(fake_functions[i].name) == strcspn(name, "!"))
			return &fake_functions[i];
	return NULL;
}

static void fake_describe_fields(Wire__FunctionDesc *m, const struct fake_function *f)
{
	static const struct {
		unsigned int type, offset_bytes, merge;
	} merges[] = {
		{ MAPI_FIELD_U64, 0, MAPI_MERGE_SUM },
		{ MAPI_FIELD_U32, 8, MAPI_MERGE_MAX },
		{ MAPI_FIELD_I32, 12, MAPI_MERGE_MIN },
		{ MAPI_FIELD_F64, 16, MAPI_MERGE_SUM },
		{ MAPI_FIELD_U16, 24, MAPI_MERGE_LAST },
		{ MAPI_FIELD_F80, 32, MAPI_MERGE_SUM },
		{ MAPI_FIELD_I64, 48, MAPI_MERGE_MIN },
		{ MAPI_FIELD_TS, 56, MAPI_MERGE_MAX },
	};
	bool is_merge = strcmp(f->name, "MERGE") == 0;

	m->n_fields = f->n_slots == 0 ? 0 : is_merge ? ARRAY_SIZE(merges) : 1;
	m->fields = calloc(m->n_fields + 1, sizeof(*m->fields));
	for (size_t i = 0; i < m->n_fields; i++) {
		m->fields[i] = calloc(1, sizeof(**m->fields));
		wire__field_desc__init(m->fields[i]);
		m->fields[i]->name = (char *)(uintptr_t) "value";
		m->fields[i]->type = merges[is_merge ? i : 0].type;
		m->fields[i]->offset_bytes = merges[is_merge ? i : 0].offset_bytes;
		m->fields[i]->merge = merges[is_merge ? i : 0].merge;
	}
}

static Wire__FunctionDesc *fake_describe_one(const struct fake_function *f)
{
	static Wire__Choice choice = WIRE__CHOICE__INIT;
	static Wire__Choice *choices[] = { &choice };
	Wire__FunctionDesc *m = calloc(1, sizeof(*m));

	wire__function_desc__init(m);
	m->name = (char *)(uintptr_t)f->name;
	m->library = (char *)(uintptr_t) "stdflib";
	m->result_bytes = f->result_bytes;
	m->flags = f->flags;
	fake_describe_fields(m, f);
	m->args = calloc(ARRAY_SIZE(f->args), sizeof(*m->args));
	for (; f->args[m->n_args].name; m->n_args++) {
		const struct fake_arg *from = &f->args[m->n_args];
		Wire__ArgDesc *to = calloc(1, sizeof(*to));

		wire__arg_desc__init(to);
		to->name = (char *)(uintptr_t)from->name;
		to->type = (uint32_t)from->type;
		to->has_default = from->default_text != NULL;
		to->default_text =
			(char *)(uintptr_t)(from->default_text ? from->default_text : "");
		to->min = from->min;
		to->max = from->max;
		to->error_code = from->error_code;
		to->legacy_optional = from->legacy_optional;
		if (strcmp(f->name, "TO_BUFFER") == 0) {
			choice.name = (char *)(uintptr_t) "NOWAIT";
			choice.value = NOWAIT;
			to->choices = choices;
			to->n_choices = 1;
		}
		m->args[m->n_args] = to;
	}
	return m;
}

void fake_describe(const Wire__Request *request)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__DescribeReply body = WIRE__DESCRIBE_REPLY__INIT;
	Wire__FunctionDesc *descs[ARRAY_SIZE(fake_functions)];

	if (*request->describe->name && !fake_find(request->describe->name)) {
		fake_reply_error(request->id, 6144, "no such function; did you mean another?");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(fake_functions); i++)
		descs[i] = fake_describe_one(&fake_functions[i]);
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_DESCRIBE;
	reply.describe = &body;
	body.n_functions = ARRAY_SIZE(descs);
	body.functions = descs;
	fake_reply(&reply, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(descs); i++) {
		for (size_t k = 0; k < descs[i]->n_args; k++)
			free(descs[i]->args[k]);
		for (size_t k = 0; k < descs[i]->n_fields; k++)
			free(descs[i]->fields[k]);
		free(descs[i]->args);
		free(descs[i]->fields);
		free(descs[i]);
	}
}
