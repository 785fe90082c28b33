/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is this machine quiet enough to compare anything? Two threads that only count must together do at
 * least 1.8 times what one does.
 *
 * Prints "spin_scaling RATIO x"; ends with 1 if it is below 1.8.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define SPIN_ROUNDS 200000000u

static double spin_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *spin_run(void *arg)
{
	uint64_t x = 1;

	for (uint32_t i = 0; i < SPIN_ROUNDS; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		__asm__ volatile("" : "+r"(x));
	}
	return NULL;
}

static double spin_once(unsigned int n_threads)
{
	pthread_t threads[2];
	double began = spin_seconds();

	for (unsigned int i = 0; i < n_threads; i++)
		if (pthread_create(&threads[i], NULL, spin_run, NULL) != 0)
			return 1e9;
	for (unsigned int i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	return spin_seconds() - began;
}

int main(void)
{
	double scaling = 0;

	/* The best of three: a machine that is quiet now and then will do. */
	for (unsigned int i = 0; i < 3 && scaling < 1.8; i++) {
		double now = 2 * spin_once(1) / spin_once(2);

		scaling = now > scaling ? now : scaling;
	}
	printf("spin_scaling %.2f x\n", scaling);
	return scaling < 1.8;
}
