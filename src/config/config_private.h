/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of mapi.conf's reader. config.c: files, and what programs ask. parse.c: lines,
 * sections, and which key may stand where. value.c: the table of all keys, and what their values
 * may be.
 */
#ifndef MAPI_CONFIG_CONFIG_PRIVATE_H
#define MAPI_CONFIG_CONFIG_PRIVATE_H

#include <stddef.h>

#include "config.h"

#define CONFIG_KEYS_MAX 64

enum config_section {
	CONFIG_SECTION_GLOBAL, /* before the first header */
	CONFIG_SECTION_DRIVER,
	CONFIG_SECTION_FORMAT,
	CONFIG_SECTION_DAG,
	CONFIG_SECTION_IPFIX,
	_CONFIG_SECTION_N
};

/**
 * struct config_parser - a file that is being read
 * @line:     the present one, from 1
 * @seen:     line of each key in the present section; 0: not there
 * @told, @told_sections, @told_dos: notes are given once
 * @device_lines: where each device is named
 */
struct config_parser {
	struct config *config;
	config_note note;
	void *context;
	struct error *err;
	unsigned int line;
	enum config_section section;
	unsigned int section_line;
	unsigned int seen[CONFIG_KEYS_MAX];
	bool told[CONFIG_KEYS_MAX];
	bool told_sections[_CONFIG_SECTION_N];
	bool told_dos;
	bool any_interface_given;
	unsigned int device_lines[CONFIG_DEVICES_MAX];
};

struct config_key;

/* Take over @value into @member (NULL if the key has none). Return: 0, -EINVAL with an error set,
 * -ENOMEM. */
typedef int (*config_setter)(struct config_parser *parser, const struct config_key *key,
	const char *value, void *member);

/**
 * struct config_key - a key of a section
 * @offset:   of the member, in struct config or struct config_device
 * @min, @max: of numbers; of text: how long it may be
 * @note:     told once when the key is met; NULL: none
 */
struct config_key {
	const char *name;
	enum config_section section;
	config_setter set;
	size_t offset;
	uint64_t min;
	uint64_t max;
	const char *note;
};

extern const struct config_key config_keys[];
extern const unsigned int config_n_keys;

/* value.c. Return: the number of the key within config_keys; -ENOENT. */
int config_key_find(enum config_section section, const char *name);

/* value.c: as in engine=. */
const char *config_engine_name(enum config_engine engine);

/* parse.c: fill @config, which holds its path and the defaults, from the bytes of a file. @err: not
 * NULL. Return: as config_load(). */
int config_parse(struct config *config, const char *bytes, size_t n_bytes, config_note note,
	void *context, struct error *err);

/* Set "PATH:LINE: ..." as the error. Return: -EINVAL. */
int config_error(struct config_parser *parser, unsigned int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void config_tell(struct config_parser *parser, unsigned int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* How many letters have to be changed, added or left out to make @b of @a; at most @max + 1. */
unsigned int config_distance(const char *a, const char *b, unsigned int max);

/* Return: -ENOMEM, or 0 with *@member replaced by a copy of @value. */
int config_set_text(char **member, const char *value);

#endif
