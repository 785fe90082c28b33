/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine: the event loop of the control thread, and the sessions it serves. It never waits for
 * anything but events.
 */
#ifndef MAPI_SENSOR_ENGINE_H
#define MAPI_SENSOR_ENGINE_H

#include "parent.h"

struct engine;

/**
 * engine_run_private() - serve one client until it goes
 * @fd: connected socket of the client; taken
 *
 * Return: 0 when the client has closed, negative errno if the engine cannot run.
 */
int engine_run_private(int fd);

/**
 * engine_run_system() - serve all clients of the system daemon until SIGTERM
 * @system: what the parent gives
 *
 * Return: an exit status: 0, 1 (a message was logged).
 */
int engine_run_system(const struct parent_engine *system);

#endif
