/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a confined process cannot do, and what it still can. Each case is a child that confines
 * itself, tries, and says by its exit status what happened.
 */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/build.h"
#include "base/log.h"
#include "compiler.h"
#include "confine.h"
#include "wire/send_fds.h"

#define TEST_THREADS 4
#define TEST_BYTES 65536

/* Return: wait()'s status of a confined child that ran @f: its result is the exit status. */
static int test_confined(int (*f)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		log_open("test", LOG_ERR);
		if (confine_engine("nobody") < 0)
			_exit(100);
		_exit(f());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_can(int (*f)(void))
{
	int status = test_confined(f);

	if (WIFSIGNALED(status))
		fail_msg("ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		fail_msg("error %d (%s)", WEXITSTATUS(status), strerror(WEXITSTATUS(status)));
}

static void assert_refused(int (*f)(void), int error)
{
	int status = test_confined(f);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), error);
}

static void assert_killed(int (*f)(void))
{
	int status = test_confined(f);

	if (BUILD_SANITIZED) /* there the filter allows it, and the rights are missing */
		return;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void test_need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("only root has rights to give up\n");
	skip();
}

static int test_error(long r)
{
	return r < 0 ? errno : 0;
}

/* ---- what it cannot ---- */

static int try_packet_socket(void)
{
	return test_error(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
}

static int try_raw_socket(void)
{
	return test_error(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int try_shadow(void)
{
	return test_error(open("/etc/shadow", O_RDONLY | O_CLOEXEC));
}

static int try_new_file(void)
{
	return test_error(open("/tmp/mapi-test-confined", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

static int try_write(void)
{
	return test_error(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static int try_unlink(void)
{
	return test_error(unlink("/tmp/mapi-test-confined"));
}

static int try_uid(void)
{
	return test_error(setresuid(0, 0, 0));
}

static int try_uid_by_number(void)
{
	return test_error(syscall(SYS_setuid, 0));
}

static int try_gid(void)
{
	return test_error(setgid(0));
}

static int try_signal_root(void)
{
	return test_error(kill(1, 0));
}

static int try_terminal(void)
{
	return test_error(ioctl(0, TIOCSTI, "x"));
}

static int try_namespace(void)
{
	return test_error(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

static int try_clone3(void)
{
	return test_error(syscall(SYS_clone3, NULL, 0));
}

static int try_unknown(void)
{
	return test_error(syscall(5000));
}

static void test_refusals(void **state)
{
	test_need_root();
	assert_refused(try_packet_socket, EPERM);
	assert_refused(try_raw_socket, ENOSYS);
	assert_refused(try_shadow, EACCES);
	assert_refused(try_new_file, EACCES);
	assert_refused(try_write, EACCES);
	assert_refused(try_unlink, EPERM);
	assert_refused(try_uid, EPERM);
	assert_refused(try_uid_by_number, EPERM);
	assert_refused(try_gid, EPERM);
	assert_refused(try_signal_root, EPERM);
	assert_refused(try_terminal, ENOSYS);
	assert_refused(try_namespace, ENOSYS);
	assert_refused(try_clone3, ENOSYS);
	assert_refused(try_unknown, ENOSYS);
}

static int try_ptrace(void)
{
	return test_error(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int try_mount(void)
{
	return test_error(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int try_unshare(void)
{
	return test_error(unshare(CLONE_NEWUSER));
}

static int try_bpf(void)
{
	return test_error(syscall(SYS_bpf, 0, NULL, 0));
}

/* BPF_PROG_LOAD; one that libraries do not know. */
static int try_bpf_load(void)
{
	return test_error(syscall(SYS_bpf, 5, NULL, 0));
}

static int try_bpf_unknown(void)
{
	return test_error(syscall(SYS_bpf, 1000, NULL, 0));
}

static int try_module(void)
{
	return test_error(syscall(SYS_init_module, NULL, 0, ""));
}

static int try_kexec(void)
{
	return test_error(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}

static int try_exec(void)
{
	return test_error(execl("/bin/true", "true", NULL));
}

static int try_io_uring(void)
{
	return test_error(syscall(SYS_io_uring_setup, 1, NULL));
}

static void test_hostile(void **state)
{
	test_need_root();
	assert_killed(try_ptrace);
	assert_killed(try_mount);
	assert_killed(try_unshare);
	assert_killed(try_bpf);
	assert_killed(try_bpf_load);
	assert_killed(try_bpf_unknown);
	assert_killed(try_module);
	assert_killed(try_kexec);
	assert_killed(try_exec);
	assert_killed(try_io_uring);
}

static int try_status(void)
{
	static const char *const zero[] = { "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:" };
	const struct passwd *pw = getpwnam("nobody");
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	unsigned int n = 0;

	assert(file && pw);
	while (fgets(line, sizeof(line), file)) {
		unsigned int a, b, c, d;

		for (size_t i = 0; i < ARRAY_SIZE(zero); i++)
			if (strncmp(line, zero[i], strlen(zero[i])) == 0) {
				assert(strcmp(line + strlen(zero[i]), "\t0000000000000000\n") == 0);
				n++;
			}
		if (sscanf(line, "Uid: %u %u %u %u", &a, &b, &c, &d) == 4) {
			assert(a == pw->pw_uid && b == a && c == a && d == a);
			n++;
		} else if (sscanf(line, "Gid: %u %u %u %u", &a, &b, &c, &d) == 4) {
			assert(a == pw->pw_gid && b == a && c == a && d == a);
			n++;
		} else if (strncmp(line, "Groups:", 7) == 0) {
			assert(strspn(line + 7, " \t\n") == strlen(line + 7));
			n++;
		} else if (strncmp(line, "NoNewPrivs:", 11) == 0) {
			assert(strcmp(line + 11, "\t1\n") == 0);
			n++;
		} else if (strncmp(line, "Seccomp:", 8) == 0) {
			assert(strcmp(line + 8, "\t2\n") == 0);
			n++;
		}
	}
	(void)fclose(file);
	return n == ARRAY_SIZE(zero) + 5 ? 0 : 101;
}

static void test_rights(void **state)
{
	test_need_root();
	assert_can(try_status);
}

static void test_users(void **state)
{
	pid_t pid;
	int status;

	test_need_root();
	for (unsigned int i = 0; i < 2; i++) {
		pid = fork();
		if (pid == 0) {
			log_open("test", LOG_EMERG);
			if (confine_engine(i ? "root" : "no-such-user") < 0)
				_exit(1);
			_exit(try_status());
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), i);
	}
}

/* ---- what it can ---- */

static void *test_thread(void *argument)
{
	cpu_set_t cpus;

	(void)prctl(PR_SET_NAME, "worker");
	assert(pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus) == 0);
	assert(pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus) == 0);
	assert(eventfd_write(*(int *)argument, 1) == 0);
	return NULL;
}

static int try_threads(void)
{
	pthread_t threads[TEST_THREADS];
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	eventfd_t n = 0;

	assert(fd >= 0 && epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
	for (unsigned int i = 0; i < TEST_THREADS; i++)
		assert(pthread_create(&threads[i], NULL, test_thread, &fd) == 0);
	for (unsigned int i = 0; i < TEST_THREADS; i++)
		assert(pthread_join(threads[i], NULL) == 0);
	assert(epoll_wait(epoll, &event, 1, -1) == 1);
	assert(eventfd_read(fd, &n) == 0 && n == TEST_THREADS);
	return 0;
}

static int try_memory(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *base;

	assert(fd >= 0 && ftruncate(fd, TEST_BYTES) == 0);
	base = mmap(NULL, TEST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert(base != MAP_FAILED && fallocate(fd, 0, 0, TEST_BYTES) == 0);
	assert(pwrite(fd, "x", 1, 100) == 1 && ((char *)base)[100] == 'x');
	assert(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
	assert(munmap(base, TEST_BYTES) == 0 && close(fd) == 0);
	return 0;
}

/* Descriptors that come and go, of files that others have opened. */
static int try_descriptors(void)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	char byte = 'x';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	int fds[2], fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	char path[32];
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	assert(fd >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	assert(wire_send_fds(fds[0], &byte, 1, &fd, 1, 0) == 1);
	assert(recvmsg(fds[1], &msg, MSG_CMSG_CLOEXEC) == 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	assert(read(fd, &byte, 1) == 1);
	/* Again, with a place of its own, as the reader of captures does. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert(fd >= 0 && read(fd, &byte, 1) == 1);
	assert(getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0);
	return 0;
}

static int try_compile(void)
{
	struct compiler *compiler;
	struct compiler_client *client;
	struct filter_program *program;
	struct error err = ERROR_INIT;
	_Atomic bool cancel = false;
	int r;

	assert(compiler_new(&compiler, -1) == 0 && compiler_client_new(&client, compiler, 0) == 0);
	do
		r = compiler_ask(client, "tcp port 80 and host localhost", 1, &program, &err);
	while (r == COMPILER_E_AGAIN && usleep(200) == 0);
	if (r < 0)
		(void)fprintf(stderr, "%s\n", err.text);
	assert(r == 0);
	filter_program_free(program);
	r = compiler_wait(client, "ip6 and port ssh", 1, &cancel, &program, &err);
	assert(r == 0);
	filter_program_free(program);
	compiler_client_free(client);
	compiler_free(compiler);
	return 0;
}

/* What a resolver needs: a socket to a name server. */
static int try_resolve(void)
{
	const struct addrinfo hints = { .ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert(fd >= 0);
	assert(getaddrinfo("localhost", NULL, &hints, &found) == 0 && found);
	freeaddrinfo(found);
	assert(if_nametoindex("lo") > 0);
	return 0;
}

static int try_limits(void)
{
	struct rlimit limit;

	assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	assert(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	assert(signal(SIGUSR1, SIG_IGN) != SIG_ERR && raise(SIGUSR1) == 0);
	assert(access("/proc/self/status", R_OK) == 0);
	return 0;
}

static void test_serving(void **state)
{
	assert_can(try_threads);
	assert_can(try_memory);
	assert_can(try_descriptors);
	assert_can(try_compile);
	assert_can(try_resolve);
	assert_can(try_limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_serving),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
