/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Follow passive FTP: read the replies of FTP servers, and make a flow for each data connection
 * that one of them announces ("227 Entering passive mode (10,1,0,2,219,131)": RFC 959, PASV).
 *
 *	passive_ftp -r FILE | -i DEVICE [-t SECONDS]
 *
 * A capture file is read anew for each data connection, so that all of it is counted, whatever was
 * read meanwhile. Live, a flow sees what comes after mapi_connect().
 */
#include "source.h"

#include <string.h>

#define ETHERNET_BYTES 14
#define TRANSFERS_MAX 64

/* A data connection, and the control connection that it belongs to. */
struct transfer {
	unsigned char client[6]; /* address and port: who asked */
	char server[32]; /* address and port: where the data are */
	int fd;
	int pkts;
	int bytes;
};

static struct transfer transfers[TRANSFERS_MAX];

static int create_flow(void)
{
	return source_check(source.path ? mapi_create_offline_flow(source.path, MFF_PCAP)
					: mapi_create_flow(source.device),
		source.device);
}

static int apply(int fd, const char *function, const char *argument)
{
	return source_check(argument ? mapi_apply_function(fd, function, argument, 0, 0)
				     : mapi_apply_function(fd, function),
		argument ? argument : function);
}

static void finish(struct transfer *t)
{
	if (!t->fd)
		return;
	if (source.path)
		mapi_wait(t->fd, -1);
	else
		mapi_flush(t->fd);
	printf("%d.%d.%d.%d <-> %s: %llu packets, %llu bytes\n", t->client[0], t->client[1],
		t->client[2], t->client[3], t->server, source_number(t->fd, t->pkts),
		source_number(t->fd, t->bytes));
	fflush(stdout);
	mapi_close_flow(t->fd);
	t->fd = 0;
}

/* The transfer of a control connection; a free place if it has none; NULL if all are taken. */
static struct transfer *find(const unsigned char *client)
{
	struct transfer *place = NULL;
	int i;

	for (i = 0; i < TRANSFERS_MAX; i++) {
		if (transfers[i].fd && memcmp(transfers[i].client, client, 6) == 0)
			return &transfers[i];
		if (!transfers[i].fd && !place)
			place = &transfers[i];
	}
	return place;
}

/* @reply: the server's words, "227 ... (address,port)". */
static void follow(struct transfer *t, const unsigned char *client, const char *reply)
{
	const char *numbers = strchr(reply, '(');
	unsigned int a, b, c, d, high, low;
	char expression[80];

	if (!numbers ||
		sscanf(numbers, "(%3u,%3u,%3u,%3u,%3u,%3u)", &a, &b, &c, &d, &high, &low) != 6)
		return;
	if (a > 255 || b > 255 || c > 255 || d > 255 || high > 255 || low > 255)
		return;
	sprintf(t->server, "%u.%u.%u.%u:%u", a, b, c, d, high * 256 + low);
	sprintf(expression, "tcp and host %u.%u.%u.%u and port %u", a, b, c, d, high * 256 + low);
	memcpy(t->client, client, 6);
	t->fd = create_flow();
	apply(t->fd, "BPF_FILTER", expression);
	t->pkts = apply(t->fd, "PKT_COUNTER", NULL);
	t->bytes = apply(t->fd, "BYTE_COUNTER", NULL);
	source_check(mapi_connect(t->fd), "mapi_connect");
	if (!source.path)
		printf("%s is announced\n", t->server);
	fflush(stdout);
}

/* A packet from a server's port 21 with 227 (passive mode) or 221 (good bye) somewhere in it. */
static void reply(const struct mapipkt *pkt)
{
	const unsigned char *ip = &pkt->pkt + ETHERNET_BYTES, *tcp;
	unsigned int ip_bytes, tcp_bytes, n_bytes;
	unsigned char client[6];
	struct transfer *t;
	char text[128];

	if (pkt->caplen < ETHERNET_BYTES + 20 || ip[0] >> 4 != 4)
		return;
	ip_bytes = (ip[0] & 15) * 4;
	n_bytes = pkt->caplen - ETHERNET_BYTES;
	if (ip_bytes < 20 || n_bytes < ip_bytes + 20)
		return;
	tcp = ip + ip_bytes;
	tcp_bytes = (tcp[12] >> 4) * 4;
	if (tcp_bytes < 20 || n_bytes < ip_bytes + tcp_bytes)
		return;
	n_bytes -= ip_bytes + tcp_bytes;
	if (n_bytes >= sizeof(text))
		n_bytes = sizeof(text) - 1;
	memcpy(text, tcp + tcp_bytes, n_bytes);
	text[n_bytes] = '\0';
	memcpy(client, ip + 16, 4);
	memcpy(client + 4, tcp + 2, 2);
	t = find(client);
	if (!t || (strncmp(text, "227 ", 4) != 0 && strncmp(text, "221 ", 4) != 0))
		return;
	/* The client asks for the next, or takes its leave, when it has all of the last. */
	finish(t);
	if (text[2] == '7')
		follow(t, client, text);
}

int main(int argc, char **argv)
{
	char text[MAPI_ERRORSTR_LENGTH];
	int control_fd, fid, i, code;
	struct mapipkt *pkt;

	source_options(argc, argv, "");
	control_fd = source_check(mapi_create_flow(source.device), source.device);
	apply(control_fd, "BPF_FILTER", "tcp src port 21");
	apply(control_fd, "STR_SEARCH", "227 ||221 ");
	fid = apply(control_fd, "TO_BUFFER", NULL);
	source_check(mapi_connect(control_fd), "mapi_connect");
	source_start(control_fd);
	if (!source.path) {
		printf("waiting for FTP on %s\n", source.device);
		fflush(stdout);
	}
	while ((pkt = mapi_get_next_pkt(control_fd, fid)))
		reply(pkt);
	mapi_read_error(&code, text);
	for (i = 0; i < TRANSFERS_MAX; i++)
		finish(&transfers[i]);
	if (!source.is_over) {
		if (code != 0)
			fprintf(stderr, "%s: error %d: %s\n", source.device, code, text);
		mapi_close_flow(control_fd);
	}
	source_close();
	return code != 0 && !source.is_over ? EXIT_FAILURE : EXIT_SUCCESS;
}
