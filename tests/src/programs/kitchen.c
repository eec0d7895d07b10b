/* About 180 different system calls, each made once or a few times, many of them failing on purpose:
 * the program behind tests/data/captures/kitchen.scap.gz, byte for byte what was recorded there but
 * for this comment. Written for the recordings of this project; works in /srv/lab, needs root.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <errno.h>
#include <signal.h>
#include <sched.h>
#include <poll.h>
#include <time.h>
#include <pthread.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/sendfile.h>
#include <sys/ptrace.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/sem.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/select.h>
#include <sys/statfs.h>
#include <sys/quota.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/filter.h>

static void inet6_tcp(void){
	int l=socket(AF_INET6,SOCK_STREAM|SOCK_CLOEXEC,0),one=1;
	setsockopt(l,SOL_SOCKET,SO_REUSEADDR,&one,sizeof one);
	struct sockaddr_in6 a={.sin6_family=AF_INET6,.sin6_port=htons(7777),.sin6_addr=in6addr_loopback};
	if(bind(l,(void*)&a,sizeof a)<0){perror("bind6");close(l);return;}
	listen(l,16);
	pid_t p=fork();
	if(!p){
		int c=socket(AF_INET6,SOCK_STREAM,0);
		struct timeval tv={2,0}; setsockopt(c,SOL_SOCKET,SO_RCVTIMEO,&tv,sizeof tv);
		connect(c,(void*)&a,sizeof a);
		int nd=1; setsockopt(c,IPPROTO_TCP,TCP_NODELAY,&nd,sizeof nd);
		const char*m="GET /ipv6 HTTP/1.0\r\nHost: [::1]\r\n\r\n";
		send(c,m,strlen(m),MSG_NOSIGNAL); char b[256]; recv(c,b,sizeof b,0);
		struct iovec iv[2]={{"hello ",6},{"again\n",6}}; struct msghdr mh={.msg_iov=iv,.msg_iovlen=2};
		sendmsg(c,&mh,0); shutdown(c,SHUT_WR); read(c,b,sizeof b); close(c); _exit(0);
	}
	struct sockaddr_in6 pa; socklen_t pl=sizeof pa;
	int s=accept4(l,(void*)&pa,&pl,SOCK_CLOEXEC); char b[512];
	ssize_t n=recv(s,b,sizeof b,0); (void)n; getsockname(s,(void*)&pa,&pl); getpeername(s,(void*)&pa,&pl);
	int e; socklen_t el=sizeof e; getsockopt(s,SOL_SOCKET,SO_ERROR,&e,&el);
	write(s,"HTTP/1.0 200 OK\r\n\r\nhi\n",22);
	struct iovec iv[2]={{b,4},{b+4,200}}; struct msghdr mh={.msg_iov=iv,.msg_iovlen=2}; recvmsg(s,&mh,0);
	close(s);close(l);waitpid(p,0,0);
	/* refused */
	int c=socket(AF_INET6,SOCK_STREAM,0); a.sin6_port=htons(1); connect(c,(void*)&a,sizeof a); close(c);
	/* v4-mapped */
	c=socket(AF_INET6,SOCK_STREAM,0); inet_pton(AF_INET6,"::ffff:127.0.0.1",&a.sin6_addr); a.sin6_port=htons(8080); connect(c,(void*)&a,sizeof a); close(c);
}
static void udp(int fam){
	int s=socket(fam,SOCK_DGRAM,0),c=socket(fam,SOCK_DGRAM,0);
	struct sockaddr_storage ss={0}; socklen_t sl;
	if(fam==AF_INET6){struct sockaddr_in6*a=(void*)&ss;a->sin6_family=fam;a->sin6_port=htons(5355);a->sin6_addr=in6addr_loopback;sl=sizeof*a;}
	else{struct sockaddr_in*a=(void*)&ss;a->sin_family=fam;a->sin_port=htons(5355);a->sin_addr.s_addr=htonl(INADDR_LOOPBACK);sl=sizeof*a;}
	bind(s,(void*)&ss,sl);
	sendto(c,"ping",4,0,(void*)&ss,sl); char b[64]; struct sockaddr_storage f; socklen_t fl=sizeof f;
	recvfrom(s,b,sizeof b,0,(void*)&f,&fl); sendto(s,"pong",4,0,(void*)&f,fl); recv(c,b,sizeof b,MSG_DONTWAIT);
	connect(c,(void*)&ss,sl); write(c,"connected",9);
	struct iovec iv={b,sizeof b}; struct mmsghdr mm[2]={{{&f,sizeof f,&iv,1}},{{&f,sizeof f,&iv,1}}};
	recvmmsg(s,mm,2,MSG_DONTWAIT,0);
	struct iovec o[2]={{"one",3},{"two",3}}; struct mmsghdr sm[2]={{{0,0,&o[0],1}},{{0,0,&o[1],1}}}; sendmmsg(c,sm,2,0);
	recv(s,b,sizeof b,MSG_DONTWAIT);recv(s,b,sizeof b,MSG_DONTWAIT);recv(s,b,sizeof b,MSG_DONTWAIT);
	struct sockaddr un={.sa_family=AF_UNSPEC}; connect(c,&un,sizeof un);
	close(s);close(c);
}
static void unixs(void){
	unlink("/srv/lab/run.sock");
	int l=socket(AF_UNIX,SOCK_STREAM,0); struct sockaddr_un a={.sun_family=AF_UNIX}; strcpy(a.sun_path,"/srv/lab/run.sock");
	bind(l,(void*)&a,sizeof a); listen(l,4);
	pid_t p=fork();
	if(!p){int c=socket(AF_UNIX,SOCK_STREAM,0);connect(c,(void*)&a,sizeof a);
		/* pass a descriptor */
		int fd=open("/etc/hostname",O_RDONLY|O_CLOEXEC); char cb[CMSG_SPACE(sizeof(int))]={0}; struct iovec iv={"fd",2};
		struct msghdr m={.msg_iov=&iv,.msg_iovlen=1,.msg_control=cb,.msg_controllen=sizeof cb};struct cmsghdr*h=CMSG_FIRSTHDR(&m);
		h->cmsg_level=SOL_SOCKET;h->cmsg_type=SCM_RIGHTS;h->cmsg_len=CMSG_LEN(sizeof(int));memcpy(CMSG_DATA(h),&fd,sizeof fd);
		sendmsg(c,&m,0);char b[8];read(c,b,8);_exit(3);}
	int s=accept(l,0,0); char cb[CMSG_SPACE(sizeof(int))]={0},b[64]; struct iovec iv={b,sizeof b};
	struct msghdr m={.msg_iov=&iv,.msg_iovlen=1,.msg_control=cb,.msg_controllen=sizeof cb}; recvmsg(s,&m,0);
	struct cmsghdr*h=CMSG_FIRSTHDR(&m); if(h){int fd;memcpy(&fd,CMSG_DATA(h),sizeof fd);read(fd,b,sizeof b);close(fd);}
	write(s,"ok",2); close(s);close(l);int st;waitpid(p,&st,0);unlink("/srv/lab/run.sock");
	int ab=socket(AF_UNIX,SOCK_DGRAM,0); struct sockaddr_un x={.sun_family=AF_UNIX}; memcpy(x.sun_path,"\0lab-abstract",13);
	bind(ab,(void*)&x,2+13); int d=socket(AF_UNIX,SOCK_DGRAM,0); sendto(d,"dgram",5,0,(void*)&x,2+13); recv(ab,b,sizeof b,0); close(d);close(ab);
	int sp[2]; socketpair(AF_UNIX,SOCK_STREAM|SOCK_NONBLOCK,0,sp); write(sp[0],"abc",3); read(sp[1],b,sizeof b); read(sp[1],b,sizeof b); close(sp[0]);close(sp[1]);
}
static void evs(void){
	int ep=epoll_create1(EPOLL_CLOEXEC),ev=eventfd(0,EFD_NONBLOCK),tf=timerfd_create(CLOCK_MONOTONIC,TFD_CLOEXEC),in=inotify_init1(IN_CLOEXEC|IN_NONBLOCK);
	struct itimerspec its={{0,20000000},{0,5000000}}; timerfd_settime(tf,0,&its,0);
	mkdir("/srv/lab/watch",0750); inotify_add_watch(in,"/srv/lab/watch",IN_CREATE|IN_DELETE|IN_MODIFY);
	struct epoll_event e={.events=EPOLLIN}; int fds[3]={ev,tf,in}; for(int i=0;i<3;i++){e.data.fd=fds[i];epoll_ctl(ep,EPOLL_CTL_ADD,fds[i],&e);}
	unsigned long long v=7; write(ev,&v,8); int f=open("/srv/lab/watch/new.txt",O_CREAT|O_WRONLY|O_TRUNC,0640); write(f,"x\n",2); close(f); unlink("/srv/lab/watch/new.txt");
	char b[1024]; for(int i=0;i<4;i++){struct epoll_event r[4];int n=epoll_wait(ep,r,4,100);for(int j=0;j<n;j++)read(r[j].data.fd,b,sizeof b);}
	int w=inotify_rm_watch(in,1);(void)w; rmdir("/srv/lab/watch");
	sigset_t s; sigemptyset(&s); sigaddset(&s,SIGUSR1); sigprocmask(SIG_BLOCK,&s,0); int sf=signalfd(-1,&s,SFD_CLOEXEC); kill(getpid(),SIGUSR1);
	struct signalfd_siginfo si; read(sf,&si,sizeof si); close(sf);
	struct pollfd pf[2]={{ev,POLLIN},{tf,POLLIN|POLLOUT}}; poll(pf,2,10); struct timespec ts={0,1000000}; ppoll(pf,2,&ts,0);
	fd_set rs; FD_ZERO(&rs); FD_SET(tf,&rs); struct timeval tv={0,1000}; select(tf+1,&rs,0,0,&tv);
	close(ep);close(ev);close(tf);close(in);
	int pf2=syscall(SYS_pidfd_open,getppid(),0); if(pf2>=0){syscall(SYS_pidfd_send_signal,pf2,0,0,0);close(pf2);}
}
static void mem(void){
	int m=memfd_create("lab-memfd",MFD_CLOEXEC|MFD_ALLOW_SEALING); ftruncate(m,65536);
	char*p=mmap(0,65536,PROT_READ|PROT_WRITE,MAP_SHARED,m,0); strcpy(p,"in memory"); msync(p,65536,MS_SYNC); mprotect(p,4096,PROT_READ); munmap(p,65536); fcntl(m,F_ADD_SEALS,F_SEAL_SHRINK); close(m);
	void*q=mmap(0,1<<20,PROT_NONE,MAP_PRIVATE|MAP_ANONYMOUS,-1,0); madvise(q,1<<20,MADV_DONTNEED); mprotect(q,8192,PROT_READ|PROT_WRITE|PROT_EXEC); munmap(q,1<<20);
	void*r=mmap(0,8192,PROT_READ|PROT_WRITE,MAP_PRIVATE|MAP_ANONYMOUS,-1,0); mlock(r,4096); munlock(r,4096); r=mremap(r,8192,16384,MREMAP_MAYMOVE); munmap(r,16384);
	sbrk(4096); mlockall(MCL_CURRENT); munlockall(); mmap((void*)-1,0,0,0,-1,0);
	int sm=shmget(IPC_PRIVATE,4096,IPC_CREAT|0600); void*sp=shmat(sm,0,0); shmdt(sp); shmctl(sm,IPC_RMID,0);
	int se=semget(IPC_PRIVATE,1,IPC_CREAT|0600); struct sembuf sb={0,1,0}; semop(se,&sb,1); semctl(se,0,IPC_RMID);
}
static void files(void){
	char b[4096]; int d=open("/srv/lab",O_DIRECTORY|O_RDONLY); int f=openat(d,"f1.dat",O_CREAT|O_RDWR|O_TRUNC,0644);
	pwrite(f,"0123456789",10,0); pread(f,b,4,3); struct iovec iv[2]={{"aa",2},{"bbb",3}}; pwritev(f,iv,2,10); writev(f,iv,2); lseek(f,0,SEEK_SET); struct iovec ri[2]={{b,5},{b+5,20}}; readv(f,ri,2); preadv(f,ri,2,1);
	flock(f,LOCK_EX); flock(f,LOCK_UN); struct flock lk={F_WRLCK,SEEK_SET,0,4}; fcntl(f,F_SETLK,&lk); fsync(f); fdatasync(f); fallocate(f,0,0,8192); ftruncate(f,100); fchmod(f,0600); fchown(f,1,1);
	struct stat st; fstat(f,&st); stat("/srv/lab/f1.dat",&st); lstat("/nonexistent/zz",&st); struct statx sx; statx(AT_FDCWD,"/etc/passwd",0,STATX_ALL,&sx); struct statfs sf; statfs("/",&sf); fstatfs(f,&sf);
	int g=open("/srv/lab/f2.dat",O_CREAT|O_RDWR|O_APPEND|O_EXCL,0600); sendfile(g,f,0,50); copy_file_range(f,0,g,0,20,0); lseek(f,0,SEEK_SET); int pp[2]; pipe2(pp,O_NONBLOCK|O_CLOEXEC); splice(f,0,pp[1],0,30,0); read(pp[0],b,100); read(pp[0],b,100); close(pp[0]); signal(SIGPIPE,SIG_IGN); write(pp[1],"x",1); close(pp[1]);
	int h=dup(f); dup2(f,50); dup3(f,51,O_CLOEXEC); fcntl(f,F_DUPFD_CLOEXEC,60); fcntl(f,F_GETFL); fcntl(f,F_SETFD,FD_CLOEXEC); close(h); close(50); close(51); close(60); close(99);
	syscall(SYS_close_range,40,100,0);
	rename("/srv/lab/f2.dat","/srv/lab/f3.dat"); renameat(d,"f3.dat",d,"f4.dat"); syscall(SYS_renameat2,d,"f4.dat",d,"f5.dat",1); link("/srv/lab/f1.dat","/srv/lab/l1"); linkat(d,"f1.dat",d,"l2",0); symlink("f1.dat","/srv/lab/s1"); symlinkat("/etc/passwd",d,"s2"); readlink("/srv/lab/s1",b,sizeof b); chmod("/srv/lab/s1",0640); fchmodat(d,"l1",0444,0); chown("/srv/lab/f1.dat",0,0); lchown("/srv/lab/s1",2,2); fchownat(d,"l1",0,0,AT_SYMLINK_NOFOLLOW);
	unlink("/srv/lab/l1"); unlinkat(d,"l2",0); unlinkat(d,"s1",0); unlink("/srv/lab/s2"); unlink("/srv/lab/f5.dat"); unlink("/no/such/file"); mkdir("/srv/lab/dd",0700); mkdirat(d,"dd/ee",0755); rmdir("/srv/lab/dd"); rmdir("/srv/lab/dd/ee"); unlinkat(d,"dd",AT_REMOVEDIR);
	mknod("/srv/lab/fifo",S_IFIFO|0600,0); unlink("/srv/lab/fifo"); mknodat(d,"nul",S_IFCHR|0600,0x103); unlink("/srv/lab/nul");
	struct open_how how={.flags=O_RDONLY,.resolve=RESOLVE_IN_ROOT}; int o2=syscall(SYS_openat2,d,"f1.dat",&how,sizeof how); close(o2); int tmp=open("/srv/lab",O_TMPFILE|O_RDWR,0600); close(tmp);
	open("/etc/shadow-nope",O_RDONLY); creat("/srv/lab/cr",0622); unlink("/srv/lab/cr"); access("/etc/passwd",R_OK|W_OK); faccessat(d,"nope",F_OK,0); truncate("/srv/lab/f1.dat",7);
	struct {struct file_handle h; char d[128];} fh={.h={.handle_bytes=128}}; int mid; name_to_handle_at(d,"f1.dat",&fh.h,&mid,0); int of=open_by_handle_at(d,&fh.h,O_RDONLY); if(of>=0)close(of);
	chdir("/tmp"); fchdir(d); getcwd(b,sizeof b); umask(022); utimensat(d,"f1.dat",0,0); unlink("/srv/lab/f1.dat"); chdir("/nope"); chdir("/");
	int k=open("/srv/lab/src",O_RDONLY|O_DIRECTORY); syscall(SYS_getdents64,k,b,sizeof b); close(k); close(f);close(g);close(d); sync(); quotactl(QCMD(Q_SYNC,USRQUOTA),0,0,0);
	int big=open("/srv/lab/www/big.bin",O_RDONLY); if(big>=0){char*bb=malloc(200000);read(big,bb,200000);close(big);free(bb);}
}
static void uring(void){
	struct io_uring_params p={0}; int r=syscall(SYS_io_uring_setup,8,&p); if(r<0){perror("io_uring_setup");return;}
	unsigned char*sq=mmap(0,p.sq_off.array+p.sq_entries*4,PROT_READ|PROT_WRITE,MAP_SHARED|MAP_POPULATE,r,IORING_OFF_SQ_RING);
	struct io_uring_sqe*se=mmap(0,p.sq_entries*sizeof*se,PROT_READ|PROT_WRITE,MAP_SHARED|MAP_POPULATE,r,IORING_OFF_SQES);
	char b[128]; struct iovec iv={b,sizeof b}; syscall(SYS_io_uring_register,r,IORING_REGISTER_BUFFERS,&iv,1);
	int f=open("/etc/hostname",O_RDONLY); memset(se,0,sizeof*se); se->opcode=IORING_OP_READ; se->fd=f; se->addr=(unsigned long)b; se->len=sizeof b; se->user_data=42;
	unsigned*tail=(unsigned*)(sq+p.sq_off.tail),*mask=(unsigned*)(sq+p.sq_off.ring_mask),*arr=(unsigned*)(sq+p.sq_off.array); arr[*tail&*mask]=0; __atomic_store_n(tail,*tail+1,__ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter,r,1,1,IORING_ENTER_GETEVENTS,0,0); close(f); close(r);
}
static void ns(void){
	pid_t p=fork(); if(!p){ unshare(CLONE_NEWNS|CLONE_NEWUTS|CLONE_NEWIPC); mount(0,"/",0,MS_REC|MS_PRIVATE,0); mkdir("/srv/lab/mnt",0755); mount("tmpfs","/srv/lab/mnt","tmpfs",MS_NOSUID|MS_NODEV,"size=1m"); int f=open("/srv/lab/mnt/x",O_CREAT|O_WRONLY,0600); close(f); mount("/srv/lab/src","/srv/lab/mnt","none",MS_BIND,0); umount2("/srv/lab/mnt",MNT_DETACH); umount("/srv/lab/mnt"); umount("/srv/lab/mnt"); rmdir("/srv/lab/mnt"); sethostname("kitchen",7);
		int n=open("/proc/1/ns/uts",O_RDONLY); setns(n,CLONE_NEWUTS); close(n); setns(-1,0); chroot("/srv/lab"); chdir("/"); unshare(CLONE_NEWUSER|CLONE_FS); syscall(SYS_pivot_root,"a","b"); _exit(0);} waitpid(p,0,0);
	p=fork(); if(!p){ setsid(); setpgid(0,0); prctl(PR_SET_NAME,"renamed-child"); prctl(PR_SET_CHILD_SUBREAPER,1); gid_t g[2]={100,200}; setgroups(2,g); setregid(7,7); setresgid(65534,65534,65534); setresuid(65534,65534,65534); getresuid((uid_t*)g,(uid_t*)g,(uid_t*)g); getresgid(g,g,g); setuid(0); open("/etc/shadow",O_RDONLY); kill(1,9); execl("/bin/true","true","as-nobody",(char*)0); _exit(1);} waitpid(p,0,0);
}
static void*thr(void*a){ struct timespec t={0,2000000}; nanosleep(&t,0); syscall(SYS_gettid); int f=open("/etc/hosts",O_RDONLY); char b[64]; read(f,b,sizeof b); close(f); return a; }
static void procs(void){
	pthread_t t[3]; for(long i=0;i<3;i++)pthread_create(&t[i],0,thr,(void*)i); for(int i=0;i<3;i++)pthread_join(t[i],0);
	pid_t p=fork(); if(!p){ptrace(PTRACE_TRACEME,0,0,0);raise(SIGSTOP);int f=open("/etc/hosts",O_RDONLY);close(f);_exit(5);} int st; waitpid(p,&st,0); for(int i=0;i<6&&!WIFEXITED(st);i++){ptrace(PTRACE_SYSCALL,p,0,0);if(waitpid(p,&st,0)<0)break;} if(!WIFEXITED(st)){ptrace(PTRACE_DETACH,p,0,0);waitpid(p,&st,0);}
	p=vfork(); if(!p){execl("/bin/echo","echo","from","vfork",(char*)0);_exit(1);} waitpid(p,0,0);
	p=vfork(); if(!p){execl("/no/such/binary","nope",(char*)0);_exit(127);} waitpid(p,0,0);
	struct clone_args ca={.flags=CLONE_NEWPID,.exit_signal=SIGCHLD}; p=syscall(SYS_clone3,&ca,sizeof ca); if(!p){ char*av[]={"sh","-c","echo pid $$; exit 9",0}; int f=open("/bin/sh",O_PATH); extern char**environ; syscall(SYS_execveat,f,"",av,environ,AT_EMPTY_PATH); _exit(1);} waitpid(p,0,0);
	p=fork(); if(!p){ *(volatile int*)0=1; } waitpid(p,&st,0);
	p=fork(); if(!p){ struct sock_filter fl[]={BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_ALLOW)}; struct sock_fprog pr={1,fl}; prctl(PR_SET_NO_NEW_PRIVS,1,0,0,0); syscall(SYS_seccomp,SECCOMP_SET_MODE_FILTER,0,&pr); pause(); } usleep(3000); kill(p,SIGTERM); syscall(SYS_tkill,p,SIGUSR1); syscall(SYS_tgkill,p,p,SIGCONT); waitpid(p,&st,0);
	p=fork(); if(!p){pause();_exit(0);} usleep(2000); char rb[16]; struct iovec l={rb,16},r={rb,16}; process_vm_readv(p,&l,1,&r,1,0); cpu_set_t cs; sched_getaffinity(p,sizeof cs,&cs); sched_setaffinity(p,sizeof cs,&cs); setpriority(PRIO_PROCESS,p,5); kill(p,SIGKILL); waitpid(p,&st,0);
	struct rlimit rl; getrlimit(RLIMIT_NOFILE,&rl); rl.rlim_cur=512; setrlimit(RLIMIT_NOFILE,&rl); prlimit(0,RLIMIT_CORE,0,&rl); struct sigaction sa={.sa_handler=SIG_IGN}; sigaction(SIGALRM,&sa,0); alarm(1); alarm(0); nice(1);
	char nm[16]; prctl(PR_GET_NAME,nm); int uf=syscall(SYS_userfaultfd,O_CLOEXEC); if(uf>=0)close(uf); syscall(SYS_bpf,99,0,0); syscall(SYS_init_module,0,0,0); syscall(SYS_finit_module,-1,"",0); syscall(SYS_delete_module,"nope",0); getuid();geteuid();getgid();getegid();getpid();getppid();getpgid(0);getsid(0);
}
int main(int c,char**v){ (void)c;(void)v; inet6_tcp(); udp(AF_INET6); udp(AF_INET); unixs(); evs(); mem(); files(); uring(); ns(); procs(); puts("done"); return 0; }
