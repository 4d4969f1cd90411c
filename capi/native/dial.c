/* dial.c - finding the agent, connecting, and the greeting. */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const uint32_t magic = 0x544F4F4D;
static const uint32_t min_message = 1114112;

/* Where the agent listens; false: the name is too long for a socket. */
static bool find_agent(struct sockaddr_un *a)
{
    const char *path = getenv("MOOTHALL_SOCKET"), *dir = getenv("MOOTHALL_RUN_DIR");
    int n;
    a->sun_family = AF_UNIX;
    if (path != NULL && *path != '\0')
        n = snprintf(a->sun_path, sizeof a->sun_path, "%s", path);
    else
        n = snprintf(a->sun_path, sizeof a->sun_path, "%s/agent.sock", dir != NULL && *dir != '\0' ? dir : "/run/moothall");
    return n >= 0 && (size_t)n < sizeof a->sun_path;
}

/* Keeps a file off the numbers of the standard streams, to which others write. */
static int beyond_streams(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return moved;
}

static bool watch(const struct native *n, int fd)
{
    struct epoll_event e = { .events = EPOLLIN };
    return epoll_ctl(n->descriptor, EPOLL_CTL_ADD, fd, &e) == 0;
}

/* A signal may break into connect, which then goes on by itself. */
static bool connect_to(int fd, const struct sockaddr_un *a)
{
    while (connect(fd, (const struct sockaddr *)a, sizeof *a) != 0) {
        if (errno == EISCONN)
            return true;
        if (errno != EINTR)
            return false;
    }
    return true;
}

/* Reads the packet that answers the greeting. */
static ssize_t read_greeting(struct native *n)
{
    bool reset = false;
    for (;;) {
        ssize_t len = recv(n->socket, n->packet, sizeof n->packet, 0);
        if (len >= 0)
            return len;
        if (errno == ECONNRESET && !reset)
            reset = true; /* what the agent said comes behind it */
        else if (errno != EINTR)
            return -1;
    }
}

static bool read_welcome(struct native *n, struct reader *r)
{
    bool right = read_u32(r) == magic && read_u16(r) == 1;
    read_u16(r);
    n->agent_packet = read_u32(r);
    n->agent_message = read_u32(r);
    read_bytes(r, 4 + 8); /* node id and incarnation */
    for (int i = 0; i < 3; i++)
        read_bytes(r, read_u16(r));
    return !r->bad && right && n->agent_packet >= MIN_PACKET && n->agent_message >= min_message;
}

static enum native_error greet(struct native *n, uint16_t *code)
{
    struct writer w = { 0 };
    put_header(&w, HEADER_LEN + 16, KIND_HELLO, 0);
    write_u32(&w, magic);
    write_u16(&w, 1);
    write_u16(&w, 1);
    write_u32(&w, MAX_PACKET);
    write_u32(&w, MAX_MESSAGE);
    bool failed = w.failed;
    if (!failed) /* an agent that refuses may have closed already, and said why */
        (void)!send(n->socket, w.data, w.len, MSG_NOSIGNAL);
    write_free(&w);
    if (failed)
        return NATIVE_MEMORY;

    ssize_t len = read_greeting(n);
    if (len < 0)
        return NATIVE_CONNECT;
    struct reader r = read_from(n->packet, (size_t)len);
    uint32_t size = read_u32(&r);
    uint16_t kind = read_u16(&r);
    read_u16(&r);
    if (r.bad || size != (size_t)len)
        return NATIVE_CONNECT;
    if (kind == KIND_WELCOME && read_welcome(n, &r))
        return NATIVE_OK;
    if (kind == KIND_CLOSED)
        *code = read_u16(&r);
    return NATIVE_CONNECT;
}

enum native_error dial(struct native *n, uint16_t *code)
{
    struct sockaddr_un a = { 0 };
    if (!find_agent(&a))
        return NATIVE_CONNECT;
    n->socket = beyond_streams(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (n->socket < 0 || fstat(n->socket, &n->identity) != 0)
        return NATIVE_SOCKET;
    n->wakeup = beyond_streams(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    n->kick = beyond_streams(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    n->descriptor = beyond_streams(epoll_create1(EPOLL_CLOEXEC));
    if (n->wakeup < 0 || n->kick < 0 || n->descriptor < 0 || !watch(n, n->socket) || !watch(n, n->wakeup))
        return NATIVE_SETUP;
    if (!connect_to(n->socket, &a))
        return NATIVE_CONNECT;
    return greet(n, code);
}
