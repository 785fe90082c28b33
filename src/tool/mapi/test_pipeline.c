/* SPDX-License-Identifier: BSD-2-Clause */
/* The pipeline language: what is accepted, how it is typed, and what is said about mistakes. */
#undef NDEBUG
#include "pipeline.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_functions.h"
#include "text.h"

/* The set as text: "NAME(arg,arg)@label" with references as &pipeline.position; then "|" and ";".
 */
static char *dump(const struct pipeline_set *set)
{
	char *text = NULL;
	size_t text_bytes, n_refs;
	FILE *out = open_memstream(&text, &text_bytes);
	unsigned int i, j, k, l, position;

	for (i = 0; i < set->n_pipelines; i++)
		for (j = 0; j < set->pipelines[i].n_steps; j++) {
			const struct pipeline_step *step = set->pipelines[i].steps[j];

			fprintf(out, "%s%s(", j ? "|" : i ? ";" : "", step->desc->name);
			for (k = 0; k < step->n_args; k++) {
				const struct pipeline_arg *arg = &step->args[k];

				fputs(k ? "," : "", out);
				n_refs = arg->n_refs;
				for (l = 0; l < n_refs; l++) {
					const struct pipeline *to =
						&set->pipelines[arg->refs[l]->number];

					for (position = 0; to->steps[position] != arg->refs[l];
						position++)
						;
					fprintf(out, "&%u.%u", arg->refs[l]->number, position);
				}
				if (!n_refs)
					fputs(arg->text, out);
			}
			fprintf(out, ")%s%s", step->label ? "@" : "",
				step->label ? step->label : "");
		}
	fclose(out);
	return text;
}

static void accepted_line(const char *source, const char *expected, int line)
{
	struct pipeline_set set = { .n_pipelines = 0 };
	struct pipeline_error error;
	char *text;

	if (pipeline_parse(&set, source, fake_next, &error) < 0 ||
		pipeline_resolve(&set, &error) < 0) {
		pipeline_error_print(stderr, &error);
		fail_msg("line %d: %s", line, source);
	}
	text = dump(&set);
	if (strcmp(text, expected) != 0)
		fail_msg("line %d: %s\n gives %s\n not   %s", line, source, text, expected);
	free(text);
	pipeline_set_deinit(&set);
}
#define accepted(source, expected) accepted_line(source, expected, __LINE__)

/* @expected: the printed error. */
static void refused_line(const char *source, const char *expected, int line)
{
	struct pipeline_set set = { .n_pipelines = 0 };
	struct pipeline_error error;
	char *text = NULL;
	size_t text_bytes;
	FILE *out;
	int r = pipeline_parse(&set, source, fake_next, &error);

	r = r < 0 ? r : pipeline_resolve(&set, &error);
	if (r != -EINVAL)
		fail_msg("line %d: accepted: %s", line, source);
	out = open_memstream(&text, &text_bytes);
	pipeline_error_print(out, &error);
	fclose(out);
	if (strcmp(text, expected) != 0)
		fail_msg("line %d: %s\n says\n%s not\n%s", line, source, text, expected);
	free(text);
	pipeline_set_deinit(&set);
}
#define refused(source, expected) refused_line(source, expected, __LINE__)

static void test_steps_and_pipelines(void **state)
{
	accepted("PKT_COUNTER", "PKT_COUNTER()");
	accepted(" pkt_counter ( ) ", "PKT_COUNTER()");
	accepted("stdflib:PKT_COUNTER|Byte_Counter", "PKT_COUNTER()|BYTE_COUNTER()");
	accepted("PKT_COUNTER;BYTE_COUNTER;", "PKT_COUNTER();BYTE_COUNTER()");
	accepted("PKT_COUNTER @n\n|\n\tBYTE_COUNTER@bytes", "PKT_COUNTER()@n|BYTE_COUNTER()@bytes");
}

static void test_arguments_are_typed(void **state)
{
	accepted("SAMPLE(20, PERIODIC)", "SAMPLE(20,2)");
	accepted("SAMPLE(20, probabilistic)", "SAMPLE(20,3)");
	accepted("SAMPLE(20)", "SAMPLE(20)");
	accepted("SAMPLE(mode=PERIODIC, value=2k)", "SAMPLE(2000,2)");
	accepted("SAMPLE('3')", "SAMPLE(3)");
	accepted("SAMPLE(0x10)|SAMPLE(-5)|SAMPLE(+7)|SAMPLE(1M)|SAMPLE(1G)",
		"SAMPLE(16)|SAMPLE(-5)|SAMPLE(7)|SAMPLE(1000000)|SAMPLE(1000000000)");
	accepted("PKTINFO(size)", "PKTINFO(1)");
	accepted("PKTINFO(PKT_TS)", "PKTINFO(0)");
	accepted("TO_FILE(pcap, /tmp/x.pcap)|TO_FILE(pcap_ns, 'a b', 18446744073709551615)",
		"TO_FILE(0,/tmp/x.pcap)|TO_FILE(101,a b,18446744073709551615)");
	accepted("STR_SEARCH(pattern=\"www\", depth=1500)", "STR_SEARCH(www,0,1500)");
	accepted("STR_SEARCH(www.example.com)", "STR_SEARCH(www.example.com)");
}

static void test_strings_have_escapes(void **state)
{
	accepted("STR_SEARCH(\"a\\\"b\\\\c\\n\\t\\r\")", "STR_SEARCH(a\"b\\c\n\t\r)");
	accepted("STR_SEARCH(\"|41 42|\\.\\|\")", "STR_SEARCH(|41 42|\\.\\|)");
	accepted("STR_SEARCH('it\\'s \\n \\\\')", "STR_SEARCH(it's \\n \\)");
	accepted("STR_SEARCH(\"\")", "STR_SEARCH()");
}

static void test_references(void **state)
{
	accepted("PKTINFO(1) @size | STATS(size, \"0\")", "PKTINFO(1)@size|STATS(&0.0,&0.0,0)");
	accepted("PKTINFO(1)|STATS(1, 1)", "PKTINFO(1)|STATS(&0.0,&0.0)");
	accepted("PKTINFO(1)@s|STATS(interval=5, fd=s)", "PKTINFO(1)@s|STATS(&0.0,&0.0,5)");
	accepted("PKT_COUNTER@a;STATS(a)", "PKT_COUNTER()@a;STATS(&0.0,&0.0)");
	accepted("STATS(a);PKT_COUNTER@a", "STATS(&1.0,&1.0);PKT_COUNTER()@a");
	accepted("PKT_COUNTER@a|STATS(b);STATS(a)|PKT_COUNTER@b",
		"PKT_COUNTER()@a|STATS(&1.1,&1.1);STATS(&0.0,&0.0)|PKT_COUNTER()@b");
	accepted("PKT_COUNTER@a|BYTE_COUNTER@b|EXPORT('a, b,2@1')",
		"PKT_COUNTER()@a|BYTE_COUNTER()@b|EXPORT(&0.0&0.1&0.1)");
	accepted("PKT_COUNTER@a|EXPORT(a,',',5)", "PKT_COUNTER()@a|EXPORT(&0.0,44,5)");
	accepted("EXPORT('')", "EXPORT()");
	/* Of flows the first function stands for all, and none has to be applied before. */
	accepted("PKT_COUNTER|SYNC('1 , b,1');BPF_FILTER(x)|BYTE_COUNTER@b",
		"PKT_COUNTER()|SYNC(&0.0&1.0&0.0);BPF_FILTER(x)|BYTE_COUNTER()@b");
}

static void test_order_of_application(void **state)
{
	struct pipeline_set set = { .n_pipelines = 0 };
	struct pipeline_error error;

	assert_int_equal(pipeline_parse(&set, "STATS(a)|PKT_COUNTER", fake_next, &error), 0);
	assert_int_equal(pipeline_parse(&set, "BYTE_COUNTER @a", fake_next, &error), 0);
	assert_int_equal(pipeline_resolve(&set, &error), 0);
	assert_int_equal(set.n_order, 3);
	assert_string_equal(set.order[0]->desc->name, "BYTE_COUNTER");
	assert_string_equal(set.order[1]->desc->name, "STATS");
	assert_string_equal(set.order[2]->desc->name, "PKT_COUNTER");
	assert_int_equal(set.order[0]->number, 1);
	pipeline_set_deinit(&set);
}

static void test_added_steps(void **state)
{
	struct pipeline_set set = { .n_pipelines = 0 };
	struct pipeline_error error;
	const char *filter = "tcp", *file[] = { "MFF_PCAP", "/tmp/out", "5" };
	char *text;

	assert_int_equal(pipeline_parse(&set, "PKTINFO(1)|STATS(1,1)", fake_next, &error), 0);
	assert_int_equal(pipeline_add_step(&set, 0, true, "BPF_FILTER", &filter, 1, filter,
				 fake_next, &error),
		0);
	assert_int_equal(
		pipeline_add_step(&set, 0, false, "TO_FILE", file, 3, NULL, fake_next, &error), 0);
	assert_int_equal(
		pipeline_add_step(&set, 1, false, "PKT_COUNTER", NULL, 0, NULL, fake_next, &error),
		0);
	assert_int_equal(
		pipeline_add_step(&set, 1, false, "NONE", NULL, 0, NULL, fake_next, &error),
		-EINVAL);
	assert_int_equal(
		pipeline_add_step(&set, 1, false, "SAMPLE", &filter, 1, NULL, fake_next, &error),
		-EINVAL);
	assert_int_equal(
		pipeline_add_step(&set, 1, false, "SAMPLE", NULL, 0, NULL, fake_next, &error),
		-EINVAL);
	assert_int_equal(pipeline_resolve(&set, &error), 0);
	text = dump(&set);
	assert_string_equal(text,
		"BPF_FILTER(tcp)|PKTINFO(1)|STATS(&0.1,&0.1)|TO_FILE(0,/tmp/out,5);PKT_COUNTER()");
	free(text);
	pipeline_set_deinit(&set);
}

static void test_syntax_errors(void **state)
{
	refused("", "The expression ends where a function is expected\n  \n  ^\n");
	refused("PKT_COUNTER |",
		"The expression ends where a function is expected\n"
		"  PKT_COUNTER |\n"
		"               ^\n");
	refused("PKT_COUNTER || BYTE_COUNTER",
		"a function is expected here\n"
		"  PKT_COUNTER || BYTE_COUNTER\n"
		"               ^\n");
	refused("PKT_COUNTER BYTE_COUNTER",
		"\"|\" or \";\" is expected here\n"
		"  PKT_COUNTER BYTE_COUNTER\n"
		"              ^~~~~~~~~~~~\n");
	refused("SAMPLE(20 3)", "\",\" or \")\" is expected here\n  SAMPLE(20 3)\n            ^\n");
	refused("SAMPLE(20,",
		"The expression ends where an argument is expected\n  SAMPLE(20,\n            ^\n");
	refused("SAMPLE(20,)", "an argument is expected here\n  SAMPLE(20,)\n            ^\n");
	refused("SAMPLE(value=)", "a value is expected here\n  SAMPLE(value=)\n               ^\n");
	refused("STR_SEARCH(\"abc)",
		"The string is not closed: \" is missing\n  STR_SEARCH(\"abc)\n             ^\n");
	refused("PKT_COUNTER @",
		"The expression ends where a label (letters, digits, _) is expected\n"
		"  PKT_COUNTER @\n               ^\n");
	refused("PKT_COUNTER @1a",
		"a label (letters, digits, _) is expected here\n"
		"  PKT_COUNTER @1a\n               ^~\n");
	refused("PKT_COUNTER;;", "a function is expected here\n  PKT_COUNTER;;\n              ^\n");
	refused("PKT_COUNTER |\n\tSAMPLE(x\001)",
		"\"value\" of SAMPLE must be a number, not \"x\\x01\"\n"
		"   SAMPLE(x )\n          ^~\n");
}

static void test_names_are_suggested(void **state)
{
	refused("PKT_COUNTR",
		"There is no function \"PKT_COUNTR\"\n"
		"  PKT_COUNTR\n  ^~~~~~~~~~\ndid you mean PKT_COUNTER?\n");
	refused("XYZZY(1)",
		"There is no function \"XYZZY\"\n"
		"  XYZZY(1)\n  ^~~~~\n\"mapi functions\" lists them\n");
	refused("otherlib:PKT_COUNTER",
		"There is no function \"otherlib:PKT_COUNTER\"\n"
		"  otherlib:PKT_COUNTER\n  ^~~~~~~~~~~~~~~~~~~~\n"
		"did you mean PKT_COUNTER?\n");
	refused("SAMPLE(20, PERIODC)",
		"\"mode\" of SAMPLE must be a number or a name, not \"PERIODC\"\n"
		"  SAMPLE(20, PERIODC)\n             ^~~~~~~\n"
		"did you mean PERIODIC?\n");
	refused("SAMPLE(20, often)",
		"\"mode\" of SAMPLE must be a number or a name, not \"often\"\n"
		"  SAMPLE(20, often)\n             ^~~~~\n"
		"one of PERIODIC, PROBABILISTIC\n");
	refused("SAMPLE(valu=20)",
		"SAMPLE has no argument \"valu\"\n"
		"  SAMPLE(valu=20)\n         ^~~~\ndid you mean value?\n");
	refused("PKTINFO(1) @size | STATS(siez)",
		"There is no label \"siez\"\n"
		"  PKTINFO(1) @size | STATS(siez)\n"
		"                           ^~~~\ndid you mean size?\n");
}

static void test_argument_errors(void **state)
{
	refused("BPF_FILTER",
		"BPF_FILTER needs the argument \"expression\"\n  BPF_FILTER\n  ^~~~~~~~~~\n"
		"expression: a pcap filter\n");
	refused("PKT_COUNTER(1)",
		"PKT_COUNTER takes 0 arguments\n  PKT_COUNTER(1)\n              ^\n");
	refused("SAMPLE(1,2,3)",
		"SAMPLE takes at most 2 arguments\n  SAMPLE(1,2,3)\n             ^\n");
	refused("SAMPLE(1, value=2)",
		"The argument \"value\" is given twice\n"
		"  SAMPLE(1, value=2)\n            ^~~~~\n");
	refused("SAMPLE(value=1, 2)",
		"An argument without a name can't follow one with a name\n"
		"  SAMPLE(value=1, 2)\n                  ^\n");
	refused("STR_SEARCH(a, -1)",
		"\"offset\" of STR_SEARCH is out of bounds: -1\n"
		"  STR_SEARCH(a, -1)\n                ^~\nit goes from 0 to 65535\n");
	refused("SAMPLE(3G)",
		"\"value\" of SAMPLE is out of bounds: 3G\n  SAMPLE(3G)\n         ^~\n");
	refused("SAMPLE(99999999999999999999)",
		"\"value\" of SAMPLE is out of bounds: 99999999999999999999\n"
		"  SAMPLE(99999999999999999999)\n"
		"         ^~~~~~~~~~~~~~~~~~~~\n");
	refused("SAMPLE(1kk)",
		"\"value\" of SAMPLE must be a number, not \"1kk\"\n  SAMPLE(1kk)\n         ^~~\n");
	refused("TO_FILE(0, x, -1)",
		"\"limit\" of TO_FILE is out of bounds: -1\n"
		"  TO_FILE(0, x, -1)\n                ^~\n");
	refused("TO_FILE(0, '')",
		"\"path\" of TO_FILE must name a file\n  TO_FILE(0, '')\n             ^~\n");
	refused("EXPORT('', x, 1001)",
		"\"count\" of EXPORT is out of bounds: 1001\n"
		"  EXPORT('', x, 1001)\n                ^~~~\nit goes from 1 to 1000\n");
}

static void test_reference_errors(void **state)
{
	refused("STATS(a)|PKT_COUNTER@a",
		"This reference can't be made: the function meant would have to come both before "
		"and "
		"after this one\n  STATS(a)|PKT_COUNTER@a\n        ^\n"
		"refer to a function that stands earlier, or in another pipeline\n");
	refused("STATS(b)|PKT_COUNTER@a;STATS(a)|PKT_COUNTER@b",
		"This reference can't be made: the function meant would have to come both before "
		"and "
		"after this one\n  STATS(b)|PKT_COUNTER@a;STATS(a)|PKT_COUNTER@b\n"
		"                               ^\n"
		"refer to a function that stands earlier, or in another pipeline\n");
	refused("BPF_FILTER(ip)@f|STATS(f)",
		"BPF_FILTER has no value that could be referred to\n"
		"  BPF_FILTER(ip)@f|STATS(f)\n"
		"                         ^\n");
	refused("PKT_COUNTER@a|PKT_COUNTER@a",
		"The label \"a\" names two functions\n"
		"  PKT_COUNTER@a|PKT_COUNTER@a\n"
		"                            ^\n");
	refused("PKT_COUNTER|STATS(2,1)",
		"There is no function 1 in pipeline 2\n"
		"  PKT_COUNTER|STATS(2,1)\n                    ^\n");
	refused("PKT_COUNTER|STATS(1,-1)",
		"A reference must be a label or two numbers\n  PKT_COUNTER|STATS(1,-1)\n"
		"                    ^\nthe numbers are the pipeline and the position in it, both "
		"from 1\n");
	refused("PKT_COUNTER@a|STATS(fid=1,fd=a)",
		"A label fills \"fd\" and \"fid\"; the second is given already\n"
		"  PKT_COUNTER@a|STATS(fid=1,fd=a)\n                               ^\n");
	refused("PKT_COUNTER@a|EXPORT('a,b')",
		"There is no label \"b\"\n"
		"  PKT_COUNTER@a|EXPORT('a,b')\n"
		"                       ^~~~~\n"
		"write @label after the function that is meant\n");
	refused("SYNC('2')", "There is no pipeline 2\n  SYNC('2')\n       ^~~\n");
	refused("SYNC('1 1')",
		"Pipelines must be separated by commas\n  SYNC('1 1')\n       ^~~~~\n");
	refused("SYNC('1,')",
		"There is no label \"\"\n  SYNC('1,')\n       ^~~~\n"
		"write @label after the function that is meant\n");
}

static void test_pipelines_are_told_from_filters(void **state)
{
	static const char *const pipelines[] = { "PKT_COUNTER", "PKT_COUNTR",
		"BPF_FILTER(\"tcp\") | X", "stdflib:SAMPLE (3)", "  SAMPLE", "NAME@x", "sample(3)",
		"pkt_counter|x", "A;B" };
	static const char *const filters[] = { "tcp", "tcp port 80", "", "not(tcp)",
		"port(80 or 81)", "host FOO", "FOO bar", "10.0.0.1", "ip[0]=1", "(tcp)",
		"ether host 0:1:2:3:4:5", "nosuch(1)", "1A", "a:b" };
	unsigned int i;

	for (i = 0; i < sizeof(pipelines) / sizeof(pipelines[0]); i++)
		if (!pipeline_recognise(pipelines[i], fake_next))
			fail_msg("not a pipeline: %s", pipelines[i]);
	for (i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		if (pipeline_recognise(filters[i], fake_next))
			fail_msg("not a filter: %s", filters[i]);
}

static void test_carets_count_columns(void **state)
{
	refused("STR_SEARCH(\"\xc3\xa4\xe2\x82\xac\") | NOPE",
		"There is no function \"NOPE\"\n"
		"  STR_SEARCH(\"\xc3\xa4\xe2\x82\xac\") | NOPE\n"
		"                     ^~~~\n\"mapi functions\" lists them\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps_and_pipelines),
		cmocka_unit_test(test_arguments_are_typed),
		cmocka_unit_test(test_strings_have_escapes),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_order_of_application),
		cmocka_unit_test(test_added_steps),
		cmocka_unit_test(test_syntax_errors),
		cmocka_unit_test(test_names_are_suggested),
		cmocka_unit_test(test_argument_errors),
		cmocka_unit_test(test_reference_errors),
		cmocka_unit_test(test_pipelines_are_told_from_filters),
		cmocka_unit_test(test_carets_count_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
