/* ocf03.c - a client of draft 0.3: tells what comes, and tries every call. */
#include <ocf/oc_event.h>
#include <ocf/oc_event_pub.h>

#include "want.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const oc_ev_data_t *held; /* the record that came last */
static oc_ev_membership_t *copy; /* of a membership */
static int told, fd_of;
static bool done_at_once = true, end_within;

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
        copy = realloc(copy, m->data_hdr.e_size);
        memcpy(copy, m, m->data_hdr.e_size);
    }
    printf("\n");
}

static void print_message(const oc_ev_message_t *m)
{
    static const char *const names[] = { "invalid", "JOIN", "LEAVE", "CAST", "REPLY" };
    printf("%s %u", names[OC_EV_GET_EVENT(m->data_hdr.e_event)], m->g_sender_node);
    if (m->data_hdr.e_event == OC_EV_GS_REPLY)
        printf(" to %u", m->g_reply_to);
    printf(" %.*s\n", (int)m->g_len, (const char *)m->g_data);
}

static void on_event(const oc_ev_data_t *d)
{
    held = d;
    told++;
    WANT(oc_ev_handle_event(fd_of), 0); /* and nothing comes */
    if (OC_EV_GET_CLASS(d->e_event) == OC_EV_MEMB_CLASS)
        print_membership((const oc_ev_membership_t *)d);
    if (OC_EV_GET_CLASS(d->e_event) == OC_EV_GROUP_CLASS)
        print_message((const oc_ev_message_t *)d);
    fflush(stdout);
    if (end_within)
        WANT(oc_ev_unregister(fd_of), 0);
    if (done_at_once)
        WANT(oc_ev_event_done(d), 0);
}

static void await(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    while (poll(&p, 1, -1) < 0)
        WANT(errno, EINTR);
}

static int await_event(int fd)
{
    int before = told, e = 0;
    while (told == before && e == 0) {
        await(fd);
        e = oc_ev_handle_event(fd);
    }
    return e;
}

/* Tells all until the service ends, and does what it reads: a line to publish, "7 "
 * in front for a reply, or to release what is held. */
static int watch(const char *class, bool hold)
{
    fd_of = oc_ev_register(class, on_event);
    TRUE(fd_of >= 0);
    done_at_once = !hold;
    for (;;) {
        struct pollfd p[] = { { .fd = fd_of, .events = POLLIN }, { .fd = hold && held != NULL ? -1 : STDIN_FILENO, .events = POLLIN } };
        char line[100], *end = NULL;
        if (hold && held != NULL) {
            if (fgets(line, sizeof line, stdin) == NULL)
                break;
            if (strcmp(line, "try\n") == 0) {
                await(fd_of);
                int before = told;
                WANT(oc_ev_handle_event(fd_of), 0);
                WANT(told, before);
                printf("held back\n");
                fflush(stdout);
                continue;
            }
            WANT(oc_ev_event_done(held), 0);
            held = NULL;
            continue;
        }
        TRUE(poll(p, 2, -1) > 0);
        if (p[1].revents != 0) {
            size_t n = 0;
            while (n < sizeof line - 1 && read(STDIN_FILENO, &line[n], 1) == 1 && line[n] != '\n')
                n++;
            if (n == 0)
                break;
            line[n] = '\0';
            long re = strtol(line, &end, 10);
            WANT(oc_ev_publish(class, (int32_t)re, end, strlen(end), NULL), 0);
        }
        if (p[0].revents != 0) {
            int e = oc_ev_handle_event(fd_of);
            if (e == ESHUTDOWN) {
                WANT(p[0].revents & POLLHUP, POLLHUP);
                WANT(oc_ev_handle_event(fd_of), ESHUTDOWN);
                WANT(oc_ev_unregister(fd_of), 0);
                printf("shut down\n");
                return 0;
            }
            WANT(e, 0);
        }
    }
    WANT(oc_ev_unregister(fd_of), 0);
    free(copy);
    return 0;
}

static void check_names(void)
{
    char name[201];
    memset(name, 'x', sizeof name);
    name[200] = '\0';
    const char *const wrong[] = { "", NULL, name, name + 200 - 128, "__OTHER" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        WANT(oc_ev_register(wrong[i], on_event), -1);
        WANT(errno, EINVAL);
    }
    WANT(oc_ev_register(S_OC_EV_MEMB_CLASS, NULL), -1);
    WANT(errno, EINVAL);
    WANT(OC_EV_GET_CLASS(0x00800003), 2);
    WANT(OC_EV_GET_EVENT(0x00800003), 3);
    WANT(OC_EV_SET_CLASS(3, 4), 0x00C00004);
    WANT(OC_EV_EVENT_MASK, 0x003FFFFF);
    oc_ver_t v;
    WANT(oc_ev_get_version(&v), 0);
    WANT(v.minor, 3);
    WANT(oc_ev_get_version(NULL), EINVAL);
}

static void check_records(void)
{
    oc_ev_data_t mine = { 0 };
    done_at_once = false;
    WANT(await_event(fd_of), 0);
    WANT(held->e_event, OC_EV_MS_NEW_MEMBERSHIP);
    WANT(copy->m_array[copy->m_memb_idx].node_born_on, 1);
    WANT(oc_ev_event_done(held), 0);
    WANT(oc_ev_event_done(held), EINVAL);
    WANT(errno, EINVAL);
    WANT(oc_ev_event_done(&mine), EINVAL);
    WANT(oc_ev_event_done(NULL), EINVAL);
    oc_node_t self = copy->m_array[0], other = { 99, 1 };
    WANT(oc_ev_is_my_nodeid(fd_of, &self), 1);
    WANT(oc_ev_is_my_nodeid(fd_of, &other), 0);
    WANT(oc_ev_is_my_nodeid(9999, &self), -1);
    WANT(oc_ev_is_my_nodeid(fd_of, NULL), -1);
    WANT(oc_ev_handle_event(9999), EINVAL);
    WANT(oc_ev_handle_event(fd_of), 0); /* nothing waits */
}

static void check_fork(void)
{
    pid_t child = fork();
    if (child == 0) {
        WANT(oc_ev_handle_event(fd_of), EINVAL);
        WANT(oc_ev_unregister(fd_of), EINVAL);
#ifndef __SANITIZE_THREAD__ /* which does not let a forked child start threads */
        fd_of = oc_ev_register(S_OC_EV_MEMB_CLASS, on_event);
        TRUE(fd_of >= 0);
        done_at_once = true;
        WANT(await_event(fd_of), 0);
        WANT(oc_ev_unregister(fd_of), 0);
#endif
        _exit(0);
    }
    int status;
    WANT(waitpid(child, &status, 0), child);
    WANT(status, 0);
}

/* A record lives on when its registration has ended, even in its own callback. */
static void check_end_within(void)
{
    int first = fd_of;
    fd_of = oc_ev_register(S_OC_EV_MEMB_CLASS, on_event);
    TRUE(fd_of >= 0 && fd_of != first);
    end_within = true;
    held = NULL;
    while (held == NULL) {
        await(fd_of);
        oc_ev_handle_event(fd_of);
    }
    end_within = false;
    WANT(held->e_event, OC_EV_MS_NEW_MEMBERSHIP);
    WANT(oc_ev_handle_event(fd_of), EINVAL);
    WANT(oc_ev_event_done(held), 0);
    WANT(oc_ev_event_done(held), EINVAL);
    WANT(oc_ev_unregister(fd_of), EINVAL);
    fd_of = first;
}

/* A signal tells that something came. */
static void check_signal(void)
{
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int member = fd_of;
    fd_of = oc_ev_register("signals", on_event);
    done_at_once = true;
    WANT(await_event(fd_of), 0); /* its own entry */
    WANT(fcntl(fd_of, F_SETOWN, getpid()), 0);
    WANT(fcntl(fd_of, F_SETSIG, SIGUSR1), 0);
    WANT(fcntl(fd_of, F_SETFL, fcntl(fd_of, F_GETFL) | O_ASYNC), 0);
    WANT(oc_ev_publish("signals", 0, "x", 1, NULL), 0);
    WANT(sigwaitinfo(&set, &info), SIGUSR1);
    WANT(info.si_fd, fd_of);
    WANT(await_event(fd_of), 0);
    WANT(oc_ev_unregister(fd_of), 0);
    fd_of = member;
}

static void check_publish(void)
{
    static char big[(64 << 10) + 1];
    WANT(oc_ev_publish("", 0, "x", 1, NULL), -1);
    WANT(errno, EINVAL);
    WANT(oc_ev_publish("nobody is here", 0, "x", 1, NULL), -1);
    WANT(errno, EINVAL);
    WANT(oc_ev_publish(S_OC_EV_MEMB_CLASS, 0, "x", 1, NULL), -1);
    WANT(errno, EINVAL);
    WANT(oc_ev_publish("g", 0, big, sizeof big, NULL), -1);
    WANT(errno, EMSGSIZE);
}

/* Threads take turns at one descriptor, while another ends it. */
static void *handles(void *fd)
{
    int e = 0;
    while ((e = oc_ev_handle_event(*(int *)fd)) == 0)
        ;
    WANT(e, EINVAL);
    return NULL;
}

static void on_quick(const oc_ev_data_t *d)
{
    __atomic_fetch_add(&told, 1, __ATOMIC_SEQ_CST);
    WANT(oc_ev_event_done(d), 0);
}

static void check_threads(void)
{
    pthread_t thread[2];
    int fd = oc_ev_register("threads", on_quick);
    told = 0;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, handles, &fd);
    for (int i = 0; i < 20; i++)
        while (oc_ev_publish("threads", 0, "x", 1, NULL) != 0)
            WANT(errno, EINVAL); /* it is no group yet */
    while (__atomic_load_n(&told, __ATOMIC_SEQ_CST) < 21)
        usleep(1000);
    WANT(oc_ev_unregister(fd), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return watch(argv[2], strcmp(argv[1], "hold") == 0);
    check_names();
    if (argc == 2) { /* there is no agent */
        WANT(oc_ev_register("anything else", on_event), -1);
        WANT(errno, ECONNREFUSED);
        printf("all right\n");
        return 0;
    }
    fd_of = oc_ev_register(S_OC_EV_MEMB_CLASS, on_event);
    TRUE(fd_of >= 0);
    check_records();
    check_fork();
    check_end_within();
    check_signal();
    check_publish();
    check_threads();
    WANT(oc_ev_unregister(fd_of), 0);
    WANT(oc_ev_unregister(fd_of), EINVAL);
    free(copy);
    printf("all right\n");
    return 0;
}
