// Does its input and output by io_uring alone, in raw calls: `uring DIRECTORY PORT MODE`.
// MODE: plain, sqpoll or iowq (every operation punted to a worker). PORT listens on 127.0.0.1 and
// answers nothing; PORT 0 means to listen here. Prints what it did, one line for each operation:
// name, result, mark.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    int fd;
    unsigned flags;
    unsigned *sq_head, *sq_tail, *sq_mask, *sq_array, *sq_flags, *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    unsigned char sqe_flags;
} ring;
static uint64_t mark = 1000;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void open_ring(unsigned flags) {
    struct io_uring_params p = {.flags = flags, .sq_thread_idle = 500};
    ring.fd = (int)syscall(SYS_io_uring_setup, 32, &p);
    if (ring.fd < 0) die("io_uring_setup");
    ring.flags = flags;
    size_t sq_len = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    size_t cq_len = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    char *sq = mmap(0, sq_len, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
    char *cq = mmap(0, cq_len, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
    ring.sqes = mmap(0, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
                     IORING_OFF_SQES);
    if (sq == MAP_FAILED || cq == MAP_FAILED || ring.sqes == MAP_FAILED) die("mmap");
    ring.sq_head = (unsigned *)(sq + p.sq_off.head);
    ring.sq_tail = (unsigned *)(sq + p.sq_off.tail);
    ring.sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
    ring.sq_flags = (unsigned *)(sq + p.sq_off.flags);
    ring.sq_array = (unsigned *)(sq + p.sq_off.array);
    ring.cq_head = (unsigned *)(cq + p.cq_off.head);
    ring.cq_tail = (unsigned *)(cq + p.cq_off.tail);
    ring.cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
    ring.cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
}

// Puts one operation into the queue, not yet handed over.
static struct io_uring_sqe *put(int op, int fd, const void *addr, unsigned len, uint64_t off) {
    unsigned tail = *ring.sq_tail, at = tail & *ring.sq_mask;
    struct io_uring_sqe *sqe = &ring.sqes[at];
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = (unsigned char)op;
    sqe->fd = fd;
    sqe->addr = (uint64_t)(uintptr_t)addr;
    sqe->len = len;
    sqe->off = off;
    sqe->user_data = ++mark;
    sqe->flags = ring.sqe_flags;
    ring.sq_array[at] = at;
    return sqe;
}

static void queue(void) { atomic_store_explicit((_Atomic unsigned *)ring.sq_tail, *ring.sq_tail + 1, memory_order_release); }

static void enter(unsigned submit, unsigned wait) {
    unsigned flags = wait ? IORING_ENTER_GETEVENTS : 0;
    if (ring.flags & IORING_SETUP_SQPOLL) {
        if (atomic_load((_Atomic unsigned *)ring.sq_flags) & IORING_SQ_NEED_WAKEUP) flags |= IORING_ENTER_SQ_WAKEUP;
    }
    if (syscall(SYS_io_uring_enter, ring.fd, submit, wait, flags, 0, 0) < 0 && errno != EINTR) die("io_uring_enter");
}

struct result { unsigned long long user_data; int res; };

// The next result.
static struct result take(void) {
    while (atomic_load_explicit((_Atomic unsigned *)ring.cq_tail, memory_order_acquire) == *ring.cq_head) enter(0, 1);
    const struct io_uring_cqe *cqe = &ring.cqes[*ring.cq_head & *ring.cq_mask];
    struct result result = {cqe->user_data, cqe->res};
    atomic_store_explicit((_Atomic unsigned *)ring.cq_head, *ring.cq_head + 1, memory_order_release);
    return result;
}

// Hands over the operation that was put last, and waits for its result.
static int run(const char *name) {
    uint64_t mine = mark;
    queue();
    enter(1, 1);
    struct result cqe = take();
    printf("%s %d %llu\n", name, cqe.res, cqe.user_data);
    if (cqe.user_data != mine) {
        fprintf(stderr, "%s: mark %llu instead of %llu\n", name, cqe.user_data, (unsigned long long)mine);
        exit(1);
    }
    return cqe.res;
}

static void files(const char *directory) {
    char path[512], other[512], text[64] = "", part1[8] = "", part2[8] = "";
    snprintf(path, sizeof path, "%s/by-uring", directory);
    snprintf(other, sizeof other, "%s/moved-by-uring", directory);
    struct io_uring_sqe *sqe = put(IORING_OP_OPENAT, AT_FDCWD, path, 0640, 0);
    sqe->open_flags = O_RDWR | O_CREAT | O_TRUNC;
    int fd = run("openat");
    put(IORING_OP_WRITE, fd, "written by io_uring", 19, 0);
    run("write");
    put(IORING_OP_READ, fd, text, 7, 3);
    run("read");
    struct iovec out[2] = {{"vec", 3}, {"tor", 3}}, in[2] = {{part1, 4}, {part2, 4}};
    put(IORING_OP_WRITEV, fd, out, 2, 19);
    run("writev");
    put(IORING_OP_READV, fd, in, 2, 0);
    run("readv");
    put(IORING_OP_FSYNC, fd, 0, 0, 0);
    run("fsync");
    put(IORING_OP_CLOSE, fd, 0, 0, 0);
    run("close");
    sqe = put(IORING_OP_OPENAT, AT_FDCWD, "/no/such/file", 0, 0);
    sqe->open_flags = O_RDONLY;
    run("openat");
    put(IORING_OP_READ, 999, text, 7, 0);
    run("read");
    sqe = put(IORING_OP_RENAMEAT, AT_FDCWD, path, (unsigned)AT_FDCWD, (uint64_t)(uintptr_t)other);
    run("renameat");
    put(IORING_OP_UNLINKAT, AT_FDCWD, other, 0, 0);
    run("unlinkat");
    snprintf(path, sizeof path, "%s/folder-by-uring", directory);
    put(IORING_OP_MKDIRAT, AT_FDCWD, path, 0750, 0);
    run("mkdirat");
    struct open_how { uint64_t flags, mode, resolve; } how = {.flags = O_RDONLY | O_DIRECTORY};
    put(IORING_OP_OPENAT2, AT_FDCWD, path, sizeof how, (uint64_t)(uintptr_t)&how);
    fd = run("openat2");
    put(IORING_OP_CLOSE, fd, 0, 0, 0);
    run("close");
}

// A file in the ring's own table: no fd of the process.
static void slots(const char *directory) {
    int none[4] = {-1, -1, -1, -1};
    char path[512], text[16];
    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, none, 4) < 0) die("register files");
    snprintf(path, sizeof path, "%s/in-a-slot", directory);
    struct io_uring_sqe *sqe = put(IORING_OP_OPENAT, AT_FDCWD, path, 0600, 0);
    sqe->open_flags = O_RDWR | O_CREAT;
    sqe->file_index = 3;
    run("openat-slot");
    sqe = put(IORING_OP_WRITE, 2, "slot", 4, 0);
    sqe->flags |= IOSQE_FIXED_FILE;
    run("write-slot");
    sqe = put(IORING_OP_READ, 2, text, 2, 0);
    sqe->flags |= IOSQE_FIXED_FILE;
    run("read-slot");
    sqe = put(IORING_OP_CLOSE, 0, 0, 0, 0);
    sqe->file_index = 3;
    run("close-slot");
    if (syscall(SYS_io_uring_register, ring.fd, IORING_UNREGISTER_FILES, 0, 0) < 0) die("unregister files");
}

static void network(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    char text[32];
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (void *)&to, sizeof to) < 0 || listen(listener, 5) < 0) die("listen");
    socklen_t len = sizeof to;
    getsockname(listener, (void *)&to, &len);
    put(IORING_OP_SOCKET, AF_INET, 0, 0, SOCK_STREAM);
    int fd = run("socket");
    put(IORING_OP_CONNECT, fd, &to, 0, sizeof to);
    run("connect");
    put(IORING_OP_ACCEPT, listener, 0, 0, 0);
    int peer = run("accept");
    put(IORING_OP_SEND, fd, "ping", 4, 0);
    run("send");
    put(IORING_OP_RECV, peer, text, 32, 0);
    run("recv");
    struct iovec vector = {"message", 7}, room = {text, 32};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1}, into = {.msg_iov = &room, .msg_iovlen = 1};
    put(IORING_OP_SENDMSG, peer, &message, 1, 0);
    run("sendmsg");
    put(IORING_OP_RECVMSG, fd, &into, 1, 0);
    run("recvmsg");
    put(IORING_OP_SHUTDOWN, fd, 0, SHUT_RDWR, 0);
    run("shutdown");
    put(IORING_OP_CLOSE, peer, 0, 0, 0);
    run("close");
    put(IORING_OP_CLOSE, fd, 0, 0, 0);
    run("close");
    close(listener);
    put(IORING_OP_SOCKET, AF_INET, 0, 0, SOCK_STREAM);
    fd = run("socket");
    put(IORING_OP_CONNECT, fd, &to, 0, sizeof to);
    run("connect");
    put(IORING_OP_CLOSE, fd, 0, 0, 0);
    run("close");
}

// A chain whose first link fails, so that the second is cancelled; a wait that is cancelled.
static void chains(void) {
    char text[8];
    struct io_uring_sqe *sqe = put(IORING_OP_READ, 998, text, 8, 0);
    sqe->flags |= IOSQE_IO_LINK;
    uint64_t reading = mark;
    queue();
    put(IORING_OP_NOP, -1, 0, 0, 0);
    queue();
    enter(2, 2);
    for (int i = 0; i < 2; i++) {
        struct result cqe = take();
        printf("%s %d %llu\n", cqe.user_data == reading ? "read" : "nop", cqe.res, cqe.user_data);
    }
    int ends[2];
    if (pipe(ends) < 0) die("pipe");
    put(IORING_OP_READ, ends[0], text, 8, (uint64_t)-1);
    uint64_t waiting = mark;
    queue();
    enter(1, 0);
    put(IORING_OP_ASYNC_CANCEL, -1, (void *)(uintptr_t)waiting, 0, 0);
    queue();
    enter(1, 2);
    for (int i = 0; i < 2; i++) {
        struct result cqe = take();
        printf("%s %d %llu\n", cqe.user_data == waiting ? "read" : "async_cancel", cqe.res,
               cqe.user_data);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int is_polled = !strcmp(argv[3], "sqpoll");
    open_ring(is_polled ? IORING_SETUP_SQPOLL : 0);
    printf("ring %d %d\n", getpid(), ring.fd);
    if (!strcmp(argv[3], "iowq")) ring.sqe_flags = IOSQE_ASYNC;
    files(argv[1]);
    if (!is_polled) slots(argv[1]);
    network(atoi(argv[2]));
    ring.sqe_flags = 0;
    chains();
    return 0;
}
