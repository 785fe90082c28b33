/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Relays: how packets of a device come to the engine that it cannot open, nor anybody for it,
 * because the device belongs to the process that has opened it (whatever libpcap opens). Three
 * processes take part:
 *
 *   keeper   has rights, meets no packet: makes the relay, and has a reader as long as the engine
 *            holds its end
 *   reader   opens the device, gives up its rights, and writes what comes into the relay
 *   engine   opens a source of packets on it (driver_relay)
 *
 * A relay is a record ring (wire/ring.h), memory in which the reader says what became of the
 * device, and a pipe by which each side hears of the other's end. The reader never waits for the
 * engine: what the ring has no room for is counted as lost there, beside what the device itself has
 * lost. A reader ends with its device, and the next one goes on in the same memory.
 *
 * Reader and engine both meet hostile packets. So neither believes what the other has written: it
 * can be wrong, but never does more harm than wrong packets.
 */
#ifndef MAPI_DRIVER_RELAY_H
#define MAPI_DRIVER_RELAY_H

#include "base/cleanup.h"
#include "driver.h"

#define RELAY_N_FDS 5 /* what the engine is given: at most DRIVER_FDS_MAX */

struct relay;

/**
 * relay_new() - the keeper's: make one
 * @ret:     the caller owns it
 * @options: its ring_bytes are the relay's, at least RELAY_BYTES_MIN
 *
 * Return: 0, negative errno: no memory, no descriptors.
 */
int relay_new(struct relay **ret, const struct driver_options *options);
struct relay *relay_free(struct relay *relay); /* takes NULL */
DEFINE_CLEANUP(struct relay *, relay_free);

/* What the engine is to be given, for driver_relay. Borrowed. */
void relay_fds(const struct relay *relay, int ret_fds[RELAY_N_FDS]);

/* The keeper, when the engine has its descriptors, and each reader as the first: from now on the
 * engine alone holds its end of the pipe. */
void relay_give(struct relay *relay);

/* Hangs up (POLLHUP) when the engine has closed its end. Borrowed. */
int relay_lease_fd(const struct relay *relay);

/* The keeper's, while there is no reader: it has ended without a word, or no other can open the
 * device. */
void relay_gone(struct relay *relay);

/**
 * relay_begin() - the reader's: say what it has opened
 * @driver, @source: of driver->open(); borrowed for relay_run()
 *
 * Return: 0; -EBADMSG: the engine has damaged the relay.
 */
int relay_begin(struct relay *relay, const struct driver *driver, struct driver_source *source);

/**
 * relay_run() - the reader's: hand over what comes
 *
 * Returns when the device is not up, so that who may can open it again, or when the engine has
 * closed its end: 0; -EBADMSG: the engine has damaged the relay.
 */
int relay_run(struct relay *relay);

/* The engine's source: opens what relay_fds() gave. Found by driver_find(). */
extern const struct driver driver_relay;

#endif
