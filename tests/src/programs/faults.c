// Touches 16 new pages for writing, one of them by the kernel. Prints the address of the first.
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
    volatile char *pages = mmap(0, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int zeros = open("/dev/zero", O_RDONLY);
    if (pages == MAP_FAILED || zeros < 0) return 1;
    madvise((void *)pages, 16 * 4096, MADV_NOHUGEPAGE);
    if (read(zeros, (char *)pages, 1) != 1) return 1;
    for (int i = 1; i < 16; i++) pages[i * 4096 + 7] = 1;
    printf("%lu\n", (unsigned long)pages);
    return 0;
}
