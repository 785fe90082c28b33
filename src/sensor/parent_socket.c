/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sockets of the system daemon: see parent_private.h.
 *
 * A socket's file outlives a daemon that was killed. Whether a file is such a rest is asked by
 * connecting to it; and because the engine of a killed daemon may keep the socket open for the
 * moment that its own end takes, the answer of a process that is no more does not count.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "notify.h"
#include "parent_private.h"

#define PARENT_PATH_BYTES (sizeof(((struct sockaddr_un *)NULL)->sun_path) + 8)
#define PARENT_MODE_DIRECTORY 0755
#define PARENT_MODE_GROUP 0660
#define PARENT_MODE_ROOT 0600
#define PARENT_MODE_ALL 0666

static int parent_address(struct sockaddr_un *ret, const char *path)
{
	size_t len = strlen(path);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len == 0 || len >= sizeof(ret->sun_path)) {
		log_event(LOG_ERR, "the path of a socket has 1 to %zu characters: '%s'",
			sizeof(ret->sun_path) - 1, path);
		return -ENAMETOOLONG;
	}
	memcpy(ret->sun_path, path, len);
	return 0;
}

/* The directory of a socket. Only the last part is made: what is above belongs to others. */
static int parent_make_directory(const char *path)
{
	char copy[PARENT_PATH_BYTES];
	const char *directory;

	(void)snprintf(copy, sizeof(copy), "%s", path); /* fits: parent_address() */
	directory = dirname(copy);
	if (mkdir(directory, PARENT_MODE_DIRECTORY) < 0)
		return errno == EEXIST
			? 0
			: log_errno(LOG_ERR, -errno, "cannot make directory %s", directory);
	if (chmod(directory, PARENT_MODE_DIRECTORY) < 0) /* whatever the umask */
		return log_errno(LOG_ERR, -errno, "cannot set the rights of %s", directory);
	return 0;
}

/* ---- only one daemon ---- */

/* The lock is of a file that has its name still: who ends removes it. */
static bool parent_lock_is_named(int fd, const char *path)
{
	struct stat by_fd, by_path;

	return fstat(fd, &by_fd) == 0 && stat(path, &by_path) == 0 &&
		by_fd.st_dev == by_path.st_dev && by_fd.st_ino == by_path.st_ino;
}

static void parent_lock_path(char ret[PARENT_PATH_BYTES], const char *socket_path)
{
	(void)snprintf(ret, PARENT_PATH_BYTES, "%s.lock", socket_path);
}

static int parent_lock(struct parent_sockets *sockets, const char *socket_path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[PARENT_PATH_BYTES];

	parent_lock_path(path, socket_path);
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return log_errno(LOG_ERR, -errno, "cannot open %s", path);
		if (fcntl(fd, F_SETLK, &lock) < 0) {
			int r = errno == EACCES || errno == EAGAIN ? -EADDRINUSE : -errno;

			(void)close(fd);
			if (r != -EADDRINUSE)
				return log_errno(LOG_ERR, r, "cannot lock %s", path);
			log_event(LOG_ERR, "another daemon serves %s; end it first", socket_path);
			return r;
		}
		if (parent_lock_is_named(fd, path)) {
			sockets->lock_fd = fd;
			return 0;
		}
		(void)close(fd);
	}
}

/* Does somebody live listen there? */
static bool parent_answers(const struct sockaddr_un *address)
{
	_cleanup_(cleanup_closep) int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred peer = { 0 };
	socklen_t bytes = sizeof(peer);

	if (fd < 0)
		return true; /* not known, so careful */
	/* EAGAIN: its queue is full, so there is one. */
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return errno != ECONNREFUSED && errno != ENOENT;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0 || peer.pid <= 0)
		return true; /* of another PID namespace */
	/* The peer's process is the one that called listen(): a parent. */
	return kill(peer.pid, 0) == 0 || errno != ESRCH;
}

/* Make room for a socket. Return: 0, negative errno (a message was logged). */
static int parent_remove_stale(const struct sockaddr_un *address)
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : log_errno(LOG_ERR, -errno, "%s", path);
	if (!S_ISSOCK(st.st_mode)) {
		log_event(LOG_ERR, "%s is in the way: it is no socket; remove it", path);
		return -EEXIST;
	}
	if (parent_answers(address)) {
		log_event(LOG_ERR, "another daemon answers on %s; end it first", path);
		return -EADDRINUSE;
	}
	if (unlink(path) < 0 && errno != ENOENT)
		return log_errno(LOG_ERR, -errno, "cannot remove the old socket %s", path);
	return 0;
}

/* ---- binding ---- */

/* Only its owner may use it yet. */
static int parent_bind(struct parent_socket *socket_)
{
	struct sockaddr_un address;
	_cleanup_(cleanup_closep) int fd = -1;
	mode_t mask;
	int r = parent_address(&address, socket_->path);

	if (r == 0)
		r = parent_make_directory(socket_->path);
	if (r == 0)
		r = parent_remove_stale(&address);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return log_errno(LOG_ERR, -errno, "no socket");
	mask = umask(0777 & ~PARENT_MODE_ROOT);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	(void)umask(mask); /* cannot fail */
	if (r < 0)
		return log_errno(LOG_ERR, r, "cannot bind %s", socket_->path);
	socket_->ours = true;
	if (listen(fd, SOMAXCONN) < 0)
		return log_errno(LOG_ERR, -errno, "cannot listen on %s", socket_->path);
	socket_->fd = fd;
	fd = -1;
	return 0;
}

static int parent_set_mode(const struct parent_socket *socket_, mode_t mode)
{
	if (chmod(socket_->path, mode) < 0)
		return log_errno(LOG_ERR, -errno, "cannot set the rights of %s", socket_->path);
	return 0;
}

static int parent_give_to_group(const struct parent_socket *socket_, const char *group)
{
	const struct group *gr = getgrnam(group);

	if (!gr) {
		log_event(LOG_WARNING,
			"there is no group '%s', so only root may capture; make it with 'groupadd "
			"--system %s', start the daemon again, and add users with 'usermod -aG %s "
			"USER'",
			group, group, group);
		return 0;
	}
	if (chown(socket_->path, (uid_t)-1, gr->gr_gid) < 0) {
		(void)log_errno(LOG_WARNING, -errno,
			"cannot give %s to group '%s', so only its owner may capture",
			socket_->path, group);
		return 0;
	}
	return parent_set_mode(socket_, PARENT_MODE_GROUP);
}

static int parent_bind_all(struct parent_sockets *sockets, const struct config *config)
{
	int r = 0;

	if (sockets->control.fd < 0) {
		r = parent_bind(&sockets->control);
		if (r == 0)
			r = parent_give_to_group(&sockets->control, config->group);
	}
	if (r == 0 && sockets->read_only.fd < 0) {
		r = parent_bind(&sockets->read_only);
		if (r == 0)
			r = parent_set_mode(&sockets->read_only, PARENT_MODE_ALL);
	}
	return r;
}

int parent_sockets_open(struct parent_sockets *ret, const struct config *config)
{
	struct sockaddr_un address;
	unsigned int n_closed;
	int r;

	*ret = (struct parent_sockets){ .lock_fd = -1,
		.control = { .fd = -1, .path = config->socket },
		.read_only = { .fd = -1, .path = config->read_only_socket } };
	ret->control.fd = notify_socket(PARENT_SOCKET_NAME, config->socket);
	ret->read_only.fd = notify_socket(PARENT_READ_ONLY_NAME, config->read_only_socket);
	n_closed = notify_sockets_close((const int[]){ ret->control.fd, ret->read_only.fd }, 2);
	if (n_closed > 0)
		log_event(LOG_WARNING,
			"%u sockets from the service manager are not used: their names are not "
			"'" PARENT_SOCKET_NAME "' or '" PARENT_READ_ONLY_NAME
			"', and their paths not those of the configuration",
			n_closed);
	r = parent_address(&address, config->socket);
	if (r == 0)
		r = parent_make_directory(config->socket);
	if (r == 0)
		r = parent_lock(ret, config->socket);
	if (r == 0)
		r = parent_bind_all(ret, config);
	if (r < 0)
		parent_sockets_close(ret);
	return r;
}

static void parent_socket_close(struct parent_socket *socket_)
{
	cleanup_closep(&socket_->fd);
	socket_->fd = -1;
	if (socket_->ours)
		(void)unlink(socket_->path); /* or it is found stale */
	socket_->ours = false;
}

void parent_sockets_close(struct parent_sockets *sockets)
{
	char path[PARENT_PATH_BYTES];

	parent_socket_close(&sockets->control);
	parent_socket_close(&sockets->read_only);
	if (sockets->lock_fd < 0)
		return;
	parent_lock_path(path, sockets->control.path);
	(void)unlink(path); /* before the lock ends with its descriptor */
	(void)close(sockets->lock_fd);
	sockets->lock_fd = -1;
}
