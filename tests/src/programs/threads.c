// Threads that call: THREADS of them, each making CALLS calls of getppid, all alive at the same time.
// Prints how many threads there were and how many calls they made; ends with 2 where the machine allows
// fewer threads.
//
// usage: threads THREADS CALLS
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_barrier_t together;
static long calls;

static void *work(void *unused) {
    (void)unused;
    pthread_barrier_wait(&together);
    for (long i = 0; i < calls; i++) syscall(SYS_getppid);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3) return 1;
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
    pthread_barrier_wait(&together);
    for (long i = 0; i < count; i++) pthread_join(threads[i], NULL);
    printf("%ld %ld\n", count, count * calls);
    return 0;
}
