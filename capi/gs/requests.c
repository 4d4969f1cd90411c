/* requests.c - what programs ask for. Checks are in the order of group services 6. */
#include "gs.h"

#include <stdio.h>

static void write_attributes(struct writer *w, const ha_gs_group_attributes_t *a)
{
    const char *source = a->gs_source_group_name != NULL ? a->gs_source_group_name : "";
    write_u32(w, a->gs_client_version);
    write_u32(w, a->gs_batch_control);
    write_u8(w, (uint8_t)a->gs_num_phases);
    write_u8(w, (uint8_t)a->gs_source_reflection_num_phases);
    write_u8(w, (uint8_t)a->gs_group_default_vote);
    write_u32(w, (uint32_t)a->gs_time_limit);
    write_u32(w, (uint32_t)reflection_limit(a));
    write_text(w, source, strlen(source));
}

static void write_provider(struct writer *w, ha_gs_provider_t p)
{
    write_u16(w, (uint16_t)p.gs_instance_number);
    write_u16(w, (uint16_t)p.gs_node_number);
}

/* The original documents this as the library's only words. */
static void warn_of(const char *group, const char *callback, bool given)
{
    if (!given)
        fprintf(stderr, "ha_gs_join: group \"%s\": no %s callback, its notifications are dropped\n", group, callback);
}

static void warn(const ha_gs_join_request_t *q)
{
    const char *group = q->gs_group_attributes->gs_group_name;
    warn_of(group, "n-phase", q->gs_n_phase_protocol_callback != NULL);
    warn_of(group, "protocol approved", q->gs_protocol_approved_callback != NULL);
    warn_of(group, "protocol rejected", q->gs_protocol_rejected_callback != NULL);
    warn_of(group, "announcement", q->gs_announcement_callback != NULL);
}

/* A role with a copy of the request that it is for. */
static struct role *begin_role(struct gs *g, ha_gs_request_t kind, const char *group, const ha_gs_proposal_info_t *info, ha_gs_rc_t *rc)
{
    ha_gs_proposal_info_t *copy = copy_request(kind, info);
    struct role *r = copy != NULL ? add_role(g, group, kind == HA_GS_JOIN, rc) : NULL;
    if (r == NULL) {
        free(copy);
        *rc = HA_GS_NO_MEMORY;
        return NULL;
    }
    r->join = copy;
    return r;
}

/* Asks the agent for a role; it is gone if that fails. Leaves g. */
static ha_gs_rc_t ask_for_role(struct gs *g, struct role *r, uint16_t function, struct writer *w)
{
    hold_role(r);
    ha_gs_rc_t rc = call(g, function, w);
    if (rc != HA_GS_OK)
        end_role(g, r);
    release_role(g, r);
    native_changed(g->native);
    return leave(g, rc);
}

PUBLIC ha_gs_rc_t ha_gs_join(ha_gs_token_t *token, const ha_gs_proposal_info_t *info)
{
    ha_gs_rc_t rc;
    struct gs *g = enter(true, &rc);
    if (g == NULL)
        return rc;
    if (token == NULL || info == NULL)
        return leave(g, HA_GS_BAD_PARAMETER);
    const ha_gs_join_request_t *q = &info->gs_join_request;
    if ((rc = check_join(q)) != HA_GS_OK)
        return leave(g, rc);
    const ha_gs_group_attributes_t *a = q->gs_group_attributes;
    struct role *r = begin_role(g, HA_GS_JOIN, a->gs_group_name, info, &rc);
    if (r == NULL)
        return leave(g, rc);
    r->self.gs_instance_number = q->gs_provider_instance;
    r->self.gs_node_number = g->node;
    if (a->gs_source_group_name != NULL)
        strcpy(r->source, a->gs_source_group_name);
    *token = r->token; /* callbacks may come before the answer */

    const char *local = q->gs_provider_local_name != NULL ? q->gs_provider_local_name : "";
    struct writer w = { 0 };
    write_u32(&w, (uint32_t)r->token);
    write_text(&w, a->gs_group_name, strlen(a->gs_group_name));
    write_attributes(&w, a);
    write_u16(&w, (uint16_t)q->gs_provider_instance);
    write_text(&w, local, strlen(local));
    rc = ask_for_role(g, r, CALL_JOIN, &w);
    if (rc == HA_GS_OK)
        warn(q);
    return rc;
}

PUBLIC ha_gs_rc_t ha_gs_subscribe(ha_gs_token_t *token, const ha_gs_proposal_info_t *info)
{
    ha_gs_rc_t rc;
    struct gs *g = enter(true, &rc);
    if (g == NULL)
        return rc;
    if (token == NULL || info == NULL)
        return leave(g, HA_GS_BAD_PARAMETER);
    const ha_gs_subscribe_request_t *q = &info->gs_subscribe_request;
    if ((rc = check_subscribe(q)) != HA_GS_OK)
        return leave(g, rc);
    struct role *r = begin_role(g, HA_GS_SUBSCRIPTION, q->gs_subscription_group, info, &rc);
    if (r == NULL)
        return leave(g, rc);
    r->state = MEMBER;
    *token = r->token;

    struct writer w = { 0 };
    write_u32(&w, (uint32_t)r->token);
    write_u32(&w, q->gs_subscription_control);
    write_text(&w, q->gs_subscription_group, strlen(q->gs_subscription_group));
    return ask_for_role(g, r, CALL_SUBSCRIBE, &w);
}

/* What a proposal is sent with. */
struct proposal {
    ha_gs_request_t kind;
    uint16_t function;
    ha_gs_num_phases_t phases;
    ha_gs_time_limit_t limit;
    unsigned int code;               /* of a leave */
    const ha_gs_membership_t *list;  /* of an expel */
    unsigned int deactivate;         /* likewise */
    const void *data;                /* state, message or deactivate flag */
    size_t len;
    const ha_gs_group_attributes_t *attributes;
};

static void write_proposal(struct writer *w, ha_gs_token_t token, const struct proposal *p)
{
    write_u32(w, (uint32_t)token);
    write_u8(w, (uint8_t)p->phases);
    write_u32(w, (uint32_t)p->limit);
    write_u32(w, p->code);
    unsigned count = p->list != NULL ? p->list->gs_count : 0;
    write_u32(w, count);
    for (unsigned i = 0; i < count; i++)
        write_provider(w, p->list->gs_providers[i]);
    write_u32(w, p->deactivate);
    write_text(w, p->data, p->len);
    write_u8(w, p->attributes != NULL);
    if (p->attributes != NULL)
        write_attributes(w, p->attributes);
}

/* The agent freed a token of which the program has still to hear that. */
static ha_gs_rc_t not_any_longer(ha_gs_rc_t rc) { return rc == HA_GS_BAD_MEMBER_TOKEN ? HA_GS_NOT_A_MEMBER : rc; }

static void forget_proposal(struct role *r)
{
    free(r->proposal);
    r->proposal = NULL;
    r->proposed = HA_GS_RESPONSIVENESS;
}

/* Sends a proposal that is right by itself. Leaves g. */
static ha_gs_rc_t send_proposal(struct gs *g, struct role *r, const struct proposal *p, const ha_gs_proposal_info_t *info)
{
    if (r->open || r->proposed != HA_GS_RESPONSIVENESS)
        return leave(g, HA_GS_COLLIDE);
    ha_gs_proposal_info_t *copy = copy_request(p->kind, info);
    if (copy == NULL)
        return leave(g, HA_GS_NO_MEMORY);
    r->proposed = p->kind;
    r->proposal = copy;
    struct writer w = { 0 };
    write_proposal(&w, r->token, p);
    hold_role(r);
    ha_gs_rc_t rc = not_any_longer(call(g, p->function, &w));
    if (rc != HA_GS_OK && r->proposal == copy)
        forget_proposal(r);
    release_role(g, r);
    return leave(g, rc);
}

/* The provider that proposes; NULL: there is none, and g was left with *rc. */
static struct role *proposer(struct gs **g, ha_gs_token_t token, const void *info, ha_gs_rc_t *rc)
{
    *g = enter(true, rc);
    if (*g == NULL)
        return NULL;
    struct role *r = find_role(*g, token, true);
    if (info == NULL)
        *rc = HA_GS_BAD_PARAMETER;
    else if (r == NULL)
        *rc = HA_GS_BAD_MEMBER_TOKEN;
    else if (r->state != MEMBER)
        *rc = HA_GS_NOT_A_MEMBER;
    else
        return r;
    leave(*g, *rc);
    return NULL;
}

PUBLIC ha_gs_rc_t ha_gs_leave(ha_gs_token_t token, const ha_gs_proposal_info_t *info)
{
    struct gs *g;
    ha_gs_rc_t rc;
    struct role *r = proposer(&g, token, info, &rc);
    if (r == NULL)
        return rc;
    const ha_gs_leave_request_t *q = &info->gs_leave_request;
    if ((rc = check_phases(q->gs_num_phases, q->gs_time_limit)) != HA_GS_OK)
        return leave(g, rc);
    struct proposal p = { .kind = HA_GS_LEAVE, .function = CALL_LEAVE, .phases = q->gs_num_phases, .limit = q->gs_time_limit, .code = q->gs_leave_code };
    return send_proposal(g, r, &p, info);
}

PUBLIC ha_gs_rc_t ha_gs_expel(ha_gs_token_t token, const ha_gs_proposal_info_t *info)
{
    struct gs *g;
    ha_gs_rc_t rc;
    struct role *r = proposer(&g, token, info, &rc);
    if (r == NULL)
        return rc;
    const ha_gs_expel_request_t *q = &info->gs_expel_request;
    if ((rc = check_phases(q->gs_num_phases, q->gs_time_limit)) != HA_GS_OK || (rc = check_expel(q)) != HA_GS_OK)
        return leave(g, rc);
    struct proposal p = { .kind = HA_GS_EXPEL, .function = CALL_EXPEL, .phases = q->gs_num_phases, .limit = q->gs_time_limit,
                          .list = &q->gs_expel_list, .deactivate = q->gs_deactivate_phase, .data = q->gs_deactivate_flag,
                          .len = q->gs_deactivate_flag != NULL ? strlen(q->gs_deactivate_flag) : 0 };
    return send_proposal(g, r, &p, info);
}

PUBLIC ha_gs_rc_t ha_gs_change_state_value(ha_gs_token_t token, const ha_gs_proposal_info_t *info)
{
    struct gs *g;
    ha_gs_rc_t rc;
    struct role *r = proposer(&g, token, info, &rc);
    if (r == NULL)
        return rc;
    const ha_gs_state_change_request_t *q = &info->gs_state_change_request;
    if ((rc = check_phases(q->gs_num_phases, q->gs_time_limit)) != HA_GS_OK || (rc = check_state(q->gs_new_state)) != HA_GS_OK)
        return leave(g, rc);
    struct proposal p = { .kind = HA_GS_STATE_VALUE_CHANGE, .function = CALL_STATE, .phases = q->gs_num_phases, .limit = q->gs_time_limit,
                          .data = q->gs_new_state->gs_state, .len = (size_t)q->gs_new_state->gs_length };
    return send_proposal(g, r, &p, info);
}

PUBLIC ha_gs_rc_t ha_gs_send_message(ha_gs_token_t token, const ha_gs_proposal_info_t *info)
{
    struct gs *g;
    ha_gs_rc_t rc;
    struct role *r = proposer(&g, token, info, &rc);
    if (r == NULL)
        return rc;
    const ha_gs_message_request_t *q = &info->gs_message_request;
    if ((rc = check_phases(q->gs_num_phases, q->gs_time_limit)) != HA_GS_OK || (rc = check_message(q->gs_message)) != HA_GS_OK)
        return leave(g, rc);
    struct proposal p = { .kind = HA_GS_PROVIDER_MESSAGE, .function = CALL_MESSAGE, .phases = q->gs_num_phases, .limit = q->gs_time_limit,
                          .data = q->gs_message->gs_message, .len = (size_t)q->gs_message->gs_length };
    return send_proposal(g, r, &p, info);
}

/* Name, merge control and source group cannot be changed. */
static ha_gs_rc_t check_change(const struct role *r, const ha_gs_group_attributes_t *a)
{
    if (a == NULL)
        return HA_GS_BAD_PARAMETER;
    ha_gs_rc_t rc = check_name(a->gs_group_name, HA_GS_BAD_GROUP_ATTRIBUTES);
    if (rc != HA_GS_OK || (rc = check_attributes(a)) != HA_GS_OK)
        return rc;
    const char *source = a->gs_source_group_name != NULL ? a->gs_source_group_name : "";
    return strcmp(a->gs_group_name, r->group->name) != 0 || strcmp(source, r->source) != 0 ? HA_GS_BAD_GROUP_ATTRIBUTES : HA_GS_OK;
}

PUBLIC ha_gs_rc_t ha_gs_change_attributes(ha_gs_token_t token, const ha_gs_proposal_info_t *info)
{
    struct gs *g;
    ha_gs_rc_t rc;
    struct role *r = proposer(&g, token, info, &rc);
    if (r == NULL)
        return rc;
    const ha_gs_change_attributes_t *q = &info->gs_attribute_change_request;
    if ((rc = check_phases(q->gs_num_phases, q->gs_time_limit)) != HA_GS_OK || (rc = check_change(r, q->gs_group_attributes)) != HA_GS_OK)
        return leave(g, rc);
    struct proposal p = { .kind = HA_GS_GROUP_ATTRIBUTE_CHANGE, .function = CALL_ATTRIBUTES, .phases = q->gs_num_phases,
                          .limit = q->gs_time_limit, .attributes = q->gs_group_attributes };
    return send_proposal(g, r, &p, info);
}

static bool right_vote(ha_gs_vote_value_t v) { return v == HA_GS_VOTE_APPROVE || v == HA_GS_VOTE_CONTINUE || v == HA_GS_VOTE_REJECT; }

static bool right_default(ha_gs_vote_value_t v) { return v == HA_GS_NULL_VOTE || v == HA_GS_VOTE_APPROVE || v == HA_GS_VOTE_REJECT; }

static ha_gs_rc_t check_vote(const struct role *r, ha_gs_vote_value_t vote, const ha_gs_state_value_t *state,
                             const ha_gs_provider_message_t *message, ha_gs_vote_value_t standard)
{
    if (r == NULL)
        return HA_GS_BAD_MEMBER_TOKEN;
    if (r->state != JOINING && r->state != MEMBER)
        return HA_GS_NOT_A_MEMBER;
    if (!right_vote(vote) || !right_default(standard))
        return HA_GS_BAD_PARAMETER;
    if ((state != NULL && check_state(state) != HA_GS_OK) || (message != NULL && check_message(message) != HA_GS_OK))
        return HA_GS_BAD_PARAMETER;
    return r->asked ? HA_GS_OK : HA_GS_VOTE_NOT_EXPECTED;
}

PUBLIC ha_gs_rc_t ha_gs_vote(ha_gs_token_t token, ha_gs_vote_value_t vote, const ha_gs_state_value_t *state,
                             const ha_gs_provider_message_t *message, ha_gs_vote_value_t standard)
{
    ha_gs_rc_t rc;
    struct gs *g = enter(true, &rc);
    if (g == NULL)
        return rc;
    struct role *r = find_role(g, token, true);
    if ((rc = check_vote(r, vote, state, message, standard)) != HA_GS_OK)
        return leave(g, rc);
    struct writer w = { 0 };
    write_u32(&w, (uint32_t)token);
    write_u64(&w, r->seq);
    write_u32(&w, r->phase);
    write_u8(&w, (uint8_t)vote);
    write_u8(&w, (uint8_t)standard);
    write_u8(&w, state != NULL);
    if (state != NULL)
        write_text(&w, state->gs_state, (size_t)state->gs_length);
    write_u8(&w, message != NULL);
    if (message != NULL)
        write_text(&w, message->gs_message, (size_t)message->gs_length);

    /* Nobody waits for an answer: what the agent could object to is a phase that is
     * over, and of that the program has still to hear. */
    r->asked = false;
    rc = cast(g, CALL_VOTE, &w);
    if (rc == HA_GS_NO_MEMORY)
        r->asked = true; /* nothing was sent, and nothing happened meanwhile */
    return leave(g, rc);
}

/* Parts with a token: no callback of it starts when this returns, and none of another
 * thread's is at work. Leaves g. */
static ha_gs_rc_t part(struct gs *g, struct role *r, uint16_t function)
{
    enum role_state before = r->state;
    struct writer w = { 0 };
    write_u32(&w, (uint32_t)r->token);
    hold_role(r);
    r->state = LEAVING;
    native_changed(g->native);
    ha_gs_rc_t rc = call(g, function, &w);
    if (rc == HA_GS_BAD_MEMBER_TOKEN || rc == HA_GS_NOT_A_MEMBER)
        rc = HA_GS_OK; /* it had ended, and the program has still to hear of that */
    if (rc == HA_GS_OK) {
        drop_events(g, r->token);
        while (r->running && !in_callback(g, r))
            native_wait(g->native, false);
        end_role(g, r);
    } else if (r->state == LEAVING)
        r->state = before;
    release_role(g, r);
    native_changed(g->native);
    return leave(g, rc);
}

PUBLIC ha_gs_rc_t ha_gs_goodbye(ha_gs_token_t token)
{
    ha_gs_rc_t rc;
    struct gs *g = enter(true, &rc);
    if (g == NULL)
        return rc;
    struct role *r = find_role(g, token, true);
    if (r == NULL)
        return leave(g, HA_GS_BAD_MEMBER_TOKEN);
    if (r->state != JOINING && r->state != MEMBER)
        return leave(g, HA_GS_NOT_A_MEMBER);
    return part(g, r, CALL_GOODBYE);
}

PUBLIC ha_gs_rc_t ha_gs_unsubscribe(ha_gs_token_t token)
{
    ha_gs_rc_t rc;
    struct gs *g = enter(true, &rc);
    if (g == NULL)
        return rc;
    struct role *r = find_role(g, token, false);
    if (r == NULL || r->state == LEAVING)
        return leave(g, HA_GS_BAD_MEMBER_TOKEN);
    if (r->state == ENDED)
        return leave(g, HA_GS_OK); /* as the callback that runs says */
    return part(g, r, CALL_UNSUBSCRIBE);
}

PUBLIC ha_gs_rc_t ha_gs_get_node_number(int *number)
{
    ha_gs_rc_t rc;
    struct gs *g = enter(true, &rc);
    if (g == NULL)
        return rc;
    if (number == NULL)
        return leave(g, HA_GS_BAD_PARAMETER);
    *number = g->node;
    return leave(g, HA_GS_OK);
}

PUBLIC ha_gs_rc_t ha_gs_get_limits(ha_gs_limits_t *limits)
{
    if (limits == NULL)
        return HA_GS_BAD_PARAMETER;
    *limits = (ha_gs_limits_t){
        .gs_max_group_name_length = MAX_NAME,
        .gs_max_state_value_length = HA_GS_MAX_STATE_VALUE_LENGTH,
        .gs_max_message_length = HA_GS_MAX_MESSAGE_LENGTH,
        .gs_max_deactivate_flag_length = HA_GS_MAX_DEACTIVATE_FLAG_LENGTH,
        .gs_max_local_name_length = HA_GS_MAX_LOCAL_NAME_LENGTH,
        .gs_max_providers_per_group = MAX_PROVIDERS,
        .gs_max_groups = 1024,
        .gs_max_tokens_per_client = MAX_TOKENS,
    };
    return HA_GS_OK;
}
