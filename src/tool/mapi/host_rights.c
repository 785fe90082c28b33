/* SPDX-License-Identifier: BSD-2-Clause */
/* May this process capture, by itself or through the system daemon? See host.h. */
#include "host.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* As mapid.conf(5) has them unless it is configured otherwise. */
#define HOST_SOCKET "/run/mapi/mapid.sock"
#define HOST_GROUP "mapi"

#define HOST_GROUPS_MAX 1024

uint64_t host_capabilities(void)
{
	FILE *in = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[256];

	while (in && fgets(line, sizeof(line), in))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	if (in)
		(void)fclose(in);
	return caps;
}

static enum host_daemon host_knock(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return HOST_DAEMON_NONE;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return HOST_DAEMON_NONE;
	r = connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	(void)close(fd);
	if (!r || r == EAGAIN || r == EINPROGRESS)
		return HOST_DAEMON_OK;
	return r == EACCES || r == EPERM ? HOST_DAEMON_DENIED : HOST_DAEMON_NONE;
}

/* The group that owns the socket; the usual one if there is no socket, or it is root's. */
static void host_group(struct host_rights *rights)
{
	const struct group *group = NULL;
	struct stat st;

	if (stat(rights->path, &st) == 0 && st.st_gid)
		group = getgrgid(st.st_gid);
	(void)snprintf(
		rights->group, sizeof(rights->group), "%s", group ? group->gr_name : HOST_GROUP);
}

static void host_membership(struct host_rights *rights)
{
	const struct passwd *user = getpwuid(getuid());
	char *name = user ? strdup(user->pw_name) : NULL;
	const struct group *group = getgrnam(rights->group);
	gid_t *gids = calloc(HOST_GROUPS_MAX, sizeof(*gids));
	int n = gids ? getgroups(HOST_GROUPS_MAX, gids) : 0, i;
	char **member;

	for (i = 0; group && i < n; i++)
		rights->active |= gids[i] == group->gr_gid;
	rights->active |= group && getegid() == group->gr_gid;
	for (member = group ? group->gr_mem : NULL; name && member && *member; member++)
		rights->member |= !strcmp(*member, name);
	rights->member |= rights->active;
	free(gids);
	free(name);
}

void host_rights(struct host_rights *ret)
{
	const char *path = getenv("MAPI_SOCKET");

	*ret = (struct host_rights){ .raw = host_capabilities() & HOST_CAP(CAP_NET_RAW) };
	(void)snprintf(ret->path, sizeof(ret->path), "%s", path && *path ? path : HOST_SOCKET);
	ret->daemon = host_knock(ret->path);
	host_group(ret);
	host_membership(ret);
}

void host_advice(char *out, size_t out_bytes, const struct host_rights *rights)
{
	*out = '\0';
	if (host_may_capture(rights))
		return;
	if (rights->daemon == HOST_DAEMON_NONE)
		(void)snprintf(out, out_bytes,
			"use sudo, or have an administrator start the system daemon (systemctl "
			"start mapid) and put you into its group (usermod -aG %s $USER)",
			rights->group);
	else if (rights->member && !rights->active)
		(void)snprintf(out, out_bytes,
			"you are in the group %s since you logged in: log in again, or \"newgrp "
			"%s\"",
			rights->group, rights->group);
	else
		(void)snprintf(out, out_bytes,
			"use sudo, or have an administrator put you into the group %s (usermod -aG "
			"%s $USER)",
			rights->group, rights->group);
}
