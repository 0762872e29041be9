// The Linux calls that the Glibc module does not expose.
//
// _GNU_SOURCE must not be defined here: it changes types that Glibc's module has already
// declared. The few GNU prototypes and constants are therefore written out by hand.
#ifndef MESHD_CLINUX_H
#define MESHD_CLINUX_H

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int pipe2(int ends[2], int flags);
ssize_t splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t length, unsigned flags);
int pthread_setname_np(pthread_t thread, const char *name);

static const unsigned meshd_splice_move = 1;
static const unsigned meshd_splice_nonblock = 2;
static const int meshd_f_setpipe_sz = 1031;
static const int meshd_so_reuseport = 15;
static const int meshd_ip_freebind = 15;
static const int meshd_ipv6_freebind = 78;
static const int meshd_ipproto_udp = 17;

// sigemptyset and friends are macros on some systems; these are what Swift calls.
static inline int meshd_block_signals(sigset_t *set, const int *signals, int count) {
    sigemptyset(set);
    for (int i = 0; i < count; i++) sigaddset(set, signals[i]);
    return pthread_sigmask(SIG_BLOCK, set, 0);
}

// recv and send without glibc's cancellation points, which cost a few atomic operations a call and which no thread here
// is ever ended by.
static inline ssize_t meshd_recv(int fd, void *buffer, size_t length) {
    ssize_t result;
    do {
        result = syscall(SYS_recvfrom, fd, buffer, length, 0, 0, 0);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

static inline ssize_t meshd_send(int fd, const void *bytes, size_t length, int flags) {
    ssize_t result;
    do {
        result = syscall(SYS_sendto, fd, bytes, length, flags, 0, 0);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

// How many processors this thread may run on; -1 where the system does not say.
static inline int meshd_affinity(void) {
    unsigned char mask[8192];
    long size = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    int count = 0;
    if (size < 0) return -1;
    for (long i = 0; i < size; i++) count += __builtin_popcount(mask[i]);
    return count;
}

// Several datagrams in one call; the kernel's struct mmsghdr.
struct meshd_mmsghdr {
    struct msghdr header;
    unsigned int length;
};

static inline int meshd_recvmmsg(int fd, struct meshd_mmsghdr *messages, unsigned count) {
    long result;
    do {
        result = syscall(SYS_recvmmsg, fd, messages, count, MSG_DONTWAIT, 0);
    } while (result < 0 && errno == EINTR);
    return (int)(result < 0 ? -errno : result);
}

static inline int meshd_sendmmsg(int fd, struct meshd_mmsghdr *messages, unsigned count) {
    long result;
    do {
        result = syscall(SYS_sendmmsg, fd, messages, count, MSG_NOSIGNAL);
    } while (result < 0 && errno == EINTR);
    return (int)(result < 0 ? -errno : result);
}

static inline int meshd_ignore_sigpipe(void) { return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0; }

#endif
