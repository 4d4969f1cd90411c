/* copy.c - deep copies of requests, each in one piece of memory. */
#include "gs.h"

/* Memory that is measured first and filled then, by the same code. */
struct piece {
    uint8_t *data; /* NULL: measure only */
    size_t len;
};

static void *put(struct piece *p, const void *data, size_t len)
{
    if (data == NULL)
        return NULL;
    void *at = p->data != NULL ? p->data + p->len : NULL;
    if (at != NULL)
        memcpy(at, data, len);
    p->len += (len + 16) & ~(size_t)15; /* aligned for what comes behind, and at least one byte more */
    return at;
}

static char *put_string(struct piece *p, const char *s) { return put(p, s, s != NULL ? strlen(s) + 1 : 0); }

static void put_attributes(struct piece *p, ha_gs_group_attributes_t **at)
{
    const ha_gs_group_attributes_t *from = *at;
    ha_gs_group_attributes_t *to = put(p, from, sizeof *from);
    if (from == NULL)
        return;
    char *name = put_string(p, from->gs_group_name), *source = put_string(p, from->gs_source_group_name);
    if (to != NULL) {
        to->gs_version = HA_GS_RELEASE;
        to->gs_sizeof_group_attributes = (short)sizeof *to;
        to->gs_group_name = name;
        to->gs_source_group_name = source;
        *at = to;
    }
}

/* Bytes; there is always room for a NUL behind them. */
static char *put_bytes(struct piece *p, const char *bytes, int len)
{
    char *to = put(p, len > 0 ? bytes : "", (size_t)len);
    if (to != NULL)
        to[len] = '\0';
    return to;
}

static void put_members(struct piece *p, ha_gs_request_t kind, ha_gs_proposal_info_t *q)
{
    char *to;
    switch (kind) {
    case HA_GS_JOIN:
        put_attributes(p, &q->gs_join_request.gs_group_attributes);
        to = put_string(p, q->gs_join_request.gs_provider_local_name);
        if (p->data != NULL)
            q->gs_join_request.gs_provider_local_name = to;
        break;
    case HA_GS_STATE_VALUE_CHANGE: {
        const ha_gs_state_value_t *from = q->gs_state_change_request.gs_new_state;
        ha_gs_state_value_t *v = put(p, from, sizeof *v);
        char *bytes = put_bytes(p, from->gs_state, from->gs_length);
        if (v != NULL) {
            v->gs_state = bytes;
            q->gs_state_change_request.gs_new_state = v;
        }
        break;
    }
    case HA_GS_PROVIDER_MESSAGE: {
        const ha_gs_provider_message_t *from = q->gs_message_request.gs_message;
        ha_gs_provider_message_t *m = put(p, from, sizeof *m);
        char *bytes = put_bytes(p, from->gs_message, from->gs_length);
        if (m != NULL) {
            m->gs_message = bytes;
            q->gs_message_request.gs_message = m;
        }
        break;
    }
    case HA_GS_EXPEL: {
        ha_gs_expel_request_t *e = &q->gs_expel_request;
        void *list = put(p, e->gs_expel_list.gs_providers, e->gs_expel_list.gs_count * sizeof(ha_gs_provider_t));
        void *flag = put_string(p, e->gs_deactivate_flag);
        if (p->data != NULL) {
            e->gs_expel_list.gs_providers = list;
            e->gs_deactivate_flag = flag;
        }
        break;
    }
    case HA_GS_GROUP_ATTRIBUTE_CHANGE:
        put_attributes(p, &q->gs_attribute_change_request.gs_group_attributes);
        q->gs_attribute_change_request.gs_backlevel_providers = NULL;
        break;
    case HA_GS_SUBSCRIPTION:
        to = put_string(p, q->gs_subscribe_request.gs_subscription_group);
        if (p->data != NULL)
            q->gs_subscribe_request.gs_subscription_group = to;
        break;
    default:
        break;
    }
}

/* The member that belongs to the kind; a program need not have more than that. */
static size_t member_size(ha_gs_request_t kind)
{
    switch (kind) {
    case HA_GS_JOIN:
        return sizeof(ha_gs_join_request_t);
    case HA_GS_LEAVE:
        return sizeof(ha_gs_leave_request_t);
    case HA_GS_EXPEL:
        return sizeof(ha_gs_expel_request_t);
    case HA_GS_STATE_VALUE_CHANGE:
        return sizeof(ha_gs_state_change_request_t);
    case HA_GS_PROVIDER_MESSAGE:
        return sizeof(ha_gs_message_request_t);
    case HA_GS_GROUP_ATTRIBUTE_CHANGE:
        return sizeof(ha_gs_change_attributes_t);
    default:
        return sizeof(ha_gs_subscribe_request_t);
    }
}

ha_gs_proposal_info_t *copy_request(ha_gs_request_t kind, const ha_gs_proposal_info_t *info)
{
    ha_gs_proposal_info_t q = { 0 };
    memcpy(&q, info, member_size(kind));
    struct piece p = { 0 };
    put(&p, &q, sizeof q);
    put_members(&p, kind, &q);
    p.data = malloc(p.len);
    if (p.data == NULL)
        return NULL;
    p.len = 0;
    ha_gs_proposal_info_t *copy = put(&p, &q, sizeof q);
    put_members(&p, kind, copy);
    return copy;
}
