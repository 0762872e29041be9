/* What containers of the tests run: linked statically, the only file of its image.
 *
 * serve NAME [PORT]   answers every HTTP request with NAME
 * linger NAME [PORT]  the same, but ends on TERM only where there is /go; a request for /held is noted in /held and
 *                     answered when there is /go
 * absent FILE         fails and says so where there is such a file
 * touch FILE, remove FILE, sleep
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile sig_atomic_t told;

static void tell(int number) { told = number; }

static int is_there(const char *file) {
    struct stat status;
    return stat(file, &status) == 0;
}

static void hold(void) {
    close(open("/held", O_CREAT | O_WRONLY, 0644));
    while (!is_there("/go")) usleep(10000);
}

static int serve(const char *name, int port, int lingers) {
    signal(SIGTERM, lingers ? tell : _exit);
    signal(SIGPIPE, SIG_IGN);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 128) != 0) return 1;
    char request[8192], response[512];
    int size = snprintf(response, sizeof response,
        "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", strlen(name), name);
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    while (!told || !is_there("/go")) {
        if (lingers && poll(&ready, 1, 20) <= 0) continue;
        int connection = accept(listener, 0, 0);
        if (connection < 0) continue;
        ssize_t length = read(connection, request, sizeof request);
        if (lingers && length > 9 && !memcmp(request, "GET /held", 9)) hold();
        if (length > 0) (void)!write(connection, response, size);
        close(connection);
    }
    return 0;
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "", *name = count > 2 ? words[2] : "none";
    int port = count > 3 ? atoi(words[3]) : 8080;
    if (!strcmp(what, "serve")) return serve(name, port, 0);
    if (!strcmp(what, "linger")) return serve(name, port, 1);
    if (!strcmp(what, "touch")) return close(open(name, O_CREAT | O_WRONLY, 0644)) != 0;
    if (!strcmp(what, "remove")) return unlink(name) != 0;
    if (!strcmp(what, "sleep")) return sleep(3600);
    if (!strcmp(what, "absent") && !is_there(name)) return 0;
    printf("%s is there\n", name);
    return 3;
}
