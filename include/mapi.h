/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MAPI: the Monitoring API. Manual page: mapi(3).
 *
 *	fd = mapi_create_flow("eth0");                         a flow of packets
 *	mapi_apply_function(fd, "BPF_FILTER", "tcp port 80");  what happens to each of them
 *	fid = mapi_apply_function(fd, "BYTE_COUNTER");
 *	mapi_connect(fd);                                      now it does
 *	result = mapi_read_results(fd, fid);
 *	mapi_close_flow(fd);
 *
 * Programs written for MAPI 1.x and 2.0 compile unchanged. Unless said otherwise a function returns
 * -1 or NULL on failure, and mapi_read_error() then gives this thread's error code and text. All
 * functions may be called from any thread; mapi_close_flow() also from a signal handler.
 */
#ifndef MAPI_H
#define MAPI_H

/* Historical programs rely on what these bring in. */
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/types.h>
#include <syslog.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PAPI 10

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif
typedef int boolean_t;

#define MAPI_STR_LENGTH 256
#define MAPI_ERRORSTR_LENGTH 512
#define DEFAULT_DIMAPI_PORT 2233

/* Types of arguments in the historical descriptions of functions. */
typedef unsigned char mapiFunctArg;
#define INT 1
#define STRING 2
#define UNSIGNED_LONG_LONG 3
#define CHAR 4

#ifdef __GNUC__
#define MAPI_UNUSED __attribute__((unused))
#define MAPI_API __attribute__((visibility("default")))
#else
#define MAPI_UNUSED
#define MAPI_API
#endif

#define MFF_PCAP_STR "MFF_PCAP"
#define MFF_DAG_ERF_STR "MFF_DAG_ERF"
#define MFF_NAPATECH_STR "MFF_NAPATECH"

/* Formats of capture files. For reading they are only a hint: the content decides. */
enum mapi_file_formats { MFF_PCAP = 0, MFF_RAW, MFF_DAG_ERF, MFF_COMBO6, MFF_NAPATECH };

/* How the three-argument mapi_read_results() gives a result. */
enum mapi_read_result_method {
	MAPI_COPY = 0, /* a copy, as of the call */
	MAPI_REF /* a place that always holds the current value */
};

/* Arguments of COOKING and TO_BUFFER. */
enum cooking_direction { CLIENT_SIDE = 1, SERVER_SIDE = 2, BOTH_SIDE = 3 };
enum toba_flg { WAIT = 0, NOWAIT = 1 };

typedef enum mapi_offline_device_status {
	DEVICE_ONLINE = 0,
	DEVICE_SETUP,
	DEVICE_READING,
	DEVICE_FINISHED,
	DEVICE_DELETED
} mapi_offline_device_status_t;

enum mapi_flow_status {
	FLOW_INIT = 0, /* not connected yet */
	FLOW_ACTIVE,
	FLOW_FINISHED, /* the capture file is read to its end, or the flow has failed */
	FLOW_CLOSED
};

/* Why packets that a result should cover are missing from it. */
enum mapi_loss {
	MAPI_LOSS_NIC = 0, /* lost by the card or its driver */
	MAPI_LOSS_RING, /* the capture buffer was full */
	MAPI_LOSS_QUEUE, /* the program did not read its packets in time */
	MAPI_LOSS_TABLE, /* a table of flows or streams was full */
	MAPI_LOSS_POLICY, /* withheld by a rule of the sensor's owner */
	MAPI_LOSS_MEMORY /* out of memory or over a quota */
};
#define MAPI_N_LOSS 6

/* What a live device does now. */
enum mapi_device_state {
	MAPI_DEVICE_UP = 0, /* also: a capture file */
	MAPI_DEVICE_DOWN, /* capture goes on when it comes up */
	MAPI_DEVICE_GONE /* capture goes on when there is one of that name again */
};

typedef struct mapi_flow_info {
	uid_t uid;
	int fd;
	int devid;
	char device[MAPI_STR_LENGTH];
	unsigned int num_functions;
	time_t start; /* of mapi_connect(); 0 before */
	time_t end; /* 0 while it runs */
	enum mapi_flow_status status;
#ifdef WITH_PRIORITIES
	int priority;
#endif
} mapi_flow_info_t;

typedef struct mapi_result {
	void *res;
	unsigned int size;
} mapi_result_t;

typedef struct mapi_results {
	void *res;
	unsigned long long ts; /* microseconds since the Unix epoch */
	int size; /* of *res, in bytes */
} mapi_results_t;

typedef struct mapi_function_info {
	int fid;
	char name[MAPI_STR_LENGTH];
	char libname[MAPI_STR_LENGTH];
	char devtype[MAPI_STR_LENGTH];
	unsigned long long pkts; /* that have reached it */
	unsigned long long passed_pkts; /* of them, those that functions after it see, too */
	int result_size; /* in bytes; 0: no result */
} mapi_function_info_t;

typedef struct mapi_device_info {
	int id;
	char device[MAPI_STR_LENGTH];
	char name[MAPI_STR_LENGTH];
	char alias[MAPI_STR_LENGTH];
	char description[1024];
	int link_speed; /* Mbit/s; 0: unknown */
	int mpls; /* 1: the configuration expects such headers, else 0; they are decoded anyway */
	int vlan; /* the same */
} mapi_device_info_t;

typedef struct mapi_libfunct_info {
	char name[MAPI_STR_LENGTH];
	char descr[1024];
	char argdescr[MAPI_STR_LENGTH];
	char devtype[MAPI_STR_LENGTH];
} mapi_libfunct_info_t;

typedef struct mapi_lib_info {
	int id;
	char libname[MAPI_STR_LENGTH];
	unsigned int functs;
} mapi_lib_info_t;

struct mapi_stat {
	unsigned int ps_recv;
	unsigned int ps_drop;
	unsigned int ps_ifdrop;
	char hostname[MAPI_STR_LENGTH];
	char dev[MAPI_STR_LENGTH];
};

/* A packet. Its caplen bytes begin at &pkt. */
struct mapipkt {
	/* Seconds since the Unix epoch, 32.32 fixed point, rounded up: the fraction times 10^9,
	 * divided by 2^32 and cut off, is the exact number of nanoseconds. */
	unsigned long long ts;
	unsigned short ifindex;
	unsigned int caplen; /* bytes captured */
	unsigned int wlen; /* bytes on the wire */
	unsigned char pkt;
};

typedef void (*mapi_handler)(const struct mapipkt *pkt);

/**
 * struct mapi_result_status - how good a result is
 * @sz:          set by the caller: sizeof(struct mapi_result_status)
 * @age_ns:      time since the value was published
 * @error:       0, or the code (mapi/errors.h) of what ended the flow or broke the connection
 * @status:      of the flow
 * @restarts:    how often the system daemon was restarted and this flow built again there: results
 *               began at zero each time
 * @gap_ns:      time that these restarts have cost, during which no packet was seen
 * @pkts:        packets of the device since mapi_connect()
 * @late_pkts:   of them, packets with an earlier time than one before them
 * @lost_pkts:   missing packets, by cause (enum mapi_loss)
 * @done_bytes:  of a capture file: how far it is read
 * @total_bytes: of a capture file: its size, 0 if unknown
 * @last_ts_ns:  latest time of a packet so far, nanoseconds since the Unix epoch; 0: no packet
 * @device:      what the device does now
 * @outages:     how often it has gone down since mapi_connect()
 * @error_text:  one sentence, empty if @error is 0
 * @clock_steps: how often the machine's clock was set, by a second or more, since mapi_connect() on
 * a live device: times before and after are of different clocks
 * @behind:      1: the flow is counted at the interface behind programs of others, which may keep
 * packets to themselves: those are not counted, and not among @lost_pkts; else 0. At most some
 * seconds old
 * @times_behind: how often it has come to that since mapi_connect()
 * @changes:     how often the interface was renamed or got another MTU since mapi_connect(); that
 * alone ends no capture
 */
struct mapi_result_status {
	size_t sz;
	unsigned long long age_ns;
	int error;
	enum mapi_flow_status status;
	unsigned long long restarts;
	unsigned long long gap_ns;
	unsigned long long pkts;
	unsigned long long late_pkts;
	unsigned long long lost_pkts[MAPI_N_LOSS];
	unsigned long long done_bytes;
	unsigned long long total_bytes;
	unsigned long long last_ts_ns;
	enum mapi_device_state device;
	unsigned long long outages;
	char error_text[MAPI_ERRORSTR_LENGTH];
	unsigned long long clock_steps;
	int behind;
	unsigned long long times_behind;
	unsigned long long changes;
};

/**
 * mapi_create_flow() - create a network flow
 * @dev: a device, or what mapi_create_offline_device() returned
 *
 * Return: a flow descriptor (positive, never used again by this process), or -1: 6157 (@dev is
 * NULL), 3200 (no driver for it), 5124 (no daemon).
 */
MAPI_API int mapi_create_flow(const char *dev);

/**
 * mapi_create_offline_device() - make a device of a capture file
 * @path:   of the file, relative to the current directory; "-" is standard input
 * @format: enum mapi_file_formats, only a hint
 *
 * All flows that are created on the device see the packets of one reading of the file, which begins
 * with mapi_start_offline_device().
 *
 * Return: the name of the device for mapi_create_flow(), to be freed by
 * mapi_delete_offline_device(); NULL: 1026 (the file cannot be opened), 5124 (no daemon).
 */
MAPI_API char *mapi_create_offline_device(const char *path, int format);

/* Begin to read. Return: 0, or -1: 6157 (no such device). */
MAPI_API int mapi_start_offline_device(const char *dev);

/* Close the device and free @dev. Flows on it finish, their results stay readable. Return: 0, or
 * -1: 6157 (no such device; @dev is not freed). */
MAPI_API int mapi_delete_offline_device(char *dev);

/**
 * mapi_create_offline_flow() - create a flow on a capture file of its own
 * @path, @format: as for mapi_create_offline_device()
 *
 * Reading begins with mapi_connect().
 *
 * Return: a flow descriptor, as of mapi_create_flow(), or -1: 6157 (@path is NULL), 1026 (the file
 * cannot be opened), 5124 (no daemon).
 */
MAPI_API int mapi_create_offline_flow(const char *path, int format);

/**
 * mapi_apply_function() - append a function to a flow
 * @fd:    of a flow that is not connected
 * @funct: "NAME", "library:NAME", each with an optional "!device class"
 *
 * The function's arguments follow. Numbers may have any integer type; a number where a string is
 * expected is taken as its decimal text. Arguments that are missing at the end take their defaults;
 * more than the function has are ignored. A path of an output file is opened by the calling
 * process.
 *
 * Return: a function id (positive, in order of application), or -1: 6147 (@fd is not positive),
 * 6145 (no such flow), 7006 (@funct is NULL, or the flow is connected), 6144 (no such function),
 * 6155 (output file), 7000-7011 (the argument).
 */
#if !defined(__cplusplus) || __cplusplus < 201103L
MAPI_API int mapi_apply_function(int fd, const char *funct, ...);
#endif

/* What mapi_apply_function() expands to, see the end of this file. */
MAPI_API int mapi_apply_function_typed(int fd, unsigned long long types, const char *funct, ...);

/* The same with all arguments as text: "0" for a number, NULL for a missing one. */
MAPI_API int mapi_apply_function_array(int fd, const char *funct, char **args, unsigned int n_args);

/**
 * mapi_authenticate() - say who uses a flow
 *
 * Local flows belong to the user of the process, which the daemon knows from the kernel: any name
 * is accepted, and nothing is sent. To be called before mapi_connect().
 *
 * Return: 0, or -1: 6145 (no such flow).
 */
MAPI_API int mapi_authenticate(int fd, const char *user, const char *password, const char *vo);

/* Start a flow: all packets from now on are seen. Return: 0, or -1: 6141 (nothing was created yet),
 * 6145 (no such flow), 3081 (connected already), or what the functions found wrong, e.g. 1025. */
MAPI_API int mapi_connect(int fd);

/**
 * mapi_get_next_pkt() - the next packet of a TO_BUFFER function
 *
 * Waits for a packet unless TO_BUFFER was applied with NOWAIT.
 *
 * Return: a packet, valid until the next call for this function or mapi_close_flow(). NULL with
 * error code 0: there is none now (NOWAIT), or the capture file has ended. Otherwise NULL: 6147
 * (bad @fd or @fid), 6143 (not connected), 6145 (closed meanwhile), 6148 (another thread is reading
 * this function's packets), 9005 (daemon lost), or the error that ended the flow.
 */
MAPI_API struct mapipkt *mapi_get_next_pkt(int fd, int fid);

/**
 * mapi_loop() - call a function for each packet of a TO_BUFFER function
 * @cnt:      positive: return after so many packets; else when there are no more
 * @callback: may call any function of this library, mapi_close_flow() too
 *
 * Return: 0, or -1: 7004 (@callback is NULL), else as mapi_get_next_pkt().
 */
MAPI_API int mapi_loop(int fd, int fid, int cnt, mapi_handler callback);

/**
 * mapi_read_results() - the result of a function
 *
 * Costs no system call but a look after the daemon every 10 ms and, once mapi_wait() or
 * mapi_fileno() was called for the flow, the reset of what they wait for. Values are at most 10 ms
 * old, and exact when the flow is finished or after mapi_flush().
 *
 * Return: mapi_get_scope_size() results that belong to the library and are overwritten by the next
 * call for this function; res is never NULL. NULL: 6145 (no such flow, or bad @fd or @fid), 6147
 * (no such function), 6143 (not connected), 9005 (daemon lost).
 *
 * With a third argument (MAPI_COPY or MAPI_REF, the form of MAPI 1.x) it returns void *: the result
 * itself. MAPI_REF gives a place where the first field of the result, 8 bytes, always has its
 * current value until mapi_close_flow(). After a restart of the system daemon the place keeps its
 * last value; the next call gives another.
 */
MAPI_API mapi_results_t *mapi_read_results(int fd, int fid);
MAPI_API void *mapi_read_results_method(int fd, int fid, int method);

/* Close a flow and wake those who wait for it. May be called from a signal handler. What its
 * functions write to files is complete when it returns. Return: 0, or -1: 6145 (no such flow). */
MAPI_API int mapi_close_flow(int fd);

/**
 * mapi_read_error() - the last error of this thread
 * @err_no:   its code; may be NULL
 * @errorstr: its text, at most MAPI_ERRORSTR_LENGTH bytes; may be NULL
 *
 * Clears the error. Return: 0, or -1 if both are NULL.
 */
MAPI_API int mapi_read_error(int *err_no, char *errorstr);

/**
 * mapi_get_flow_info() - describe a flow
 * @fd: of this process, also a finished one; or the number of a flow that another program of this
 *      user (of anybody, for an administrator) has at the system daemon
 *
 * devid is the number of a live device in mapi_get_device_info() (-1: it is not listed), or the one
 * at the end of the name that mapi_create_offline_device() returned.
 *
 * Return: 0, or -1: 7002 (@info is NULL), 6145 (no such flow), 9005 (the daemon of a flow of this
 * process is gone; @info is filled).
 */
MAPI_API int mapi_get_flow_info(int fd, mapi_flow_info_t *info);

/**
 * mapi_get_next_flow_info() - go through flows: those of this process, and those that other
 * programs of this user (of anybody, for an administrator) have at the system daemon
 * @fd: the flow with the smallest number above this one is described; begin with 0
 *
 * Needs no flow of its own and no right to capture. Flows may come and go meanwhile.
 *
 * Return: 0, or -1: 7002 (@info is NULL), 6149 (there is none).
 */
MAPI_API int mapi_get_next_flow_info(int fd, mapi_flow_info_t *info);

/**
 * mapi_get_device_info() - describe a live device
 * @devid: 0, 1, 2 ...; gaps are where devices have gone since the daemon began
 * @info:  filled; name is that of the driver, link_speed is in Mbit/s (0: unknown), alias and
 *         description are those of the configuration, or empty
 *
 * The devices are those of the system daemon, or without one those of this machine. Needs no flow
 * and no right to capture.
 *
 * Return: 0, or -1: 7002 (@info is NULL), 6157 (no such device), 5124 (no daemon).
 */
MAPI_API int mapi_get_device_info(int devid, mapi_device_info_t *info);

/* The same for the device with the smallest number above @devid; begin with -1. Programs of old
 * begin with 0: unless device 0 is what this thread was told last, it is what follows 0. Return: 0,
 * or -1: 7002 (@info is NULL), 6157 (there is none), 5124 (no daemon). */
MAPI_API int mapi_get_next_device_info(int devid, mapi_device_info_t *info);

/* The group of devices that the configuration puts a live device into (devgroup=). Return: its
 * number, 0: none, or -1: 6157 (no such device), 5124 (no daemon). */
MAPI_API int mapi_get_device_group(int devid);

/**
 * mapi_get_library_info() - describe a function library
 * @libnum: 0, 1, 2 ... without gaps
 * @info:   filled; functs is the number of its functions
 *
 * Needs no flow. Without a daemon that could be asked, a private one is started.
 *
 * Return: 0, or -1: 7002 (@info is NULL), 3074 (no such library), 5124 (no daemon).
 */
MAPI_API int mapi_get_library_info(int libnum, mapi_lib_info_t *info);

/* The same for the library after @libnum; begin with -1. Return: as above; 3074: there is none. */
MAPI_API int mapi_get_next_library_info(int libnum, mapi_lib_info_t *info);

/**
 * mapi_get_libfunct_info() - describe a function of a library
 * @libnum: of the library, as in mapi_get_library_info()
 * @fnum:   0, 1, 2 ... without gaps
 * @info:   filled; argdescr has a letter for each argument (enum mapi_arg_type, mapi/schema.h),
 *          devtype is the class of devices on which the function runs ("1": all)
 *
 * mapi_describe_function() (mapi/schema.h) tells more.
 *
 * Return: 0, or -1: 7003 (@info is NULL), 3074 (no such library), 3078 (no such function), 5124 (no
 * daemon).
 */
MAPI_API int mapi_get_libfunct_info(int libnum, int fnum, mapi_libfunct_info_t *info);

/* The same for the function after @fnum; begin with -1. Two names of old. Return: as above; 3078:
 * there is none. */
MAPI_API int mapi_get_next_libfunct_info(int libnum, int fnum, mapi_libfunct_info_t *info);
MAPI_API int mapi_get_libfunct_next_info(int libnum, int fnum, mapi_libfunct_info_t *info);

/**
 * mapi_get_function_info() - describe a function of a flow, and count what it has seen
 * @fd:   of any flow that mapi_get_flow_info() knows
 * @info: filled; pkts is the number of packets that have reached the function (a super-packet of a
 *        live device is one), passed_pkts of those that functions after it see, too. Both are
 *        published with the results
 *
 * Return: 0, or -1: 7003 (@info is NULL), 6141 (no such flow), 6150 (no such function), 9005 (the
 * daemon of a flow of this process is gone; the rest of @info is filled).
 */
MAPI_API int mapi_get_function_info(int fd, int fid, mapi_function_info_t *info);

/* The same for the function with the smallest id above @fid; begin with 0. Return: as above; 6150:
 * there is none. */
MAPI_API int mapi_get_next_function_info(int fd, int fid, mapi_function_info_t *info);

/**
 * mapi_stats() - what was captured from a device that flows use
 * @dev:   as a flow of this program names it, or a live device of the system daemon
 * @stats: filled: one for each element of the scope, which is one. As of pcap_stats(), since the
 *         device was opened: ps_recv packets captured, ps_drop of them lost for want of buffer,
 *         ps_ifdrop lost by the card before. The numbers wrap at 32 bits
 *
 * Return: how many were filled, or -1: 6157 (@dev is NULL), 7002 (@stats is NULL), 8004 (no flow
 * uses the device).
 */
MAPI_API int mapi_stats(const char *dev, struct mapi_stat *stats);

/* The class of the flow's device: "1.3" for network interfaces and capture files, "1.4" for
 * directories of captures. The text is constant. NULL: 6145. */
MAPI_API char *mapi_get_devtype_of_flow(int fd);

/* 1 if the daemon of the flow is gone, 0 if not. -1: 6145. */
MAPI_API int mapi_is_sensor_down(int fd);

/* Elements that mapi_read_results() gives; 1 for local flows. -1: 6145. */
MAPI_API int mapi_get_scope_size(int fd);

/* 1 if the flow is on another machine, 0 if not. -1: 6145. */
MAPI_API int mapi_is_remote(int fd);

/**
 * mapi_result_status() - age, loss and errors of a result
 * @i:          element, from 0 to mapi_get_scope_size() - 1
 * @ret_status: sz must be set; filled up to that size
 *
 * Return: 0, or -1: 6145 (no such flow), 6147 (no such function), 6143 (not connected), 7003 (@i),
 * 7004 (@ret_status).
 */
MAPI_API int mapi_result_status(int fd, int fid, int i, struct mapi_result_status *ret_status);

/* Wait until results cover everything captured before the call, but on a file at most 50 ms: a
 * daemon that waits for this program to read its packets cannot go on; live, some 10 ms, at most
 * 1 s. For the end of a file: mapi_wait().
 * Return: 0, or -1: 6145 (no such flow), 6143 (not connected), 9008 (live, after 1 s: the machine
 * is overloaded; results are younger, but do not cover all). */
MAPI_API int mapi_flush(int fd);

/**
 * mapi_wait() - wait until a flow has finished
 * @timeout_ms: at most so long; negative: as long as it takes
 *
 * A flow finishes at the end of its capture file, or early with an error (mapi_result_status()). A
 * flow with TO_BUFFER finishes only when another thread reads its packets. Empties the descriptor
 * that mapi_fileno() gives for results.
 *
 * Return: 1 (finished: all results are exact), 0 (time is over, or a signal was handled), or -1:
 * 6145 (no such flow, or it was closed meanwhile), 6143 (not connected), 9005 (the daemon is gone).
 */
MAPI_API int mapi_wait(int fd, int timeout_ms);

/**
 * mapi_fileno() - a descriptor for poll()
 *
 * Of a function with packets or records: readable while mapi_get_next_pkt() or mapi_read_results()
 * has some, or the end, to give. Of any other: readable when there are results newer than the last
 * that were read of this flow, and when the flow has finished. Of both also when the daemon has
 * ended: the next call about a flow on a live device has it built again, or says 9005. It
 * belongs to the library and stays the same until mapi_close_flow(); do not read or close it.
 *
 * Return: the descriptor, or -1: 6145 (no such flow), 6147 (no such function), 6143 (not
 * connected).
 */
MAPI_API int mapi_fileno(int fd, int fid);

/**
 * mapi_get_linktype() - what the packets of an interface begin with
 * @ifindex: as in struct mapipkt; 0 for sources with one interface
 *
 * Return: a LINKTYPE_ value of the capture file formats (1: Ethernet), or -1: 6145 (no such flow),
 * 6157 (the device has no such interface, so far).
 */
MAPI_API int mapi_get_linktype(int fd, unsigned int ifindex);

#ifdef __cplusplus
}
#endif

/*
 * Types of variadic arguments, packed into an integer: the count in the lowest four bits, then four
 * bits for each of at most twelve arguments. The library then knows which arguments are missing and
 * which must be converted, and reads nothing that was not passed.
 */
#define MAPI_TYPE_INT 1u
#define MAPI_TYPE_UINT 2u
#define MAPI_TYPE_LONG 3u
#define MAPI_TYPE_ULONG 4u
#define MAPI_TYPE_LLONG 5u
#define MAPI_TYPE_ULLONG 6u
#define MAPI_TYPE_DOUBLE 7u
#define MAPI_TYPE_LDOUBLE 8u
#define MAPI_TYPE_STRING 9u
#define MAPI_TYPE_POINTER 10u
#define MAPI_TYPE_OTHER 15u

#if defined(__cplusplus)
#if __cplusplus >= 201103L

namespace mapi_types
{
inline constexpr unsigned long long of(int)
{
	return MAPI_TYPE_INT;
}
inline constexpr unsigned long long of(unsigned int)
{
	return MAPI_TYPE_UINT;
}
inline constexpr unsigned long long of(long)
{
	return MAPI_TYPE_LONG;
}
inline constexpr unsigned long long of(unsigned long)
{
	return MAPI_TYPE_ULONG;
}
inline constexpr unsigned long long of(long long)
{
	return MAPI_TYPE_LLONG;
}
inline constexpr unsigned long long of(unsigned long long)
{
	return MAPI_TYPE_ULLONG;
}
inline constexpr unsigned long long of(double)
{
	return MAPI_TYPE_DOUBLE;
}
inline constexpr unsigned long long of(long double)
{
	return MAPI_TYPE_LDOUBLE;
}
inline constexpr unsigned long long of(const char *)
{
	return MAPI_TYPE_STRING;
}
inline constexpr unsigned long long of(const void *)
{
	return MAPI_TYPE_POINTER;
}
inline constexpr unsigned long long of(decltype(nullptr))
{
	return MAPI_TYPE_POINTER;
}
inline constexpr unsigned long long pack(unsigned int)
{
	return 0;
}
template <typename First, typename... Rest>
constexpr unsigned long long pack(unsigned int shift, First first, Rest... rest)
{
	return of(first) << shift | pack(shift + 4, rest...);
}
} // namespace mapi_types

template <typename... Args> inline int mapi_apply_function(int fd, const char *funct, Args... args)
{
	static_assert(sizeof...(args) <= 12, "no function has so many arguments");
	return mapi_apply_function_typed(
		fd, sizeof...(args) | mapi_types::pack(4, args...), funct, args...);
}

#endif

inline void *mapi_read_results(int fd, int fid, int method)
{
	return mapi_read_results_method(fd, fid, method);
}

#else /* C */

#define mapi_read_results(...)                                                               \
	MAPI_PICK_4TH_(__VA_ARGS__, mapi_read_results_method, mapi_read_results, none, none) \
	(__VA_ARGS__)
#define MAPI_PICK_4TH_(a, b, c, name, ...) name

#if defined(__GNUC__) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L)

#define MAPI_TYPE_(x) \
	_Generic((x),                                                                              \
		_Bool: MAPI_TYPE_INT,                                                              \
		char: MAPI_TYPE_INT,                                                               \
		signed char: MAPI_TYPE_INT,                                                        \
		unsigned char: MAPI_TYPE_INT,                                                      \
		short: MAPI_TYPE_INT,                                                              \
		unsigned short: MAPI_TYPE_INT,                                                     \
		int: MAPI_TYPE_INT,                                                                \
		unsigned int: MAPI_TYPE_UINT,                                                      \
		long: MAPI_TYPE_LONG,                                                              \
		unsigned long: MAPI_TYPE_ULONG,                                                    \
		long long: MAPI_TYPE_LLONG,                                                        \
		unsigned long long: MAPI_TYPE_ULLONG,                                              \
		float: MAPI_TYPE_DOUBLE,                                                           \
		double: MAPI_TYPE_DOUBLE,                                                          \
		long double: MAPI_TYPE_LDOUBLE,                                                    \
		char *: MAPI_TYPE_STRING,                                                          \
		const char *: MAPI_TYPE_STRING,                                                    \
		signed char *: MAPI_TYPE_STRING,                                                   \
		const signed char *: MAPI_TYPE_STRING,                                             \
		unsigned char *: MAPI_TYPE_STRING,                                                 \
		const unsigned char *: MAPI_TYPE_STRING,                                           \
		void *: MAPI_TYPE_POINTER,                                                         \
		const void *: MAPI_TYPE_POINTER,                                                   \
		default: MAPI_TYPE_OTHER)

#define MAPI_AT_(n, x) ((unsigned long long)MAPI_TYPE_(x) << (4 * (n)))
#define MAPI_PACK_0_(n) ((unsigned long long)(n))
#define MAPI_PACK_1_(n, a) (MAPI_PACK_0_(n) | MAPI_AT_(1, a))
#define MAPI_PACK_2_(n, a, b) (MAPI_PACK_1_(n, a) | MAPI_AT_(2, b))
#define MAPI_PACK_3_(n, a, b, c) (MAPI_PACK_2_(n, a, b) | MAPI_AT_(3, c))
#define MAPI_PACK_4_(n, a, b, c, d) (MAPI_PACK_3_(n, a, b, c) | MAPI_AT_(4, d))
#define MAPI_PACK_5_(n, a, b, c, d, e) (MAPI_PACK_4_(n, a, b, c, d) | MAPI_AT_(5, e))
#define MAPI_PACK_6_(n, a, b, c, d, e, f) (MAPI_PACK_5_(n, a, b, c, d, e) | MAPI_AT_(6, f))
#define MAPI_PACK_7_(n, a, b, c, d, e, f, g) (MAPI_PACK_6_(n, a, b, c, d, e, f) | MAPI_AT_(7, g))
#define MAPI_PACK_8_(n, a, b, c, d, e, f, g, h) \
	(MAPI_PACK_7_(n, a, b, c, d, e, f, g) | MAPI_AT_(8, h))
#define MAPI_PACK_9_(n, a, b, c, d, e, f, g, h, i) \
	(MAPI_PACK_8_(n, a, b, c, d, e, f, g, h) | MAPI_AT_(9, i))
#define MAPI_PACK_10_(n, a, b, c, d, e, f, g, h, i, j) \
	(MAPI_PACK_9_(n, a, b, c, d, e, f, g, h, i) | MAPI_AT_(10, j))
#define MAPI_PACK_11_(n, a, b, c, d, e, f, g, h, i, j, k) \
	(MAPI_PACK_10_(n, a, b, c, d, e, f, g, h, i, j) | MAPI_AT_(11, k))
#define MAPI_PACK_12_(n, a, b, c, d, e, f, g, h, i, j, k, l) \
	(MAPI_PACK_11_(n, a, b, c, d, e, f, g, h, i, j, k) | MAPI_AT_(12, l))

#define MAPI_APPLY_0_(fd, f) mapi_apply_function_typed(fd, MAPI_PACK_0_(0), f)
#define MAPI_APPLY_N_(n, pack, fd, f, ...) \
	mapi_apply_function_typed(fd, pack(n, __VA_ARGS__), f, __VA_ARGS__)
#define MAPI_APPLY_1_(...) MAPI_APPLY_N_(1, MAPI_PACK_1_, __VA_ARGS__)
#define MAPI_APPLY_2_(...) MAPI_APPLY_N_(2, MAPI_PACK_2_, __VA_ARGS__)
#define MAPI_APPLY_3_(...) MAPI_APPLY_N_(3, MAPI_PACK_3_, __VA_ARGS__)
#define MAPI_APPLY_4_(...) MAPI_APPLY_N_(4, MAPI_PACK_4_, __VA_ARGS__)
#define MAPI_APPLY_5_(...) MAPI_APPLY_N_(5, MAPI_PACK_5_, __VA_ARGS__)
#define MAPI_APPLY_6_(...) MAPI_APPLY_N_(6, MAPI_PACK_6_, __VA_ARGS__)
#define MAPI_APPLY_7_(...) MAPI_APPLY_N_(7, MAPI_PACK_7_, __VA_ARGS__)
#define MAPI_APPLY_8_(...) MAPI_APPLY_N_(8, MAPI_PACK_8_, __VA_ARGS__)
#define MAPI_APPLY_9_(...) MAPI_APPLY_N_(9, MAPI_PACK_9_, __VA_ARGS__)
#define MAPI_APPLY_10_(...) MAPI_APPLY_N_(10, MAPI_PACK_10_, __VA_ARGS__)
#define MAPI_APPLY_11_(...) MAPI_APPLY_N_(11, MAPI_PACK_11_, __VA_ARGS__)
#define MAPI_APPLY_12_(...) MAPI_APPLY_N_(12, MAPI_PACK_12_, __VA_ARGS__)
#define MAPI_PICK_15TH_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, name, ...) name

#define mapi_apply_function(...)                                                                 \
	MAPI_PICK_15TH_(__VA_ARGS__, MAPI_APPLY_12_, MAPI_APPLY_11_, MAPI_APPLY_10_,             \
		MAPI_APPLY_9_, MAPI_APPLY_8_, MAPI_APPLY_7_, MAPI_APPLY_6_, MAPI_APPLY_5_,       \
		MAPI_APPLY_4_, MAPI_APPLY_3_, MAPI_APPLY_2_, MAPI_APPLY_1_, MAPI_APPLY_0_, none, \
		none)                                                                            \
	(__VA_ARGS__)

#endif
#endif

#endif
