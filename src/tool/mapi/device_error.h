/* SPDX-License-Identifier: BSD-2-Clause */
/* What a user may have meant who has named a device that there is not. */
#ifndef MAPI_TOOL_DEVICE_ERROR_H
#define MAPI_TOOL_DEVICE_ERROR_H

#include <stdio.h>

/* Write a line of advice. @message is that of error 3200; it begins with the name and a colon. */
void device_error_advise(FILE *out, const char *message);

#endif
