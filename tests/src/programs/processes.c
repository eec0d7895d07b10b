/* Process lives for the live tests: each mode prints nothing and ends by itself.
 *   thread-exec PATH ARG   a thread that is not the leader execs PATH
 *   refused                a seccomp filter refuses getppid with EACCES
 *   handler                a signal handler runs and returns
 *   signalled              kills itself with SIGTERM
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static char **args;

static void *exec_from_thread(void *unused)
{
	char *envp[] = { "CAPTURE_TEST=thread", 0 };
	(void)unused;
	execve(args[2], args + 2, envp);
	_exit(99);
}

static int refused(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 99;
	return syscall(SYS_getppid) == -1 && errno == EACCES ? 7 : 98;
}

static void handler(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	args = argv;
	if (argc < 2)
		return 97;
	if (!strcmp(argv[1], "thread-exec")) {
		pthread_create(&thread, 0, exec_from_thread, 0);
		for (;;)
			pause();
	}
	if (!strcmp(argv[1], "refused"))
		return refused();
	if (!strcmp(argv[1], "handler")) {
		signal(SIGUSR1, handler);
		kill(getpid(), SIGUSR1);
		return 0;
	}
	if (!strcmp(argv[1], "signalled"))
		kill(getpid(), SIGTERM);
	return 96;
}
