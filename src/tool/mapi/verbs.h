/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs of the command line: one file each; main.c holds the visible list. */
#ifndef MAPI_TOOL_VERBS_H
#define MAPI_TOOL_VERBS_H

/**
 * struct verb - "mapi NAME ..."
 * @summary: one line for the list of verbs
 * @help:    one screen: purpose, three examples, common options
 * @run:     argv[0] is "mapi NAME"; returns enum exit_code (session.h)
 */
struct verb {
	const char *name;
	const char *summary;
	const char *help;
	int (*run)(int argc, char **argv);
};

extern const struct verb verb_run;
extern const struct verb verb_dump;
extern const struct verb verb_functions;
extern const struct verb verb_devices;
extern const struct verb verb_doctor;
extern const struct verb verb_flows;
extern const struct verb verb_top;

#endif
