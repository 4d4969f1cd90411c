/* victim02.c - the part of victim03.c that is of draft 0.2. */
#define OC_EVENT_API 20
#include <ocf/oc_event.h>

#include "victim.h"
#include "want.h"

#include <poll.h>
#include <string.h>

static void touch_nodes(const oc_ev_membership_t *m, unsigned n, unsigned index)
{
    for (unsigned i = 0; i < n; i++)
        touch(m->m_array[index + i].node_uname, strlen(m->m_array[index + i].node_uname) + 1);
}

static void on_event(oc_ed_t event, void *cookie, size_t size, const void *data)
{
    const oc_ev_membership_t *m = data;
    TRUE(OC_EV_GET_EVENT(event) <= 4);
    touch(data, size);
    if (size > 0) {
        touch_nodes(m, m->m_n_member, m->m_memb_idx);
        touch_nodes(m, m->m_n_in, m->m_in_idx);
        touch_nodes(m, m->m_n_out, m->m_out_idx);
    }
    oc_ev_callback_done(cookie);
}

void session02(void)
{
    static int turn;
    oc_ev_t *token;
    int fd;
    if (oc_ev_register(&token) != 0)
        return; /* there was no memory */
    WANT(oc_ev_set_callback(token, OC_EV_MEMB_CLASS, on_event, NULL), 0);
    if (turn++ % 2 != 0)
        oc_ev_special(token, OC_EV_MEMB_CLASS, 0);
    if (oc_ev_activate(token, &fd) == 0) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        for (int i = 0; i < 5 && poll(&p, 1, 5) > 0; i++)
            if (oc_ev_handle_event(token) != 0)
                break;
    }
    WANT(oc_ev_unregister(token), 0);
}
