/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine: the event loop of the control thread, and the sessions it serves. It never waits for
 * anything but events.
 */
#ifndef MAPI_SENSOR_ENGINE_H
#define MAPI_SENSOR_ENGINE_H

struct engine;

/**
 * engine_run_private() - serve one client until it goes
 * @fd: connected socket of the client; taken
 *
 * Return: 0 when the client has closed, negative errno if the engine cannot run.
 */
int engine_run_private(int fd);

#endif
