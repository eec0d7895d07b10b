// Calls of a 32-bit program (compiled with -m32): `ia32 DIRECTORY`. What libc would do by newer calls
// is done here by the old numbers, whose arguments stand in memory. Prints one line for each call of
// which the recorded form is known: its name and a text that its parameters must have.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SOCKET = 1, BIND, CONNECT, LISTEN, ACCEPT, GETSOCKNAME, SOCKETPAIR = 8, SEND, RECV, SENDTO, RECVFROM,
       SHUTDOWN, SETSOCKOPT, GETSOCKOPT, SENDMSG, RECVMSG, ACCEPT4, RECVMMSG, SENDMMSG };

static long socketcall(int which, long a, long b, long c, long d, long e, long f) {
    unsigned long args[6] = {(unsigned long)a, (unsigned long)b, (unsigned long)c, (unsigned long)d,
                             (unsigned long)e, (unsigned long)f};
    long ret = syscall(SYS_socketcall, which, args);
    if (ret < 0) {
        perror("socketcall");
        exit(1);
    }
    return ret;
}

#define P(pointer) ((long)(uintptr_t)(pointer))

static void files(const char *directory) {
    char path[512], text[32] = "", rest[8];
    snprintf(path, sizeof path, "%s/of-32-bits", directory);
    int fd = (int)syscall(SYS_open, path, O_CREAT | O_RDWR | O_TRUNC, 0640);
    printf("open fd=%d(<f>%s) name=%s flags=\n", fd, path, path);
    syscall(SYS_write, fd, "thirty-two", 10);
    printf("write res=10 data=thirty-two fd=%d(<f>%s) size=10\n", fd, path);
    syscall(SYS_pwrite64, fd, "bits", 4, 10, 0);
    printf("pwrite res=4 data=bits fd=%d(<f>%s) size=4 pos=10\n", fd, path);
    syscall(SYS_pread64, fd, text, 3, 7, 0);
    printf("pread res=3 data=two fd=%d(<f>%s) size=3 pos=7\n", fd, path);
    // Beyond 4 GB: the upper half is an argument of its own.
    syscall(SYS_pread64, fd, text, 3, 7, 1);
    printf("pread res=0 data= fd=%d(<f>%s) size=3 pos=4294967303\n", fd, path);
    int64_t at;
    syscall(SYS__llseek, fd, 0, 2, &at, SEEK_SET);
    printf("llseek res=0 fd=%d(<f>%s) offset=2 whence=0(SEEK_SET)\n", fd, path);
    syscall(SYS_read, fd, text, 5);
    printf("read res=5 data=irty- fd=%d(<f>%s) size=5\n", fd, path);
    struct iovec out[2] = {{"<<", 2}, {">>>", 3}}, in[2] = {{text, 4}, {rest, 4}};
    syscall(SYS_writev, fd, out, 2);
    printf("writev res=5 data=<<>>> fd=%d(<f>%s) size=5\n", fd, path);
    syscall(SYS__llseek, fd, 0, 0, &at, SEEK_SET);
    syscall(SYS_readv, fd, in, 2);
    printf("readv res=8 size=8 data=thirty-< fd=%d(<f>%s)\n", fd, path);
    syscall(SYS_close, fd);
    printf("close res=0 fd=%d(<f>%s)\n", fd, path);
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    printf("openat fd=%d(<f>%s) dirfd=-100(AT_FDCWD) name=%s\n", fd, path, path);
    syscall(SYS_close, fd);
    syscall(SYS_open, "/no/such/file", O_RDONLY, 0);
    printf("open fd=-2(ENOENT) name=/no/such/file\n");
    syscall(SYS_unlink, path);
    printf("unlink res=0 path=%s\n", path);
}

static void memory(void) {
    uint32_t args[6] = {0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (uint32_t)-1, 0};
    void *at = (void *)syscall(SYS_mmap, args);
    printf("mmap length=8192 prot=3(PROT_READ|PROT_WRITE) flags=10(MAP_PRIVATE|MAP_ANONYMOUS) fd=-1(EPERM) offset=0\n");
    syscall(SYS_munmap, at, 8192);
    at = (void *)syscall(SYS_mmap2, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("mmap2 length=4096 prot=1(PROT_READ) flags=10(MAP_PRIVATE|MAP_ANONYMOUS) fd=-1(EPERM)\n");
    syscall(SYS_munmap, at, 4096);
    printf("munmap length=4096\n");
}

static void times(void) {
    struct { int32_t s, ns; } old = {0, 2000003};
    struct { int64_t s, ns; } new = {0, 3000004};
    syscall(SYS_nanosleep, &old, 0);
    printf("nanosleep interval=2000003(0.002s)\n");
    struct pollfd fd = {-1, POLLIN, 0};
    syscall(SYS_poll, &fd, 1, 1);
    printf("poll res=0\n");
    syscall(414 /* ppoll_time64 */, &fd, 1, &new, 0, 0);
    printf("ppoll timeout=3000004(0.003s)\n");
    syscall(SYS_ppoll, &fd, 1, &old, 0, 0);
    printf("ppoll timeout=2000003(0.002s)\n");
    syscall(407 /* clock_nanosleep_time64 */, 1, 0, &new, 0);
    syscall(422 /* futex_time64 */, &fd.fd, 0, 5, &new, 0, 0);
    printf("futex res=-11(EAGAIN)\n");
}

static void network(void) {
    struct sockaddr_in to = {.sin_family = AF_INET};
    socklen_t len = sizeof to;
    char text[32];
    int yes = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    long listener = socketcall(SOCKET, AF_INET, SOCK_STREAM, 0, 0, 0, 0);
    printf("socket fd=%ld(<4>) domain=2(AF_INET) type=1 proto=0\n", listener);
    socketcall(SETSOCKOPT, listener, SOL_SOCKET, SO_REUSEADDR, P(&yes), 4, 0);
    printf("setsockopt level=1(SOL_SOCKET) optname=2(SO_REUSEADDR) val=1 optlen=4\n");
    socketcall(BIND, listener, P(&to), sizeof to, 0, 0, 0);
    printf("bind res=0 addr=127.0.0.1:0\n");
    socketcall(LISTEN, listener, 7, 0, 0, 0, 0);
    printf("listen res=0 backlog=7\n");
    socketcall(GETSOCKNAME, listener, P(&to), P(&len), 0, 0, 0);
    int port = ntohs(to.sin_port);
    long fd = socketcall(SOCKET, AF_INET, SOCK_STREAM, 0, 0, 0, 0);
    socketcall(CONNECT, fd, P(&to), sizeof to, 0, 0, 0);
    printf("connect res=0 ->127.0.0.1:%d addr=127.0.0.1:%d\n", port, port);
    long peer = socketcall(ACCEPT, listener, 0, 0, 0, 0, 0);
    printf("accept fd=%ld(<4t>127.0.0.1: ->127.0.0.1:%d)\n", peer, port);
    socketcall(SEND, fd, P("sent"), 4, 0, 0, 0);
    printf("send res=4 data=sent size=4\n");
    socketcall(RECV, peer, P(text), 32, 0, 0, 0);
    printf("recv res=4 data=sent size=32\n");
    socketcall(SENDTO, peer, P("to-you"), 6, 0, 0, 0);
    printf("sendto res=6 size=6 data=to-you\n");
    socketcall(RECVFROM, fd, P(text), 32, 0, 0, 0);
    printf("recvfrom res=6 data=to-you size=32\n");
    struct iovec vector[2] = {{"mes", 3}, {"sage", 4}}, room = {text, 32};
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2}, into = {.msg_iov = &room, .msg_iovlen = 1};
    socketcall(SENDMSG, fd, P(&message), 0, 0, 0, 0);
    printf("sendmsg res=7 size=7 data=message\n");
    socketcall(RECVMSG, peer, P(&into), 0, 0, 0, 0);
    printf("recvmsg res=7 data=message\n");
    socketcall(SHUTDOWN, fd, SHUT_WR, 0, 0, 0, 0);
    printf("shutdown res=0 how=1(SHUT_WR)\n");
    int pair[2];
    socketcall(SOCKETPAIR, AF_UNIX, SOCK_DGRAM, 0, P(pair), 0, 0);
    printf("socketpair res=0 fd1=%d(<u>) fd2=%d(<u>) domain=1(AF_LOCAL) type=2\n", pair[0], pair[1]);
    // The calls of their own that newer libraries use.
    long udp = syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
    syscall(SYS_connect, udp, &to, sizeof to);
    printf("connect res=0 ->127.0.0.1:%d addr=127.0.0.1:%d\n", port, port);
    syscall(SYS_sendto, udp, "alone", 5, 0, 0, 0);
    printf("sendto res=5 data=alone size=5\n");
}

// Programs that are not there: what they would have been given is read by pointers of four bytes.
static void programs(void) {
    char *args[] = {"tool", "one", "two", 0}, *env[] = {"OF=32", "BITS=yes", 0};
    syscall(SYS_execve, "/no/such/program", args, env);
    printf("execve res=-2(ENOENT) exe=tool args=one.two. env=OF=32.BITS=yes.\n");
    syscall(SYS_execveat, AT_FDCWD, "/no/such/program", args + 1, env + 1, 0);
    printf("execveat res=-2(ENOENT) exe=one args=two. env=BITS=yes.\n");
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    files(argv[1]);
    memory();
    times();
    network();
    programs();
    return 0;
}
