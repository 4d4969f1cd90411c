/* Callbacks: each is one line, in the notation of package groupstest. */
#include "drive.h"

#include <stdio.h>
#include <string.h>

static const char *const summary_bits[] = {"EA", "ER", "DA", "DR", "TL", "PF", "NR", "RS", "GD", "died", "DU", "DT", NULL};
static const char *const change_bits[] = {"PM", "OM", "UM", "RM", "PS", "OS", "US", "RS", "UPM", "REFL", "PA", "OA", "UA", "RA", "EX", NULL};
static const char *const got_bits[] = {"S", "DJ", "DL", "M", "?", "?", "SD", "DISSOLVED", "DIED", NULL};
static const char *const reasons[] = {"voluntary", "failure", "host", "expelled", "source", "goodbye", NULL};

static void add_bits(struct text *t, unsigned v, const char *const *names)
{
    const char *sep = "";
    if (v == 0)
        add(t, "0");
    for (int i = 0; names[i]; i++) {
        if (v & 1u << i) {
            add(t, "%s%s", sep, names[i]);
            sep = "|";
        }
        v &= ~(1u << i);
    }
    if (v)
        add(t, "|?%#x", v);
}

static void add_list(struct text *t, const char *head, const ha_gs_membership_t *m)
{
    add(t, "%s", head);
    for (unsigned i = 0; i < m->gs_count; i++)
        add(t, "%s%d/%d", i ? "," : "", m->gs_providers[i].gs_instance_number, m->gs_providers[i].gs_node_number);
}

static void add_bytes(struct text *t, const char *head, const char *p, int n)
{
    add(t, "%s\"%.*s\"", head, n, p ? p : "");
}

/* event tells of a callback and does what was to be done then. */
static void event(int token, bool may_end, const struct text *t)
{
    char then[256] = "";
    if (tagged) {
        struct text line = {0};
        pthread_mutex_lock(&all.mu);
        add(&line, "%s %s", all.of_token[token] ? all.of_token[token]->name : "?", t->s);
        pthread_mutex_unlock(&all.mu);
        tell('!', token, may_end, line.s);
    } else {
        tell('!', token, may_end, t->s);
    }
    pthread_mutex_lock(&all.mu);
    if (all.on_kind[0] && strncmp(t->s, all.on_kind, strlen(all.on_kind)) == 0) {
        snprintf(then, sizeof then, "%s", all.on_command);
        all.on_kind[0] = '\0';
    }
    pthread_mutex_unlock(&all.mu);
    if (then[0]) {
        struct text answer = {0}, line = {0};
        command(then, &answer);
        if (strcmp(answer.s, "OK") != 0) {
            add(&line, "then %s", answer.s);
            tell('!', token, false, line.s);
        }
    }
}

static atomic_int inside[TOKENS];

/* enter begins a callback of a token, leave ends it: they never overlap. */
static struct role *enter(int token)
{
    if (token < 0 || token >= TOKENS)
        die("callback with token %d", token);
    if (atomic_fetch_add(&inside[token], 1) != 0)
        say('!', "OVERLAP");
    pthread_mutex_lock(&all.mu);
    struct role *r = all.of_token[token];
    while (r && r->slow)
        pthread_cond_wait(&all.moved, &all.mu);
    pthread_mutex_unlock(&all.mu);
    if (!r)
        say('!', "CALLBACK WITHOUT A ROLE");
    return r;
}

static void leave(int token) { atomic_fetch_sub(&inside[token], 1); }

static const char *const kinds[] = {"responsiveness", "join", "failure-leave", "leave", "expel", "state", "message",
                                    "cast-out", "reflection", "merge", "subscription", "attributes"};

static void add_proposer(struct text *t, ha_gs_request_t kind, const ha_gs_proposal_t *p)
{
    ha_gs_provider_t by = p->gs_proposed_by, clear = {.gs_provider_id = 0};
    clear.gs_instance_number = clear.gs_node_number = -1;
    switch (kind) {
    case HA_GS_JOIN:
    case HA_GS_LEAVE:
        if (p->gs_changing_providers && p->gs_changing_providers->gs_count)
            clear = p->gs_changing_providers->gs_providers[0];
        break;
    case HA_GS_FAILURE_LEAVE:
    case HA_GS_CAST_OUT:
    case HA_GS_SOURCE_STATE_REFLECTION:
        break;
    default:
        clear.gs_instance_number = -2; /* always said */
    }
    if (by.gs_provider_id != clear.gs_provider_id)
        add(t, " by=%d/%d", by.gs_instance_number, by.gs_node_number);
}

static void add_proposal(struct text *t, ha_gs_request_t kind, ha_gs_summary_code_t summary, const ha_gs_proposal_t *p)
{
    add(t, " %s %u ", kinds[kind], p->gs_phase_info.gs_phase_number);
    add_bits(t, summary, summary_bits);
    add(t, " ");
    add_bits(t, p->gs_whats_changed, change_bits);
    add_list(t, " cur=", p->gs_current_providers);
    if (p->gs_changing_providers)
        add_list(t, " chg=", p->gs_changing_providers);
    if (p->gs_leave_info) {
        for (unsigned i = 0; i < p->gs_leave_info->gs_count; i++) {
            const ha_gs_leave_info_t *l = &p->gs_leave_info->gs_leave_codes[i];
            add(t, " ");
            add_bits(t, l->gs_voluntary_or_failure, reasons);
            if (l->gs_voluntary_leave_code)
                add(t, ":%u", l->gs_voluntary_leave_code);
        }
        if (p->gs_leave_info->gs_count != p->gs_changing_providers->gs_count)
            add(t, " LEAVES");
    }
    if (p->gs_expel_info)
        add(t, " flag=\"%s\"@%u", p->gs_expel_info->gs_deactivate_flag, p->gs_expel_info->gs_deactivate_phase);
    if (!p->gs_current_state_value)
        add(t, " NO STATE");
    else if (p->gs_current_state_value->gs_length)
        add_bytes(t, " ", p->gs_current_state_value->gs_state, p->gs_current_state_value->gs_length);
    if (p->gs_proposed_state_value)
        add_bytes(t, " prop=", p->gs_proposed_state_value->gs_state, p->gs_proposed_state_value->gs_length);
    if (p->gs_source_state_value)
        add_bytes(t, " src=", p->gs_source_state_value->gs_state, p->gs_source_state_value->gs_length);
    if (p->gs_provider_message)
        add_bytes(t, " msg=", p->gs_provider_message->gs_message, p->gs_provider_message->gs_length);
    if (p->gs_new_group_attributes)
        add(t, " limit=%d", p->gs_new_group_attributes->gs_time_limit);
    add_proposer(t, kind, p);
}

void on_phase(const ha_gs_n_phase_notification_t *n)
{
    struct role *r = enter(n->gs_provider_token);
    struct text t = {0};
    add(&t, "NP");
    add_proposal(&t, n->gs_protocol_type, n->gs_summary_code, n->gs_proposal);
    if (n->gs_time_limit)
        add(&t, " within=%d", n->gs_time_limit);
    if (n->gs_notification_type != HA_GS_N_PHASE_NOTIFICATION || n->gs_proposal->gs_phase_info.gs_num_phases != HA_GS_N_PHASE)
        add(&t, " WRONG TYPE");
    event(n->gs_provider_token, false, &t);

    char plan[128] = "", *w[WORDS];
    pthread_mutex_lock(&all.mu);
    if (r && r->next < r->plans)
        snprintf(plan, sizeof plan, "%s", r->plan[r->next++]);
    else if (!all.quiet)
        snprintf(plan, sizeof plan, "approve");
    pthread_mutex_unlock(&all.mu);
    if (plan[0] && strcmp(plan, "none") != 0) {
        ha_gs_rc_t rc = cast(n->gs_provider_token, w, split(plan, ",", w));
        if (rc != HA_GS_OK) {
            struct text failed = {0};
            add(&failed, "vote %s", code(rc));
            tell('!', n->gs_provider_token, false, failed.s);
        }
    }
    leave(n->gs_provider_token);
}

/* lose_fence has the next fence joined anew. */
static void lose_fence(void)
{
    pthread_mutex_lock(&all.mu);
    all.fence = -1;
    all.fence_joined = false;
    pthread_cond_broadcast(&all.moved);
    pthread_mutex_unlock(&all.mu);
}

static bool at_fence(int token, ha_gs_request_t kind, const ha_gs_proposal_t *p)
{
    struct text t = {0};
    pthread_mutex_lock(&all.mu);
    bool yes = token == all.fence;
    if (yes && kind == HA_GS_JOIN)
        all.fence_joined = true;
    pthread_cond_broadcast(&all.moved);
    pthread_mutex_unlock(&all.mu);
    if (yes && p->gs_provider_message) {
        add(&t, "%.*s", p->gs_provider_message->gs_length, p->gs_provider_message->gs_message);
        tell('~', token, false, t.s);
    }
    return yes;
}

void on_approved(const ha_gs_approved_notification_t *n)
{
    struct text t = {0};
    enter(n->gs_provider_token);
    if (!at_fence(n->gs_provider_token, n->gs_protocol_type, n->gs_proposal)) {
        add(&t, "AP");
        add_proposal(&t, n->gs_protocol_type, n->gs_summary_code, n->gs_proposal);
        if (n->gs_notification_type != HA_GS_APPROVED_NOTIFICATION)
            add(&t, " WRONG TYPE");
        event(n->gs_provider_token, false, &t);
    }
    leave(n->gs_provider_token);
}

void on_rejected(const ha_gs_rejected_notification_t *n)
{
    struct text t = {0};
    enter(n->gs_provider_token);
    add(&t, "RJ");
    add_proposal(&t, n->gs_protocol_type, n->gs_summary_code, n->gs_proposal);
    if (n->gs_notification_type != HA_GS_REJECTED_NOTIFICATION)
        add(&t, " WRONG TYPE");
    event(n->gs_provider_token, false, &t);
    leave(n->gs_provider_token);
}

void on_announcement(const ha_gs_announcement_notification_t *n)
{
    struct text t = {0};
    enter(n->gs_provider_token);
    pthread_mutex_lock(&all.mu);
    bool fenced = n->gs_provider_token == all.fence;
    pthread_mutex_unlock(&all.mu);
    if (fenced && n->gs_summary_code & (HA_GS_GROUP_DISSOLVED | HA_GS_GROUP_SERVICES_HAS_DIED_HORRIBLY))
        lose_fence();
    if (!fenced) {
        add(&t, "AN ");
        add_bits(&t, n->gs_summary_code, summary_bits);
        if (n->gs_announcement) {
            add_list(&t, " [", n->gs_announcement);
            add(&t, "]");
        }
        if (n->gs_notification_type != HA_GS_ANNOUNCEMENT_NOTIFICATION)
            add(&t, " WRONG TYPE");
        event(n->gs_provider_token, true, &t);
    }
    leave(n->gs_provider_token);
}

void on_subscription(const ha_gs_subscription_notification_t *n)
{
    struct text t = {0};
    enter(n->gs_subscriber_token);
    unsigned has = n->gs_subscription_type;
    add(&t, "SU ");
    add_bits(&t, has, got_bits);
    if (n->gs_full_membership)
        add_list(&t, " full=", n->gs_full_membership);
    if (n->gs_changing_membership)
        add_list(&t, " chg=", n->gs_changing_membership);
    if (n->gs_state_value)
        add_bytes(&t, " ", n->gs_state_value->gs_state, n->gs_state_value->gs_length);
    if (n->gs_subscription_special_data)
        add(&t, " special=%d", n->gs_subscription_special_data->gs_length);
    if (!n->gs_full_membership != !(has & HA_GS_SUBSCRIPTION_MEMBERSHIP) || !n->gs_state_value != !(has & HA_GS_SUBSCRIPTION_STATE) ||
        !n->gs_changing_membership != !(has & (HA_GS_SUBSCRIPTION_DELTA_JOIN | HA_GS_SUBSCRIPTION_DELTA_LEAVE)) ||
        !n->gs_subscription_special_data != !(has & HA_GS_SUBSCRIPTION_SPECIAL_DATA) ||
        n->gs_notification_type != HA_GS_SUBSCRIPTION_NOTIFICATION)
        add(&t, " WRONG FIELDS");
    event(n->gs_subscriber_token, true, &t);
    leave(n->gs_subscriber_token);
}

void describe(struct text *t, ha_gs_request_t kind, const ha_gs_proposal_info_t *q)
{
    add(t, "%s ", kinds[kind]);
    switch (kind) {
    case HA_GS_JOIN: {
        const ha_gs_group_attributes_t *a = q->gs_join_request.gs_group_attributes;
        add(t, "%s %d %u %d %s", a->gs_group_name, q->gs_join_request.gs_provider_instance, a->gs_batch_control, a->gs_time_limit,
            a->gs_source_group_name ? a->gs_source_group_name : "");
        break;
    }
    case HA_GS_LEAVE:
        add(t, "%d %d %u", q->gs_leave_request.gs_num_phases, q->gs_leave_request.gs_time_limit, q->gs_leave_request.gs_leave_code);
        break;
    case HA_GS_EXPEL:
        add_list(t, "", &q->gs_expel_request.gs_expel_list);
        add(t, " %d %d %u %s", q->gs_expel_request.gs_num_phases, q->gs_expel_request.gs_time_limit,
            q->gs_expel_request.gs_deactivate_phase, q->gs_expel_request.gs_deactivate_flag ? q->gs_expel_request.gs_deactivate_flag : "");
        break;
    case HA_GS_STATE_VALUE_CHANGE:
        add(t, "%d %d", q->gs_state_change_request.gs_num_phases, q->gs_state_change_request.gs_time_limit);
        add_bytes(t, " ", q->gs_state_change_request.gs_new_state->gs_state, q->gs_state_change_request.gs_new_state->gs_length);
        break;
    case HA_GS_PROVIDER_MESSAGE:
        add(t, "%d %d", q->gs_message_request.gs_num_phases, q->gs_message_request.gs_time_limit);
        add_bytes(t, " ", q->gs_message_request.gs_message->gs_message, q->gs_message_request.gs_message->gs_length);
        break;
    case HA_GS_GROUP_ATTRIBUTE_CHANGE: {
        const ha_gs_group_attributes_t *a = q->gs_attribute_change_request.gs_group_attributes;
        add(t, "%s %d %u %d", a->gs_group_name, q->gs_attribute_change_request.gs_num_phases, a->gs_batch_control, a->gs_time_limit);
        break;
    }
    case HA_GS_SUBSCRIPTION:
        add(t, "%s %u", q->gs_subscribe_request.gs_subscription_group, q->gs_subscribe_request.gs_subscription_control);
        break;
    default:
        add(t, "?");
    }
}

void on_delayed_error(const ha_gs_delayed_error_notification_t *n)
{
    struct text t = {0}, copy = {0};
    int token = n->gs_request_token;
    enter(token);
    add(&t, "DE %s %d", kinds[n->gs_protocol_type], n->gs_delayed_return_code);
    if (n->gs_failing_request)
        describe(&copy, n->gs_protocol_type, n->gs_failing_request);
    pthread_mutex_lock(&all.mu);
    bool fenced = token == all.fence;
    if (strcmp(copy.s, all.last_request[token]) != 0)
        add(&t, " COPY %s OF %s", copy.s, all.last_request[token]);
    pthread_mutex_unlock(&all.mu);
    if (n->gs_notification_type != HA_GS_DELAYED_ERROR_NOTIFICATION)
        add(&t, " WRONG TYPE");
    if (fenced)
        lose_fence();
    else
        event(token, true, &t);
    leave(token);
}

ha_gs_callback_rc_t on_check(const ha_gs_responsiveness_notification_t *n)
{
    const ha_gs_responsiveness_t *got = &n->gs_responsiveness_information;
    if (n->gs_notification_type != HA_GS_RESPONSIVENESS_NOTIFICATION || got->gs_responsiveness_type != control.gs_responsiveness_type ||
        got->gs_responsiveness_interval != control.gs_responsiveness_interval ||
        got->gs_responsiveness_response_time_limit != control.gs_responsiveness_response_time_limit)
        say('!', "RN WRONG FIELDS");
    atomic_fetch_add(&checks, 1);
    pthread_mutex_lock(&all.mu);
    while (all.answers == ANSWER_STALL)
        pthread_cond_wait(&all.moved, &all.mu);
    bool bad = all.answers == ANSWER_BAD;
    pthread_mutex_unlock(&all.mu);
    return bad ? HA_GS_CALLBACK_NOT_OK : HA_GS_CALLBACK_OK;
}
