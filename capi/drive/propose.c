/* Commands that are requests of the interface. */
#include "drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char suffix[40];

static ha_gs_vote_value_t vote_named(const char *s)
{
    return strcmp(s, "approve") == 0    ? HA_GS_VOTE_APPROVE
           : strcmp(s, "continue") == 0 ? HA_GS_VOTE_CONTINUE
           : strcmp(s, "reject") == 0   ? HA_GS_VOTE_REJECT
                                        : HA_GS_NULL_VOTE;
}

ha_gs_rc_t cast(int token, char **w, int n)
{
    char s[4096], m[4096];
    ha_gs_state_value_t state = {0};
    ha_gs_provider_message_t message = {0};
    const char *sv = value_of(w, n, "state"), *mv = value_of(w, n, "message"), *d = value_of(w, n, "default");
    if (sv) {
        state.gs_state = expand(sv, s, sizeof s);
        state.gs_length = (int)strlen(s);
    }
    if (mv) {
        message.gs_message = expand(mv, m, sizeof m);
        message.gs_length = (int)strlen(m);
    }
    return ha_gs_vote(token, vote_named(w[0]), sv ? &state : NULL, mv ? &message : NULL, d ? vote_named(d) : HA_GS_NULL_VOTE);
}

static void group_name(const char *word, char *out, size_t size)
{
    if (word[0] == '=')
        expand(word + 1, out, size);
    else
        snprintf(out, size, "%s%s", word, suffix);
}

static void attributes(ha_gs_group_attributes_t *a, char *name, char *source, size_t size, char **w, int n)
{
    memset(a, 0, sizeof *a);
    a->gs_sizeof_group_attributes = sizeof *a;
    a->gs_group_name = name;
    a->gs_batch_control = HA_GS_NO_BATCHING;
    a->gs_num_phases = HA_GS_1_PHASE;
    a->gs_source_reflection_num_phases = HA_GS_1_PHASE;
    a->gs_group_default_vote = HA_GS_VOTE_APPROVE;
    a->gs_merge_control = HA_GS_DISSOLVE_MERGE;
    for (int i = 0; i < n; i++) {
        char *v = strchr(w[i], '=');
        const char *value = v ? v + 1 : "";
        size_t len = v ? (size_t)(v - w[i]) : strlen(w[i]);
#define IS(s) (len == strlen(s) && strncmp(w[i], s, len) == 0)
        if (IS("G1"))
            a->gs_num_phases = HA_GS_1_PHASE;
        else if (IS("GN"))
            a->gs_num_phases = HA_GS_N_PHASE;
        else if (IS("reject"))
            a->gs_group_default_vote = HA_GS_VOTE_REJECT;
        else if (IS("default"))
            a->gs_group_default_vote = HA_GS_VOTE_CONTINUE;
        else if (IS("limit"))
            a->gs_time_limit = atoi(value);
        else if (IS("phases"))
            a->gs_num_phases = (ha_gs_num_phases_t)atoi(value);
        else if (IS("batch"))
            a->gs_batch_control |= strcmp(value, "joins") == 0    ? HA_GS_BATCH_JOINS
                                   : strcmp(value, "leaves") == 0 ? HA_GS_BATCH_LEAVES
                                   : strcmp(value, "both") == 0   ? HA_GS_BATCH_BOTH
                                                                  : (unsigned)atoi(value);
        else if (IS("deactivate"))
            a->gs_batch_control |= HA_GS_DEACTIVATE_ON_FAILURE;
        else if (IS("source")) {
            group_name(value, source, size);
            a->gs_source_group_name = source;
        } else if (IS("reflect"))
            a->gs_source_reflection_num_phases = HA_GS_N_PHASE;
        else if (IS("reflectlimit"))
            a->gs_source_reflection_time_limit = atoi(value);
        else if (IS("version"))
            a->gs_client_version = (unsigned)atoi(value);
        else if (IS("merge"))
            a->gs_merge_control = HA_GS_LARGER_MERGE;
#undef IS
    }
}

static unsigned wanted(const char *list)
{
    static const struct { const char *name; unsigned bits; } kinds[] = {
        {"state", HA_GS_SUBSCRIBE_STATE}, {"joins", HA_GS_SUBSCRIBE_DELTA_JOINS}, {"leaves", HA_GS_SUBSCRIBE_DELTA_LEAVES},
        {"deltas", HA_GS_SUBSCRIBE_DELTAS_ONLY}, {"membership", HA_GS_SUBSCRIBE_MEMBERSHIP},
        {"all", HA_GS_SUBSCRIBE_ALL_MEMBERSHIP}, {"everything", HA_GS_SUBSCRIBE_STATE_AND_MEMBERSHIP}};
    char copy[128], *w[WORDS];
    unsigned bits = 0;
    snprintf(copy, sizeof copy, "%s", list);
    int n = split(copy, ",", w);
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
            if (strcmp(w[i], kinds[k].name) == 0)
                bits |= kinds[k].bits;
    return bits;
}

/* become joins or subscribes. Callbacks wait until it is known whose they are. */
static ha_gs_rc_t become(const char *as, bool provider, ha_gs_proposal_info_t *q, int *token)
{
    pthread_mutex_lock(&all.mu);
    ha_gs_rc_t rc = provider ? ha_gs_join(token, q) : ha_gs_subscribe(token, q);
    if (rc == HA_GS_OK) {
        struct text t = {0};
        struct role *r = role_named(as);
        r->token = *token;
        r->provider = provider;
        all.of_token[*token] = r;
        if (strcmp(as, "~") == 0)
            all.fence = *token;
        describe(&t, provider ? HA_GS_JOIN : HA_GS_SUBSCRIPTION, q);
        strcpy(all.last_request[*token], t.s);
    }
    pthread_mutex_unlock(&all.mu);
    return rc;
}

ha_gs_rc_t join(char **w, int n, int *token)
{
    char name[4096], source[4096];
    const char *as = value_of(w, n, "as"), *null = value_of(w, n, "null");
    ha_gs_group_attributes_t a;
    ha_gs_proposal_info_t q;
    memset(&q, 0, sizeof q);
    group_name(w[1], name, sizeof name);
    attributes(&a, name, source, sizeof source, w + 2, n - 2);
    q.gs_join_request.gs_group_attributes = &a;
    q.gs_join_request.gs_provider_instance = (short)number_of(w, n, "instance", 1);
    q.gs_join_request.gs_provider_local_name = "drive";
    q.gs_join_request.gs_n_phase_protocol_callback = on_phase;
    q.gs_join_request.gs_protocol_approved_callback = on_approved;
    q.gs_join_request.gs_protocol_rejected_callback = on_rejected;
    q.gs_join_request.gs_announcement_callback = on_announcement;
    if (null && strcmp(null, "nphase") == 0)
        q.gs_join_request.gs_n_phase_protocol_callback = NULL;
    return become(as ? as : w[1], true, &q, token);
}

ha_gs_rc_t subscribe(char **w, int n, int *token)
{
    char name[4096];
    const char *as = value_of(w, n, "as");
    ha_gs_proposal_info_t q;
    memset(&q, 0, sizeof q);
    group_name(w[1], name, sizeof name);
    q.gs_subscribe_request.gs_subscription_control = wanted(w[2]);
    q.gs_subscribe_request.gs_subscription_group = name;
    q.gs_subscribe_request.gs_subscription_callback = on_subscription;
    return become(as ? as : w[1], false, &q, token);
}

static int targets(char *list, ha_gs_provider_t *p)
{
    char *w[WORDS];
    int n = split(list, ",", w), known = 0;
    for (int i = 0; i < n; i++) {
        int instance, node;
        if (sscanf(w[i], "%d/%d", &instance, &node) == 2) {
            p[known].gs_instance_number = (short)instance;
            p[known++].gs_node_number = (short)node;
        }
    }
    return known;
}

/* request does what a provider proposes. */
ha_gs_rc_t request(int token, char **w, int n)
{
    static const struct { const char *verb; ha_gs_request_t kind; ha_gs_rc_t (*call)(ha_gs_token_t, const ha_gs_proposal_info_t *); } verbs[] = {
        {"leave", HA_GS_LEAVE, ha_gs_leave}, {"expel", HA_GS_EXPEL, ha_gs_expel},
        {"state", HA_GS_STATE_VALUE_CHANGE, ha_gs_change_state_value}, {"message", HA_GS_PROVIDER_MESSAGE, ha_gs_send_message},
        {"attributes", HA_GS_GROUP_ATTRIBUTE_CHANGE, ha_gs_change_attributes}};
    char value[4096] = "", name[4096], source[4096], flag[4096];
    ha_gs_state_value_t state;
    ha_gs_provider_message_t message;
    ha_gs_provider_t list[WORDS];
    ha_gs_group_attributes_t a;
    ha_gs_proposal_info_t q;
    ha_gs_num_phases_t phases = has(w, n, "n") ? HA_GS_N_PHASE : HA_GS_1_PHASE;
    int within = number_of(w, n, "within", 0);
    size_t k = 0;
    while (k < sizeof verbs / sizeof verbs[0] && strcmp(w[0], verbs[k].verb) != 0)
        k++;
    if (k == sizeof verbs / sizeof verbs[0])
        die("unknown command %s", w[0]);
    memset(&q, 0, sizeof q);
    memset(list, 0, sizeof list);
    switch (verbs[k].kind) {
    case HA_GS_LEAVE:
        q.gs_leave_request = (ha_gs_leave_request_t){phases, within, (unsigned)number_of(w, n, "code", 0)};
        break;
    case HA_GS_EXPEL:
        q.gs_expel_request = (ha_gs_expel_request_t){phases, within, {(unsigned)targets(w[2], list), list}, (unsigned)number_of(w, n, "phase", 0), NULL};
        if (value_of(w, n, "flag"))
            q.gs_expel_request.gs_deactivate_flag = expand(value_of(w, n, "flag"), flag, sizeof flag);
        break;
    case HA_GS_STATE_VALUE_CHANGE:
        state = (ha_gs_state_value_t){(int)strlen(expand(w[2], value, sizeof value)), value};
        q.gs_state_change_request = (ha_gs_state_change_request_t){phases, within, &state};
        break;
    case HA_GS_PROVIDER_MESSAGE:
        message = (ha_gs_provider_message_t){(int)strlen(expand(w[2], value, sizeof value)), value};
        q.gs_message_request = (ha_gs_message_request_t){phases, within, &message};
        break;
    default:
        group_name(w[1], name, sizeof name);
        attributes(&a, name, source, sizeof source, w + 2, n - 2);
        q.gs_attribute_change_request = (ha_gs_change_attributes_t){phases, within, &a, NULL};
    }
    struct text t = {0};
    char before[LINE] = "";
    describe(&t, verbs[k].kind, &q);
    bool known = token >= 0 && token < TOKENS;
    pthread_mutex_lock(&all.mu);
    if (known) {
        strcpy(before, all.last_request[token]);
        strcpy(all.last_request[token], t.s);
    }
    pthread_mutex_unlock(&all.mu);
    ha_gs_rc_t rc = verbs[k].call(token, &q);
    if (rc != HA_GS_OK && known) {
        pthread_mutex_lock(&all.mu);
        strcpy(all.last_request[token], before);
        pthread_mutex_unlock(&all.mu);
    }
    memset(value, '#', sizeof value); /* the library has copied what it keeps */
    memset(list, 0x55, sizeof list);
    return rc;
}
