/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Giving up all rights: the engine's process, before it meets packets and clients.
 *
 * What remains is an ordinary user without capabilities, who can get none again (no_new_privs, an
 * empty bounding set), and a list of system calls: those that serving needs. A call that is not
 * listed does not exist (ENOSYS, which the C library has fallbacks for); one that only an intruder
 * makes ends the process.
 *
 * Helper processes inherit all this. Therefore sockets to name servers are allowed: names may stand
 * in filter expressions.
 *
 * Who only reads a device that the parent's rights have opened (privileged_keep.c) keeps less
 * still.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/build.h"
#include "base/cleanup.h"
#include "base/log.h"

#define CONFINE_NOBODY 65534
#define CONFINE_BPF_COMMANDS_MAX 64u /* there are some 40 */
#define CONFINE_CAPS_MAX 64 /* a capability is a bit of 64 */
#define CONFINE_NAME_BYTES 32 /* of a system call */
#define CONFINE_CLONE_NEW                                                              \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		CLONE_NEWPID | CLONE_NEWNET)
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* names of mappings: the C library's malloc() sets some */
#endif

/* ---- user and capabilities ---- */

/* Whom to become. Return: 0, -EINVAL (a message was logged). */
static int confine_find_user(const char *user, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *pw = getpwnam(user);

	if (!pw) {
		log_event(LOG_WARNING,
			"there is no user '%s': the engine runs as nobody; make one with "
			"'useradd --system --no-create-home --shell /usr/sbin/nologin %s'",
			user, user);
		pw = getpwnam("nobody");
	}
	*ret_uid = pw ? pw->pw_uid : CONFINE_NOBODY;
	*ret_gid = pw ? pw->pw_gid : CONFINE_NOBODY;
	if (*ret_uid != 0)
		return 0;
	log_event(LOG_ERR, "the engine must not run as root: give another 'user' than '%s'", user);
	return -EINVAL;
}

/* What no execve() can give back. */
static int confine_drop_bounding(void)
{
	for (unsigned long cap = 0; cap < CONFINE_CAPS_MAX; cap++) {
		int held = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (held < 0)
			break; /* the kernel knows no more */
		if (held == 0 || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		/* Without CAP_SETPCAP, where no_new_privs must do. */
		if (errno != EPERM)
			return log_errno(LOG_ERR, -errno, "capability %lu stays", cap);
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return log_errno(LOG_ERR, -errno, "ambient capabilities stay");
	return 0;
}

static int confine_drop_caps(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (syscall(SYS_capset, &head, data) < 0 || syscall(SYS_capget, &head, data) < 0)
		return log_errno(LOG_ERR, -errno, "capabilities stay");
	for (unsigned int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (data[i].effective || data[i].permitted || data[i].inheritable)
			return log_errno(LOG_ERR, -EPERM, "capabilities stay");
	return 0;
}

static int confine_become(const char *user)
{
	uid_t uid;
	gid_t gid;
	int r;

	if (geteuid() != 0) /* whoever started us has little to lose */
		return 0;
	r = confine_find_user(user, &uid, &gid);
	if (r < 0)
		return r;
	r = confine_drop_bounding();
	if (r < 0)
		return r;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return log_errno(LOG_ERR, -errno, "cannot become user '%s'", user);
	if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0 || setresgid((gid_t)-1, 0, (gid_t)-1) == 0) {
		log_event(LOG_ERR, "root's rights come back after they were given up");
		return -EPERM;
	}
	return 0;
}

/* ---- system calls ---- */

/* What serving needs, with any arguments. Of architectures that lack one, it is skipped. */
static const char confine_allowed[] =
	/* memory */
	"brk mmap mmap2 munmap mprotect mremap madvise mincore msync memfd_create membarrier "
	"mlock munlock mlock2 get_mempolicy mbind set_mempolicy "
	/* descriptors and files */
	"read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek "
	"_llseek close close_range dup dup2 dup3 fcntl fcntl64 fstat fstat64 fstatat64 "
	"newfstatat stat stat64 lstat lstat64 statx statfs statfs64 fstatfs fstatfs64 "
	"ftruncate ftruncate64 fallocate fsync fdatasync sync_file_range sync_file_range2 "
	"fadvise64 fadvise64_64 readahead access faccessat faccessat2 readlink readlinkat "
	"getdents64 getcwd copy_file_range sendfile sendfile64 splice tee pipe pipe2 eventfd "
	"eventfd2 timerfd_create timerfd_settime timerfd_settime64 "
	"timerfd_gettime inotify_init1 "
	"inotify_add_watch inotify_rm_watch "
	/* waiting */
	"poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create "
	"epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 "
	/* sockets that exist; new ones: confine_add_sockets() */
	"socketpair bind connect accept accept4 shutdown send sendto sendmsg sendmmsg recv "
	"recvfrom recvmsg recvmmsg recvmmsg_time64 getsockname getpeername getsockopt "
	"setsockopt "
	/* threads, processes of our own, scheduling */
	"futex futex_time64 futex_waitv set_robust_list get_robust_list set_tid_address rseq "
	"arch_prctl gettid getpid getppid getpgid getpgrp getsid fork vfork wait4 waitid "
	"waitpid exit exit_group kill tgkill pidfd_open pidfd_send_signal sched_yield "
	"sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler "
	"sched_setscheduler sched_getattr sched_setattr sched_get_priority_max "
	"sched_get_priority_min getcpu getpriority setpriority getrlimit ugetrlimit setrlimit "
	"prlimit64 getrusage times sysinfo uname umask capget getuid getuid32 geteuid "
	"geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid "
	"getresgid32 getgroups getgroups32 "
	/* signals */
	"rt_sigaction rt_sigprocmask rt_sigpending rt_sigqueueinfo rt_sigreturn rt_sigsuspend "
	"rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigreturn sigaltstack "
	"signalfd signalfd4 pause restart_syscall "
	/* time, chance */
	"clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep "
	"clock_nanosleep_time64 nanosleep gettimeofday time getitimer setitimer timer_create "
	"timer_settime timer_gettime timer_getoverrun timer_delete alarm getrandom ";

/* The same by number, unknown to older libraries: numbers since 424 are those of all
 * architectures. */
static const int confine_allowed_numbers[] = {
	449, /* futex_waitv */
	451, /* cachestat */
	453, /* map_shadow_stack */
	454, /* futex_wake */
	455, /* futex_wait */
	456, /* futex_requeue */
};

/* An ordinary program never makes these, and nothing of ours does: who does has broken in. */
static const char confine_hostile[] =
	"ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd mount "
	"umount umount2 mount_setattr move_mount open_tree fsopen fsconfig fsmount fspick "
	"pivot_root chroot setns unshare perf_event_open userfaultfd io_uring_setup "
	"io_uring_enter io_uring_register init_module finit_module create_module "
	"delete_module kexec_load kexec_file_load reboot swapon swapoff acct quotactl "
	"quotactl_fd settimeofday clock_settime clock_settime64 stime adjtimex clock_adjtime "
	"clock_adjtime64 sethostname setdomainname vhangup iopl ioperm modify_ldt vm86 "
	"vm86old personality syslog nfsservctl lookup_dcookie name_to_handle_at "
	"open_by_handle_at fanotify_init add_key request_key keyctl execve execveat mknod "
	"mknodat ";

/* Refused as if rights were missing: libraries try some of these and live without. */
static const char confine_refused[] =
	"setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid "
	"setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 setgroups "
	"setgroups32 capset listen chmod fchmod fchmodat chown chown32 fchown fchown32 "
	"fchownat lchown lchown32 link linkat symlink symlinkat rename renameat renameat2 "
	"unlink unlinkat mkdir mkdirat rmdir truncate truncate64 creat setxattr lsetxattr "
	"fsetxattr setsid setpgid ";

/* What reading a device takes: libpcap's way to it is not known beforehand, so any ioctl() on what
 * is open. To write or to send would be to put packets on the wire. */
static const char confine_reading[] =
	"brk mmap mmap2 munmap mprotect mremap madvise read readv pread64 preadv recv recvfrom "
	"recvmsg recvmmsg recvmmsg_time64 close dup fcntl fcntl64 fstat fstat64 newfstatat "
	"fstatat64 "
	"statx lseek _llseek getdents64 ioctl getsockopt getsockname poll ppoll ppoll_time64 "
	"select "
	"_newselect pselect6 pselect6_time64 epoll_wait epoll_pwait epoll_ctl timerfd_settime "
	"timerfd_settime64 futex futex_time64 sched_yield clock_gettime clock_gettime64 "
	"clock_getres "
	"clock_nanosleep clock_nanosleep_time64 nanosleep gettimeofday time getpid getppid gettid "
	"getuid geteuid rt_sigaction rt_sigprocmask rt_sigreturn sigreturn restart_syscall tgkill "
	"getrandom rseq exit exit_group sigaltstack membarrier ";

/* But not with these arguments, by which it would reach the engine, which is of the same user: the
 * kernel would send signals for it. */
static const struct {
	const char *name;
	uint32_t command;
} confine_reaching[] = { { "fcntl", F_SETOWN }, { "fcntl", F_SETOWN_EX }, { "fcntl64", F_SETOWN },
	{ "fcntl64", F_SETOWN_EX }, { "ioctl", FIOSETOWN }, { "ioctl", SIOCSPGRP } };

static const uint32_t confine_sockets[][2] = { { AF_UNIX, SOCK_STREAM }, { AF_UNIX, SOCK_DGRAM },
	{ AF_UNIX, SOCK_SEQPACKET }, { AF_INET, SOCK_STREAM }, { AF_INET, SOCK_DGRAM },
	{ AF_INET6, SOCK_STREAM }, { AF_INET6, SOCK_DGRAM } };

/* Questions about terminals, descriptors and interfaces; nothing that types into a terminal. */
static const uint32_t confine_ioctls[] = { TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX,
	SIOCOUTQ, SIOCGSTAMP, SIOCGSTAMPNS, SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFCONF, SIOCGIFFLAGS,
	SIOCGIFADDR, SIOCGIFNETMASK, SIOCGIFBRDADDR, SIOCGIFDSTADDR, SIOCGIFMTU, SIOCGIFHWADDR,
	SIOCGIFTXQLEN, SIOCETHTOOL, SIOCGIFVLAN };

static const uint32_t confine_prctls[] = { PR_SET_NAME, PR_GET_NAME, PR_SET_PDEATHSIG,
	PR_GET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_GET_DUMPABLE,
	PR_SET_TIMERSLACK, PR_GET_SECCOMP, PR_CAPBSET_READ, PR_SET_VMA };

/* @names: with a space behind each. */
static int confine_add_names(scmp_filter_ctx filter, uint32_t action, const char *names)
{
	char name[CONFINE_NAME_BYTES];

	for (const char *at = names; *at; at += strlen(name) + 1) {
		int number, r = 0;

		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, " "), at);
		number = seccomp_syscall_resolve_name(name);
		if (number >= 0) /* others: not of this architecture, or too new for the library */
			r = seccomp_rule_add(filter, action, number, 0);
		if (r < 0 && r != -EEXIST)
			return r;
	}
	return 0;
}

static int confine_add_numbers(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < ARRAY_SIZE(confine_allowed_numbers); i++) {
		int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, confine_allowed_numbers[i], 0);

		if (r < 0 && r != -EEXIST)
			return r;
	}
	return 0;
}

/* Of argument @arg the low 32 bits that @mask selects are @value; the kernel looks at no more. */
static struct scmp_arg_cmp confine_bits(unsigned int arg, uint32_t mask, uint32_t value)
{
	return (struct scmp_arg_cmp){
		.arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value
	};
}

static struct scmp_arg_cmp confine_is(unsigned int arg, uint32_t value)
{
	return confine_bits(arg, UINT32_MAX, value);
}

/* Files are only read; descriptors to write to come from clients. */
static int confine_add_opens(scmp_filter_ctx filter)
{
	const uint32_t writing = O_ACCMODE | O_CREAT | O_TRUNC, refused = SCMP_ACT_ERRNO(EACCES);
	int r = seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, confine_bits(2, writing, O_RDONLY));

	if (r == 0)
		r = seccomp_rule_add(
			filter, refused, SCMP_SYS(openat), 1, confine_bits(2, O_WRONLY, O_WRONLY));
	if (r == 0)
		r = seccomp_rule_add(
			filter, refused, SCMP_SYS(openat), 1, confine_bits(2, O_RDWR, O_RDWR));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
			confine_bits(1, writing, O_RDONLY));
	return r;
}

static int confine_add_sockets(scmp_filter_ctx filter)
{
	const uint32_t kind = 0xf; /* the rest are SOCK_CLOEXEC and SOCK_NONBLOCK */
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(confine_sockets); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
			confine_is(0, confine_sockets[i][0]),
			confine_bits(1, kind, confine_sockets[i][1]));
	/* The resolver and if_nametoindex() ask the kernel for addresses and interfaces. */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
			confine_is(0, AF_NETLINK), confine_is(2, NETLINK_ROUTE));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
			confine_is(0, AF_PACKET));
	return r;
}

static int confine_add_arguments(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(confine_ioctls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
			confine_is(1, confine_ioctls[i]));
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(confine_prctls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
			confine_is(0, confine_prctls[i]));
	/* Threads and processes, but no namespaces. clone3() keeps its flags in memory, where no
	 * filter sees them: it does not exist, and the C library takes clone(). */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			confine_bits(0, CONFINE_CLONE_NEW, 0));
	return r;
}

/* Programs are loaded and attached by the parent. What remains is to put one of them into a slot of
 * an array of ours, and to ask whether a link of ours is still there: on descriptors alone. */
static int confine_add_bpf(scmp_filter_ctx filter, uint32_t hostile)
{
	int r = seccomp_rule_add(filter, hostile, SCMP_SYS(bpf), 1,
		(struct scmp_arg_cmp){
			.arg = 0, .op = SCMP_CMP_GE, .datum_a = CONFINE_BPF_COMMANDS_MAX });

	for (uint32_t command = 0; r == 0 && command < CONFINE_BPF_COMMANDS_MAX; command++) {
		bool is_ours = command == BPF_MAP_UPDATE_ELEM || command == BPF_OBJ_GET_INFO_BY_FD;

		r = seccomp_rule_add(filter, is_ours ? SCMP_ACT_ALLOW : hostile, SCMP_SYS(bpf), 1,
			confine_is(0, command));
	}
	return r;
}

/* @tell_fd: of a reader; -1 */
static int confine_build(scmp_filter_ctx filter, int tell_fd)
{
	/* Sanitizers trace themselves and run a program that knows the lines. */
	uint32_t hostile = BUILD_SANITIZED ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS;
	int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	(void)tell_fd;
	/* A tree instead of a list; and no speculation barriers, which cost every call and which
	 * an allow-list does not need. Unknown to some kernels, and not essential. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	if (r == 0)
		r = confine_add_names(filter, SCMP_ACT_ALLOW, confine_allowed);
	if (r == 0)
		r = confine_add_names(filter, hostile, confine_hostile);
	if (r == 0)
		r = confine_add_names(filter, SCMP_ACT_ERRNO(EPERM), confine_refused);
	if (r == 0)
		r = BUILD_SANITIZED ? confine_add_names(filter, SCMP_ACT_ALLOW, "bpf ")
				    : confine_add_bpf(filter, hostile);
	if (r == 0)
		r = confine_add_numbers(filter);
	if (r == 0)
		r = confine_add_opens(filter);
	if (r == 0)
		r = confine_add_sockets(filter);
	if (r == 0)
		r = confine_add_arguments(filter);
	return r;
}

static int confine_build_reader(scmp_filter_ctx filter, int tell_fd)
{
	const struct scmp_arg_cmp told = {
		.arg = 0, .op = SCMP_CMP_EQ, .datum_a = (unsigned int)tell_fd
	};
	const struct scmp_arg_cmp other = {
		.arg = 0, .op = SCMP_CMP_NE, .datum_a = (unsigned int)tell_fd
	};
	int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	/* Of all threads, if a library has some. */
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = confine_add_names(filter, SCMP_ACT_ALLOW, confine_reading);
	if (r == 0)
		r = confine_add_opens(filter);
	/* For questions about interfaces. */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
			confine_is(0, AF_UNIX), confine_bits(1, 0xf, SOCK_DGRAM));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 2,
			confine_is(0, PR_SET_PDEATHSIG), confine_is(1, SIGKILL));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, told);
	/* What a timer says, of which wake_signal() makes sure. */
	if (r == 0)
		r = seccomp_rule_add(filter,
			BUILD_SANITIZED ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(write),
			1, other);
	return r;
}

/* A filter of its own beside a reader's list, of which a call must pass both: a list cannot allow
 * all arguments but some. */
static int confine_build_alone(scmp_filter_ctx filter, int tell_fd)
{
	const uint32_t refused = SCMP_ACT_ERRNO(ENOSYS);
	const struct scmp_arg_cmp other = {
		.arg = 0, .op = SCMP_CMP_NE, .datum_a = (unsigned int)getpid()
	};
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	(void)tell_fd;
	if (r == 0)
		r = seccomp_rule_add(filter, refused, SCMP_SYS(tgkill), 1, other);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(confine_reaching); i++) {
		int number = seccomp_syscall_resolve_name(confine_reaching[i].name);

		if (number >= 0) /* of this architecture */
			r = seccomp_rule_add(filter, refused, number, 1,
				confine_is(1, confine_reaching[i].command));
	}
	return r;
}

/* @otherwise: what becomes of calls of which @build says nothing */
static int confine_filter(
	uint32_t otherwise, int (*build)(scmp_filter_ctx filter, int tell_fd), int tell_fd)
{
	scmp_filter_ctx filter = seccomp_init(otherwise);
	int r;

	if (!filter)
		return log_errno(LOG_ERR, -ENOMEM, "no filter of system calls");
	r = build(filter, tell_fd);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? log_errno(LOG_ERR, r, "no filter of system calls") : 0;
}

/* @tell_fd: of a reader; -1: the engine. */
static int confine_all(const char *user, int tell_fd)
{
	const uint32_t absent = SCMP_ACT_ERRNO(ENOSYS);
	int r = confine_become(user);

	if (r == 0)
		r = confine_drop_caps();
	if (r < 0)
		return r;
	/* Nobody else of this user looks into our memory; sanitizers do. */
	if (!BUILD_SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return log_errno(LOG_ERR, -errno, "PR_SET_DUMPABLE");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return log_errno(LOG_ERR, -errno, "PR_SET_NO_NEW_PRIVS");
	if (tell_fd < 0)
		return confine_filter(absent, confine_build, tell_fd);
	r = confine_filter(SCMP_ACT_ALLOW, confine_build_alone, tell_fd);
	return r < 0 ? r : confine_filter(absent, confine_build_reader, tell_fd);
}

int confine_engine(const char *user)
{
	return confine_all(user, -1);
}

int confine_reader(const char *user, int tell_fd)
{
	return confine_all(user, tell_fd);
}
