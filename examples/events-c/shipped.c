/*
 * shipped.c - a program of the interface that heartbeat shipped, with its library.
 *
 *     cc -o shipped shipped.c $(pkg-config --cflags --libs ccmclient)
 *
 * A token has one callback for memberships. Lists of a record are relative to the last
 * one that the token was given, and a record may be kept until oc_ev_callback_done.
 * Each event is a line on standard output; the program ends when the service does.
 */
#include <ocf/oc_event.h>

#include <poll.h>
#include <stdio.h>

static void print_nodes(const char *what, const oc_node_t *node, unsigned n)
{
    printf(" | %s", what);
    for (unsigned i = 0; i < n; i++)
        printf(" %s=%u@%u", node[i].node_uname, node[i].node_id, node[i].node_born_on);
}

static void on_membership(oc_ed_t event, void *cookie, size_t size, const void *data)
{
    const oc_ev_membership_t *m = data;
    if (event == OC_EV_MS_EVICTED || size == 0)
        printf("evicted\n");
    else {
        printf("instance %u", m->m_instance);
        print_nodes("members", &m->m_array[m->m_memb_idx], m->m_n_member);
        print_nodes("came", &m->m_array[m->m_in_idx], m->m_n_in);
        print_nodes("went", &m->m_array[m->m_out_idx], m->m_n_out);
        printf(" | %s\n", event == OC_EV_MS_INVALID ? "no quorum" : event == OC_EV_MS_NOT_PRIMARY ? "not certain" : "quorum");
    }
    oc_ev_callback_done(cookie);
}

int main(void)
{
    oc_ev_t *token; /* which may be NULL */
    int fd;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (oc_ev_register(&token) != 0 || oc_ev_set_callback(token, OC_EV_MEMB_CLASS, on_membership, NULL) != 0)
        return 1;
    oc_ev_special(token, OC_EV_MEMB_CLASS, 0); /* memberships without quorum, too */
    if (oc_ev_activate(token, &fd) != 0) {
        fprintf(stderr, "nobody answers\n");
        return 1;
    }
    struct pollfd p = { .fd = fd, .events = POLLIN };
    do
        poll(&p, 1, -1);
    while (oc_ev_handle_event(token) == 0);
    oc_ev_unregister(token);
    printf("the service has ended\n");
    return 0;
}
