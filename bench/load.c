/* A small load generator for MariaDB: one thread, epoll, request after answer on every connection, packets made
 * beforehand. It costs about 3 us per query, so that on two cores the thing in the middle is what is measured.
 *
 *   load --port P --user U --password W --database D --clients N --case C --warmup S --seconds S --pids 1,2,3
 *        [--servers 4,5] [--ciphers SUITES]
 *
 * Cases: select (point select, text protocol), prepared (the same, binary), trx (BEGIN, SELECT, UPDATE, COMMIT),
 * session (SET @a, SELECT, SET NAMES, SELECT), connect (connect, log in, one query, quit), large (one big result set after the other), idle (log in and wait).
 * With --ciphers every connection is TLSv1.3 with one of these suites, a full handshake each time. Nothing is
 * verified: that would be the load generator's work only.
 * At the beginning and at the end of the measured window it reads the CPU time of the processes in --pids and of
 * those in --servers, all threads, in nanoseconds from the scheduler, and prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 512, VARIANTS = 1024, MAX_STEPS = 4, BUCKETS = 4096, READ_BYTES = 256 * 1024 };
enum state { GREETING, HANDSHAKE, AUTH, PREPARE, PREPARE_REST, FIRST, COLUMNS, ROWS, IDLE };
enum {
    CAP_LONG_PASSWORD = 1, CAP_LONG_FLAG = 4, CAP_CONNECT_WITH_DB = 8, CAP_PROTOCOL_41 = 512,
    CAP_SSL = 2048, CAP_TRANSACTIONS = 8192, CAP_SECURE = 32768, CAP_PLUGIN_AUTH = 1 << 19, CAP_DEPRECATE_EOF = 1 << 24
};

struct packet { unsigned char *data; size_t size; };

struct connection {
    int fd;
    unsigned serial;                 /* which dialling of this place it is */
    SSL *tls;
    enum state state;
    unsigned char head[HEAD];        /* the beginning of the packet that is arriving */
    unsigned char header[4];
    unsigned have_header, have, size; /* bytes of it that have arrived; its size */
    unsigned left;                   /* definitions still to come */
    unsigned step;
    uint32_t statement_id;
    uint64_t since;
};

static struct { const char *host, *user, *password, *database, *mode; int port, clients; double warmup, seconds;
                long rows; char *pids, *servers, *ciphers; }
    o = {"127.0.0.1", "app", "", "", "select", 3306, 8, 0.3, 2, 10000, NULL, NULL, NULL};
static struct packet scripts[MAX_STEPS][VARIANTS];
static unsigned steps = 1;
static struct connection *connections;
static SSL_CTX *tls_context;
static int poller, ready_count;
static uint64_t done_count, bytes_count, histogram[BUCKETS];
static unsigned random_state = 12345;

static void fatal(const char *what, const char *detail) {
    fprintf(stderr, "load: %s: %s\n", what, detail);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static unsigned next_random(void) { return random_state = random_state * 1664525u + 1013904223u; }

/* -- SHA-1, for mysql_native_password */

static uint32_t rol(uint32_t x, int n) { return x << n | x >> (32 - n); }

static void sha1(const unsigned char *data, size_t size, unsigned char *out) {
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0}, w[80];
    unsigned char block[256] = {0};
    size_t total = (size + 9 + 63) / 64 * 64;
    if (total > sizeof block) fatal("sha1", "text too long");
    memcpy(block, data, size);
    block[size] = 0x80;
    for (int i = 0; i < 8; i++) block[total - 1 - i] = (unsigned char)((uint64_t)size * 8 >> (8 * i));
    for (size_t at = 0; at < total; at += 64) {
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)block[at + i * 4] << 24 | (uint32_t)block[at + i * 4 + 1] << 16 |
                   (uint32_t)block[at + i * 4 + 2] << 8 | block[at + i * 4 + 3];
        for (int i = 16; i < 80; i++) w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 80; i++) {
            uint32_t f, k;
            if (i < 20) f = (b & c) | (~b & d), k = 0x5A827999;
            else if (i < 40) f = b ^ c ^ d, k = 0x6ED9EBA1;
            else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
            else f = b ^ c ^ d, k = 0xCA62C1D6;
            uint32_t t = rol(a, 5) + f + e + k + w[i];
            e = d, d = c, c = rol(b, 30), b = a, a = t;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++) out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void native_token(const unsigned char *scramble, unsigned char *out) {
    unsigned char first[20], joined[40], mask[20];
    sha1((const unsigned char *)o.password, strlen(o.password), first);
    memcpy(joined, scramble, 20);
    sha1(first, 20, joined + 20);
    sha1(joined, 40, mask);
    for (int i = 0; i < 20; i++) out[i] = first[i] ^ mask[i];
}

/* -- sending */

static void send_all(struct connection *c, const unsigned char *data, size_t size) {
    ssize_t sent = c->tls ? SSL_write(c->tls, data, (int)size) : send(c->fd, data, size, MSG_NOSIGNAL);
    if (sent != (ssize_t)size) fatal("send", sent < 0 ? strerror(errno) : "incomplete");
}

static void send_packet(struct connection *c, unsigned sequence, const void *payload, size_t size) {
    unsigned char data[HEAD + 4];
    if (size > HEAD) fatal("send", "packet too long");
    data[0] = size & 255, data[1] = size >> 8 & 255, data[2] = size >> 16, data[3] = (unsigned char)sequence;
    memcpy(data + 4, payload, size);
    send_all(c, data, size + 4);
}

static struct packet query_packet(const char *text) {
    size_t size = strlen(text) + 1;
    struct packet p = {malloc(size + 4), size + 4};
    p.data[0] = size & 255, p.data[1] = size >> 8 & 255, p.data[2] = 0, p.data[3] = 0, p.data[4] = 3;
    memcpy(p.data + 5, text, size - 1);
    return p;
}

/* The statements of the case, with VARIANTS different keys. */
static void make_scripts(void) {
    char text[256];
    for (unsigned v = 0; v < VARIANTS; v++) {
        long id = (long)(next_random() % (unsigned long)o.rows) + 1;
        if (!strcmp(o.mode, "trx")) {
            steps = 4;
            scripts[0][v] = query_packet("BEGIN");
            snprintf(text, sizeof text, "SELECT c FROM points WHERE id=%ld", id);
            scripts[1][v] = query_packet(text);
            snprintf(text, sizeof text, "UPDATE points SET k=k+1 WHERE id=%ld", id);
            scripts[2][v] = query_packet(text);
            scripts[3][v] = query_packet("COMMIT");
        } else if (!strcmp(o.mode, "session")) {
            steps = 4;
            snprintf(text, sizeof text, "SET @a = %ld", id);
            scripts[0][v] = query_packet(text);
            snprintf(text, sizeof text, "SELECT c FROM points WHERE id=%ld", id);
            scripts[1][v] = query_packet(text);
            scripts[2][v] = query_packet("SET NAMES utf8mb4");
            scripts[3][v] = query_packet(text);
        } else if (!strcmp(o.mode, "large")) {
            snprintf(text, sizeof text, "SELECT REPEAT('x', 1000) FROM seq_1_to_%ld", o.rows);
            scripts[0][v] = query_packet(text);
        } else {
            snprintf(text, sizeof text, "SELECT c FROM points WHERE id=%ld", id);
            scripts[0][v] = query_packet(text);
        }
    }
}

static void send_execute(struct connection *c) {
    unsigned char payload[1 + 4 + 1 + 4 + 1 + 1 + 2 + 8] = {0x17};
    uint64_t id = next_random() % (unsigned long)o.rows + 1;
    memcpy(payload + 1, &c->statement_id, 4);
    payload[6] = 1;               /* iterations */
    payload[11] = 1, payload[12] = 8; /* types follow: BIGINT */
    memcpy(payload + 14, &id, 8);
    send_packet(c, 0, payload, sizeof payload);
}

static void send_next(struct connection *c) {
    if (!strcmp(o.mode, "idle")) {
        c->state = IDLE;
        return;
    }
    c->state = FIRST;
    if (strcmp(o.mode, "connect")) c->since = now_ns();
    if (!strcmp(o.mode, "prepared")) {
        send_execute(c);
        return;
    }
    struct packet *p = &scripts[c->step][next_random() % VARIANTS];
    c->step = (c->step + 1) % steps;
    send_all(c, p->data, p->size);
}

static void dial(struct connection *c) {
    static unsigned serial;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o.port)};
    int one = 1;
    inet_pton(AF_INET, o.host, &address.sin_addr);
    memset(c, 0, sizeof *c);
    c->serial = ++serial;
    c->since = now_ns();
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0) fatal("socket", strerror(errno));
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) fatal("connect", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) fatal("epoll_ctl", strerror(errno));
}

/* -- TLS */

static void make_tls_context(void) {
    if (!o.ciphers) return;
    tls_context = SSL_CTX_new(TLS_client_method());
    if (!tls_context || !SSL_CTX_set_min_proto_version(tls_context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(tls_context, o.ciphers))
        fatal("TLS", ERR_reason_error_string(ERR_get_error()));
    SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(tls_context, 1);
    SSL_CTX_set_default_read_buffer_len(tls_context, READ_BYTES);
}

static void tls_failed(struct connection *c, int result) {
    int error = SSL_get_error(c->tls, result);
    const char *reason = ERR_reason_error_string(ERR_get_error());
    fatal("TLS", reason ? reason : error == SSL_ERROR_SYSCALL ? strerror(errno) : "closed by the other side");
}

static void log_in(struct connection *c);

/* Capabilities, greatest packet and character set: the same with and behind the request for TLS. */
static void begin_login(unsigned char *payload) {
    uint32_t caps = CAP_LONG_PASSWORD | CAP_LONG_FLAG | CAP_PROTOCOL_41 | CAP_TRANSACTIONS | CAP_SECURE |
                    CAP_PLUGIN_AUTH | CAP_DEPRECATE_EOF | (*o.database ? CAP_CONNECT_WITH_DB : 0) |
                    (tls_context ? CAP_SSL : 0);
    uint32_t biggest = 1 << 24;
    memcpy(payload, &caps, 4), memcpy(payload + 4, &biggest, 4), payload[8] = 45;
}

/* Goes on with the handshake; behind it comes the login. */
static void shake_hands(struct connection *c) {
    int result = SSL_connect(c->tls);
    if (result == 1)
        log_in(c);
    else if (SSL_get_error(c->tls, result) != SSL_ERROR_WANT_READ)
        tls_failed(c, result);
}

static void ask_for_tls(struct connection *c) {
    unsigned char payload[32] = {0};
    begin_login(payload);
    send_packet(c, 1, payload, sizeof payload);
    c->tls = SSL_new(tls_context);
    if (!c->tls || !SSL_set_fd(c->tls, c->fd)) fatal("TLS", "out of memory");
    c->state = HANDSHAKE;
    shake_hands(c);
}

static void hang_up(struct connection *c) {
    SSL_free(c->tls);
    close(c->fd);
}

/* -- receiving */

static void log_in(struct connection *c) {
    unsigned char payload[HEAD] = {0}, scramble[20], *p = payload;
    const unsigned char *greeting = c->head;
    size_t at = 1 + strlen((const char *)greeting + 1) + 1 + 4;
    memcpy(scramble, greeting + at, 8);
    memcpy(scramble + 8, greeting + at + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10, 12);
    begin_login(payload), p += 32;
    p = (unsigned char *)stpcpy((char *)p, o.user) + 1;
    *p++ = 20;
    native_token(scramble, p), p += 20;
    if (*o.database) p = (unsigned char *)stpcpy((char *)p, o.database) + 1;
    p = (unsigned char *)stpcpy((char *)p, "mysql_native_password") + 1;
    send_packet(c, c->tls ? 2 : 1, payload, (size_t)(p - payload));
    c->state = AUTH;
}

static void error_packet(struct connection *c) {
    unsigned size = c->size < HEAD - 1 ? c->size : HEAD - 1;
    c->head[size] = 0;
    fatal("the server says", (const char *)c->head + (size > 3 ? 3 : 0));
}

static void logged_in(struct connection *c) {
    static const char text[] = "\x16SELECT c FROM points WHERE id=?";
    ready_count++;
    if (strcmp(o.mode, "prepared")) {
        send_next(c);
        return;
    }
    send_packet(c, 0, text, sizeof text - 1);
    c->state = PREPARE;
}

static void record(uint64_t ns) {
    /* 64 buckets per power of two of microseconds/16 */
    double us = (double)ns / 1000.0;
    unsigned bucket = 0;
    while (us >= 64 && bucket < BUCKETS - 64) us /= 2, bucket += 32;
    bucket += (unsigned)us;
    histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

static double bucket_value(unsigned bucket) {
    double scale = 1;
    while (bucket >= 64) bucket -= 32, scale *= 2;
    return (bucket + 0.5) * scale;
}

static void answered(struct connection *c) {
    done_count++;
    record(now_ns() - c->since);
    if (!strcmp(o.mode, "connect")) {
        send_packet(c, 0, "\x01", 1);
        hang_up(c);
        dial(c);
        return;
    }
    send_next(c);
}

static unsigned length_encoded(const unsigned char *p) { return *p < 0xfb ? *p : p[1] | p[2] << 8; }

static void packet_arrived(struct connection *c) {
    unsigned char first = c->head[0];
    int error = first == 0xff && c->state != ROWS && c->state != COLUMNS && c->state != PREPARE_REST;
    if (error || (c->state == ROWS && first == 0xff && c->size < 1000)) error_packet(c);
    switch (c->state) {
    case GREETING: tls_context ? ask_for_tls(c) : log_in(c); break;
    case HANDSHAKE: break;
    case AUTH:
        if (first == 0xfe) {
            unsigned char token[20];
            native_token(c->head + 1 + strlen((char *)c->head + 1) + 1, token);
            send_packet(c, c->header[3] + 1u, token, 20);
        } else {
            logged_in(c);
        }
        break;
    case PREPARE:
        memcpy(&c->statement_id, c->head + 1, 4);
        c->left = (unsigned)(c->head[5] | c->head[6] << 8) + (unsigned)(c->head[7] | c->head[8] << 8);
        c->state = PREPARE_REST;
        if (!c->left) send_next(c);
        break;
    case PREPARE_REST:
        if (!--c->left) send_next(c);
        break;
    case FIRST:
        if (first == 0x00) {
            answered(c);
        } else {
            c->left = length_encoded(c->head);
            c->state = COLUMNS;
        }
        break;
    case COLUMNS:
        if (!--c->left) c->state = ROWS;
        break;
    case ROWS:
        if (first == 0xfe && c->size < 0xffffff) answered(c);
        break;
    case IDLE: break;
    }
}

static void bytes_arrived(struct connection *c, const unsigned char *p, size_t size) {
    const unsigned char *end = p + size;
    bytes_count += size;
    unsigned serial = c->serial;
    while (p < end) {
        if (c->have_header < 4) {
            c->header[c->have_header++] = *p++;
            if (c->have_header < 4) continue;
            c->size = c->header[0] | c->header[1] << 8 | c->header[2] << 16;
            c->have = 0;
        }
        size_t part = c->size - c->have, there = (size_t)(end - p);
        if (part > there) part = there;
        if (c->have < HEAD) memcpy(c->head + c->have, p, part < HEAD - c->have ? part : HEAD - c->have);
        c->have += (unsigned)part, p += part;
        if (c->have == c->size) {
            c->have_header = 0;
            packet_arrived(c);
            if (c->serial != serial) return; /* dialled again */
        }
    }
}

static unsigned char buffer[READ_BYTES];

static void readable_tls(struct connection *c) {
    unsigned serial = c->serial;
    if (c->state == HANDSHAKE) shake_hands(c);
    if (c->state == HANDSHAKE) return;
    do {
        int got = SSL_read(c->tls, buffer, sizeof buffer);
        if (got > 0)
            bytes_arrived(c, buffer, (size_t)got);
        else if (SSL_get_error(c->tls, got) == SSL_ERROR_WANT_READ)
            return;
        else
            tls_failed(c, got);
    } while (c->serial == serial && SSL_has_pending(c->tls));
}

static void readable(struct connection *c) {
    if (c->tls) {
        readable_tls(c);
        return;
    }
    ssize_t got = recv(c->fd, buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) fatal("a connection was closed", got < 0 ? strerror(errno) : "by the other side");
    bytes_arrived(c, buffer, (size_t)got);
}

static void turn(int timeout_ms) {
    struct epoll_event events[256];
    int count = epoll_wait(poller, events, 256, timeout_ms);
    for (int i = 0; i < count; i++) readable(events[i].data.ptr);
}

/* -- measuring */

/* Nanoseconds of the processes so far: all threads, those that have ended too. */
static uint64_t cpu_of(const char *pids) {
    uint64_t sum = 0;
    char *copy = strdup(pids ? pids : ""), *save = NULL;
    for (char *pid = strtok_r(copy, ",", &save); pid; pid = strtok_r(NULL, ",", &save)) {
        clockid_t clock;
        struct timespec t;
        if (clock_getcpuclockid(atoi(pid), &clock) || clock_gettime(clock, &t)) fatal("no CPU time of process", pid);
        sum += (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
    }
    free(copy);
    return sum;
}

static double own_cpu_us(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static double percentile(double share) {
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++) total += histogram[i];
    for (unsigned i = 0; i < BUCKETS; i++)
        if ((seen += histogram[i]) >= (uint64_t)((double)total * share) && total) return bucket_value(i);
    return 0;
}

static void run_until(uint64_t end) {
    for (uint64_t now; (now = now_ns()) < end;) turn((int)((end - now) / 1000000) + 1);
}

static void read_options(int argc, char **argv) {
    static const struct option known[] = {
        {"host", 1, 0, 'h'}, {"port", 1, 0, 'P'}, {"user", 1, 0, 'u'}, {"password", 1, 0, 'p'}, {"database", 1, 0, 'd'},
        {"clients", 1, 0, 'c'}, {"case", 1, 0, 'm'}, {"warmup", 1, 0, 'w'}, {"seconds", 1, 0, 's'},
        {"pids", 1, 0, 'i'}, {"servers", 1, 0, 'I'}, {"ciphers", 1, 0, 'C'}, {"rows", 1, 0, 'r'}, {0, 0, 0, 0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) switch (c) {
        case 'h': o.host = optarg; break;
        case 'P': o.port = atoi(optarg); break;
        case 'u': o.user = optarg; break;
        case 'p': o.password = optarg; break;
        case 'd': o.database = optarg; break;
        case 'c': o.clients = atoi(optarg); break;
        case 'm': o.mode = optarg; break;
        case 'w': o.warmup = atof(optarg); break;
        case 's': o.seconds = atof(optarg); break;
        case 'i': o.pids = optarg; break;
        case 'I': o.servers = optarg; break;
        case 'C': o.ciphers = optarg; break;
        case 'r': o.rows = atol(optarg); break;
        default: exit(2);
        }
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    make_scripts();
    make_tls_context();
    poller = epoll_create1(0);
    connections = calloc((size_t)o.clients, sizeof *connections);
    uint64_t begun = now_ns();
    for (int i = 0; i < o.clients; i++) {
        dial(&connections[i]);
        turn(0);
    }
    while (ready_count < o.clients) {
        turn(100);
        if (now_ns() - begun > 30000000000ull) fatal("logging in", "not all connections are ready after 30 s");
    }
    run_until(now_ns() + (uint64_t)(o.warmup * 1e9));

    done_count = bytes_count = 0;
    memset(histogram, 0, sizeof histogram);
    uint64_t before = cpu_of(o.pids), servers_before = cpu_of(o.servers);
    double own = own_cpu_us();
    uint64_t start = now_ns();
    run_until(start + (uint64_t)(o.seconds * 1e9));
    if (!strcmp(o.mode, "large")) /* whole result sets only */
        for (uint64_t wanted = done_count + 1; done_count < wanted;) turn(1000);
    double seconds = (double)(now_ns() - start) / 1e9;
    own = own_cpu_us() - own;
    uint64_t after = cpu_of(o.pids), servers_after = cpu_of(o.servers);
    printf("{\"done\": %llu, \"seconds\": %.6f, \"bytes\": %llu, \"cpu_ns\": %llu, \"servers_ns\": %llu, \"own_us\": %.0f, "
           "\"p50_us\": %.1f, \"p95_us\": %.1f, \"p99_us\": %.1f}\n",
           (unsigned long long)done_count, seconds, (unsigned long long)bytes_count,
           (unsigned long long)(after - before), (unsigned long long)(servers_after - servers_before), own,
           percentile(0.5), percentile(0.95), percentile(0.99));
    return 0;
}
