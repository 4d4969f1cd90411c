/* decode.c - from the agent's bytes to the blocks that callbacks are given. */
#include "gs.h"

#include <stdalign.h>

/*
 * Each block is one piece of memory: the structures, and behind them what they point
 * to. The encoding of a list or string is never shorter than the list or string
 * itself, but for the NUL behind a string and for alignment, so the length of the
 * event bounds what is needed.
 */
struct room {
    struct reader r;
    uint8_t *free, *end;
};

enum {
    MAX_SPECIAL = 4, /* blocks of special data */
    SLACK = 512      /* NULs, alignment and special blocks of one event */
};

static void *make(struct room *m, const struct native_event *e, size_t size)
{
    size_t len = size + e->len + SLACK;
    uint8_t *block = calloc(1, len);
    *m = (struct room){ .r = read_from(e->body, e->len), .end = block != NULL ? block + len : NULL, .free = block != NULL ? block + size : NULL };
    return block;
}

/* Gives the block out if it was read to its end. */
static void *made(const struct room *m, void *block)
{
    if (read_all(&m->r))
        return block;
    free(block);
    return NULL;
}

static void *take_room(struct room *m, size_t len)
{
    size_t skip = -(uintptr_t)m->free % alignof(max_align_t);
    if (m->r.bad || skip + len > (size_t)(m->end - m->free)) {
        m->r.bad = true;
        return NULL;
    }
    uint8_t *at = m->free + skip;
    m->free = at + len;
    return at;
}

static ha_gs_provider_t read_provider(struct reader *r)
{
    ha_gs_provider_t p;
    p.gs_instance_number = (short)read_u16(r);
    p.gs_node_number = (short)read_u16(r);
    return p;
}

static void read_providers(struct room *m, ha_gs_membership_t *list)
{
    unsigned count = read_count(&m->r, sizeof(ha_gs_provider_t));
    list->gs_providers = take_room(m, count * sizeof(ha_gs_provider_t));
    for (unsigned i = 0; i < count && list->gs_providers != NULL; i++)
        list->gs_providers[i] = read_provider(&m->r);
    list->gs_count = list->gs_providers != NULL ? count : 0;
}

static void read_leaves(struct room *m, ha_gs_leave_array_t *list)
{
    unsigned count = read_count(&m->r, 8);
    list->gs_leave_codes = take_room(m, count * sizeof(ha_gs_leave_info_t));
    for (unsigned i = 0; i < count && list->gs_leave_codes != NULL; i++) {
        list->gs_leave_codes[i].gs_voluntary_or_failure = (ha_gs_leave_reasons_t)read_u32(&m->r);
        list->gs_leave_codes[i].gs_voluntary_leave_code = read_u32(&m->r);
    }
    list->gs_count = list->gs_leave_codes != NULL ? count : 0;
}

static char *read_string(struct room *m, size_t limit, int *len)
{
    uint32_t n;
    const uint8_t *bytes = read_text(&m->r, limit, &n);
    char *s = take_room(m, (size_t)n + 1);
    if (bytes == NULL || s == NULL) {
        m->r.bad = true;
        return NULL;
    }
    memcpy(s, bytes, n);
    s[n] = '\0';
    if (len != NULL)
        *len = (int)n;
    return s;
}

static char *read_optional(struct room *m, size_t limit, int *len)
{
    return read_bool(&m->r) ? read_string(m, limit, len) : NULL;
}

/* A value that may be absent; true: it is there. */
static bool read_value(struct room *m, ha_gs_state_value_t *v)
{
    v->gs_state = read_optional(m, HA_GS_MAX_STATE_VALUE_LENGTH, &v->gs_length);
    return v->gs_state != NULL;
}

static void read_attributes(struct room *m, ha_gs_group_attributes_t *a)
{
    a->gs_version = HA_GS_RELEASE;
    a->gs_sizeof_group_attributes = (short)sizeof *a;
    a->gs_client_version = read_u32(&m->r);
    a->gs_batch_control = read_u32(&m->r);
    a->gs_num_phases = (ha_gs_num_phases_t)read_u8(&m->r);
    a->gs_source_reflection_num_phases = (ha_gs_num_phases_t)read_u8(&m->r);
    a->gs_group_default_vote = (ha_gs_vote_value_t)read_u8(&m->r);
    a->gs_merge_control = HA_GS_DISSOLVE_MERGE;
    a->gs_time_limit = (ha_gs_time_limit_t)read_u32(&m->r);
    a->gs_source_reflection_time_limit = (ha_gs_time_limit_t)read_u32(&m->r);
    a->gs_source_group_name = read_string(m, MAX_NAME, NULL);
}

static ha_gs_notification_type_t notification_type(uint16_t event)
{
    switch (event) {
    case EVENT_N_PHASE:
        return HA_GS_N_PHASE_NOTIFICATION;
    case EVENT_APPROVED:
        return HA_GS_APPROVED_NOTIFICATION;
    default:
        return HA_GS_REJECTED_NOTIFICATION;
    }
}

/* What stands in front of the proposal. The blocks of approval and rejection are
 * alike. */
static void read_head(struct notification *n, struct reader *r, uint16_t event)
{
    ha_gs_token_t token = (ha_gs_token_t)read_u32(r);
    ha_gs_request_t kind = (ha_gs_request_t)read_u8(r);
    n->seq = read_u64(r);
    ha_gs_summary_code_t summary = read_u32(r);
    ha_gs_time_limit_t limit = (ha_gs_time_limit_t)read_u32(r);
    if (event == EVENT_N_PHASE)
        n->block.n_phase = (ha_gs_n_phase_notification_t){ notification_type(event), token, kind, summary, limit, &n->proposal };
    else if (event == EVENT_APPROVED)
        n->block.approved = (ha_gs_approved_notification_t){ notification_type(event), token, kind, summary, &n->proposal };
    else
        n->block.rejected = (ha_gs_rejected_notification_t){ notification_type(event), token, kind, summary, &n->proposal };
}

static bool leaves_of(ha_gs_request_t kind)
{
    return kind == HA_GS_LEAVE || kind == HA_GS_FAILURE_LEAVE || kind == HA_GS_CAST_OUT || kind == HA_GS_EXPEL;
}

struct notification *decode_notification(const struct native_event *e, const struct role *role)
{
    struct room m;
    struct notification *n = make(&m, e, sizeof *n);
    if (n == NULL)
        return NULL;
    ha_gs_proposal_t *p = &n->proposal;
    read_head(n, &m.r, e->kind);
    ha_gs_request_t kind = n->block.approved.gs_protocol_type; /* at the same place in all three */

    p->gs_phase_info.gs_num_phases = (ha_gs_num_phases_t)read_u8(&m.r);
    p->gs_phase_info.gs_phase_number = read_u32(&m.r);
    p->gs_proposed_by = read_provider(&m.r);
    p->gs_whats_changed = read_u32(&m.r);
    read_providers(&m, &n->current);
    p->gs_current_providers = &n->current;
    read_providers(&m, &n->changing);
    p->gs_changing_providers = kind == HA_GS_JOIN || leaves_of(kind) ? &n->changing : NULL;
    read_leaves(&m, &n->leaves);
    if (leaves_of(kind)) {
        p->gs_leave_info = &n->leaves;
        m.r.bad |= n->leaves.gs_count != n->changing.gs_count;
    }
    n->expel.gs_deactivate_phase = read_u32(&m.r);
    n->expel.gs_deactivate_flag = read_optional(&m, HA_GS_MAX_DEACTIVATE_FLAG_LENGTH, NULL);
    if (n->expel.gs_deactivate_flag == NULL)
        n->expel.gs_deactivate_flag = take_room(&m, 1);
    p->gs_expel_info = kind == HA_GS_EXPEL ? &n->expel : NULL;
    n->state.gs_state = read_string(&m, HA_GS_MAX_STATE_VALUE_LENGTH, &n->state.gs_length);
    p->gs_current_state_value = &n->state;
    p->gs_proposed_state_value = read_value(&m, &n->proposed) ? &n->proposed : NULL;
    p->gs_source_state_value = read_value(&m, &n->source) ? &n->source : NULL;
    n->message.gs_message = read_optional(&m, HA_GS_MAX_MESSAGE_LENGTH, &n->message.gs_length);
    p->gs_provider_message = n->message.gs_message != NULL ? &n->message : NULL;
    if (read_bool(&m.r)) {
        read_attributes(&m, &n->attributes);
        n->attributes.gs_group_name = (char *)role->group->name;
        p->gs_new_group_attributes = &n->attributes;
    }
    return made(&m, n);
}

struct announcement *decode_announcement(const struct native_event *e)
{
    struct room m;
    struct announcement *a = make(&m, e, sizeof *a);
    if (a == NULL)
        return NULL;
    a->block.gs_notification_type = HA_GS_ANNOUNCEMENT_NOTIFICATION;
    a->block.gs_provider_token = (ha_gs_token_t)read_u32(&m.r);
    a->block.gs_summary_code = read_u32(&m.r);
    read_providers(&m, &a->list);
    a->block.gs_announcement = &a->list;
    a->ends = read_bool(&m.r);
    return made(&m, a);
}

/* A list of blocks: kind, size of an entry, and the entries. Three kinds are known, and
 * no block is there twice. */
static void read_special(struct room *m, ha_gs_special_data_t *d)
{
    ha_gs_special_block_t **last = &d->gs_special_data;
    uint32_t count = read_count(&m->r, 12);
    m->r.bad |= count > MAX_SPECIAL;
    for (uint32_t i = 0; i < count && !m->r.bad; i++) {
        ha_gs_special_block_t *b = take_room(m, sizeof *b);
        uint32_t flag = read_u32(&m->r), size = read_u32(&m->r);
        int len = 0;
        char *data = read_string(m, MAX_PROVIDERS * sizeof(ha_gs_ip_addr), &len);
        if (b == NULL || data == NULL || size == 0 || (uint32_t)len % size != 0) {
            m->r.bad = true;
            return;
        }
        *b = (ha_gs_special_block_t){ .gs_special_flag = flag, .gs_special_num_entries = len / (int)size, .gs_special_length = (int)size, .gs_special = data };
        *last = b;
        last = &b->gs_next_special_block;
        d->gs_flag |= flag;
        d->gs_length++;
    }
}

struct subscription *decode_subscription(const struct native_event *e)
{
    struct room m;
    struct subscription *s = make(&m, e, sizeof *s);
    if (s == NULL)
        return NULL;
    ha_gs_subscription_notification_t *b = &s->block;
    const ha_gs_subscription_type_t deltas = HA_GS_SUBSCRIPTION_DELTA_JOIN | HA_GS_SUBSCRIPTION_DELTA_LEAVE;
    b->gs_notification_type = HA_GS_SUBSCRIPTION_NOTIFICATION;
    b->gs_subscriber_token = (ha_gs_token_t)read_u32(&m.r);
    b->gs_subscription_type = read_u32(&m.r);
    if (read_value(&m, &s->state) && (b->gs_subscription_type & HA_GS_SUBSCRIPTION_STATE) != 0)
        b->gs_state_value = &s->state;
    read_providers(&m, &s->full);
    if ((b->gs_subscription_type & HA_GS_SUBSCRIPTION_MEMBERSHIP) != 0)
        b->gs_full_membership = &s->full;
    read_providers(&m, &s->changing);
    if ((b->gs_subscription_type & deltas) != 0)
        b->gs_changing_membership = &s->changing;
    read_special(&m, &s->special);
    if ((b->gs_subscription_type & HA_GS_SUBSCRIPTION_SPECIAL_DATA) != 0)
        b->gs_subscription_special_data = &s->special;
    s->ends = read_bool(&m.r);
    return made(&m, s);
}

struct delayed_error *decode_delayed_error(const struct native_event *e)
{
    struct room m;
    struct delayed_error *d = make(&m, e, sizeof *d);
    if (d == NULL)
        return NULL;
    d->block.gs_notification_type = HA_GS_DELAYED_ERROR_NOTIFICATION;
    d->block.gs_request_token = (ha_gs_token_t)read_u32(&m.r);
    d->block.gs_protocol_type = (ha_gs_request_t)read_u8(&m.r);
    d->block.gs_delayed_return_code = (ha_gs_rc_t)read_u16(&m.r);
    read_u64(&m.r); /* the request's number; its token and kind say the same */
    read_providers(&m, &d->list);
    d->ends = read_bool(&m.r);
    m.r.bad |= d->block.gs_delayed_return_code > HA_GS_BACKLEVEL_PROVIDERS;
    return made(&m, d);
}
