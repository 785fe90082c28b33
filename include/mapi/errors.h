/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The numeric error codes of MAPI, as mapi_read_error() returns them.
 *
 * The numbers up to 8999 are the historical ones; programs compare them. Those from 9000 are ours.
 * MAPI_ERRORS(X) is the one list: it makes the enumerators here and the texts in the library.
 * mapi.h does not include this header, because historical programs define some of these names.
 */
#ifndef MAPI_ERRORS_H
#define MAPI_ERRORS_H

/* X(name, number, text) */
#define MAPI_ERRORS(X)                                                                       \
	X(PCAP_BPF_ERR, 1025, "The filter expression is not valid")                          \
	X(PCAP_OPEN_ERR, 1026, "The capture file cannot be opened")                          \
	X(PCAP_OPEN_DEAD_ERR, 1027, "The filter compiler cannot be started")                 \
	X(NICDRV_PTHR_ERR, 1100, "A capture thread cannot be started")                       \
	X(DRV_OFF_ERR, 1501, "The offline device cannot be used")                            \
	X(MDLIB_ERROR_NOT_FOUND, 3073, "Function library not found")                         \
	X(INVALID_FLID, 3074, "Invalid function library")                                    \
	X(SHM_ERR, 3075, "Shared memory cannot be set up")                                   \
	X(SEM_ERR, 3076, "Synchronisation cannot be set up")                                 \
	X(TMPF_ERR, 3077, "A temporary file cannot be made")                                 \
	X(INVALID_FUNCID, 3078, "Invalid function id")                                       \
	X(FUNCTION_NOT_FOUND, 3079, "Function not found")                                    \
	X(COULD_NOT_APPLY_FUNCT, 3080, "The function cannot be applied")                     \
	X(FLOW_ALREADY_ACTIVE, 3081, "The flow is connected already")                        \
	X(NO_MODIFYING, 3082, "Functions that modify packets are not allowed here")          \
	X(FILE_EXSISTS, 3083, "The file exists already")                                     \
	X(MAPID_MEM_ALLOCATION_ERROR, 3084, "The daemon is out of memory")                   \
	X(MAPID_NOT_AUTHENTICATED, 3139, "Authentication is required")                       \
	X(MAPID_NO_DRIVER, 3200, "No driver for this device")                                \
	X(MAPID_NO_FD, 3201, "The daemon was given no file descriptor")                      \
	X(MAPID_NO_DEVICE, 3202, "No such device")                                           \
	X(MDLIB_STRSEARCH_UNTERMINATED_PIPE, 3503, "Unterminated '|' in the search string")  \
	X(MDLIB_STRSEARCH_DEPTH_ERR, 3504, "The search depth is smaller than the pattern")   \
	X(MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING, 3505, "Not a valid search string")        \
	X(MCOM_UNKNOWN_ERROR, 5121, "Unknown communication error")                           \
	X(MCOM_ERROR_ACK, 5122, "The daemon refused the request")                            \
	X(MCOM_SOCKET_ERROR, 5123, "The connection to the daemon is broken")                 \
	X(MCOM_INIT_SOCKET_ERROR, 5124, "The daemon cannot be reached")                      \
	X(MAPI_SHUTTING_DOWN, 6140, "The library is shutting down")                          \
	X(MAPI_INIT_ERROR, 6141, "The library is not initialised")                           \
	X(MAPI_CONNECT, 6142, "The flow cannot be connected")                                \
	X(MAPI_FLOW_NOT_CONNECTED, 6143, "The flow is not connected")                        \
	X(MAPI_FUNCTION_NOT_FOUND, 6144, "No such function")                                 \
	X(MAPI_INVALID_FLOW, 6145, "Invalid flow descriptor")                                \
	X(MAPI_SHM_ERR, 6146, "Shared memory cannot be mapped")                              \
	X(MAPI_INVALID_FID_FUNCID, 6147, "Invalid flow or function id")                      \
	X(MAPI_SEM_ERR, 6148, "Synchronisation error")                                       \
	X(MAPI_FLOW_INFO_ERR, 6149, "No information about this flow")                        \
	X(MAPI_FUNCTION_INFO_ERR, 6150, "No information about this function")                \
	X(MAPI_LIBRARY_LOAD_ERR, 6151, "The function library cannot be loaded")              \
	X(MAPI_ERROR_GETTING_LIBPATH, 6152, "The library path is not known")                 \
	X(MAPI_ERROR_GETTING_LIBS, 6153, "The list of libraries is not known")               \
	X(MAPI_ERROR_PATH, 6154, "Invalid path")                                             \
	X(MAPI_ERROR_FILE, 6155, "The file cannot be opened")                                \
	X(MAPI_ERROR_SEND_FD, 6156, "A file descriptor cannot be passed to the daemon")      \
	X(MAPI_DEVICE_INFO_ERR, 6157, "No information about this device")                    \
	X(MFUNCT_INVALID_ARGUMENT, 7000, "Invalid function argument")                        \
	X(MFUNCT_INVALID_ARGUMENT_1, 7001, "Invalid first function argument")                \
	X(MFUNCT_INVALID_ARGUMENT_2, 7002, "Invalid second function argument")               \
	X(MFUNCT_INVALID_ARGUMENT_3, 7003, "Invalid third function argument")                \
	X(MFUNCT_INVALID_ARGUMENT_4, 7004, "Invalid fourth function argument")               \
	X(MFUNCT_INVALID_ARGUMENT_5, 7005, "Invalid fifth function argument")                \
	X(MFUNCT_COULD_NOT_APPLY_FUNCT, 7006, "The function cannot be applied")              \
	X(MFUNCT_COULD_NOT_INIT_FUNCT, 7007, "The function cannot be initialised")           \
	X(MFUNCT_SEM_ERROR, 7008, "Synchronisation error in a function")                     \
	X(MFUNCT_NOT_SUPPORTED, 7009, "Not supported")                                       \
	X(MFUNCT_INVALID_ARGUMENT_DESCRIPTOR, 7010, "Invalid argument descriptor")           \
	X(MFUNCT_INVALID_ARGUMENT_6, 7011, "Invalid sixth function argument")                \
	X(ADMCTRL_MEM_ERROR, 8000, "Admission control is out of memory")                     \
	X(ADMCTRL_NO_AUTHDATA, 8001, "No authentication data")                               \
	X(ADMCTRL_COMM_FAILURE, 8002, "Admission control cannot be reached")                 \
	X(ADMCTRL_AUTH_FAILED, 8003, "Authentication failed")                                \
	X(MAPI_STATS_ERROR, 8004, "No statistics of this device")                            \
	X(MAPI_CAPTURE_DAMAGED, 9001, "The capture is damaged; results cover what precedes") \
	X(MAPI_CAPTURE_SHRUNK, 9002, "The capture file became shorter while it was read")    \
	X(MAPI_OUTPUT_FAILED, 9003, "Output cannot be written")                              \
	X(MAPI_QUOTA_EXCEEDED, 9004, "A limit of this client is exhausted")                  \
	X(MAPI_DAEMON_LOST, 9005, "The daemon ended unexpectedly")                           \
	X(MAPI_OUT_OF_MEMORY, 9006, "Out of memory")                                         \
	X(MAPI_NO_PERMISSION, 9007, "You may not do this")                                   \
	X(MAPI_FLUSH_INCOMPLETE, 9008, "Results do not cover all that came before")

enum mapi_error {
#define MAPI_ERROR_ENUMERATOR(name, number, text) name = number,
	MAPI_ERRORS(MAPI_ERROR_ENUMERATOR)
#undef MAPI_ERROR_ENUMERATOR
		MAPI_NO_ERROR = 0
};

#endif
