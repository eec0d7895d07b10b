// Opens that fail and opens that succeed, in turn and without a pause, until it is killed: of
// DIR/missing-A, which is not there, then of one of DIR/there-0 to DIR/there-7, which are closed again.
//
// usage: opens DIR
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 2) return 1;
    char missing[4096], there[4096];
    for (unsigned n = 0;; n++) {
        snprintf(missing, sizeof missing, "%s/missing-%u", argv[1], n % 1000);
        snprintf(there, sizeof there, "%s/there-%u", argv[1], n % 8);
        if (open(missing, O_RDONLY) >= 0) return 2;
        int fd = open(there, O_RDONLY | O_CREAT, 0600);
        if (fd < 0 || close(fd) != 0) return 3;
    }
}
