// Threads that call: THREADS of them, each making CALLS calls of getppid, and again until MILLISECONDS
// have passed since they began, all alive at the same time. Prints how many threads there were and how
// many calls they made; ends with 2 where the machine allows fewer threads.
//
// usage: threads THREADS CALLS [MILLISECONDS]
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_barrier_t together;
static long calls, made;
static long long end_ms;

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void *work(void *unused) {
    (void)unused;
    pthread_barrier_wait(&together);
    long own = 0;
    do {
        for (long i = 0; i < calls; i++) syscall(SYS_getppid);
        own += calls;
    } while (now_ms() < end_ms);
    __atomic_add_fetch(&made, own, __ATOMIC_RELAXED);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 4) return 1;
    long count = atol(argv[1]);
    calls = atol(argv[2]);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 32 << 10);
    pthread_t *threads = calloc(count, sizeof *threads);
    if (pthread_barrier_init(&together, NULL, count + 1) != 0) return 1;
    for (long i = 0; i < count; i++)
        if (pthread_create(&threads[i], &attributes, work, NULL) != 0) {
            printf("%ld\n", i);
            fflush(stdout);
            _exit(2);
        }
    if (argc == 4) end_ms = now_ms() + atol(argv[3]);
    pthread_barrier_wait(&together);
    for (long i = 0; i < count; i++) pthread_join(threads[i], NULL);
    printf("%ld %ld\n", count, made);
    return 0;
}
