/* calls03.c - a client of draft 0.3 tries every call. */
#include <ocf/oc_event.h>
#include <ocf/oc_event_pub.h>

#include "scenario.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

static const oc_ev_data_t *held; /* the record that came last */
static int told, fd_of;
static bool done_at_once, end_within;

static void on_event(const oc_ev_data_t *d)
{
    held = d;
    told++;
    if (end_within)
        WANT(oc_ev_unregister(fd_of), 0);
    if (done_at_once)
        WANT(oc_ev_event_done(d), 0);
}

static void enter(const char *class)
{
    fd_of = oc_ev_register(class, on_event);
    TRUE(fd_of >= 0);
}

static void leave(void) { WANT(oc_ev_unregister(fd_of), 0); }

static int await_event(void)
{
    int before = told, e = 0;
    while (told == before && e == 0) {
        struct pollfd p = { .fd = fd_of, .events = POLLIN };
        TRUE(poll(&p, 1, -1) == 1);
        e = oc_ev_handle_event(fd_of);
    }
    return e;
}

/* Gets the record of the membership. */
static const oc_ev_membership_t *membership(void)
{
    enter(S_OC_EV_MEMB_CLASS);
    WANT(await_event(), 0);
    WANT(held->e_event, OC_EV_MS_NEW_MEMBERSHIP);
    return (const oc_ev_membership_t *)held;
}

/* Alone: one handle_event, and it is the first membership. */
static void first(void)
{
    enter(S_OC_EV_MEMB_CLASS);
    struct pollfd p = { .fd = fd_of, .events = POLLIN };
    WANT(poll(&p, 1, 0), 1);
    WANT(oc_ev_handle_event(fd_of), 0);
    WANT(told, 1);
    const oc_ev_membership_t *m = (const oc_ev_membership_t *)held;
    WANT(held->e_event, 0x00800001);
    WANT(m->m_sequence, 1);
    WANT(m->m_n_member, 1);
    WANT(m->m_n_in, 1);
    WANT(m->m_n_out, 0);
    WANT(m->m_array[m->m_memb_idx].node_id, 1);
    WANT(m->m_array[m->m_memb_idx].node_born_on, 1);
    WANT(m->m_array[m->m_in_idx].node_id, 1);
    WANT(oc_ev_event_done(held), 0);
    WANT(oc_ev_handle_event(fd_of), 0); /* nothing waits */
    WANT(told, 1);
    leave();
}

static void done_twice(void)
{
    oc_ev_data_t mine = { 0 };
    membership();
    WANT(oc_ev_event_done(&mine), EINVAL);
    WANT(oc_ev_event_done(NULL), EINVAL);
    WANT(oc_ev_event_done(held), 0);
    errno = 0;
    WANT(oc_ev_event_done(held), EINVAL);
    WANT(errno, EINVAL);
    leave();
}

static void names(void)
{
    char name[201];
    memset(name, 'x', sizeof name);
    name[200] = '\0';
    const char *const wrong[] = { "", NULL, name, name + 200 - 128, "__OTHER", "__" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        WANT(oc_ev_register(wrong[i], on_event), -1);
        WANT(errno, EINVAL);
    }
    errno = 0;
    WANT(oc_ev_register(S_OC_EV_MEMB_CLASS, NULL), -1);
    WANT(errno, EINVAL);
    const char *const right[] = { "anything else", name + 200 - 127, "_", S_OC_EV_CONN_CLASS };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        enter(right[i]);
        leave();
    }
}

/* Nobody answers, or one that refuses. */
static void nobody(void)
{
    errno = 0;
    WANT(oc_ev_register(S_OC_EV_MEMB_CLASS, on_event), -1);
    WANT(errno, ECONNREFUSED);
    WANT(oc_ev_publish("g", 0, "x", 1, NULL), -1);
    WANT(errno, ECONNREFUSED);
}

static void refused(void)
{
    TRUE(geteuid() != 0);
    WANT(oc_ev_register("anything else", on_event), -1);
    WANT(errno, EPERM);
    WANT(oc_ev_publish("g", 0, "x", 1, NULL), -1);
    WANT(errno, EPERM);
}

/* A record lives on when its registration has ended, even in its own callback. */
static void end_in_callback(void)
{
    end_within = true;
    membership();
    WANT(told, 1);
    WANT(oc_ev_handle_event(fd_of), EINVAL);
    WANT(oc_ev_event_done(held), 0);
    WANT(oc_ev_event_done(held), EINVAL);
    WANT(oc_ev_unregister(fd_of), EINVAL);
}

static void end_twice(void)
{
    enter(S_OC_EV_MEMB_CLASS);
    leave();
    errno = 0;
    WANT(oc_ev_unregister(fd_of), EINVAL);
    WANT(errno, EINVAL);
    WANT(oc_ev_handle_event(9999), EINVAL);
    WANT(oc_ev_handle_event(-1), EINVAL);
    WANT(oc_ev_handle_event(STDIN_FILENO), EINVAL);
}

static void numbers(void)
{
    oc_ver_t v;
    WANT(OC_EV_CLASS_SHIFT, 22);
    WANT(OC_EV_EVENT_SHIFT, 10);
    WANT(OC_EV_GET_CLASS(0x00800003), 2);
    WANT(OC_EV_GET_EVENT(0x00800003), 3);
    WANT(OC_EV_SET_CLASS(3, 4), 0x00C00004);
    WANT(OC_EV_EVENT_MASK, 0x003FFFFF);
    WANT(OC_EV_MS_INVALID, 0x00800000);
    WANT(OC_EV_MS_NEW_MEMBERSHIP, 0x00800001);
    WANT(OC_EV_MS_NOT_PRIMARY, 0x00800002);
    WANT(OC_EV_MS_PRIMARY_RESTORED, 0x00800003);
    WANT(OC_EV_MS_EVICTED, 0x00800004);
    WANT(OC_EV_GS_JOIN, 0x00C00001);
    WANT(OC_EV_GS_REPLY, 0x00C00004);
    WANT(OC_EV_CS_CONNECT, 0x00400003);
    WANT(oc_ev_get_version(&v), 0);
    WANT(v.major, 0);
    WANT(v.minor, 3);
    WANT(v.patch, 0);
    WANT(oc_ev_get_version(NULL), EINVAL);
}

static void my_node(void)
{
    const oc_ev_membership_t *m = membership();
    unsigned mine = 0;
    for (unsigned i = 0; i < m->m_n_member; i++)
        mine += (unsigned)oc_ev_is_my_nodeid(fd_of, &m->m_array[m->m_memb_idx + i]);
    WANT(mine, 1);
    oc_node_t own = { 1, 1 }, other = { 2, 1 }, none = { 99, 1 };
    WANT(oc_ev_is_my_nodeid(fd_of, &own), 1); /* the program runs on the first node */
    WANT(oc_ev_is_my_nodeid(fd_of, &other), 0);
    WANT(oc_ev_is_my_nodeid(fd_of, &none), 0);
    errno = 0;
    WANT(oc_ev_is_my_nodeid(9999, &own), -1);
    WANT(errno, EINVAL);
    errno = 0;
    WANT(oc_ev_is_my_nodeid(fd_of, NULL), -1);
    WANT(errno, EINVAL);
    WANT(oc_ev_event_done(held), 0);
    leave();
}

static void copies(void)
{
    const oc_ev_membership_t *m = membership();
    size_t nodes = m->m_memb_idx + m->m_n_member;
    if (m->m_in_idx + m->m_n_in > nodes)
        nodes = m->m_in_idx + m->m_n_in;
    if (m->m_out_idx + m->m_n_out > nodes)
        nodes = m->m_out_idx + m->m_n_out;
    size_t size = held->e_size;
    TRUE(size >= offsetof(oc_ev_membership_t, m_array) + nodes * sizeof(oc_node_t));
    oc_ev_membership_t *copy = malloc(size);
    memcpy(copy, m, size);
    WANT(oc_ev_event_done(held), 0);
    WANT(copy->m_n_member, 3);
    for (unsigned i = 0; i < 3; i++)
        TRUE(copy->m_array[copy->m_memb_idx + i].node_id - 1 < 3);
    free(copy);
    leave();
}

static void forks(void)
{
    membership();
    WANT(oc_ev_event_done(held), 0);
    done_at_once = true;
    pid_t child = fork();
    if (child == 0) {
        WANT(oc_ev_handle_event(fd_of), EINVAL);
        WANT(oc_ev_unregister(fd_of), EINVAL);
#if !defined __SANITIZE_THREAD__ && !defined __SANITIZE_ADDRESS__ /* after which forked children can not start threads */
        enter(S_OC_EV_MEMB_CLASS);
        WANT(await_event(), 0);
        leave();
#endif
        _exit(0);
    }
    int status;
    WANT(waitpid(child, &status, 0), child);
    WANT(status, 0);
    WANT(oc_ev_handle_event(fd_of), 0);
    leave();
}

/* What may be published, and where. */
static void publishing(void)
{
    static char big[(64 << 10) + 1];
    int32_t id = 0;
    WANT(oc_ev_publish("", 0, "x", 1, NULL), -1);
    WANT(errno, EINVAL);
    WANT(oc_ev_publish(NULL, 0, "x", 1, NULL), -1);
    WANT(errno, EINVAL);
    WANT(oc_ev_publish("nobody is here", 0, "x", 1, NULL), -1);
    WANT(errno, EINVAL);
    WANT(oc_ev_publish(S_OC_EV_MEMB_CLASS, 0, "x", 1, NULL), -1);
    WANT(errno, EINVAL);
    enter("publishing");
    done_at_once = true;
    WANT(await_event(), 0); /* its own entry */
    done_at_once = false;
    WANT(oc_ev_publish("publishing", 0, big, sizeof big, NULL), -1);
    WANT(errno, EMSGSIZE);
    WANT(oc_ev_publish("publishing", 0, big, sizeof big - 1, &id), 0);
    TRUE(id > 0);
    WANT(await_event(), 0);
    const oc_ev_message_t *m = (const oc_ev_message_t *)held;
    WANT(m->g_len, sizeof big - 1);
    WANT(m->g_msg_id, id);
    WANT(m->g_sender_pid, getpid());
    WANT(oc_ev_event_done(held), 0);
    leave();
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

static void threads(void)
{
    pthread_t thread[2];
    int fd = oc_ev_register("threads", on_quick);
    TRUE(fd >= 0);
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

/* Two registrations of one process for one class have each event, once. */
static void two(void)
{
    membership();
    WANT(oc_ev_event_done(held), 0);
    int one = fd_of;
    membership();
    WANT(oc_ev_event_done(held), 0);
    TRUE(one != fd_of);
    WANT(oc_ev_handle_event(one), 0);
    WANT(told, 2);
    leave();
    fd_of = one;
    leave();
}

/* Callbacks handle each other's events: one that runs already delivers nothing. */
static int other, depth;

static void on_nested(const oc_ev_data_t *d)
{
    told++;
    if (depth++ == 0) {
        WANT(oc_ev_handle_event(other), 0); /* whose callback is this function, too */
        WANT(told, 2);
    } else
        WANT(oc_ev_handle_event(fd_of), 0);
    WANT(oc_ev_event_done(d), 0);
}

static void nested(void)
{
    fd_of = oc_ev_register(S_OC_EV_MEMB_CLASS, on_nested);
    other = oc_ev_register(S_OC_EV_MEMB_CLASS, on_nested);
    TRUE(fd_of >= 0 && other >= 0);
    WANT(oc_ev_handle_event(fd_of), 0);
    WANT(told, 2);
    WANT(oc_ev_unregister(other), 0);
    leave();
}

int main(int argc, char **argv)
{
    static const struct scenario list[] = {
        { "01", first }, { "07", done_twice }, { "14", names }, { "14-nobody", nobody }, { "14-refused", refused }, { "15", end_in_callback },
        { "16", end_twice }, { "17", numbers }, { "18", my_node }, { "22", copies }, { "fork", forks }, { "publish", publishing },
        { "threads", threads }, { "two", two }, { "nested", nested }, { NULL, NULL },
    };
    return play(list, argc, argv);
}
