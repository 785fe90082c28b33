/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mapi.conf: what the system daemon serves, and how. The historical form: key=value, repeated
 * sections; docs/man/mapi.conf.5.scd is its description for users.
 */
#ifndef MAPI_CONFIG_CONFIG_H
#define MAPI_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/error.h"

#define CONFIG_FILE_BYTES_MAX (1u << 20)
#define CONFIG_LINE_BYTES_MAX 1024 /* without its end */
#define CONFIG_DEVICES_MAX 256
#define CONFIG_CPUS_MAX 64

/* Where nothing else is configured. */
#define CONFIG_SOCKET "/run/mapi/mapid.sock"
#define CONFIG_READ_ONLY_SOCKET "/run/mapi/mapid-read.sock"
#define CONFIG_GROUP "mapi"
#define CONFIG_USER "mapi"

/* Where the filters and counters of a device run. */
enum config_engine {
	CONFIG_ENGINE_AUTO, /* in the kernel, where that can be */
	CONFIG_ENGINE_KERNEL, /* the same, and where it cannot be is a warning */
	CONFIG_ENGINE_USER, /* in the daemon */
};

/**
 * struct config_device - a [driver] section: a device that programs may ask for
 * @device:     as programs name it (an interface, a libpcap device ...); never empty
 * @driver:     as written ("mapinicdrv.so"); the driver to use is @driver_name
 * @driver_name: of our driver that takes its place ("afpacket", "pcap", "tracedir"); NULL: any
 * @alias, @description: for people; empty if not given
 * @trace_dir:  NULL if not given
 * @link_speed_mbps: 0: unknown
 * @devgroup:   0: none
 * @cpus:       processors for its workers, n_cpus of them; 0: one worker, anywhere
 * @ring_bytes: 0: default
 * @snaplen_bytes: 0: whole packets
 * @incoming_only: direction=in, or @dedicated
 * @dedicated:  the interface is there to be monitored: nothing of this machine's goes over it
 * @discard:    and nothing on this machine but flows wants what comes; only with @dedicated
 */
struct config_device {
	char *device;
	char *driver;
	const char *driver_name;
	char *alias;
	char *description;
	char *trace_dir;
	uint32_t link_speed_mbps;
	int devgroup;
	bool mpls;
	bool vlan;
	bool no_promisc;
	enum config_engine engine;
	unsigned int cpus[CONFIG_CPUS_MAX];
	unsigned int n_cpus;
	uint64_t ring_bytes;
	uint32_t snaplen_bytes;
	bool incoming_only;
	bool dedicated;
	bool discard;
};

/* struct config_quota - what one user's programs may have together; 0: the built-in limit. */
struct config_quota {
	unsigned int sessions;
	unsigned int flows;
	uint64_t memory_bytes;
};

/**
 * struct config - a whole file
 * @path:          of the file; NULL: the built-in configuration
 * @socket, @read_only_socket: paths that fit into a socket's address; never NULL
 * @group:         that may use @socket; never NULL
 * @user:          that the engine runs as; never NULL
 * @logfile:       absolute path; NULL if not given
 * @log_level:     0: events; 1, 2: also what helps to find faults
 * @dimapi_port:   of remote access; 0 if not given
 * @any_interface: devices that no [driver] section names may be opened, too (no section at all)
 */
struct config {
	char *path;
	char *socket;
	char *read_only_socket;
	char *group;
	char *user;
	char *logfile;
	int log_level;
	int dimapi_port;
	bool any_interface;
	struct config_quota quota;
	struct config_device *devices;
	unsigned int n_devices;
};

/* What config_load() tells about a file that can be used all the same: a historical key that means
 * nothing any more, an unknown key. @line from 1. */
typedef void (*config_note)(void *context, unsigned int line, const char *text);

/**
 * config_load() - read a configuration
 * @ret:  freed by config_free()
 * @path: of the file; NULL: the built-in configuration (no file: every interface, defaults)
 * @note: called for each note, as they are found; NULL: nobody listens
 *
 * Return: 0; -ENOENT (no such file); -EINVAL with @err filled: "PATH:LINE: what is wrong and what
 * is possible"; other negative errno.
 */
int config_load(
	struct config **ret, const char *path, config_note note, void *context, struct error *err);
struct config *config_free(struct config *config); /* takes NULL */
DEFINE_CLEANUP(struct config *, config_free);

/* Return: the section of a device by name or alias, NULL if there is none. */
const struct config_device *config_find(const struct config *config, const char *name);

/**
 * config_keep_devgroup() - serve only the devices of one group (mapid -g)
 * @devgroup: of whose [driver] sections the others are forgotten
 *
 * No other device may be opened then, whatever any_interface= says.
 *
 * Return: 0; -EINVAL with @err filled: no section is of this group.
 */
int config_keep_devgroup(struct config *config, int devgroup, struct error *err);

/* Where the file is when the command line names none: $sysconfdir/mapi/mapi.conf. */
const char *config_default_path(void);

/**
 * config_check() - tell a person whether a configuration can be used (mapid --check-config)
 * @path: NULL: the default path, where no file is the built-in configuration
 * @devgroup: as of config_keep_devgroup(); 0: all
 * @out:  gets "PATH:LINE: note: ..." for each note, then what is wrong, or what would be served
 *
 * Return: 0 if it can be used, 1 if not: the exit status.
 */
int config_check(const char *path, int devgroup, FILE *out);

#endif
