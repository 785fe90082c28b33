/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding the system daemon. MAPI_SOCKET names its socket, and then no other will do; if it is set
 * but empty, there is no system daemon for this program.
 *
 * Beside it the daemon has a socket for programs that only look, which every user may use.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "client.h"

/* Whether a private daemon of this process could capture. */
static bool system_may_capture(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { .effective = 0 } };

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	/* A set-capability file would not hand it on to the daemon; a user with it does. */
	return data[CAP_TO_INDEX(CAP_NET_RAW)].effective & CAP_TO_MASK(CAP_NET_RAW);
}

/* Return: -EACCES with this thread's error. */
static int system_refused(const char *path)
{
	char bytes[4096], number[32];
	struct group group, *found = NULL;
	const char *name = number;
	struct stat st;

	if (stat(path, &st) < 0) {
		client_fail(MAPI_NO_PERMISSION,
			"you may neither capture nor use the system daemon (%s): ask its "
			"administrator",
			path);
		return -EACCES;
	}
	(void)snprintf(number, sizeof(number), "%u", st.st_gid);
	if (getgrgid_r(st.st_gid, &group, bytes, sizeof(bytes), &found) == 0 && found)
		name = found->gr_name;
	client_fail(MAPI_NO_PERMISSION,
		"only members of the group '%s' may use the system daemon: usermod -aG %s USER, "
		"then log in again",
		name, name);
	return -EACCES;
}

/* The path of the daemon's socket. @set: MAPI_SOCKET, or NULL. Return: false: it is too long. */
static bool system_path(char *ret, size_t ret_bytes, const char *set, bool only_looks)
{
	size_t len = set ? strlen(set) : 0;
	int n;

	if (!set)
		n = snprintf(ret, ret_bytes, "%s",
			only_looks ? MAPI_READ_ONLY_SOCKET_PATH : MAPI_SOCKET_PATH);
	else if (!only_looks)
		n = snprintf(ret, ret_bytes, "%s", set);
	else if (len > 5 && strcmp(set + len - 5, ".sock") == 0)
		n = snprintf(ret, ret_bytes, "%.*s-read.sock", (int)(len - 5), set);
	else
		n = snprintf(ret, ret_bytes, "%s-read", set);
	return n < (int)ret_bytes;
}

int system_connect(int *ret_fd, bool *ret_explicit, bool only_looks, struct error *ret_why)
{
	const char *set = secure_getenv("MAPI_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_(cleanup_closep) int fd = -1;
	int r;

	*ret_explicit = set && *set;
	*ret_why = ERROR_INIT;
	if (set && !*set)
		return -ENOENT;
	if (!system_path(address.sun_path, sizeof(address.sun_path), set, only_looks))
		return client_fail(MCOM_INIT_SOCKET_ERROR,
			"MAPI_SOCKET is longer than the path of a socket can be (%zu)",
			sizeof(address.sun_path) - 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return client_fail(
			MCOM_INIT_SOCKET_ERROR, "cannot make a socket: %s", strerror(errno));
	do
		r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	while (r < 0 && errno == EINTR);
	if (r == 0) {
		*ret_fd = fd;
		fd = -1;
		return 0;
	}
	if (errno == EACCES && (*ret_explicit || only_looks || !system_may_capture()))
		return system_refused(address.sun_path);
	if (*ret_explicit)
		return client_fail(MCOM_INIT_SOCKET_ERROR,
			"no daemon answers on MAPI_SOCKET=%s: %s", set, strerror(errno));
	(void)error_set(ret_why, MCOM_INIT_SOCKET_ERROR, "none answers on %s (%s)",
		address.sun_path, strerror(errno));
	return -ENOENT;
}

int system_fail_silent(int fd)
{
	struct sockaddr_un address = { .sun_path = "" };
	socklen_t n_bytes = sizeof(address);

	(void)getpeername(fd, (struct sockaddr *)&address, &n_bytes); /* or nothing is named */
	return client_fail(MCOM_INIT_SOCKET_ERROR,
		"the daemon at %.*s does not answer; one that hangs is started again within a "
		"minute: if this lasts, see its log and restart it (systemctl restart mapid)",
		(int)sizeof(address.sun_path), address.sun_path);
}
