/* calls02.c - a client of draft 0.2 as it was shipped tries every call. */
#include <ocf/oc_event.h>

#include "scenario.h"

#include <errno.h>
#include <poll.h>

static oc_ev_t *token;
static int told, nodes;

static void on_event(oc_ed_t event, void *cookie, size_t size, const void *data)
{
    const oc_ev_membership_t *m = data;
    told++;
    WANT(event, OC_EV_MS_NEW_MEMBERSHIP);
    WANT(m->m_in_idx, 0);
    WANT(m->m_n_in, m->m_n_member);
    WANT(m->m_n_member, nodes);
    WANT(m->m_out_idx, m->m_n_member + nodes);
    WANT(m->m_n_out, 0);
    WANT(size, sizeof *m + (size_t)2 * nodes * sizeof(oc_node_t));
    if (sizeof(void *) == 8)
        WANT(size, 48 + 32 * nodes);
    for (unsigned i = 0; i < m->m_n_member; i++) {
        TRUE(strlen(m->m_array[i].node_uname) > 0);
        WANT(oc_ev_is_my_nodeid(token, &m->m_array[i]), m->m_array[i].node_id == 1);
    }
    WANT(oc_ev_is_my_nodeid(token, NULL), EINVAL);
    WANT(oc_ev_callback_done(cookie), 0);
}

static void prepare(void)
{
    WANT(oc_ev_register(&token), 0);
    WANT(oc_ev_set_callback(token, OC_EV_MEMB_CLASS, on_event, NULL), 0);
}

/* Nobody answers. */
static void nobody(void)
{
    int fd = 7;
    token = (oc_ev_t *)99;
    WANT(oc_ev_register(&token), 0);
    TRUE(token == NULL); /* tokens count from 0 */
    WANT(oc_ev_activate(token, &fd), EMFILE);
    WANT(fd, -1);
    WANT(oc_ev_handle_event(token), -1);
    WANT(oc_ev_set_callback(token, OC_EV_MEMB_CLASS, on_event, NULL), 0);
    fd = 7;
    WANT(oc_ev_activate(token, &fd), 1);
    WANT(fd, -1);
    WANT(oc_ev_unregister(token), 0);
}

static void first(void)
{
    int fd = -1;
    nodes = 3;
    prepare();
    WANT(oc_ev_activate(token, &fd), 0);
    WANT(oc_ev_activate(token, &(int){ 7 }), 1);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    WANT(poll(&p, 1, -1), 1);
    WANT(oc_ev_handle_event(token), 0);
    WANT(told, 1);
    WANT(oc_ev_handle_event(token), 0); /* which does not wait */
    WANT(told, 1);
    WANT(oc_ev_unregister(token), 0);
}

static void unknown(void)
{
    int fd = 7;
    oc_ev_t *never = (oc_ev_t *)99;
    oc_ev_callback_t *before = on_event;
    oc_node_t node = { NULL, 1, 1 };
    WANT(oc_ev_unregister(NULL), EINVAL);
    WANT(oc_ev_register(&token), 0);
    WANT(oc_ev_set_callback(token, OC_EV_MEMB_CLASS, on_event, &before), 0);
    TRUE(before == NULL);
    WANT(oc_ev_set_callback(token, OC_EV_MEMB_CLASS, on_event, &before), 0);
    TRUE(before == on_event);
    WANT(oc_ev_set_callback(token, OC_EV_CONN_CLASS, on_event, NULL), EINVAL);
    WANT(oc_ev_set_callback(never, OC_EV_MEMB_CLASS, on_event, NULL), EINVAL);
    WANT(oc_ev_activate(never, &fd), EINVAL);
    WANT(fd, -1);
    WANT(oc_ev_handle_event(never), EINVAL);
    WANT(oc_ev_is_my_nodeid(never, &node), EINVAL);
    WANT(oc_ev_unregister(never), EINVAL);
    WANT(oc_ev_callback_done(NULL), 0);
    WANT(oc_ev_unregister(token), 0);
    WANT(oc_ev_is_my_nodeid(token, &node), EINVAL);
    WANT(oc_ev_unregister(token), EINVAL);
}

/* Callbacks handle each other's events, and go on as before. */
static oc_ev_t *other;

static void on_nested(oc_ed_t event, void *cookie, size_t size, const void *data)
{
    WANT(oc_ev_handle_event(told++ == 0 ? other : token), 0);
    WANT(told, 2);
    WANT(event, OC_EV_MS_NEW_MEMBERSHIP);
    TRUE(size > 0 && data != NULL);
    WANT(oc_ev_callback_done(cookie), 0);
    WANT(oc_ev_handle_event(token), 0);
}

static void nested(void)
{
    int fd;
    WANT(oc_ev_register(&token), 0);
    WANT(oc_ev_register(&other), 0);
    WANT(oc_ev_set_callback(token, OC_EV_MEMB_CLASS, on_nested, NULL), 0);
    WANT(oc_ev_set_callback(other, OC_EV_MEMB_CLASS, on_nested, NULL), 0);
    WANT(oc_ev_activate(token, &fd), 0);
    WANT(oc_ev_activate(other, &fd), 0);
    WANT(oc_ev_handle_event(token), 0);
    WANT(told, 2);
    WANT(oc_ev_unregister(other), 0);
    WANT(oc_ev_unregister(token), 0);
}

int main(int argc, char **argv)
{
    static const struct scenario list[] = { { "33", nobody }, { "34", first }, { "39", unknown }, { "nested", nested }, { NULL, NULL } };
    return play(list, argc, argv);
}
