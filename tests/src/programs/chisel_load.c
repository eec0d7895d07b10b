/*
 * Something for chisels to tell about: files made, read, renamed and removed, calls that fail, names
 * asked for over DNS, requests over HTTP, and a wait for each. Servers are children; all talk is on the
 * loopback address 127.0.0.77. Ends with 0 if all went as planned.
 *
 * chisel_load FOLDER
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ADDRESS "127.0.0.77"
#define DNS_PORT 53
#define HTTP_PORT 18080
#define ROUNDS 2

static void fail(const char *what)
{
	fprintf(stderr, "chisel_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct sockaddr_in address(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, ADDRESS, &a.sin_addr);
	return a;
}

/* A socket that is bound, so that clients need not wait for the server. */
static int bound(int type, int port)
{
	struct sockaddr_in a = address(port);
	int one = 1, s = socket(AF_INET, type, 0);
	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
	    bind(s, (struct sockaddr *)&a, sizeof a) || (type == SOCK_STREAM && listen(s, 8)))
		fail("a server's socket");
	return s;
}

static void files(void)
{
	char block[4096];
	int fd, n;
	memset(block, 'x', sizeof block);
	if (mkdir("made", 0755) || (fd = open("made/new", O_CREAT | O_WRONLY | O_TRUNC, 0644)) < 0)
		fail("made/new");
	for (n = 0; n < 8; n++)
		if (write(fd, block, sizeof block) != sizeof block)
			fail("write");
	close(fd);
	if ((fd = open("made/new", O_RDONLY)) < 0)
		fail("open");
	while (read(fd, block, sizeof block) > 0)
		;
	close(fd);
	if (rename("made/new", "made/old") || unlink("made/old") || rmdir("made"))
		fail("made/old");
	if (open("missing", O_RDONLY) >= 0 || chdir("missing") == 0)
		fail("what is missing is there");
}

/* Appends a name as labels. */
static int labels(unsigned char *at, const char *name)
{
	int all = 0;
	while (*name) {
		int len = strcspn(name, ".");
		at[all++] = len;
		memcpy(at + all, name, len);
		all += len;
		name += len + (name[len] == '.');
	}
	at[all++] = 0;
	return all;
}

/* Answers queries: the name of two labels is known, others are not. */
static void serve_dns(int s, int count)
{
	unsigned char m[512];
	while (count-- > 0) {
		struct sockaddr_in from;
		socklen_t len = sizeof from;
		int n = recvfrom(s, m, sizeof m - 16, 0, (struct sockaddr *)&from, &len), dots = 0;
		if (n < 12)
			fail("a query");
		for (unsigned char *at = m + 12; *at; at += *at + 1)
			dots++;
		m[2] |= 0x80;
		if (dots == 2) {
			static const unsigned char answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 1, 2, 3};
			m[7] = 1;
			memcpy(m + n, answer, sizeof answer);
			n += sizeof answer;
		} else {
			m[3] |= 3;
		}
		if (sendto(s, m, n, 0, (struct sockaddr *)&from, len) != n)
			fail("an answer");
	}
	exit(0);
}

static void ask(const char *name, int id)
{
	unsigned char m[512] = {id >> 8, id, 1, 0, 0, 1};
	struct sockaddr_in a = address(DNS_PORT);
	int n = 12 + labels(m + 12, name), s = socket(AF_INET, SOCK_DGRAM, 0);
	m[n + 1] = m[n + 3] = 1;
	n += 4;
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) || send(s, m, n, 0) != n ||
	    recv(s, m, sizeof m, 0) < 12)
		fail(name);
	close(s);
}

static void serve_http(int s, int count)
{
	char m[1024];
	while (count-- > 0) {
		int c = accept(s, NULL, NULL), n = c < 0 ? -1 : (int)read(c, m, sizeof m - 1);
		if (n <= 0)
			fail("a request");
		m[n] = 0;
		const char *answer = strncmp(m, "GET /found ", 11)
			? "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
			: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
		if (write(c, answer, strlen(answer)) < 0)
			fail("a response");
		close(c);
	}
	exit(0);
}

static void get(const char *path)
{
	char m[1024];
	struct sockaddr_in a = address(HTTP_PORT);
	int n = snprintf(m, sizeof m, "GET %s HTTP/1.1\r\nHost: store.example\r\nAccept: *" "/*\r\n\r\n", path);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) || write(s, m, n) != n)
		fail(path);
	while (read(s, m, sizeof m) > 0)
		;
	close(s);
}

int main(int argc, char **argv)
{
	struct timespec pause = {0, 20000000};
	int dns = bound(SOCK_DGRAM, DNS_PORT), http = bound(SOCK_STREAM, HTTP_PORT), status, n;
	if (argc != 2 || chdir(argv[1]))
		fail("the folder");
	pid_t dns_server = fork();
	if (dns_server == 0)
		serve_dns(dns, 2 * ROUNDS);
	pid_t http_server = fork();
	if (http_server == 0)
		serve_http(http, 2 * ROUNDS);
	close(dns);
	close(http);
	for (n = 0; n < ROUNDS; n++) {
		files();
		ask("store.shop.svc.cluster.local", 2 * n + 1);
		ask("store.example", 2 * n + 2);
		get("/found");
		get("/lost");
		nanosleep(&pause, NULL);
	}
	if (waitpid(dns_server, &status, 0) < 0 || status || waitpid(http_server, &status, 0) < 0 || status)
		fail("a server");
	printf("done\n");
	return 0;
}
