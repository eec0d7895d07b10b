/* A load of known size: every CPU makes CALLS_PER_S / CPUs calls of getppid a second, in a burst
 * each millisecond, for SECONDS. Says how many it made in how many ns.
 *
 * usage: paced CALLS_PER_S SECONDS */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
#define CPUS_MAX 64

static long calls_per_s;
static long long start_ns, seconds;

static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

/* Calls are due by the time passed: what a burst was late with, the next one makes up for. */
static void *pace(void *arg) {
    long cpu = (long)arg;
    long long made = 0, total = calls_per_s * seconds, due;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
    while (made < total) {
        due = (now_ns() - start_ns) / 1000000 * calls_per_s / 1000;
        if (due > total) due = total;
        for (; made < due; made++) syscall(SYS_getppid);
        struct timespec t = {0, 500000};
        nanosleep(&t, NULL);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3) return 1;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (cpus > CPUS_MAX) cpus = CPUS_MAX;
    calls_per_s = atol(argv[1]) / cpus;
    seconds = atol(argv[2]);
    pthread_t threads[CPUS_MAX];
    start_ns = now_ns();
    for (long i = 0; i < cpus; i++)
        if (pthread_create(&threads[i], NULL, pace, (void *)i) != 0) return 1;
    for (long i = 0; i < cpus; i++) pthread_join(threads[i], NULL);
    printf("%lld %lld\n", calls_per_s * seconds * cpus, now_ns() - start_ns);
    return 0;
}
