// `path_race DIRECTORY COUNT`: opens one of two files COUNT times, and asks for access to one as often,
// while another thread changes the path in memory from one to the other. Prints the inodes of the two files.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char path[512];
static size_t last;
static atomic_bool is_over;

static void *flip(void *unused) {
    (void)unused;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        ((volatile char *)path)[last] ^= 'a' ^ 'b';
        for (volatile int pause = 0; pause < 40; pause++) {}
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    unsigned long inodes[2];
    for (int i = 0; i < 2; i++) {
        struct stat st;
        snprintf(path, sizeof path, "%s/file-%c", argv[1], "ab"[i]);
        int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0 || fstat(fd, &st) < 0) return 1;
        inodes[i] = st.st_ino;
        close(fd);
    }
    printf("%lu %lu\n", inodes[0], inodes[1]);
    fflush(stdout);
    last = strlen(path) - 1;
    pthread_t flipper;
    if (pthread_create(&flipper, 0, flip, 0)) return 1;
    for (int n = atoi(argv[2]); n > 0; n--) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
        if (fd < 0) return 1;
        close(fd);
        syscall(SYS_access, path, R_OK);
    }
    atomic_store(&is_over, 1);
    pthread_join(flipper, 0);
    return 0;
}
