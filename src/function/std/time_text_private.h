/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Times in arguments: decimal digits and one of the units us, ms, s and m (minutes), such as
 * "500ms", with nothing before, between or behind. All functions that take times read them here.
 */
#ifndef MAPI_FUNCTION_STD_TIME_TEXT_PRIVATE_H
#define MAPI_FUNCTION_STD_TIME_TEXT_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

/* What the error messages of all functions call the form. */
#define STD_TIME_TEXT_HELP "a number with its unit, us, ms, s or m: \"500ms\""

enum std_time_text {
	STD_TIME_TEXT_NONE, /* neither a number nor a time, or too large */
	STD_TIME_TEXT_NUMBER, /* digits only */
	STD_TIME_TEXT_NS, /* with a unit: nanoseconds */
	_STD_TIME_TEXT_N
};

/**
 * std_time_text_parse() - read a number, or a time with its unit
 * @text:      zero-terminated; hostile
 * @ret_value: the number, or the time in nanoseconds; untouched if there is neither
 *
 * Thread safety: any thread, no shared state.
 */
enum std_time_text std_time_text_parse(const char *text, uint64_t *ret_value);

/**
 * std_time_text_period_ns() - read a period
 * @text: zero-terminated; hostile
 *
 * Thread safety: any thread, no shared state.
 *
 * Return: nanoseconds; 0 if @text is no time with a unit, is 0 or does not fit 64 bits.
 */
uint64_t std_time_text_period_ns(const char *text);

/**
 * std_time_text_value() - read what is compared with the value of a function
 * @text:      zero-terminated; hostile
 * @ret_value: a number without a unit as it is; a time as functions give times, in 32.32 fixed
 *             point seconds; untouched on failure
 *
 * Thread safety: any thread, no shared state.
 *
 * Return: whether @text is a number or a time and fits 64 bits.
 */
bool std_time_text_value(const char *text, uint64_t *ret_value);

#endif
