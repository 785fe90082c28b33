/* SPDX-License-Identifier: BSD-2-Clause */
/* Going to the background, for those who start the system daemon by hand or by an old script. */
#ifndef MAPI_SENSOR_BACKGROUND_H
#define MAPI_SENSOR_BACKGROUND_H

/**
 * background_enter() - fork; the program that was started ends when the daemon serves
 *
 * Before there are threads. The daemon has a session of its own, / as its directory and /dev/null
 * for its input and output; what it logs goes to the system's log unless a file was opened for it.
 *
 * Return: 0 in the daemon; negative errno (a message was logged). In the program that was started
 * it does not return: exit status 0 when the daemon serves, else that of the daemon.
 */
int background_enter(void);

#endif
