// Loads an HTTPS server over TLS 1.3 from one thread and prints what it counted as one line of JSON.
//
//     tls_load PORT HOST PATH CONNECTIONS MILLISECONDS keepalive|full|resumed
//
// keepalive: each connection sends one request after the other.
// full:      a new connection and a full handshake for each request.
// resumed:   the same, but each handshake offers the newest ticket of the connection before it.
//
// Cipher and key exchange are pinned, so that all servers do the same work. Certificates are not verified here; the
// harness does that before. The first error of any kind ends the program with a message and exit code 1.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CIPHER "TLS_AES_128_GCM_SHA256"
#define GROUP "X25519"

enum {
    MAXIMUM_CONNECTIONS = 1024,
    MAXIMUM_ANSWER = 4096,
    HISTOGRAM_MICROSECONDS = 1000000,
    LATE_MICROSECONDS = 2000000,
    GRACE_SECONDS = 15,
    EVENTS = 64,
};

enum mode { KEEPALIVE, FULL, RESUMED };

// One connection at a time; `started` is when its connect or, on a used connection, its request began.
struct slot {
    SSL *ssl;
    SSL_SESSION *session;
    uint64_t started;
    size_t received;
    int is_connected, is_sent, is_counted;
    char answer[MAXIMUM_ANSWER + 1];
};

static struct slot slots[MAXIMUM_CONNECTIONS];
static uint32_t histogram[HISTOGRAM_MICROSECONDS + 1];
static uint64_t requests, bytes, handshakes, resumed, tickets;
static char request[1024];
static size_t request_length;
static const char *host;
static struct sockaddr_in address;
static enum mode mode;
static SSL_CTX *context;
static int epoll;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    ERR_print_errors_fp(stderr);
    exit(1);
}

static uint64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

// Keeps the newest ticket of the connection: each is offered once.
static int keep_session(SSL *ssl, SSL_SESSION *session) {
    struct slot *slot = SSL_get_app_data(ssl);
    tickets++;
    if (mode != RESUMED) return 0;
    SSL_SESSION_free(slot->session);
    slot->session = session;
    return 1;
}

static void open_connection(struct slot *slot) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) fail("socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    slot->started = microseconds();
    slot->received = 0;
    slot->is_connected = slot->is_sent = slot->is_counted = 0;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    slot->ssl = SSL_new(context);
    if (!slot->ssl || !SSL_set_fd(slot->ssl, fd) || !SSL_set_tlsext_host_name(slot->ssl, host)) fail("no TLS state");
    SSL_set_app_data(slot->ssl, slot);
    SSL_set_connect_state(slot->ssl);
    if (slot->session) {
        if (!SSL_set_session(slot->ssl, slot->session)) fail("a session cannot be used");
        SSL_SESSION_free(slot->session);
        slot->session = NULL;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = slot};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl: %s", strerror(errno));
}

static void close_connection(struct slot *slot) {
    int fd = SSL_get_fd(slot->ssl);
    SSL_shutdown(slot->ssl);
    SSL_free(slot->ssl);
    ERR_clear_error();
    slot->ssl = NULL;
    close(fd);
}

// Whether the answer is whole; ends the program where it is not a 200 with a Content-Length.
static int is_whole(struct slot *slot) {
    slot->answer[slot->received] = 0;
    char *end = strstr(slot->answer, "\r\n\r\n");
    if (!end) return 0;
    char *field = strcasestr(slot->answer, "\r\ncontent-length:");
    if (strncmp(slot->answer, "HTTP/1.1 200 ", 13) != 0 || !field || field > end)
        fail("wrong answer: %.200s", slot->answer);
    size_t length = strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);
    size_t whole = (size_t)(end + 4 - slot->answer) + length;
    if (length > MAXIMUM_ANSWER || whole > MAXIMUM_ANSWER || slot->received > whole)
        fail("%zu bytes where an answer of %zu was expected", slot->received, whole);
    return slot->received == whole;
}

static void count(struct slot *slot) {
    uint64_t now = microseconds(), taken = now - slot->started;
    histogram[taken < HISTOGRAM_MICROSECONDS ? taken : HISTOGRAM_MICROSECONDS]++;
    requests++;
    bytes += slot->received;
    if (!slot->is_counted) {
        slot->is_counted = 1;
        handshakes++;
        resumed += (uint64_t)SSL_session_reused(slot->ssl);
    }
    if (mode == KEEPALIVE) {
        slot->started = now;
        slot->received = 0;
        slot->is_sent = 0;
    } else {
        close_connection(slot);
        open_connection(slot);
    }
}

// Whether the call is to be repeated once the socket is ready.
static int must_wait(struct slot *slot, int result) {
    int error = SSL_get_error(slot->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 1;
    fail("connection lost (%d, errno %s) after %zu bytes of an answer", error, strerror(errno), slot->received);
}

// Goes on as far as the socket allows: handshake and request, then the answer, then the next request.
static void advance(struct slot *slot) {
    slot->is_connected = 1;
    while (slot->is_connected) {
        if (!slot->is_sent) {
            int result = SSL_write(slot->ssl, request, (int)request_length);
            if (result <= 0 && must_wait(slot, result)) return;
            slot->is_sent = 1;
        }
        if (slot->received == MAXIMUM_ANSWER) fail("an answer of more than %d bytes", MAXIMUM_ANSWER);
        int result = SSL_read(slot->ssl, slot->answer + slot->received, (int)(MAXIMUM_ANSWER - slot->received));
        if (result <= 0 && must_wait(slot, result)) return;
        slot->received += (size_t)result;
        if (is_whole(slot)) count(slot);
    }
}

static void make_context(void) {
    context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, CIPHER) || !SSL_CTX_set1_groups_list(context, GROUP) ||
        SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x08http/1.1", 9))
        fail("no TLS context");
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
}

static double load(int connections, uint64_t duration) {
    uint64_t begin = microseconds(), now = begin;
    for (int index = 0; index < connections; index++) open_connection(&slots[index]);
    while (now - begin < duration) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, (int)((duration - (now - begin)) / 1000 + 1));
        if (ready < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
        for (int index = 0; index < ready; index++) advance(events[index].data.ptr);
        now = microseconds();
    }
    for (int index = 0; index < connections; index++)
        if (now > slots[index].started && now - slots[index].started > LATE_MICROSECONDS)
            fail("no answer within %d s", LATE_MICROSECONDS / 1000000);
    return (double)(now - begin) / 1e6;
}

static int percentile(double share) {
    uint64_t seen = 0;
    int latency = 0;
    while (latency < HISTOGRAM_MICROSECONDS && (seen += histogram[latency]) < share * (double)requests) latency++;
    return latency;
}

static void read_arguments(char **arguments, int *connections, long *milliseconds) {
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)atoi(arguments[1]));
    host = arguments[2];
    *connections = atoi(arguments[4]);
    *milliseconds = atol(arguments[5]);
    const char *name = arguments[6];
    mode = strcmp(name, "keepalive") == 0 ? KEEPALIVE : strcmp(name, "full") == 0 ? FULL : RESUMED;
    if (mode == RESUMED && strcmp(name, "resumed") != 0) fail("unknown mode %s", name);
    if (*connections < 1 || *connections > MAXIMUM_CONNECTIONS || *milliseconds < 1 || *milliseconds > 600000)
        fail("1 to %d connections, 1 to 600000 ms", MAXIMUM_CONNECTIONS);
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", arguments[3], host,
                          mode == KEEPALIVE ? "" : "Connection: close\r\n");
    if (length < 0 || (size_t)length >= sizeof request) fail("the request is too long");
    request_length = (size_t)length;
}

int main(int count_of_arguments, char **arguments) {
    if (count_of_arguments != 7) fail("tls_load PORT HOST PATH CONNECTIONS MILLISECONDS keepalive|full|resumed");
    int connections;
    long milliseconds;
    read_arguments(arguments, &connections, &milliseconds);
    make_context();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail("epoll_create1: %s", strerror(errno));
    alarm((unsigned)(milliseconds / 1000) + GRACE_SECONDS);
    double seconds = load(connections, (uint64_t)milliseconds * 1000);
    printf("{\"requests\": %" PRIu64 ", \"seconds\": %.6f, \"bytes\": %" PRIu64 ", \"handshakes\": %" PRIu64
           ", \"resumed\": %" PRIu64 ", \"tickets\": %" PRIu64 ", \"p50_us\": %d, \"p99_us\": %d}\n",
           requests, seconds, bytes, handshakes, resumed, tickets, percentile(0.5), percentile(0.99));
    return 0;
}
