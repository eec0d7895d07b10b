/* Workload of the order laws: 200 threads in calls of 0 to 40 ms for some seconds, and beside them
 * processes in every situation that makes enters and exits hard to pair. Says what it did, one
 * "word number" a line.
 *
 * usage: order_mix SECONDS */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 200
#define ROLES 8
#define REFUSED 25

static volatile int stop;
static int tids[THREADS];
static int pipes[THREADS][2];

static void check(int ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static void sleep_ms(int ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    syscall(SYS_nanosleep, &t, NULL);
}

static void on_signal(int number) {
    (void)number;
    syscall(SYS_getppid);
}

static void *short_lived(void *unused) {
    (void)unused;
    syscall(SYS_getppid);
    return NULL;
}

static void *worker(void *arg) {
    long i = (long)arg;
    unsigned seed = i * 7919 + 1;
    int word = 0;
    char byte = 0;
    tids[i] = syscall(SYS_gettid);
    while (!stop) {
        int ms = rand_r(&seed) % 41;
        switch (i % ROLES) {
        case 0:
        case 4: /* gets SIGUSR1, which restarts nothing */
            sleep_ms(ms);
            break;
        case 1:
            poll(NULL, 0, ms);
            break;
        case 2: /* reads what its neighbour writes */
        case 5: /* gets SIGUSR2 with SA_RESTART */
            if (read(pipes[i][0], &byte, 1) == 0) return NULL;
            break;
        case 3:
            sleep_ms(ms);
            check(write(pipes[i - 1][1], "x", 1) == 1, "write");
            break;
        case 6: {
            struct timespec t = {0, ms * 1000000L};
            syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
            break;
        }
        case 7: {
            pthread_t thread;
            sleep_ms(ms);
            check(pthread_create(&thread, NULL, short_lived, NULL) == 0, "pthread_create");
            pthread_join(thread, NULL);
        }
        }
    }
    return NULL;
}

/* Sits in a call that nothing ends. */
static _Noreturn void *blocked(void *arg) {
    long i = (long)arg;
    int word = 0, ends[2];
    char byte;
    check(pipe(ends) == 0, "pipe");
    for (;;) switch (i % 4) {
        case 0: sleep_ms(10000); break;
        case 1: poll(NULL, 0, 10000); break;
        case 2: if (read(ends[0], &byte, 1) < 0) { } break;
        case 3: syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
        }
}

static void *exec_true(void *unused) {
    (void)unused;
    sleep_ms(2);
    execl("/bin/true", "true", (char *)NULL);
    _exit(1);
}

static void start_blocked(int count) {
    pthread_t thread;
    for (long i = 0; i < count; i++)
        check(pthread_create(&thread, NULL, blocked, (void *)i) == 0, "pthread_create");
    sleep_ms(5);
}

static void exits_in_calls(void) {
    start_blocked(8);
    syscall(SYS_exit_group, 0);
}

static void waits_for_death(void) {
    start_blocked(8);
    for (;;) pause();
}

static void execs_in_a_thread(void) {
    pthread_t thread;
    start_blocked(4);
    check(pthread_create(&thread, NULL, exec_true, NULL) == 0, "pthread_create");
    for (;;) pause();
}

/* getppid is refused by seccomp. */
static void is_refused(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
    for (int i = 0; i < REFUSED; i++) {
        check(syscall(SYS_getppid) == -1 && errno == EPERM, "refusal");
        syscall(SYS_getuid);
    }
    syscall(SYS_exit_group, 0);
}

static void sleeps_a_little(void) {
    struct timespec t = {0, 60000000}, left;
    while (syscall(SYS_nanosleep, &t, &left) != 0) t = left;
    syscall(SYS_exit_group, 0);
}

static int start(void (*what)(void)) {
    int pid = fork();
    check(pid >= 0, "fork");
    if (pid == 0) {
        what();
        _exit(0);
    }
    return pid;
}

static void reap(int pid) {
    while (waitpid(pid, NULL, 0) < 0) check(errno == EINTR, "waitpid");
}

/* One of each. */
static void one_round(void) {
    int pid = start(exits_in_calls);
    reap(pid);
    pid = start(waits_for_death);
    sleep_ms(15);
    kill(pid, SIGKILL);
    reap(pid);
    reap(start(execs_in_a_thread));
    reap(start(is_refused));
    pid = start(sleeps_a_little);
    for (int i = 0; i < 2; i++) {
        sleep_ms(10);
        kill(pid, SIGSTOP);
        sleep_ms(10);
        kill(pid, SIGCONT);
    }
    reap(pid);
    pid = vfork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    reap(pid);
    struct clone_args args = {.exit_signal = SIGCHLD};
    pid = syscall(SYS_clone3, &args, sizeof args);
    check(pid >= 0, "clone3");
    if (pid == 0) syscall(SYS_exit, 0);
    reap(pid);
#ifdef SYS_fork
    pid = syscall(SYS_fork);
    if (pid == 0) syscall(SYS_exit_group, 0);
    reap(pid);
#endif
}

static void *rounds(void *count) {
    while (!stop) {
        one_round();
        ++*(long *)count;
    }
    return NULL;
}

int main(int argc, char **argv) {
    long count = 0, signals = 0;
    pthread_t threads[THREADS], director;
    struct sigaction action = {.sa_handler = on_signal};
    check(argc == 2, "usage: order_mix SECONDS");
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR2, &action, NULL);
    for (long i = 0; i < THREADS; i++) {
        check(pipe(pipes[i]) == 0, "pipe");
        check(pthread_create(&threads[i], NULL, worker, (void *)i) == 0, "pthread_create");
    }
    check(pthread_create(&director, NULL, rounds, &count) == 0, "pthread_create");
    unsigned seed = 1;
    time_t end = time(NULL) + atoi(argv[1]);
    while (time(NULL) < end) {
        sleep_ms(1);
        int i = rand_r(&seed) % THREADS;
        if (tids[i] != 0 && (i % ROLES == 4 || i % ROLES == 5)) {
            syscall(SYS_tgkill, getpid(), tids[i], i % ROLES == 4 ? SIGUSR1 : SIGUSR2);
            signals++;
        }
    }
    stop = 1;
    for (int i = 3; i < THREADS; i += ROLES) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) close(pipes[i][1]);
    for (int i = 0; i < THREADS; i++)
        if (i % ROLES != 3) pthread_join(threads[i], NULL);
    pthread_join(director, NULL);
    printf("rounds %ld\nsignals %ld\nrefused %ld\n", count, signals, count * REFUSED);
    return 0;
}
