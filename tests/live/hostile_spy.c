/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program asks about flows that are not its own. The daemon numbers the flows of all its
 * programs together, so another's number is easily guessed.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostile.h"
#include "hostile_wire.h"

#define SPY_FLOWS 200u /* numbers that are tried, before its own and after it */

static void spy_caught(const char *what, uint32_t number)
{
	printf("FAILED: %s of flow %u, which is another's\n", what, number);
	exit(1);
}

/* Every request that names a flow. */
static void spy_ask(struct wire_conn *conn, uint32_t own, uint32_t number)
{
	Wire__ListFlow flow = WIRE__LIST_FLOW__INIT;
	Wire__ListFunction function = WIRE__LIST_FUNCTION__INIT;
	Wire__Explain explain = WIRE__EXPLAIN__INIT;
	Wire__FlowApply apply = WIRE__FLOW_APPLY__INIT;
	Wire__FlowConnect connect_ = WIRE__FLOW_CONNECT__INIT;
	Wire__FlowClose close_ = WIRE__FLOW_CLOSE__INIT;
	Wire__FlowFlush flush = WIRE__FLOW_FLUSH__INIT;
	Wire__FlowError error = WIRE__FLOW_ERROR__INIT;
	Wire__FlowEvents events = WIRE__FLOW_EVENTS__INIT;
	Wire__FlowInterface interface = WIRE__FLOW_INTERFACE__INIT;
	Wire__ResultCell cell = WIRE__RESULT_CELL__INIT;
	Wire__Request requests[] = {
		{ .call_case = WIRE__REQUEST__CALL_LIST_FLOW, .list_flow = &flow },
		{ .call_case = WIRE__REQUEST__CALL_LIST_FUNCTION, .list_function = &function },
		{ .call_case = WIRE__REQUEST__CALL_EXPLAIN, .explain = &explain },
		{ .call_case = WIRE__REQUEST__CALL_FLOW_APPLY, .flow_apply = &apply },
		{ .call_case = WIRE__REQUEST__CALL_FLOW_CONNECT, .flow_connect = &connect_ },
		{ .call_case = WIRE__REQUEST__CALL_FLOW_CLOSE, .flow_close = &close_ },
		{ .call_case = WIRE__REQUEST__CALL_FLOW_FLUSH, .flow_flush = &flush },
		{ .call_case = WIRE__REQUEST__CALL_FLOW_ERROR, .flow_error = &error },
		{ .call_case = WIRE__REQUEST__CALL_FLOW_EVENTS, .flow_events = &events },
		{ .call_case = WIRE__REQUEST__CALL_FLOW_INTERFACE, .flow_interface = &interface },
		{ .call_case = WIRE__REQUEST__CALL_RESULT_CELL, .result_cell = &cell },
	};

	flow.id = function.flow = explain.flow = apply.flow = connect_.flow = close_.flow = number;
	flush.flow = error.flow = events.flow = interface.flow = cell.flow = number;
	function.function = explain.function = cell.function = 1;
	apply.function = (char[]){ "PKT_COUNTER" };
	for (unsigned int i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		Wire__Request request = WIRE__REQUEST__INIT;

		request.call_case = requests[i].call_case;
		request.list_flow = requests[i].list_flow; /* a union */
		if (hostile_code(hostile_call(conn, &request, NULL, 0)) <= 0)
			spy_caught("an answer to a question", number);
	}
	/* STATS of another's counter */
	{
		Wire__Request request = WIRE__REQUEST__INIT;
		Wire__Value of = WIRE__VALUE__INIT, first = WIRE__VALUE__INIT;
		Wire__Value *args[] = { &of, &first };

		of.kind_case = first.kind_case = WIRE__VALUE__KIND_NUMBER;
		of.number = number;
		first.number = 1;
		apply.flow = own;
		apply.function = (char[]){ "STATS" };
		apply.args = args;
		apply.n_args = 2;
		request.call_case = WIRE__REQUEST__CALL_FLOW_APPLY;
		request.flow_apply = &apply;
		if (hostile_code(hostile_call(conn, &request, NULL, 0)) <= 0)
			spy_caught("a reference to a function", number);
	}
}

/* The flows that are listed for everybody who asks: only its own. Return: their number. */
static unsigned int spy_list(struct wire_conn *conn, uint32_t own)
{
	unsigned int n = 0;

	for (uint32_t last = 0;; n++) {
		Wire__Request request = WIRE__REQUEST__INIT;
		Wire__ListFlow list = WIRE__LIST_FLOW__INIT;
		Wire__Reply *reply;

		list.id = last;
		list.next = true;
		request.call_case = WIRE__REQUEST__CALL_LIST_FLOW;
		request.list_flow = &list;
		reply = hostile_call(conn, &request, NULL, 0);
		if (!reply || reply->error) {
			(void)hostile_code(reply);
			return n;
		}
		last = reply->listed_flow->id;
		(void)hostile_code(reply);
		if (last != own)
			spy_caught("the place in a list", last);
	}
}

/* The memory of results is this program's own: nothing in it but a flow that has not begun. */
static unsigned long spy_area(int area_fd)
{
	struct stat st;
	const unsigned char *area;
	unsigned long n = 0;

	if (fstat(area_fd, &st) < 0)
		exit(1);
	area = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, area_fd, 0);
	if (area == MAP_FAILED)
		exit(1);
	for (off_t i = 0; i < st.st_size; i++)
		n += area[i] != 0;
	return n;
}

void hostile_spy(void)
{
	int area_fd = -1;
	struct wire_conn *conn = hostile_greet(&area_fd);
	unsigned long before = conn ? spy_area(area_fd) : 0;
	uint32_t own = conn ? hostile_flow_new(conn) : 0;
	unsigned int n_listed;

	if (own == 0) {
		printf("FAILED: no flow\n");
		exit(1);
	}
	for (uint32_t number = own - SPY_FLOWS; number < own + SPY_FLOWS; number++)
		if (number != own)
			spy_ask(conn, own, number);
	n_listed = spy_list(conn, own);
	printf("flow %u, %u listed, %lu bytes of results that were there before\n", own, n_listed,
		before);
	hostile_rest();
}
