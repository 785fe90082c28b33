/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Expressions to classic BPF, by libpcap, exactly as tcpdump -r does it (semantics P2).
 *
 * The handle given to pcap_compile() decides what the program looks like: a live one makes "vlan"
 * read kernel metadata, and one of pcap_open_dead() still lets "inbound" do so. So we give it what
 * tcpdump -r has: a capture file. It consists of nothing but its 24-byte header, in memory. That
 * also is the only public way from a LINKTYPE_ (as files and this project count link types) to
 * the DLT_ of this system.
 *
 * "inbound" and "outbound" are refused for files of most link types, because packets do not say
 * there where they go. Ours may (packet.h): an expression that is refused gets a second chance
 * with pcap_open_dead(), if nothing but directions comes of it.
 *
 * Host, network, port and protocol names in an expression are looked up by libpcap through the
 * system's resolver, which may block for seconds: never call this where packets wait. The time that
 * its optimiser takes grows with about the third power of the number of alternatives: 100 times
 * "port N" in one expression take half a second, 400 half a minute. Separate filters do not have
 * that cost.
 */
#include "filter_private.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "mapi/errors.h"

/* tcpdump's default; only the value that an accepting program returns depends on it. */
#define COMPILE_SNAPLEN_BYTES 262144u

/* tcpdump's too, for files: "ip broadcast" is valid and means addresses of all ones or all zeroes.
 */
#define COMPILE_NETMASK 0

/* Loads from here on ask the kernel for something that is not in the packet (SKF_AD_OFF). */
#define COMPILE_BESIDE 0xfffff000u

/* The bits of a file header's link type field that hold the link type. */
#define COMPILE_LINKTYPE_MAX 0x03ffffffu

/* Name look-ups inside libpcap's compiler use functions that are not thread-safe. */
static pthread_mutex_t compile_lock = PTHREAD_MUTEX_INITIALIZER;

/* The handle refers to @header until it is closed. */
static pcap_t *compile_open(struct pcap_file_header *header, uint32_t linktype, char *errbuf)
{
	pcap_t *handle;
	FILE *file;

	*header = (struct pcap_file_header){
		.magic = 0xa1b2c3d4,
		.version_major = 2,
		.version_minor = 4,
		.snaplen = COMPILE_SNAPLEN_BYTES,
		.linktype = linktype,
	};
	if (linktype > COMPILE_LINKTYPE_MAX) {
		(void)snprintf(errbuf, PCAP_ERRBUF_SIZE, "link type %u does not exist", linktype);
		return NULL;
	}
	file = fmemopen(header, sizeof(*header), "rb");
	if (!file) {
		(void)snprintf(errbuf, PCAP_ERRBUF_SIZE, "out of memory");
		return NULL;
	}
	/* The header is read here and never again; from now on the handle owns the FILE. */
	handle = pcap_fopen_offline(file, errbuf);
	if (!handle)
		(void)fclose(file);
	return handle;
}

int filter_dlt(uint32_t linktype)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	struct pcap_file_header header;
	pcap_t *handle = compile_open(&header, linktype, errbuf);
	int dlt;

	if (!handle)
		return (int)linktype;
	dlt = pcap_datalink(handle);
	pcap_close(handle);
	return dlt;
}

/* What to do about a message of libpcap; empty where its words suffice. */
static const char *compile_help(const char *message)
{
	static const struct {
		const char *start, *help;
	} table[] = {
		{ "syntax error", "; pcap-filter(7) has the grammar" },
		{ "illegal token", "; pcap-filter(7) has the grammar" },
		{ "illegal char", "; pcap-filter(7) has the grammar" },
		{ "can't parse", "; pcap-filter(7) has the grammar" },
		{ "expression rejects all packets", "; no packet of this link type can match it" },
		{ "unknown host", "; give the address itself if its name cannot be resolved" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strncmp(message, table[i].start, strlen(table[i].start)) == 0)
			return table[i].help;
	}
	return "";
}

static int compile_fail(struct error *err, char *message)
{
	/* libpcap quotes what the user wrote: keep it from breaking lines and terminals */
	for (char *c = message; *c; c++) {
		if (iscntrl((unsigned char)*c))
			*c = '?';
	}
	return error_set(err, PCAP_BPF_ERR, "pcap filter: %s%s", message, compile_help(message));
}

/* The place in which no packet has anything, neither, and nobody looks for a direction. */
static void compile_forget_direction(struct bpf_program *bpf)
{
	for (unsigned int pc = 0; pc < bpf->bf_len; pc++) {
		if (filter_insn_asks_direction(&bpf->bf_insns[pc]))
			bpf->bf_insns[pc].k--;
	}
}

/* Does it ask for a packet's direction, and for nothing else that stands beside the packet? */
static bool compile_asks_direction_only(const struct bpf_program *bpf)
{
	bool ret = false;

	for (unsigned int pc = 0; pc < bpf->bf_len; pc++) {
		const struct bpf_insn *insn = &bpf->bf_insns[pc];

		if (filter_insn_asks_direction(insn))
			ret = true;
		else if (BPF_CLASS(insn->code) == BPF_LD && BPF_MODE(insn->code) == BPF_ABS &&
			insn->k >= COMPILE_BESIDE)
			return false;
	}
	return ret;
}

/* Return: 0, -EINVAL with @message filled. */
static int compile_on(
	pcap_t *handle, const char *expression, struct bpf_program *ret, char *message)
{
	int r;

	(void)pthread_mutex_lock(&compile_lock); /* fails only on a broken mutex */
	r = pcap_compile(handle, ret, expression, 1, COMPILE_NETMASK);
	(void)pthread_mutex_unlock(&compile_lock);
	if (r == 0)
		return 0;
	(void)snprintf(message, PCAP_ERRBUF_SIZE, "%s", pcap_geterr(handle));
	return -EINVAL;
}

/* What is not valid for a file, but for an interface, because it asks for directions. */
static int compile_with_direction(const char *expression, int dlt, struct bpf_program *ret)
{
	char ignored[PCAP_ERRBUF_SIZE];
	pcap_t *handle = pcap_open_dead(dlt, COMPILE_SNAPLEN_BYTES);
	int r;

	if (!handle)
		return -EINVAL;
	r = compile_on(handle, expression, ret, ignored);
	pcap_close(handle);
	if (r == 0 && !compile_asks_direction_only(ret)) {
		pcap_freecode(ret);
		r = -EINVAL;
	}
	return r;
}

int filter_compile(
	struct filter_program **ret, const char *expression, uint32_t linktype, struct error *err)
{
	char message[PCAP_ERRBUF_SIZE] = "";
	struct pcap_file_header header;
	struct bpf_program bpf;
	pcap_t *handle;
	int r;

	if (strlen(expression) > FILTER_EXPRESSION_MAX) {
		(void)snprintf(message, sizeof(message), "longer than %u characters",
			FILTER_EXPRESSION_MAX);
		return compile_fail(err, message);
	}
	handle = compile_open(&header, linktype, message);
	if (!handle)
		return compile_fail(err, message);
	r = compile_on(handle, expression, &bpf, message);
	if (r == 0)
		compile_forget_direction(&bpf);
	else
		r = compile_with_direction(expression, pcap_datalink(handle), &bpf);
	pcap_close(handle);
	if (r < 0)
		return compile_fail(err, message);
	r = filter_program_copy(ret, bpf.bf_insns, bpf.bf_len);
	pcap_freecode(&bpf);
	return r;
}
