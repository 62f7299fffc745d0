/* The load client: HTTP/1.1 over one epoll loop, cheap enough to measure the server and not itself.
 *
 *   load requests HOST:PORT FILE CLIENTS SECONDS COUNT PAUSE_MS
 *       CLIENTS send the requests of FILE in turn, until SECONDS or COUNT (0: no bound) are reached; each waits PAUSE_MS
 *       after an answer, and their first requests are spread over as long. Prints one line of JSON at the end.
 *   load streams HOST:PORT FILE IN_FLIGHT EVENTS PER_SECOND
 *       opens a stream with each request of FILE, IN_FLIGHT at a time and PER_SECOND (0: no bound); a stream is open once its first block and EVENTS
 *       stamps have arrived. Prints a line when all are open or failed, and one for each line on stdin, until that ends.
 *
 * FILE is a sequence of requests, each preceded by its length as text and a newline. Text of the form ~19 digits~ is a
 * stamp: set to the time (nanoseconds of the monotonic clock) when a request is sent, and searched in what streams receive.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STAMP = 19, BUFFER = 1 << 16, HEAD = 4096, LIMIT_MS = 180000 };
typedef struct { char *text; size_t size, stamps; char **stamp; } Request;
typedef struct { uint32_t *all; size_t count, room; } Samples; /* microseconds */
typedef struct {
    int fd, status, open, done, tried, chunked, last;
    size_t request, sent, head_size;
    char head[HEAD];
    long left;                        /* bytes of the body, or of this chunk */
    int in_size, digits, newline, tail; /* parser states of chunk size, stamp and blank line */
    int64_t stamp;
    uint64_t began, next;
    unsigned blocks, stamps;
} Client;

static struct sockaddr_in address;
static Request *requests;
static size_t request_count, turn, finished, failed, statuses[600], dropped;
static Samples samples;
static uint64_t first_stamp, last_stamp;
static int poller, streaming;
static unsigned expected;
static char buffer[BUFFER];

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) { perror(what); exit(2); }

static void sample(uint64_t nanoseconds) {
    if (samples.count == samples.room) {
        samples.room = samples.room ? samples.room * 2 : 4096;
        samples.all = realloc(samples.all, samples.room * sizeof *samples.all);
        if (!samples.all) die("memory");
    }
    samples.all[samples.count++] = (uint32_t)(nanoseconds / 1000);
}

static int by_size(const void *a, const void *b) {
    return (*(const uint32_t *)a > *(const uint32_t *)b) - (*(const uint32_t *)a < *(const uint32_t *)b);
}

static void print_samples(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    qsort(samples.all, samples.count, sizeof *samples.all, by_size);
    size_t n = samples.count;
    double p50 = n ? samples.all[n / 2] / 1000.0 : -1, p99 = n ? samples.all[n * 99 / 100] / 1000.0 : -1;
    printf("\"samples\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"cpu\": %.3f}\n", n, p50, p99,
           n ? samples.all[n - 1] / 1000.0 : -1, cpu);
    fflush(stdout);
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    size_t size, room = 0;
    if (!file) die(path);
    while (fscanf(file, "%zu", &size) == 1 && fgetc(file) == '\n') {
        if (request_count == room) requests = realloc(requests, (room = room ? room * 2 : 64) * sizeof *requests);
        char *text = malloc(size);
        if (!requests || !text || fread(text, 1, size, file) != size) die("requests");
        Request *request = &requests[request_count++];
        *request = (Request){text, size, 0, NULL};
        for (char *at = text; (at = memmem(at, size - (size_t)(at - text), "~0000000000000000000~", STAMP + 2)); at += STAMP) {
            request->stamp = realloc(request->stamp, (request->stamps + 1) * sizeof *request->stamp);
            request->stamp[request->stamps++] = at + 1;
        }
    }
    fclose(file);
    if (!request_count) exit(2);
}

static void listen_to(Client *client, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(poller, operation, client->fd, &event)) die("epoll_ctl");
}

static void hang_up(Client *client) {
    if (client->fd >= 0) close(client->fd);
    client->fd = -1;
}

/* The request may not fit at once: the rest is sent when the socket is writable again. */
static int send_request(Client *client) {
    Request *request = &requests[client->request];
    while (client->sent < request->size) {
        ssize_t n = send(client->fd, request->text + client->sent, request->size - client->sent, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN || errno == EINPROGRESS || errno == ENOTCONN ? 0 : -1;
        client->sent += (size_t)n;
    }
    listen_to(client, EPOLLIN, EPOLL_CTL_MOD);
    return 0;
}

static int begin(Client *client) {
    int one = 1, kept = client->fd >= 0;
    if (!kept) {
        client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (client->fd < 0) die("socket");
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    client->request = streaming ? client->request : turn++ % request_count;
    client->tried = 1;
    client->sent = client->head_size = 0;
    client->status = client->chunked = client->last = client->in_size = client->tail = 0;
    client->digits = -1;
    client->left = -1;
    client->began = now();
    Request *request = &requests[client->request];
    char text[STAMP + 1];
    snprintf(text, sizeof text, "%0*llu", STAMP, (unsigned long long)client->began);
    for (size_t i = 0; i < request->stamps; i++) memcpy(request->stamp[i], text, STAMP);
    listen_to(client, EPOLLIN | EPOLLOUT, kept ? EPOLL_CTL_MOD : EPOLL_CTL_ADD);
    if (!kept && connect(client->fd, (void *)&address, sizeof address) && errno != EINPROGRESS) return -1;
    return send_request(client);
}

/* Process one byte of a stream's text. */
static void take(Client *client, char c) {
    if (c == '\n' && client->newline) client->blocks++;
    client->newline = c == '\n';
    if (c == '~') {
        if (client->digits == STAMP) {
            client->stamps++;
            if (client->stamp && client->open) {
                uint64_t at = now();
                sample(at - (uint64_t)client->stamp);
                if (!first_stamp) first_stamp = at;
                last_stamp = at;
            }
        }
        client->digits = client->digits == STAMP ? -1 : 0;
        client->stamp = 0;
    } else if (client->digits >= 0) {
        client->digits = isdigit((unsigned char)c) && client->digits < STAMP ? client->digits + 1 : -1;
        client->stamp = client->stamp * 10 + (c - '0');
    }
}

static void read_body(Client *client, const char *text, size_t size) {
    for (size_t i = 0; i < size && !client->last; i++) {
        char c = text[i];
        if (!client->chunked) {
            if (streaming) take(client, c);
            if (client->left > 0 && --client->left == 0) client->last = 1;
        } else if (client->left > 0) {
            if (streaming) take(client, c);
            client->left--;
        } else if (c == '\n') { /* the end of a chunk's size, or of the previous chunk */
            if (client->in_size) {
                client->left = client->tail;
                client->last = client->tail == 0;
            }
            client->in_size = client->tail = 0;
        } else if (isxdigit((unsigned char)c)) {
            client->in_size = 1;
            client->tail = client->tail * 16 + (isdigit((unsigned char)c) ? c - '0' : tolower(c) - 'a' + 10);
        }
    }
}

static int read_head(Client *client, const char *text, size_t size) {
    size_t took = size < HEAD - 1 - client->head_size ? size : HEAD - 1 - client->head_size, old = client->head_size;
    memcpy(client->head + old, text, took);
    client->head_size += took;
    client->head[client->head_size] = 0;
    char *end = strstr(client->head, "\r\n\r\n");
    if (!end) return client->head_size == HEAD - 1 ? -1 : 0;
    end[2] = 0;
    client->status = atoi(client->head + 9);
    char *length = strcasestr(client->head, "\r\ncontent-length:");
    client->chunked = strcasestr(client->head, "\r\ntransfer-encoding: chunked") != NULL;
    client->left = client->chunked ? 0 : length ? atol(length + 17) : -1;
    client->last = !client->chunked && client->left == 0;
    size_t used = (size_t)(end + 4 - client->head) - old;
    read_body(client, text + used, size - used);
    return 0;
}

/* 1: the answer is complete; 0: incomplete; -1: lost. */
static int receive(Client *client) {
    for (;;) {
        ssize_t n = recv(client->fd, buffer, BUFFER, 0);
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        if (n == 0) return client->status && client->left < 0 && !client->chunked ? 1 : -1;
        if (client->status) read_body(client, buffer, (size_t)n);
        else if (read_head(client, buffer, (size_t)n)) return -1;
        if (client->last) return 1;
    }
}

static int advance(Client *client, uint32_t events) {
    if ((events & EPOLLOUT) && send_request(client)) return -1;
    return events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? receive(client) : 0;
}

static void run_requests(size_t count, double seconds, size_t most, double pause) {
    Client *clients = calloc(count, sizeof *clients);
    uint64_t start = now(), end = seconds > 0 ? start + (uint64_t)(seconds * 1e9) : UINT64_MAX, over = start;
    size_t busy = 0, started = 0;
    for (size_t i = 0; i < count; i++) clients[i].fd = -1, clients[i].next = start + (uint64_t)(pause * 1e6) * i / count;
    do {
        uint64_t at = now(), soonest = UINT64_MAX;
        for (size_t i = 0; i < count; i++) {
            Client *client = &clients[i];
            if (client->next == UINT64_MAX || at >= end || (most && started >= most)) continue;
            if (client->next > at) { if (client->next < soonest) soonest = client->next; continue; }
            client->next = UINT64_MAX;
            started++, busy++;
            if (begin(client)) failed++, busy--, hang_up(client), client->next = at;
        }
        struct epoll_event events[256];
        int wait = soonest == UINT64_MAX ? 1000 : soonest > at ? (int)((soonest - at) / 1000000) : 0;
        int n = epoll_wait(poller, events, 256, wait);
        for (int i = 0; i < n; i++) {
            Client *client = events[i].data.ptr;
            int how = client->next == UINT64_MAX ? advance(client, events[i].events) : -2;
            if (how == 0) continue;
            over = now();
            if (how == -1) failed++;
            if (how == 1) sample(over - client->began), finished++, statuses[client->status < 600 ? client->status : 0]++;
            if (how != 1 || client->left < 0 || strcasestr(client->head, "\r\nconnection: close")) hang_up(client);
            if (how == -2) continue;
            busy--;
            client->next = over + (uint64_t)(pause * 1e6);
        }
        if (now() > start + (uint64_t)LIMIT_MS * 4 * 1000000u) break; /* something hangs; the missing answers show it */
    } while (busy || (now() < end && (!most || started < most)));
    printf("{\"finished\": %zu, \"failed\": %zu, \"seconds\": %.4f, \"statuses\": {", finished, failed + busy, (double)(over - start) / 1e9);
    const char *comma = "";
    for (int i = 0; i < 600; i++) if (statuses[i]) printf("%s\"%d\": %zu", comma, i, statuses[i]), comma = ", ";
    printf("}, ");
    print_samples();
}

static void report_streams(Client *clients, uint64_t start, uint64_t over) {
    size_t open = 0, stamps = 0;
    unsigned least = UINT32_MAX, greatest = 0;
    for (size_t i = 0; i < request_count; i++) {
        if (!clients[i].open || clients[i].fd < 0) continue;
        open++, stamps += clients[i].stamps;
        if (clients[i].stamps < least) least = clients[i].stamps;
        if (clients[i].stamps > greatest) greatest = clients[i].stamps;
    }
    printf("{\"open\": %zu, \"failed\": %zu, \"dropped\": %zu, \"seconds\": %.4f, \"stamps\": %zu, \"least\": %u, \"greatest\": %u, "
           "\"first\": %llu, \"last\": %llu, ", open, failed, dropped, (double)(over - start) / 1e9, stamps, open ? least : 0, greatest,
           (unsigned long long)first_stamp, (unsigned long long)last_stamp);
    print_samples();
    first_stamp = last_stamp = 0;
}

static void run_streams(size_t in_flight, double per_second) {
    Client *clients = calloc(request_count, sizeof *clients);
    size_t settled = 0, started = 0;
    uint64_t start = now(), over = start;
    int reported = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    if (epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event)) die("stdin");
    for (size_t i = 0; i < request_count; i++) clients[i].fd = -1, clients[i].request = i;
    for (;;) {
        size_t due = per_second > 0 ? (size_t)((double)(now() - start) / 1e9 * per_second) + 1 : request_count;
        while (started < request_count && started < due && started - settled < in_flight) {
            Client *client = &clients[started++];
            if (begin(client)) failed++, settled++, client->done = 1, hang_up(client);
        }
        int n = epoll_wait(poller, events, 256, started < request_count && per_second > 0 ? 1 : 1000);
        for (int i = 0; i < n; i++) {
            Client *client = events[i].data.ptr;
            if (!client) { /* a request for a report, or the end */
                char line[64];
                if (read(0, line, sizeof line) <= 0) return;
                report_streams(clients, start, over);
                continue;
            }
            int how = client->fd < 0 ? 0 : advance(client, events[i].events);
            if (how) {
                hang_up(client);
                if (client->open) dropped++;
                else failed++, settled++;
                client->done = 1;
            } else if (!client->open && client->status == 200 && client->blocks && client->stamps >= expected) {
                client->open = 1, settled++, over = now();
                sample(over - client->began);
            }
        }
        if (!reported && settled < started && now() - start > (uint64_t)LIMIT_MS * 1000000u) {
            for (size_t i = 0; i < started; i++) /* hanging */
                if (!clients[i].open && !clients[i].done) hang_up(&clients[i]), clients[i].done = 1, failed++, settled++;
        }
        if (!reported && settled == request_count) {
            report_streams(clients, start, over);
            reported = 1, samples.count = 0; /* from here on, samples are those of events */
        }
    }
}

int main(int count, char **words) {
    if (count < 6) return 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    char *port = strchr(words[2], ':');
    if (!port) return 2;
    *port++ = 0;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, words[2], &address.sin_addr) != 1) return 2;
    poller = epoll_create1(0);
    read_requests(words[3]);
    streaming = !strcmp(words[1], "streams");
    expected = (unsigned)atoi(words[5]);
    if (streaming && count == 7) run_streams((size_t)atol(words[4]), atof(words[6]));
    else if (count == 8) run_requests((size_t)atol(words[4]), atof(words[5]), (size_t)atol(words[6]), atof(words[7]));
    return 0;
}
