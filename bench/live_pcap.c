/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program does that counts packets with libpcap: pcap_dispatch() in a loop.
 *
 * usage: live_pcap DEVICE FILTER BUFFER-KIB
 *
 * Prints "ready", and upon SIGUSR1 "COUNTED LOST", as libpcap counts what the kernel dropped. Ends
 * at SIGTERM.
 */
#include <pcap/pcap.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t live_asked;
static pcap_t *live_pcap;

static void live_ask(int number)
{
	live_asked = 1;
	pcap_breakloop(live_pcap);
}

static void live_count(u_char *user, const struct pcap_pkthdr *head, const u_char *data)
{
	++*(uint64_t *)(void *)user;
}

int main(int argc, char *argv[])
{
	struct sigaction ask = { .sa_handler = live_ask };
	char error[PCAP_ERRBUF_SIZE];
	struct bpf_program program;
	uint64_t count = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: live_pcap DEVICE FILTER BUFFER-KIB\n");
		return 2;
	}
	live_pcap = pcap_create(argv[1], error);
	if (!live_pcap) {
		fprintf(stderr, "live_pcap: %s\n", error);
		return 1;
	}
	/* As tcpdump opens it, but with the timeout of our own driver: who waits longer wakes less.
	 */
	if (pcap_set_snaplen(live_pcap, 262144) || pcap_set_timeout(live_pcap, 4) ||
		pcap_set_buffer_size(live_pcap, atoi(argv[3]) * 1024) ||
		pcap_activate(live_pcap) < 0 ||
		pcap_compile(live_pcap, &program, argv[2], 1, PCAP_NETMASK_UNKNOWN) < 0 ||
		pcap_setfilter(live_pcap, &program) < 0) {
		fprintf(stderr, "live_pcap: %s\n", pcap_geterr(live_pcap));
		return 1;
	}
	sigaction(SIGUSR1, &ask, NULL);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int r = pcap_dispatch(live_pcap, -1, live_count, (u_char *)&count);

		if (r < 0 && r != PCAP_ERROR_BREAK) {
			fprintf(stderr, "live_pcap: %s\n", pcap_geterr(live_pcap));
			return 1;
		}
		if (live_asked) {
			struct pcap_stat stat = { 0 };

			live_asked = 0;
			pcap_stats(live_pcap, &stat);
			printf("%llu %u\n", (unsigned long long)count, stat.ps_drop);
			fflush(stdout);
		}
	}
}
