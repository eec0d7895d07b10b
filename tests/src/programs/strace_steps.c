/* The same calls with the same results in the same order whenever it runs: what strace and capture
 * must agree about. Threads run one after another.
 *
 * usage: strace_steps (in an empty folder) */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_alarm(int number) {
    (void)number;
    syscall(SYS_getuid);
}

static void files(void) {
    char buffer[64];
    struct stat st;
    int fd = open("one", O_CREAT | O_RDWR, 0644);
    struct iovec parts[2] = {{"hello ", 6}, {"world", 5}};
    if (writev(fd, parts, 2) != 11 || pwrite(fd, "x", 1, 11) != 1) exit(2);
    lseek(fd, 2, SEEK_SET);
    if (read(fd, buffer, sizeof buffer) != 10 || pread(fd, buffer, 4, 0) != 4) exit(3);
    fstat(fd, &st);
    int copy = dup(fd);
    dup2(fd, 20);
    fcntl(fd, F_GETFL);
    ftruncate(fd, 3);
    close(copy);
    close(20);
    close(fd);
    close(999);
    rename("one", "two");
    link("two", "three");
    symlink("two", "four");
    chmod("two", 0600);
    mkdir("dir", 0755);
    rmdir("dir");
    stat("missing", &st);
    access("two", R_OK);
    unlink("two");
    unlink("three");
    unlink("four");
    unlink("four");
}

static void sockets(void) {
    int pair[2], on = 1;
    char buffer[16];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    send(pair[0], "abc", 3, 0);
    recv(pair[1], buffer, sizeof buffer, 0);
    close(pair[0]);
    recv(pair[1], buffer, sizeof buffer, 0);
    close(pair[1]);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bind(server, (struct sockaddr *)&address, sizeof address);
    listen(server, 1);
    getsockname(server, (struct sockaddr *)&address, &len);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    connect(client, (struct sockaddr *)&address, sizeof address);
    int peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    sendto(client, "ping", 4, 0, NULL, 0);
    recvfrom(peer, buffer, sizeof buffer, 0, NULL, NULL);
    shutdown(client, SHUT_RDWR);
    close(peer);
    close(client);
    close(server);
    connect(999, (struct sockaddr *)&address, sizeof address);
}

static void waiting(void) {
    struct epoll_event event = {.events = EPOLLIN};
    unsigned long long value = 7;
    struct timespec t = {0, 1000000};
    int fd = eventfd(0, EFD_NONBLOCK), epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    epoll_wait(epoll, &event, 1, 0);
    if (write(fd, &value, 8) != 8) exit(4);
    epoll_wait(epoll, &event, 1, 100);
    if (read(fd, &value, 8) != 8) exit(5);
    if (read(fd, &value, 8) != -1) exit(6);
    struct pollfd look = {.fd = fd, .events = POLLOUT};
    poll(&look, 1, 10);
    syscall(SYS_nanosleep, &t, NULL);
    close(epoll);
    close(fd);
    /* A call that a handled signal interrupts; blocked until then, so that it cannot come early. */
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval soon = {.it_value = {0, 20000}};
    sigset_t alarm, none;
    sigemptyset(&none);
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm, NULL);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    sigsuspend(&none);
    sigprocmask(SIG_UNBLOCK, &alarm, NULL);
}

static void *in_thread(void *unused) {
    (void)unused;
    /* Long enough that the main thread always waits for the end in a futex call. */
    struct timespec t = {0, 100000000};
    syscall(SYS_nanosleep, &t, NULL);
    syscall(SYS_getuid);
    syscall(SYS_geteuid);
    close(998);
    return NULL;
}

int main(void) {
    pthread_t thread;
    files();
    sockets();
    waiting();
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(memory, 4096, PROT_READ | PROT_WRITE);
    munmap(memory, 4096);
    for (int i = 0; i < 2; i++) {
        if (pthread_create(&thread, NULL, in_thread, NULL) != 0) return 1;
        pthread_join(thread, NULL);
    }
    int pid = fork();
    if (pid == 0) {
        syscall(SYS_getgid);
        execl("/missing", "missing", (char *)NULL);
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
    pid = vfork();
    if (pid == 0) _exit(3);
    waitpid(pid, NULL, 0);
    kill(getpid(), 0);
    syscall(SYS_setsid);
    chdir("/");
    umask(022);
    return 0;
}
