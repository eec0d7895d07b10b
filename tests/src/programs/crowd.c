// Many threads and fds that are quiet: a process with THREADS threads, and PROCESSES children with FDS fds
// each, in turn files, pipes and sockets. Prints one line with the ids of the processes, its own first, and
// waits to be killed; its children end with it. Ends with 2 where the machine allows less.
//
// usage: crowd THREADS PROCESSES FDS
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void *rest(void *unused) {
    for (;;) pause();
    return unused;
}

static void hold(long fds) {
    for (long held = 0; held < fds;) {
        int pair[2];
        int failed = held % 3 == 0   ? open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0
                     : held % 3 == 1 ? pipe(pair)
                                     : socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
        if (failed) _exit(2);
        held += held % 3 == 0 ? 1 : 2;
    }
}

int main(int argc, char **argv) {
    if (argc != 4) return 1;
    long threads = atol(argv[1]), processes = atol(argv[2]), fds = atol(argv[3]);
    struct rlimit limit = {fds + 100, fds + 100};
    // Without the right to raise it the limit may be high enough as it is.
    if (setrlimit(RLIMIT_NOFILE, &limit)) limit.rlim_cur = 0;
    int ready[2];
    if (pipe(ready)) return 1;
    printf("%d", getpid());
    for (long i = 0; i < processes; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            hold(fds);
            if (write(ready[1], "", 1) != 1) _exit(2);
            rest(NULL);
        }
        printf(" %d", pid);
    }
    close(ready[1]);
    char byte;
    for (long i = 0; i < processes; i++)
        if (read(ready[0], &byte, 1) != 1) return 2;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 32 << 10);
    for (long i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, rest, NULL)) return 2;
    }
    printf("\n");
    fflush(stdout);
    rest(NULL);
}
