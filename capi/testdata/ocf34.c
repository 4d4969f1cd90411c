/* ocf34.c - draft 0.3 in the same program as draft 0.4. */
#define OC_EVENT_API 30
#include <ocf/oc_event.h>

#include "ocf34.h"
#include "want.h"

#include <poll.h>

static int entered;

static void on_event(const oc_ev_data_t *d)
{
    if (d->e_event == OC_EV_GS_JOIN)
        entered++;
    WANT(oc_ev_event_done(d), 0);
}

int enter_group(const char *name)
{
    int fd = oc_ev_register(name, on_event);
    TRUE(fd >= 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    while (entered == 0) {
        TRUE(poll(&p, 1, -1) == 1);
        WANT(oc_ev_handle_event(fd), 0);
    }
    return fd;
}

void leave_group(int fd) { WANT(oc_ev_unregister(fd), 0); }

void check_record(const void *data, size_t size)
{
    const oc_ev_membership_t *m = data;
    WANT(m->data_hdr.e_size, size);
    WANT(m->data_hdr.e_event, OC_EV_MS_NEW_MEMBERSHIP);
    WANT(m->m_n_member, 1);
    WANT(m->m_array[m->m_memb_idx].node_id, 1);
}
