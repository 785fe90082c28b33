/* SPDX-License-Identifier: BSD-2-Clause */
/* Times in arguments: see time_text_private.h. */
#include "time_text_private.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "packet/packet.h"

static const struct std_time_text_unit {
	const char *name;
	uint64_t ns;
} std_time_text_units[] = {
	{ "us", 1000u },
	{ "ms", 1000000u },
	{ "s", 1000000000u },
	{ "m", 60000000000u },
};

enum std_time_text std_time_text_parse(const char *text, uint64_t *ret_value)
{
	uint64_t number = 0;

	if (!isdigit((unsigned char)*text))
		return STD_TIME_TEXT_NONE;
	for (; isdigit((unsigned char)*text); text++) {
		if (__builtin_mul_overflow(number, 10u, &number) ||
			__builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return STD_TIME_TEXT_NONE;
	}
	if (*text == '\0') {
		*ret_value = number;
		return STD_TIME_TEXT_NUMBER;
	}
	for (size_t u = 0; u < ARRAY_SIZE(std_time_text_units); u++) {
		if (strcmp(text, std_time_text_units[u].name) != 0)
			continue;
		if (__builtin_mul_overflow(number, std_time_text_units[u].ns, &number))
			return STD_TIME_TEXT_NONE;
		*ret_value = number;
		return STD_TIME_TEXT_NS;
	}
	return STD_TIME_TEXT_NONE;
}

uint64_t std_time_text_period_ns(const char *text)
{
	uint64_t ns = 0;

	return std_time_text_parse(text, &ns) == STD_TIME_TEXT_NS ? ns : 0;
}

bool std_time_text_value(const char *text, uint64_t *ret_value)
{
	uint64_t value = 0;

	switch (std_time_text_parse(text, &value)) {
	case STD_TIME_TEXT_NUMBER:
		*ret_value = value;
		return true;
	case STD_TIME_TEXT_NS:
		if (value / 1000000000u > UINT32_MAX)
			return false;
		*ret_value = packet_ts_from_ns(value);
		return true;
	case STD_TIME_TEXT_NONE:
	case _STD_TIME_TEXT_N:
		break;
	}
	return false;
}
