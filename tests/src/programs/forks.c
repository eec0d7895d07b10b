// A storm of forks and execs: for MILLISECONDS, one child after another of which every second one execs
// PROGRAM. Prints how many children there were and how many of them exec'd.
//
// usage: forks MILLISECONDS PROGRAM
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int main(int argc, char **argv) {
    if (argc != 3) return 1;
    long long end = now_ms() + atoi(argv[1]);
    long made = 0;
    for (; now_ms() < end; made++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (made % 2) execl(argv[2], argv[2], (char *)NULL);
            _exit(0);
        }
        int status;
        if (pid < 0 || waitpid(pid, &status, 0) != pid) return 2;
    }
    printf("%ld %ld\n", made, made / 2);
    return 0;
}
