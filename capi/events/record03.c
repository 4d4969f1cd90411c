/* record03.c - what the service tells, in the structures of draft 0.3. */
#include "events.h"

#include <ocf/oc_event_03.h>
#include <sys/socket.h>

static void header(oc_ev_data_t *h, size_t size, oc_ed_t event)
{
    h->e_size = size;
    h->e_event = event;
}

static void add_list(oc_ev_membership_t *m, const struct list *l, unsigned *n, unsigned *index, size_t *used)
{
    *n = l->n;
    *index = (unsigned)*used;
    oc_node_t *node = (oc_node_t *)((uint8_t *)m + offsetof(oc_ev_membership_t, m_array)) + *used;
    for (uint32_t i = 0; i < l->n; i++)
        node[i] = (oc_node_t){ l->member[i].id, l->member[i].born };
    *used += l->n;
}

static struct record *membership(const struct fact *f, size_t front)
{
    static const oc_ed_t codes[] = { 0, OC_EV_MS_NEW_MEMBERSHIP, OC_EV_MS_NOT_PRIMARY, OC_EV_MS_PRIMARY_RESTORED, OC_EV_MS_EVICTED };
    size_t nodes = (size_t)f->members.n + f->in.n + f->out.n, used = 0;
    size_t size = offsetof(oc_ev_membership_t, m_array) + nodes * sizeof(oc_node_t);
    if (f->kind == FACT_EVICTED)
        size = sizeof(oc_ev_data_t);
    else if (size < sizeof(oc_ev_membership_t))
        size = sizeof(oc_ev_membership_t);
    struct record *r = record_new(front + size);
    if (r == NULL)
        return NULL;
    oc_ev_membership_t *m = (void *)(r->data + front);
    header((oc_ev_data_t *)m, size, codes[f->kind]);
    if (f->kind == FACT_EVICTED)
        return r;
    m->m_sequence = f->seq;
    add_list(m, &f->members, &m->m_n_member, &m->m_memb_idx, &used);
    add_list(m, &f->out, &m->m_n_out, &m->m_out_idx, &used);
    add_list(m, &f->in, &m->m_n_in, &m->m_in_idx, &used);
    return r;
}

static struct record *link_record(const struct native_event *e, size_t front)
{
    struct reader r = read_from(e->body, e->len);
    read_u32(&r);
    uint8_t kind = read_u8(&r);
    bool up = read_bool(&r);
    uint32_t node = read_u32(&r), index = read_u32(&r), len = read_u8(&r);
    const uint8_t *addr = read_bytes(&r, len);
    struct record *rec = NULL;
    oc_ev_connectivity_t *c;
    if (!read_all(&r) || kind < 1 || kind > 3 || len >= sizeof c->c_addr || (rec = record_new(front + sizeof *c)) == NULL)
        return NULL;
    c = (void *)(rec->data + front);
    header(&c->data_hdr, sizeof *c, OC_EV_SET_CLASS(OC_EV_CONN_CLASS, kind));
    c->c_kind = up ? 1 : 2;
    c->c_node_id = node;
    c->c_ifindex = index;
    if (len > 0) {
        memcpy(c->c_addr, addr, len);
        c->c_addr_family = memchr(addr, ':', len) != NULL ? AF_INET6 : AF_INET;
    }
    return rec;
}

static struct record *group_record(const struct message *m, oc_ed_t event, size_t front)
{
    size_t size = offsetof(oc_ev_message_t, g_data) + m->data_len;
    if (size < sizeof(oc_ev_message_t))
        size = sizeof(oc_ev_message_t);
    struct record *r = record_new(front + size);
    if (r == NULL)
        return NULL;
    oc_ev_message_t *g = (void *)(r->data + front);
    header(&g->data_hdr, size, event);
    g->g_sender_node = m->node;
    g->g_sender_pid = m->pid;
    g->g_msg_id = m->seq != 0 ? (uint32_t)message_number(m->seq) : 0;
    g->g_reply_to = m->re;
    g->g_len = m->data_len;
    if (m->data_len > 0)
        memcpy((uint8_t *)g + offsetof(oc_ev_message_t, g_data), m->data, m->data_len);
    return r;
}

static struct record *entry_record(const struct native_event *e, size_t front)
{
    struct reader r = read_from(e->body, e->len);
    struct message m = { 0 };
    read_u32(&r);
    bool joined = read_bool(&r);
    m.node = read_u32(&r);
    m.pid = read_u32(&r);
    read_bytes(&r, read_u8(&r));
    return read_all(&r) ? group_record(&m, joined ? OC_EV_GS_JOIN : OC_EV_GS_LEAVE, front) : NULL;
}

struct record *record_03(const struct native_event *e, size_t front, bool *skip)
{
    struct fact f;
    struct message m;
    struct record *r = NULL;
    *skip = false;
    switch (e->kind) {
    case EVENT_FACT:
        if (read_fact(e, &f)) {
            *skip = f.kind == FACT_NO_QUORUM;
            r = *skip ? NULL : membership(&f, front);
        }
        free_fact(&f);
        return r;
    case EVENT_LINK:
        return link_record(e, front);
    case EVENT_ENTRY:
        return entry_record(e, front);
    case EVENT_MESSAGE:
        return read_message(e, &m) ? group_record(&m, m.re != 0 ? OC_EV_GS_REPLY : OC_EV_GS_CAST, front) : NULL;
    }
    return NULL;
}
