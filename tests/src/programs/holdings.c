// Processes that hold things and are quiet: files, pipes, sockets of all families, anonymous inodes; and
// processes in strange places: an unlinked directory, a chroot, namespaces of their own, without rights,
// without their first thread. What the kernel refuses is left out.
//
// Prints one line with the ids of the processes, the first one's first, and waits to be killed; its
// children end with it.
//
// usage: holdings FOLDER (an empty one)
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

static void files(void) {
    open("plain", O_RDONLY | O_CREAT, 0600);
    open("plain", O_WRONLY | O_APPEND | O_CLOEXEC);
    open("plain", O_RDWR | O_NONBLOCK | O_SYNC);
    open("plain", O_PATH | O_CLOEXEC);
    open("gone", O_RDWR | O_CREAT, 0600);
    unlink("gone");
    open(".", O_RDWR | O_TMPFILE, 0600);
    open(".", O_RDONLY | O_DIRECTORY);
    open("/dev/null", O_RDWR);
    open("/proc/self/status", O_RDONLY);
    open("/proc/self/ns/mnt", O_RDONLY);
    open("a name \n with \\ things", O_RDWR | O_CREAT, 0600);
    mkfifo("fifo", 0600);
    open("fifo", O_RDWR);
    dup2(open("plain", O_RDONLY), 700);
}

static void *anonymous_inodes(void) {
    int fds[2];
    if (pipe(fds) || pipe2(fds, O_CLOEXEC | O_NONBLOCK)) exit(1);
    eventfd(3, 0);
    epoll_create1(EPOLL_CLOEXEC);
    timerfd_create(CLOCK_MONOTONIC, 0);
    sigset_t none;
    sigemptyset(&none);
    signalfd(-1, &none, 0);
    inotify_init();
    memfd_create("a memory", MFD_CLOEXEC);
    syscall(SYS_pidfd_open, getpid(), 0);
    syscall(SYS_userfaultfd, O_CLOEXEC);
    char params[120] = {0};
    syscall(SYS_io_uring_setup, 4, params);
    return NULL;
}

static void bound(int fd, const struct sockaddr *address, socklen_t len) {
    if (bind(fd, address, len)) return;
}

// A listener, a client of it, and the accepted end.
static void connected(int family, int type, struct sockaddr *address, socklen_t len, int client_family) {
    int server = socket(family, type, 0), client = socket(client_family, type, 0);
    bound(server, address, len);
    if (listen(server, 1)) return;
    struct sockaddr_storage real = {0};
    socklen_t real_len = sizeof real;
    getsockname(server, (struct sockaddr *)&real, &real_len);
    if (family == AF_INET6 && client_family == AF_INET) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        v4.sin_port = ((struct sockaddr_in6 *)&real)->sin6_port;
        memcpy(&real, &v4, sizeof v4);
        real_len = sizeof v4;
    }
    if (connect(client, (struct sockaddr *)&real, real_len)) return;
    accept(server, NULL, NULL);
}

static void ip_sockets(void) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6};
    struct sockaddr *a4 = (struct sockaddr *)&v4, *a6 = (struct sockaddr *)&v6;
    connected(AF_INET, SOCK_STREAM, a4, sizeof v4, AF_INET);
    connected(AF_INET6, SOCK_STREAM, a6, sizeof v6, AF_INET6);
    connected(AF_INET6, SOCK_STREAM, (struct sockaddr *)&any6, sizeof any6, AF_INET);
    int families[] = {AF_INET, AF_INET6};
    for (int i = 0; i < 2; i++) {
        struct sockaddr *address = i ? a6 : a4;
        socklen_t len = i ? sizeof v6 : sizeof v4;
        socket(families[i], SOCK_STREAM, 0);
        bound(socket(families[i], SOCK_STREAM, 0), address, len);
        socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int udp = socket(families[i], SOCK_DGRAM, 0);
        bound(udp, address, len);
        struct sockaddr_storage real = {0};
        socklen_t real_len = sizeof real;
        getsockname(udp, (struct sockaddr *)&real, &real_len);
        connect(socket(families[i], SOCK_DGRAM, 0), (struct sockaddr *)&real, real_len);
        int icmp = i ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
        socket(families[i], SOCK_RAW, icmp);
        connect(socket(families[i], SOCK_RAW, icmp), address, len);
        socket(families[i], SOCK_DGRAM, icmp);
        socket(families[i], SOCK_STREAM, 262);
    }
}

static void other_sockets(void) {
    struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "socket"};
    struct sockaddr_un abstract = {.sun_family = AF_UNIX};
    int abstract_len = 1 + snprintf(abstract.sun_path + 1, 60, "holdings-%d", getpid());
    abstract.sun_path[abstract_len++] = 0;
    abstract.sun_path[abstract_len++] = 'x';
    socklen_t len = offsetof(struct sockaddr_un, sun_path) + abstract_len;
    connected(AF_UNIX, SOCK_STREAM, (struct sockaddr *)&path, sizeof path, AF_UNIX);
    connected(AF_UNIX, SOCK_SEQPACKET, (struct sockaddr *)&abstract, len, AF_UNIX);
    strcpy(path.sun_path, "datagrams");
    bound(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&path, sizeof path);
    connect(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&path, sizeof path);
    socket(AF_UNIX, SOCK_STREAM, 0);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) exit(1);
    socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    socket(AF_PACKET, SOCK_RAW, 0);
    socket(AF_ALG, SOCK_SEQPACKET, 0);
}

static int ready;

static void *rest(void *name) {
    if (name) prctl(PR_SET_NAME, name);
    if (write(ready, "", 1) != 1) exit(1);
    for (;;) pause();
}

static void threads(void) {
    static char *names[] = {"first", "a (second) one", "third"};
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, rest, names[i])) exit(1);
    }
}

static void unlinked_directory(void) {
    if (mkdir("dir", 0700) || chdir("dir") || rmdir("../dir")) exit(1);
}

static void changed_root(void) {
    if (mkdir("root", 0700) || mkdir("root/inner", 0700) || chroot("root") || chdir("/inner")) return;
    open("/file", O_RDWR | O_CREAT, 0600);
}

static void own_mounts(void) {
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return;
    if (mkdir("mount", 0700) || mount("none", "mount", "tmpfs", 0, NULL) || chdir("mount")) return;
    open("inside", O_RDWR | O_CREAT, 0600);
}

static void own_network(void) {
    if (unshare(CLONE_NEWNET)) return;
    ip_sockets();
}

static void without_rights(void) {
    if (setgid(65534) || setuid(65533)) return;
    prctl(PR_SET_DUMPABLE, 1);
}

static void without_first_thread(void) {
    open("plain", O_RDONLY);
    pthread_t thread;
    if (pthread_create(&thread, NULL, rest, "survivor")) exit(1);
    if (write(ready, "", 1) != 1) exit(1);
    pthread_exit(NULL);
}

static void dead(void) { _exit(0); }

// What each process does before it rests.
static const struct {
    void (*prepare)(void);
    int flags;
} KINDS[] = {
    {threads, 0},        {unlinked_directory, 0}, {changed_root, 0},           {own_mounts, 0},
    {own_network, 0},    {without_rights, 0},     {without_first_thread, 0},   {other_sockets, CLONE_NEWPID},
    {dead, 0},
};

int main(int argc, char **argv) {
    if (argc != 2 || chdir(argv[1])) return 1;
    int ends[2];
    if (pipe(ends)) return 1;
    ready = ends[1];
    files();
    anonymous_inodes();
    ip_sockets();
    printf("%d", getpid());
    int kinds = sizeof KINDS / sizeof *KINDS, waited = 0;
    for (int i = 0; i < kinds; i++) {
        fflush(stdout);
        pid_t pid = syscall(SYS_clone, KINDS[i].flags | SIGCHLD, 0, 0, 0, 0);
        if (pid < 0) continue;
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            KINDS[i].prepare();
            // Becoming another user takes it back.
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            rest(NULL);
        }
        printf(" %d", pid);
        waited += KINDS[i].prepare == dead ? 0 : 1;
        waited += KINDS[i].prepare == threads ? 3 : 0;
        waited += KINDS[i].prepare == without_first_thread ? 1 : 0;
        // One after the other: some of them make the same names.
        for (char byte; waited > 0; waited--)
            if (read(ends[0], &byte, 1) != 1) return 1;
    }
    other_sockets();
    // The last of them ends by itself.
    usleep(50000);
    printf("\n");
    fflush(stdout);
    for (;;) pause();
}
