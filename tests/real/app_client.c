/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * app_client ADDRESS PORT: has app.py check itself all the time over one connection; none of its counters may
 * go back, and each must have gone on when we end. Prints "ready" when all of them have moved.
 */
#include "tests/real/client.h"

#define NR 5

int main(int argc, char **argv)
{
	static struct client_in in;
	unsigned long long counts[NR] = {0}, marked[NR] = {0};
	bool ready = false;
	int64_t marked_ns = 0;

	if (argc != 3)
		return 2;
	client_init("app");
	in.fd = client_connect(argv[1], atoi(argv[2]));
	for (unsigned long long n = 0; !client_end || !marked_ns || client_now_ns() - marked_ns < 1000000000;
	     n++) {
		unsigned long long now[NR], number;
		char line[512];
		int len = snprintf(line, sizeof(line), "CHECK %llu\n", n);
		bool all_moved = true;

		client_send(in.fd, line, (size_t)len);
		client_line(&in, line, sizeof(line));
		if (sscanf(line, "OK %llu %llu %llu %llu %llu %llu", &number, &now[0], &now[1], &now[2],
			   &now[3], &now[4]) != 6 ||
		    number != n)
			client_fail("question %llu was answered by: %s", n, line);
		client_answer();
		for (int i = 0; i < NR; i++) {
			if (now[i] < counts[i])
				client_fail("counter %d went back from %llu to %llu", i, counts[i], now[i]);
			counts[i] = now[i];
			all_moved &= now[i] > marked[i];
		}
		if (!ready && all_moved) {
			ready = true;
			printf("ready\n");
			fflush(stdout);
		}
		if (client_end && !marked_ns) { /* in its last second everything must move once more */
			marked_ns = client_now_ns();
			memcpy(marked, counts, sizeof(marked));
		}
		usleep(2000);
	}
	for (int i = 0; i < NR; i++)
		if (counts[i] == marked[i])
			client_fail("counter %d stands still at %llu", i, counts[i]);
	client_report("");
	return 0;
}
