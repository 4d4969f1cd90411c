/* victim03.c - a program of all drafts whose agent says anything. It has as many
 * sessions as its argument says; each takes what it is given for a while. */
#define OC_EVENT_API 34
#include <ocf/oc_event.h>
#include <ocf/oc_event_pub.h>

#include "victim.h"
#include "want.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

static char large[64 << 10];

static void on_event(const oc_ev_data_t *d)
{
    touch(d, d->e_size);
    if (OC_EV_GET_CLASS(d->e_event) == OC_EV_MEMB_CLASS && d->e_event != OC_EV_MS_EVICTED) {
        const oc_ev_membership_t *m = (const oc_ev_membership_t *)d;
        touch(&m->m_array[m->m_memb_idx], m->m_n_member * sizeof(oc_node_t));
        touch(&m->m_array[m->m_in_idx], m->m_n_in * sizeof(oc_node_t));
        touch(&m->m_array[m->m_out_idx], m->m_n_out * sizeof(oc_node_t));
    } else if (OC_EV_GET_CLASS(d->e_event) == OC_EV_GROUP_CLASS) {
        const oc_ev_message_t *m = (const oc_ev_message_t *)d;
        touch(m->g_data, m->g_len);
    }
    WANT(oc_ev_event_done(d), 0);
}

static void session03(const char *class)
{
    int fd = oc_ev_register(class, on_event);
    if (fd < 0) {
        TRUE(errno != 0);
        return;
    }
    struct pollfd p = { .fd = fd, .events = POLLIN };
    for (int i = 0; i < 8 && poll(&p, 1, 5) > 0; i++) {
        int e = oc_ev_handle_event(fd);
        if (e != 0) {
            WANT(e, ESHUTDOWN);
            break;
        }
    }
    WANT(oc_ev_unregister(fd), 0);
}

static void touch_event(const oc_ev_event_t *e)
{
    touch(e, (size_t)e->size);
    TRUE(e->ev_id >= 0 && e->seq >= 0);
    WANT(oc_ev_event_done(e), 0);
}

static void session04(const char *topic)
{
    int ed = oc_ev_subscribe(topic, NULL);
    if (ed < 0)
        return;
    for (int i = 0; i < 8; i++) {
        oc_ev_event_t *e = oc_ev_get_event(ed, 5);
        if (e == NULL)
            break;
        touch_event(e);
    }
    WANT(oc_ev_unsubscribe(ed), 0);
}

static int told, ed_of;

static void on_topic(const oc_ev_event_t *e)
{
    if (++told == 3)
        WANT(oc_ev_unsubscribe(ed_of), 0);
    touch_event(e);
}

/* Goes on until there were some events, or the connection ends. */
static void session_callback(void)
{
    told = 0;
    ed_of = oc_ev_subscribe("t", on_topic);
    if (ed_of < 0)
        return;
    struct pollfd p = { .fd = oc_ev_get_fd(ed_of), .events = POLLIN };
    if (poll(&p, 1, 5) > 0 && (p.revents & POLLHUP) != 0) {
        int e = oc_ev_handle_events();
        TRUE(e == 0 || e == ENOENT);
    }
    if (told < 3)
        WANT(oc_ev_unsubscribe(ed_of), 0);
}

static void publish(void)
{
    int32_t id = 0;
    if (oc_ev_publish("t", 7, large, sizeof large, &id) == 0)
        TRUE(id > 0);
}

int main(int argc, char **argv)
{
    TRUE(argc == 2);
    for (int i = 0, n = atoi(argv[1]); i < n; i++)
        switch (i % 7) {
        case 0:
            session03(S_OC_EV_MEMB_CLASS);
            break;
        case 1:
            session03(S_OC_EV_CONN_CLASS);
            break;
        case 2:
            session03("g");
            break;
        case 3:
            session04(i % 2 == 0 ? "t" : S_OC_EV_MEMB_CLASS);
            break;
        case 4:
            session_callback();
            break;
        case 5:
            session02();
            break;
        default:
            publish();
        }
    printf("all right\n");
    return 0;
}
