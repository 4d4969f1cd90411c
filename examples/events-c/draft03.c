/*
 * draft03.c - a program of draft 0.3: connectivity, membership and a group.
 *
 *     cc -o draft03 draft03.c -l_oc_event
 *     draft03 GROUP
 *
 * Each class and each group is registered for by itself and has a descriptor of its
 * own. Events are told in callbacks, one at a time: the next one comes when
 * oc_ev_event_done was called for the one before. Each event is a line on standard
 * output; the program ends when the service does.
 */
#include <ocf/oc_event.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>

static void print_nodes(const char *what, const oc_node_t *node, unsigned n)
{
    printf(" | %s", what);
    for (unsigned i = 0; i < n; i++)
        printf(" %u@%u", node[i].node_id, node[i].node_born_on);
}

static void on_membership(const oc_ev_data_t *data)
{
    const oc_ev_membership_t *m = (const oc_ev_membership_t *)data;
    switch (data->e_event) {
    case OC_EV_MS_NEW_MEMBERSHIP:
    case OC_EV_MS_PRIMARY_RESTORED: /* nobody went on meanwhile */
        printf("membership %u", m->m_sequence);
        print_nodes("members", &m->m_array[m->m_memb_idx], m->m_n_member);
        print_nodes("came", &m->m_array[m->m_in_idx], m->m_n_in);
        print_nodes("went", &m->m_array[m->m_out_idx], m->m_n_out);
        printf("\n");
        break;
    case OC_EV_MS_NOT_PRIMARY: /* others may go on without this node */
        printf("membership %u is not certain\n", m->m_sequence);
        break;
    case OC_EV_MS_EVICTED: /* a header alone, and the last event */
        printf("not a member any more\n");
        break;
    default:
        printf("unknown event 0x%08x\n", data->e_event);
    }
    oc_ev_event_done(data);
}

static void on_group(const oc_ev_data_t *data)
{
    const oc_ev_message_t *m = (const oc_ev_message_t *)data;
    printf("group: node %u process %u ", m->g_sender_node, m->g_sender_pid);
    switch (data->e_event) {
    case OC_EV_GS_JOIN:
        printf("joins\n");
        break;
    case OC_EV_GS_LEAVE:
        printf("leaves\n");
        break;
    case OC_EV_GS_CAST:
        printf("says %.*s\n", (int)m->g_len, (const char *)m->g_data);
        break;
    case OC_EV_GS_REPLY:
        printf("answers %u: %.*s\n", m->g_reply_to, (int)m->g_len, (const char *)m->g_data);
        break;
    default:
        printf("does something unknown\n");
    }
    oc_ev_event_done(data);
}

static void on_connectivity(const oc_ev_data_t *data)
{
    const oc_ev_connectivity_t *c = (const oc_ev_connectivity_t *)data;
    const char *how = c->c_kind == 1 ? "up" : "down";
    switch (data->e_event) {
    case OC_EV_CS_INTERFACE:
        printf("interface %s is %s\n", (const char *)c->c_addr, how);
        break;
    case OC_EV_CS_ELIGIBLE:
        printf("node %u may %s\n", c->c_node_id, c->c_kind == 1 ? "be a member" : "not be a member any more");
        break;
    case OC_EV_CS_CONNECT:
        printf("connection with node %u is %s\n", c->c_node_id, how);
        break;
    default:
        printf("unknown event 0x%08x\n", data->e_event);
    }
    oc_ev_event_done(data);
}

static int enter(const char *class, oc_ev_callback_t *fn)
{
    int fd = oc_ev_register(class, fn);
    if (fd < 0) {
        fprintf(stderr, "register for %s: %s\n", class, strerror(errno));
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: draft03 GROUP\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int fd[] = { enter(S_OC_EV_CONN_CLASS, on_connectivity), enter(S_OC_EV_MEMB_CLASS, on_membership), enter(argv[1], on_group) };
    enum { CLASSES = sizeof fd / sizeof *fd };
    for (int left = CLASSES; left > 0;) {
        fd_set set;
        int last = -1;
        FD_ZERO(&set);
        for (int i = 0; i < CLASSES; i++)
            if (fd[i] >= 0) {
                FD_SET(fd[i], &set);
                last = fd[i] > last ? fd[i] : last;
            }
        if (select(last + 1, &set, NULL, NULL, NULL) < 0)
            continue; /* a signal came */
        for (int i = 0; i < CLASSES; i++)
            if (fd[i] >= 0 && FD_ISSET(fd[i], &set) && oc_ev_handle_event(fd[i]) != 0) {
                oc_ev_unregister(fd[i]); /* the service has ended */
                fd[i] = -1;
                left--;
            }
    }
    printf("the service has ended\n");
    return 0;
}
