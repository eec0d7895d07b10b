// A storm of processes that say who they are: every write of a line "S|NAME|PATH" is made by a process
// called NAME to a descriptor open on PATH, so that a recording can be checked without anything else.
//
// storm FOLDER MILLISECONDS PROCESSES
//   Makes PROCESSES chains of children for that long. A child is this program under one of eight names.
//   A keeper runs from before the storm until the input ends: it holds descriptors, of which some are
//   reopened on other paths as long as the storm lasts, and says them now and then.
// Prints the keeper's pid, begins at a byte of input, prints at the storm's end how many children there were.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEPT 6
#define NAMES 8

static const char *own_name;

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void say(int fd, const char *path) {
    char line[256];
    int n = snprintf(line, sizeof line, "S|%s|%s|", own_name, path);
    if (write(fd, line, n) != n) exit(3);
}

static int open_new(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) exit(4);
    return fd;
}

static volatile sig_atomic_t is_calm = 1;

static void change(int signal) { is_calm = signal == SIGUSR2; }

// Holds descriptors until it is ended; while the storm lasts, the odd ones change their path every few rounds.
static void keep(const char *folder) {
    char paths[KEPT][128];
    int fds[KEPT];
    signal(SIGUSR1, change);
    signal(SIGUSR2, change);
    for (int i = 0; i < KEPT; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/k%d-0", folder, i);
        fds[i] = open_new(paths[i]);
    }
    for (int round = 1;; round++) {
        for (int i = 0; i < KEPT; i++) say(fds[i], paths[i]);
        usleep(is_calm ? 20000 : 3000);
        for (int i = 1; i < KEPT && round % 4 == 0 && !is_calm; i += 2) {
            close(fds[i]);
            snprintf(paths[i], sizeof paths[i], "%s/k%d-%d", folder, i, round % 50);
            fds[i] = open_new(paths[i]);
        }
    }
}

// One process of the storm: descriptors are opened, moved, closed, and their numbers used again.
static void child(const char *folder, int seed) {
    for (int i = 0; i < 8; i++) {
        char path[128], other[128];
        snprintf(path, sizeof path, "%s/c%d", folder, (seed + i) % 61);
        snprintf(other, sizeof other, "%s/d%d", folder, (seed * 7 + i) % 53);
        int a = open_new(path);
        say(a, path);
        int b = open_new(other);
        say(b, other);
        close(a);
        int c = dup2(b, a);
        say(c, other);
        close(b);
        say(c, other);
        close(c);
    }
}

int main(int argc, char **argv) {
    own_name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    if (argc == 4 && strcmp(argv[1], "child") == 0) {
        child(argv[2], atoi(argv[3]));
        return 0;
    }
    if (argc != 4) return 2;
    const char *folder = argv[1];
    int chains = atoi(argv[3]);
    pid_t keeper = fork();
    if (keeper == 0) {
        keep(folder);
        _exit(0);
    }
    printf("%d\n", keeper);
    fflush(stdout);
    char byte;
    if (read(0, &byte, 1) != 1) return 5;  // Told to begin.
    kill(keeper, SIGUSR1);
    long long end = now_ms() + atoi(argv[2]);
    int made = 0, live = 0;
    while (now_ms() < end || live > 0) {
        if (live < chains && now_ms() < end) {
            char name[160], seed[16];
            snprintf(name, sizeof name, "%s/prog-%c", folder, 'a' + made % NAMES);
            snprintf(seed, sizeof seed, "%d", made);
            pid_t pid = fork();
            if (pid == 0) {
                execl(name, name, "child", folder, seed, (char *)NULL);
                _exit(127);
            }
            if (pid < 0) return 6;
            made++;
            live++;
            continue;
        }
        int status;
        if (wait(&status) == keeper) return 7;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return 8;
        live--;
    }
    kill(keeper, SIGUSR2);
    printf("%d\n", made);
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {
    }
    kill(keeper, SIGTERM);
    return waitpid(keeper, NULL, 0) == keeper ? 0 : 9;
}
