/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Semantics P2 against libpcap: every filter of a list on every capture, one flow each on one
 * device. Counts must equal those of libpcap's own interpreter; what libpcap refuses to compile for
 * the link type must be refused with error 1025.
 *
 * usage: filters_oracle [-i] FILTERS CAPTURE...
 * -i: the filters are invalid for Ethernet: it is an error if libpcap accepts one
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flows.h"
#include "model/model.h"

#define ORACLE_FILTERS_MAX 1024

struct oracle_filter {
	const char *text;
	struct bpf_program program;
	bool valid;
	unsigned long long count;
	int fd;
	int fid;
};

struct oracle {
	struct oracle_filter filters[ORACLE_FILTERS_MAX];
	unsigned int n_filters;
	unsigned int captures;
	unsigned int unreadable; /* by libpcap */
	unsigned int compared;
	unsigned int refused; /* by both */
	unsigned int differences;
};

static void oracle_read_filters(struct oracle *o, const char *path)
{
	FILE *file = fopen(path, "r");
	char line[MODEL_TEXT_BYTES];

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	while (o->n_filters < ORACLE_FILTERS_MAX && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '#' && line[0] != '\0')
			o->filters[o->n_filters++].text = strdup(line);
	}
	fclose(file);
}

static void oracle_libpcap(struct oracle *o, const struct model_capture *capture)
{
	for (unsigned int i = 0; i < o->n_filters; i++) {
		struct oracle_filter *f = &o->filters[i];

		f->count = 0;
		f->valid = pcap_compile(capture->pcap, &f->program, f->text, 1, 0) == 0;
		if (!f->valid)
			continue;
		for (unsigned int n = 0; n < capture->n_pkts; n++) {
			const struct model_packet *pkt = &capture->pkts[n];
			struct pcap_pkthdr head = { .caplen = pkt->cap_bytes,
				.len = pkt->wire_bytes };

			f->count += pcap_offline_filter(&f->program, &head, pkt->data) != 0;
		}
		pcap_freecode(&f->program);
	}
}

static void oracle_differs(struct oracle *o, const struct model_capture *capture,
	const char *filter, const char *libpcap, const char *mapi)
{
	o->differences++;
	printf("differs: %s: '%s': libpcap %s, mapi %s\n", capture->path, filter, libpcap, mapi);
}

/* Return: true if the flow is connected. */
static bool oracle_make_flow(struct oracle *o, struct oracle_filter *f, const char *device,
	const struct model_capture *capture)
{
	char text[MAPI_ERRORSTR_LENGTH] = "", mapi[MAPI_ERRORSTR_LENGTH + 32];
	int code = 0;
	bool ok;

	f->fd = mapi_create_flow(device);
	ok = f->fd > 0 && mapi_apply_function(f->fd, "BPF_FILTER", f->text) > 0 &&
		(f->fid = mapi_apply_function(f->fd, "PKT_COUNTER")) > 0 &&
		mapi_connect(f->fd) == 0;
	if (ok && f->valid)
		return true;
	mapi_read_error(&code, text);
	if (!f->valid && code == 1025) {
		o->refused++;
		return false;
	}
	snprintf(mapi, sizeof(mapi), ok ? "accepts it" : "error %d: %s", code, text);
	oracle_differs(o, capture, f->text, f->valid ? "accepts it" : "refuses it", mapi);
	return false;
}

static void oracle_read_flow(
	struct oracle *o, struct oracle_filter *f, const struct model_capture *capture)
{
	const mapi_results_t *result;
	char libpcap[32], mapi[32];

	flows_wait_end(f->fd);
	result = mapi_read_results(f->fd, f->fid);
	o->compared++;
	if (result && *(const unsigned long long *)result->res == f->count)
		return;
	snprintf(libpcap, sizeof(libpcap), "%llu", f->count);
	if (result)
		snprintf(mapi, sizeof(mapi), "%llu", *(const unsigned long long *)result->res);
	else
		snprintf(mapi, sizeof(mapi), "error %d", flows_error("mapi_read_results"));
	oracle_differs(o, capture, f->text, libpcap, mapi);
}

static void oracle_mapi(struct oracle *o, const struct model_capture *capture)
{
	char *device = mapi_create_offline_device(capture->path, MFF_PCAP);
	bool connected[ORACLE_FILTERS_MAX];

	if (!device) {
		flows_error(capture->path);
		oracle_differs(o, capture, "", "reads it", "does not");
		return;
	}
	for (unsigned int i = 0; i < o->n_filters; i++)
		connected[i] = oracle_make_flow(o, &o->filters[i], device, capture);
	if (mapi_start_offline_device(device) < 0) {
		flows_error("mapi_start_offline_device");
		oracle_differs(o, capture, "", "reads it", "cannot start");
	}
	for (unsigned int i = 0; i < o->n_filters; i++)
		if (connected[i])
			oracle_read_flow(o, &o->filters[i], capture);
	for (unsigned int i = 0; i < o->n_filters; i++)
		if (o->filters[i].fd > 0)
			mapi_close_flow(o->filters[i].fd);
	mapi_delete_offline_device(device);
}

int main(int argc, char *argv[])
{
	static struct oracle o;
	bool all_invalid = argc > 1 && strcmp(argv[1], "-i") == 0;
	struct model_capture capture;

	argv += all_invalid;
	argc -= all_invalid;
	if (argc < 3) {
		fprintf(stderr, "usage: filters_oracle [-i] FILTERS CAPTURE...\n");
		return 2;
	}
	oracle_read_filters(&o, argv[1]);
	for (int i = 2; i < argc; i++) {
		if (model_capture_read(&capture, argv[i]) < 0) {
			o.unreadable++;
			continue;
		}
		o.captures++;
		oracle_libpcap(&o, &capture);
		for (unsigned int n = 0; all_invalid && n < o.n_filters; n++)
			if (o.filters[n].valid)
				oracle_differs(&o, &capture, o.filters[n].text, "accepts it",
					"was not asked");
		oracle_mapi(&o, &capture);
		model_capture_free(&capture);
	}
	printf("filters: %u captures (%u more are unreadable for libpcap), %u filters, %u counts "
	       "equal or not, %u refused by both, %u differences\n",
		o.captures, o.unreadable, o.n_filters, o.compared, o.refused, o.differences);
	for (unsigned int i = 0; i < o.n_filters; i++)
		free((char *)o.filters[i].text);
	return o.differences != 0 || (o.compared == 0 && !all_invalid);
}
