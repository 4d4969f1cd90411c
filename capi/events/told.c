/* told.c - reading what the service tells. */
#include "events.h"

static void read_list(struct reader *r, struct list *l)
{
    uint32_t n = read_count(r, 4 + 4 + 4 + 1 + 1 + 8);
    if (n == 0)
        return;
    l->member = calloc(n, sizeof *l->member);
    if (l->member == NULL) {
        r->bad = true;
        return;
    }
    l->n = n;
    for (uint32_t i = 0; i < n; i++) {
        struct member *m = &l->member[i];
        m->id = read_u32(r);
        m->born = read_u32(r);
        m->since = read_u32(r);
        m->len = read_u8(r);
        m->name = read_bytes(r, m->len);
        read_bytes(r, read_u8(r)); /* address */
        read_u64(r);               /* boot time */
    }
}

bool read_fact(const struct native_event *e, struct fact *f)
{
    struct reader r = read_from(e->body, e->len);
    *f = (struct fact){ 0 };
    read_u32(&r);
    f->kind = read_u8(&r);
    f->seq = read_u32(&r);
    f->trans = read_u32(&r);
    read_bool(&r);
    read_list(&r, &f->members);
    read_list(&r, &f->in);
    read_list(&r, &f->out);
    return e->kind == EVENT_FACT && f->kind >= FACT_NEW && f->kind <= FACT_NO_QUORUM && read_all(&r);
}

void free_fact(struct fact *f)
{
    free(f->members.member);
    free(f->in.member);
    free(f->out.member);
}

bool read_message(const struct native_event *e, struct message *m)
{
    struct reader r = read_from(e->body, e->len);
    uint32_t len;
    *m = (struct message){ 0 };
    read_bytes(&r, 4 + 8); /* registration, missed */
    m->topic_len = read_u16(&r);
    m->topic = read_bytes(&r, m->topic_len);
    read_u64(&r);
    m->seq = read_u64(&r);
    m->node = read_u32(&r);
    m->pid = read_u32(&r);
    m->re = read_u32(&r);
    read_bytes(&r, 1 + 8 + 8); /* priority, retention, time */
    read_text(&r, SIZE_MAX, &len);
    for (uint32_t n = read_count(&r, 4); n > 0; n--)
        read_text(&r, SIZE_MAX, &len);
    m->data = read_text(&r, MAX_DATA, &m->data_len);
    return read_all(&r) && m->seq != 0 && m->topic_len <= MAX_NAME;
}

int32_t message_number(uint64_t seq) { return (int32_t)((seq - 1) % INT32_MAX) + 1; }

uint8_t read_why(const struct native_event *e)
{
    struct reader r = read_from(e->body, e->len);
    read_u32(&r);
    return read_u8(&r);
}
