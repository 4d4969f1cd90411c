/* beside03.c - draft 0.3 in the same program as draft 0.4. */
#define OC_EVENT_API 30
#include <ocf/oc_event.h>

#include "beside03.h"
#include "want.h"

#include <poll.h>
#include <string.h>

static const oc_ev_data_t *told;

static void on_event(const oc_ev_data_t *d) { told = d; }

static const oc_ev_message_t *next(int fd, oc_ed_t event)
{
    for (told = NULL; told == NULL;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        TRUE(poll(&p, 1, -1) == 1);
        WANT(oc_ev_handle_event(fd), 0);
    }
    WANT(told->e_event, event);
    return (const oc_ev_message_t *)told;
}

int enter_group(const char *name)
{
    int fd = oc_ev_register(name, on_event);
    TRUE(fd >= 0);
    next(fd, OC_EV_GS_JOIN);
    WANT(oc_ev_event_done(told), 0);
    return fd;
}

void check_reply(int fd, uint32_t re, const char *text)
{
    const oc_ev_message_t *m = next(fd, OC_EV_GS_REPLY);
    WANT(m->g_reply_to, re);
    WANT(m->g_len, strlen(text));
    WANT(memcmp(m->g_data, text, strlen(text)), 0);
    WANT(oc_ev_event_done(told), 0);
}

void leave_group(int fd) { WANT(oc_ev_unregister(fd), 0); }

void check_record(const void *data, size_t size)
{
    const oc_ev_membership_t *m = data;
    WANT(m->data_hdr.e_size, size);
    WANT(m->data_hdr.e_event, OC_EV_MS_NEW_MEMBERSHIP);
    WANT(m->m_n_member, 3);
    for (unsigned i = 0; i < 3; i++)
        TRUE(m->m_array[m->m_memb_idx + i].node_id - 1 < 3);
}
