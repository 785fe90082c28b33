/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Samples in two tiers: programs at random run by BPF_PROG_RUN, one packet at a time; what they
 * deliver is decided here. Each sample chooses the packets that it would choose alone, whoever sees
 * them, also when programs are put in place of each other.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "filter/test_random.h"
#include "kernel.h"
#include "test_run.h"

#define SAMPLE_PROGRAMS_MAX 24u
#define SAMPLE_BYTES_MAX 200u
#define SAMPLE_PKTS 120u

static const char *const sample_filters[] = { "", "ip", "udp", "tcp", "tcp port 80", "len > 60",
	"ip[8] > 100", "ip6", "udp port 53 or vlan" };

static struct kernel_turns *turns;

/*
 * A program of a set, in whichever set it is.
 * @alone: as it would choose if all packets were delivered
 * @expected, @here: packets
 */
struct sample_program {
	struct filter_program *filter;
	struct kernel_sampling sampling;
	bool deliver;
	struct sampling_state alone, state;
	uint64_t expected, here;
};

struct sample_set {
	unsigned int n;
	struct sample_program at[SAMPLE_PROGRAMS_MAX];
};

static bool sample_accepts(const struct sample_program *p, const struct test_packet *packet)
{
	const struct bpf_insn *insns;

	return filter_program_insns(p->filter, &insns) == 0 ||
		bpf_filter(insns, packet->data, packet->n_bytes, packet->n_bytes) > 0;
}

static void sample_program_make(struct sample_program *p, struct random *r)
{
	struct error err = ERROR_INIT;
	int cell;

	*p = (struct sample_program){ .deliver = random_below(r, 4) == 0 };
	assert_int_equal(
		filter_compile(&p->filter,
			sample_filters[random_below(r, ARRAY_SIZE(sample_filters))], 1, &err),
		0);
	if (random_below(r, 3) == 0)
		return;
	cell = kernel_turns_get(turns);
	assert_true(cell >= 0);
	p->sampling = (struct kernel_sampling){ .cell = (uint32_t)cell };
	p->sampling.rule = random_below(r, 2)
		? (struct sampling){ .mode = SAMPLING_PERIODIC, .value = 1 + random_below(r, 9) }
		: (struct sampling){ .mode = SAMPLING_BY_CHANCE,
			  .value = random_below(r, 101),
			  .seed = ((uint64_t)random_next(r) << 32) | random_next(r) };
}

static bool sample_is_chosen(const struct sample_program *p, struct sampling_state *state)
{
	return p->sampling.rule.mode == SAMPLING_NONE || sampling_next(&p->sampling.rule, state);
}

/* The whole plan, on a packet that was delivered. @chosen: of those that sample alone. */
static void sample_decide_here(struct sample_set *set, const bool accepts[], const bool chosen[])
{
	for (unsigned int i = 0; i < set->n; i++) {
		struct sample_program *p = &set->at[i];
		bool is_chosen = accepts[i] && sample_is_chosen(p, &p->state);

		if (accepts[i] && is_chosen != chosen[i])
			fail_msg("program %u chooses %d, alone %d", i, is_chosen, chosen[i]);
		p->here += is_chosen;
	}
}

static void sample_packet(struct sample_set *set, int fd, const struct test_packet *packet)
{
	bool accepts[SAMPLE_PROGRAMS_MAX], chosen[SAMPLE_PROGRAMS_MAX], wanted = false;
	int verdict;

	for (unsigned int i = 0; i < set->n; i++) {
		struct sample_program *p = &set->at[i];

		accepts[i] = sample_accepts(p, packet);
		chosen[i] = accepts[i] && sample_is_chosen(p, &p->alone);
		p->expected += chosen[i];
		wanted |= chosen[i] && p->deliver;
	}
	if (test_run(fd, KERNEL_SOCKET, packet, &verdict) < 0)
		fail_msg("a packet of %u bytes is not run", packet->n_bytes);
	assert_int_equal(verdict > 0, wanted);
	if (verdict > 0)
		sample_decide_here(set, accepts, chosen);
}

/* Numbers have been given out in this process only: now in the map. */
static void sample_share(struct sample_set *set)
{
	for (unsigned int i = 0; i < set->n; i++)
		if (set->at[i].sampling.rule.mode != SAMPLING_NONE && !set->at[i].state.shared)
			sampling_share(&set->at[i].state,
				kernel_turns_at(turns, (int)set->at[i].sampling.cell));
}

static void sample_run(struct sample_set *set, struct random *r, unsigned int page_max)
{
	const struct filter_program *filters[SAMPLE_PROGRAMS_MAX];
	struct kernel_sampling samplings[SAMPLE_PROGRAMS_MAX];
	bool deliver[SAMPLE_PROGRAMS_MAX];
	const struct kernel_options options = { .hook = KERNEL_SOCKET,
		.snaplen_bytes = 65535,
		.undelivered = true,
		.deliver = deliver,
		.samplings = samplings,
		.page_max = page_max,
		.no_long_jumps = !kernel_has_long_jumps() };
	struct kernel_count counts[SAMPLE_PROGRAMS_MAX];
	struct kernel_program *program;
	struct kernel_code *code;
	struct error err = ERROR_INIT;

	for (unsigned int i = 0; i < set->n; i++) {
		filters[i] = set->at[i].filter;
		samplings[i] = set->at[i].sampling;
		deliver[i] = set->at[i].deliver;
	}
	if (kernel_program_make(
		    &program, &code, &options, filters, set->n, kernel_turns_load, turns, &err) < 0)
		fail_msg("%s", err.text);
	for (unsigned int i = 0; i < set->n; i++)
		assert_int_equal(kernel_code_reason(code, i), KERNEL_LOWERED);
	assert_int_equal(kernel_code_check(code, &err), 0);
	sample_share(set);
	for (unsigned int i = 0; i < SAMPLE_PKTS; i++) {
		uint8_t data[SAMPLE_BYTES_MAX];
		const struct test_packet packet = { .data = data,
			.n_bytes = random_packet(r, data, sizeof(data)) };

		sample_packet(set, kernel_program_fd(program), &packet);
	}
	kernel_program_read(program, counts, set->n);
	for (unsigned int i = 0; i < set->n; i++)
		set->at[i].here += counts[i].pkts;
	kernel_program_free(program);
	kernel_code_free(code);
}

static void each_sample_chooses_as_if_alone(void **state)
{
	struct random r = { .state = 11 };
	unsigned int n_cases = getenv("MAPI_TEST_LONG") ? 1000 : 100;

	for (unsigned int c = 0; c < n_cases; c++) {
		static struct sample_set set;
		uint64_t all = 0;

		set.n = 1 + random_below(&r, SAMPLE_PROGRAMS_MAX);
		for (unsigned int i = 0; i < set.n; i++)
			sample_program_make(&set.at[i], &r);
		for (unsigned int k = 0; k < 3; k++) {
			sample_run(&set, &r, random_below(&r, 2) ? 0 : 1 + random_below(&r, 6));
			/* Others are delivered from now on. */
			for (unsigned int i = 0; i < set.n; i++)
				set.at[i].deliver = random_below(&r, 5) == 0;
		}
		for (unsigned int i = 0; i < set.n; i++) {
			struct sample_program *p = &set.at[i];

			if (p->here != p->expected)
				fail_msg("case %u, program %u of %u (mode %u, %u): %lu of %lu", c,
					i, set.n, p->sampling.rule.mode, p->sampling.rule.value,
					(unsigned long)p->here, (unsigned long)p->expected);
			all += p->expected;
			filter_program_free(p->filter);
			if (p->sampling.rule.mode != SAMPLING_NONE)
				kernel_turns_put(turns, (int)p->sampling.cell);
		}
		assert_true(all > 0 || set.n < 5);
	}
	(void)state;
}

/* Can programs be loaded here? Says why not. */
static int setup(void **state)
{
	struct error err = ERROR_INIT;
	int fd = kernel_turns_open(&err);

	(void)state;
	if (fd < 0) {
		print_message("SKIP: %s\n", err.text);
		return 0;
	}
	assert_int_equal(kernel_turns_new(&turns), 0);
	return kernel_turns_map(turns, fd, &err);
}

static int teardown(void **state)
{
	turns = kernel_turns_free(turns);
	(void)state;
	return 0;
}

static void samples_of_both_tiers(void **state)
{
	if (!turns)
		skip();
	each_sample_chooses_as_if_alone(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(samples_of_both_tiers) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
