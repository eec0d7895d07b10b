/* A deterministic workload for filters: the same calls in every run, by processes that take turns.
 *
 * filtered DIR [CGROUP]
 *   Waits for a byte on standard input; then makes, in folder DIR, children of several kinds one after
 *   another, and prints "role pid" for each of them, itself included. With CGROUP, a folder of a cgroup
 *   file system, one child is moved there.
 * filtered --worker NAME FD
 *   The part of a child that has become another program. FD is a file that its parent opened. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what) {
  perror(what);
  _exit(1);
}

/* Reads, writes, failures, calls without parameters of their own; `rounds` times. */
static void work(int fd, int rounds) {
  char text[64];
  struct stat st;
  for (int i = 0; i < rounds; i++) {
    if (lseek(fd, 0, SEEK_SET) != 0) fail("lseek");
    if (read(fd, text, 10) != 10) fail("read");
    if (write(fd, "0123456789", 10) != 10) fail("write");
    if (read(-1, text, 1) != -1 || write(99, text, 1) != -1) fail("a call that should");
    if (open("missing", O_RDONLY) != -1) fail("open should");
    if (fstat(fd, &st) != 0) fail("fstat");
    syscall(SYS_getpgid, 0);
    syscall(SYS_sched_yield);
  }
}

static int open_file(const char *name) {
  int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0 || write(fd, "abcdefghijklmnopqrst", 20) != 20) fail(name);
  return fd;
}

static void tell(const char *role, pid_t pid) {
  /* As long in every run. */
  printf("%s %07d\n", role, pid);
  fflush(stdout);
}

static void wait_for(const char *role, pid_t pid) {
  int status;
  if (waitpid(pid, &status, 0) != pid || status != 0) fail(role);
  tell(role, pid);
}

static void become(const char *name, int fd) {
  char number[16];
  snprintf(number, sizeof number, "%d", fd);
  execl(name, name, "--worker", name, number, (char *)NULL);
  fail(name);
}

/* A child that becomes `name`, which is this program under another name. */
static void run(const char *role, const char *name, int fd) {
  pid_t pid = fork();
  if (pid == 0) become(name, fd);
  wait_for(role, pid);
}

static void as_user(int fd, uid_t uid) {
  pid_t pid = fork();
  if (pid == 0) {
    work(fd, 3);
    if (setuid(uid) != 0) fail("setuid");
    work(fd, 5);
    _exit(0);
  }
  wait_for("other_user", pid);
}

/* A child moves itself into a cgroup by a write, and then becomes another program. */
static void in_cgroup(int fd, const char *folder) {
  pid_t pid = fork();
  if (pid == 0) {
    char path[512], number[16];
    work(fd, 3);
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    snprintf(number, sizeof number, "%d", getpid());
    int procs = open(path, O_WRONLY);
    if (procs < 0 || write(procs, number, strlen(number)) < 0) fail(path);
    close(procs);
    work(fd, 5);
    become("worker", fd);
  }
  wait_for("in_cgroup", pid);
}

/* A child with a child, which has one: what ancestors decide. The middle one becomes another program
 * while its own child runs. */
static void family(int fd) {
  int go[2], done[2];
  char byte;
  if (pipe(go) != 0 || pipe(done) != 0) fail("pipe");
  pid_t pid = fork();
  if (pid == 0) {
    pid_t below = fork();
    if (below == 0) {
      close(go[1]);
      /* A file of its own: the program above works in the other one at the same time. */
      fd = open_file("below.txt");
      /* New in every run. */
      if (unlink("below.txt") != 0) fail("below.txt");
      work(fd, 3);
      if (write(done[1], "x", 1) != 1) fail("done");
      /* Until the program above has been replaced: its end of the pipe is closed by that. */
      if (read(go[0], &byte, 1) != 0) fail("go");
      work(fd, 5);
      _exit(0);
    }
    if (read(done[0], &byte, 1) != 1) fail("done");
    tell("grandchild", below);
    /* The child below is in its read then, however busy the machine is. */
    usleep(300000);
    fcntl(go[1], F_SETFD, FD_CLOEXEC);
    become("parent", fd);
  }
  close(go[0]);
  close(go[1]);
  close(done[0]);
  close(done[1]);
  wait_for("family", pid);
}

int main(int argc, char **argv) {
  char byte;
  if (argc == 4 && strcmp(argv[1], "--worker") == 0) {
    int fd = atoi(argv[3]);
    work(fd, 4);
    int own = open_file("own.txt");
    work(own, 4);
    close(own);
    if (strcmp(argv[2], "parent") == 0) wait(NULL);
    return 0;
  }
  if (argc < 2 || chdir(argv[1]) != 0) fail("filtered DIR");
  signal(SIGCHLD, SIG_DFL);
  if (read(0, &byte, 1) != 1) fail("standard input");
  tell("main", getpid());
  int fd = open_file("data.txt");
  work(fd, 200);
  run("worker", "worker", fd);
  run("other", "other", fd);
  run("worker_again", "worker", fd);
  as_user(fd, 12345);
  family(fd);
  if (argc > 2) in_cgroup(fd, argv[2]);
  work(fd, 5);
  close(fd);
  return 0;
}
