/* ocf02.c - a client of draft 0.2 as it was shipped. */
#ifndef OC_EVENT_API
#define OC_EVENT_API 20
#endif
#include <ocf/oc_event.h>

#include "want.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

static const oc_ev_t *token_of;
static oc_ev_membership_t last; /* but for its lists */
static int told;
static bool wants_all;

static void print_nodes(const oc_ev_membership_t *m, size_t size, unsigned n, unsigned index)
{
    TRUE(size >= offsetof(oc_ev_membership_t, m_array) + (index + n) * sizeof(oc_node_t));
    for (unsigned i = 0; i < n; i++) {
        TRUE(strlen(m->m_array[index + i].node_uname) > 0);
        printf("%s%u", i == 0 ? " " : ",", m->m_array[index + i].node_id);
    }
    printf("%s", n == 0 ? " -" : "");
}

static void on_event(oc_ed_t event, void *cookie, size_t size, const void *data)
{
    static const char *const names[] = { "INVALID", "NM", "NOT_PRIMARY", "RESTORED", "EVICTED" };
    const oc_ev_membership_t *m = data;
    told++;
    WANT(oc_ev_handle_event(token_of), 0); /* and nothing comes */
    printf("%s", names[OC_EV_GET_EVENT(event)]);
    if (m == NULL)
        WANT(size, 0);
    else {
        WANT(size, sizeof *m + (m->m_out_idx - m->m_n_member) * 2 * sizeof(oc_node_t));
        print_nodes(m, size, m->m_n_member, m->m_memb_idx);
        print_nodes(m, size, m->m_n_in, m->m_in_idx);
        print_nodes(m, size, m->m_n_out, m->m_out_idx);
        if (event != OC_EV_MS_NOT_PRIMARY)
            TRUE(m->m_instance > last.m_instance);
        memcpy(&last, m, offsetof(oc_ev_membership_t, m_array) + sizeof(oc_node_t));
    }
    printf("\n");
    fflush(stdout);
    WANT(oc_ev_callback_done(cookie), 0);
}

/* Activates and tells all until the connection breaks. */
static void watch(oc_ev_t *token)
{
    int fd;
    WANT(oc_ev_activate(token, &fd), 0);
    TRUE(fd >= 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int e;
    do {
        TRUE(poll(&p, 1, -1) == 1);
        e = oc_ev_handle_event(token);
    } while (e == 0);
    WANT(e, -1);
    printf("gone\n");
}

static void check_calls(oc_ev_t *token)
{
    int fd = 7;
    oc_ev_callback_t *before = on_event;
    oc_ev_t *unknown = (oc_ev_t *)99;
    oc_node_t node = { NULL, 1, 1 };
    WANT(oc_ev_activate(token, &fd), EMFILE);
    WANT(fd, -1);
    WANT(oc_ev_handle_event(token), -1);
    WANT(oc_ev_set_callback(token, OC_EV_MEMB_CLASS, on_event, &before), 0);
    TRUE(before == NULL);
    WANT(oc_ev_set_callback(token, OC_EV_MEMB_CLASS, on_event, &before), 0);
    TRUE(before == on_event);
    WANT(oc_ev_set_callback(unknown, OC_EV_MEMB_CLASS, on_event, NULL), EINVAL);
    WANT(oc_ev_activate(unknown, &fd), EINVAL);
    WANT(oc_ev_handle_event(unknown), EINVAL);
    WANT(oc_ev_is_my_nodeid(unknown, &node), EINVAL);
    WANT(oc_ev_unregister(unknown), EINVAL);
    WANT(oc_ev_callback_done(NULL), 0);
    if (wants_all)
        oc_ev_special(token, OC_EV_MEMB_CLASS, 0);
}

int main(int argc, char **argv)
{
    oc_ev_t *token = (oc_ev_t *)99, *second;
    int fd = 7;
    wants_all = argc > 1 && strcmp(argv[1], "special") == 0;
    WANT(oc_ev_unregister(NULL), EINVAL);
    WANT(oc_ev_register(&token), 0);
    TRUE(token == NULL); /* tokens count from 0 */
    WANT(oc_ev_register(&second), 0);
    WANT(oc_ev_unregister(second), 0);
    token_of = token;
    check_calls(token);
    if (argc > 1 && strcmp(argv[1], "alone") == 0) {
        WANT(oc_ev_activate(token, &fd), 1);
        WANT(fd, -1);
    } else
        watch(token);
    WANT(oc_ev_unregister(token), 0);
    WANT(oc_ev_unregister(token), EINVAL);
    printf("all right\n");
    return 0;
}
