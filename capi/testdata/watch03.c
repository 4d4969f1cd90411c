/*
 * watch03.c - a client of draft 0.3 that prints all that it is told of a class or a
 * group, until the service ends. It obeys lines: "publish RE TEXT".
 *
 *   watch  does what the draft shows
 *   hold   is done with an event when it reads "done"; "try" asks for the next one
 *   signal waits for a signal of the descriptor
 */
#include <ocf/oc_event.h>
#include <ocf/oc_event_pub.h>

#include "want.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static const char *class;
static const oc_ev_data_t *held; /* the record that came last */
static int fd_of;
static bool holds;

static void print_nodes(const oc_ev_membership_t *m, unsigned n, unsigned index)
{
    TRUE(m->data_hdr.e_size >= offsetof(oc_ev_membership_t, m_array) + (index + n) * sizeof(oc_node_t));
    for (unsigned i = 0; i < n; i++)
        printf("%s%u@%u", i == 0 ? " " : ",", m->m_array[index + i].node_id, m->m_array[index + i].node_born_on);
    printf("%s", n == 0 ? " -" : "");
}

static void print_membership(const oc_ev_membership_t *m)
{
    static const char *const names[] = { "invalid", "NM", "NOT_PRIMARY", "RESTORED", "EVICTED" };
    printf("%s", names[OC_EV_GET_EVENT(m->data_hdr.e_event)]);
    if (m->data_hdr.e_event == OC_EV_MS_EVICTED)
        WANT(m->data_hdr.e_size, sizeof m->data_hdr);
    else {
        printf(" %u", m->m_sequence);
        print_nodes(m, m->m_n_member, m->m_memb_idx);
        print_nodes(m, m->m_n_in, m->m_in_idx);
        print_nodes(m, m->m_n_out, m->m_out_idx);
    }
    printf("\n");
}

static void print_message(const oc_ev_message_t *m)
{
    static const char *const names[] = { "invalid", "JOIN", "LEAVE", "CAST", "REPLY" };
    printf("%s %u", names[OC_EV_GET_EVENT(m->data_hdr.e_event)], m->g_sender_node);
    if (m->data_hdr.e_event == OC_EV_GS_REPLY)
        printf(" to %u", m->g_reply_to);
    else
        WANT(m->g_reply_to, 0);
    printf(" %.*s\n", (int)m->g_len, (const char *)m->g_data);
}

static void print_link(const oc_ev_connectivity_t *c)
{
    static const char *const names[] = { "invalid", "INTERFACE", "ELIGIBLE", "CONNECT" };
    WANT(c->data_hdr.e_size, sizeof *c);
    printf("%s %s %u %s\n", names[OC_EV_GET_EVENT(c->data_hdr.e_event)], c->c_kind == 1 ? "up" : "down", c->c_node_id,
           c->c_addr[0] != 0 ? (const char *)c->c_addr : "-");
    WANT(c->c_ifindex != 0, c->data_hdr.e_event == OC_EV_SET_CLASS(OC_EV_CONN_CLASS, OC_EV_CS_INTERFACE));
}

static void on_event(const oc_ev_data_t *d)
{
    WANT(oc_ev_handle_event(fd_of), 0); /* and nothing comes */
    switch (OC_EV_GET_CLASS(d->e_event)) {
    case OC_EV_CONN_CLASS:
        print_link((const oc_ev_connectivity_t *)d);
        break;
    case OC_EV_MEMB_CLASS:
        print_membership((const oc_ev_membership_t *)d);
        break;
    case OC_EV_GROUP_CLASS:
        print_message((const oc_ev_message_t *)d);
    }
    fflush(stdout);
    held = d;
    if (!holds)
        WANT(oc_ev_event_done(d), 0);
}

static void say(const char *what)
{
    printf("%s\n", what);
    fflush(stdout);
}

/* Has the service end, which a hang-up shows, and is said again and again. */
static int ended(void)
{
    struct pollfd p = { .fd = fd_of, .events = POLLIN };
    WANT(poll(&p, 1, 0), 1);
    WANT(p.revents & POLLHUP, POLLHUP);
    WANT(oc_ev_handle_event(fd_of), ESHUTDOWN);
    WANT(errno, ESHUTDOWN);
    WANT(oc_ev_unregister(fd_of), 0);
    WANT(oc_ev_handle_event(fd_of), EINVAL);
    say("shut down");
    return 0;
}

/* Does what a line says; false: there is none any more. */
static bool obey(void)
{
    char line[200], *text;
    size_t n = 0;
    while (n < sizeof line - 1 && read(STDIN_FILENO, &line[n], 1) == 1 && line[n] != '\n')
        n++;
    if (n == 0)
        return false;
    line[n] = '\0';
    if (strcmp(line, "done") == 0) {
        WANT(oc_ev_event_done(held), 0);
        held = NULL;
    } else if (strcmp(line, "try") == 0) {
        struct pollfd p = { .fd = fd_of, .events = POLLIN };
        const oc_ev_data_t *before = held;
        WANT(poll(&p, 1, -1), 1); /* the next one shows */
        WANT(oc_ev_handle_event(fd_of), 0);
        TRUE(held == before);
        say("held back");
    } else {
        TRUE(strncmp(line, "publish ", 8) == 0);
        int32_t re = (int32_t)strtol(line + 8, &text, 10);
        if (oc_ev_publish(class, re, text + 1, strlen(text + 1), NULL) != 0) {
            WANT(errno, EAGAIN);
            say("again");
        }
    }
    return true;
}

static int watch(void)
{
    for (;;) {
        bool waits = holds && held != NULL;
        struct pollfd p[] = { { .fd = waits ? -1 : fd_of, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
        TRUE(poll(p, 2, -1) > 0);
        if (p[1].revents != 0 && !obey())
            break;
        int e = p[0].revents != 0 ? oc_ev_handle_event(fd_of) : 0;
        if (e == ESHUTDOWN)
            return ended();
        WANT(e, 0);
    }
    WANT(oc_ev_unregister(fd_of), 0);
    return 0;
}

static int watch_signal(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    WANT(fcntl(fd_of, F_SETOWN, getpid()), 0);
    WANT(fcntl(fd_of, F_SETSIG, SIGUSR1), 0);
    WANT(fcntl(fd_of, F_SETFL, fcntl(fd_of, F_GETFL) | O_ASYNC), 0);
    for (;;) {
        struct pollfd p = { .fd = fd_of, .events = POLLIN };
        while (poll(&p, 1, 0) > 0) {
            int e = oc_ev_handle_event(fd_of);
            if (e == ESHUTDOWN)
                return ended();
            WANT(e, 0);
        }
        siginfo_t info;
        WANT(sigwaitinfo(&set, &info), SIGUSR1);
        WANT(info.si_fd, fd_of);
        say("signal");
    }
}

int main(int argc, char **argv)
{
    TRUE(argc == 3);
    class = argv[2];
    holds = strcmp(argv[1], "hold") == 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    fd_of = oc_ev_register(class, on_event);
    TRUE(fd_of >= 0);
    TRUE((fcntl(fd_of, F_GETFD) & FD_CLOEXEC) != 0 && (fcntl(fd_of, F_GETFL) & O_NONBLOCK) != 0);
    say("registered");
    return strcmp(argv[1], "signal") == 0 ? watch_signal() : watch();
}
