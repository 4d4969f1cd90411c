/* check.c - what can be said of a request without the agent (group services 6.0). */
#include "gs.h"

ha_gs_rc_t check_name(const char *name, ha_gs_rc_t missing)
{
    if (name == NULL || *name == '\0')
        return missing;
    return strnlen(name, MAX_NAME + 1) > MAX_NAME ? HA_GS_NAME_TOO_LONG : HA_GS_OK;
}

/* Names of adapter groups are enMembership, en1Membership and so on. */
static bool adapter_group(const char *name)
{
    if (strncmp(name, "en", 2) != 0)
        return false;
    name += 2;
    return strcmp(name + strspn(name, "0123456789"), "Membership") == 0;
}

bool system_group(const char *name)
{
    return strcmp(name, HA_GS_HOST_MEMBERSHIP_GROUP) == 0 || strcmp(name, HA_GS_CSS_MEMBERSHIP_GROUP) == 0 ||
           strcmp(name, HA_GS_CSSRAW_MEMBERSHIP_GROUP) == 0 || adapter_group(name);
}

static bool right_phases(ha_gs_num_phases_t p) { return p == HA_GS_1_PHASE || p == HA_GS_N_PHASE; }

ha_gs_rc_t check_phases(ha_gs_num_phases_t phases, ha_gs_time_limit_t limit)
{
    return right_phases(phases) && limit >= 0 ? HA_GS_OK : HA_GS_BAD_PARAMETER;
}

static bool has_source(const ha_gs_group_attributes_t *a)
{
    return a->gs_source_group_name != NULL && *a->gs_source_group_name != '\0';
}

ha_gs_time_limit_t reflection_limit(const ha_gs_group_attributes_t *a)
{
    return has_source(a) && a->gs_source_reflection_num_phases == HA_GS_N_PHASE ? a->gs_source_reflection_time_limit : 0;
}

ha_gs_rc_t check_attributes(const ha_gs_group_attributes_t *a)
{
    const ha_gs_batch_ctrl_t known = HA_GS_BATCH_BOTH | HA_GS_DEACTIVATE_ON_FAILURE;
    if ((a->gs_sizeof_group_attributes != 0 && a->gs_sizeof_group_attributes < (short)sizeof *a) ||
        (a->gs_batch_control & ~known) != 0 || !right_phases(a->gs_num_phases) ||
        (has_source(a) && !right_phases(a->gs_source_reflection_num_phases)) ||
        (a->gs_group_default_vote != HA_GS_VOTE_APPROVE && a->gs_group_default_vote != HA_GS_VOTE_REJECT) ||
        a->gs_merge_control != HA_GS_DISSOLVE_MERGE || a->gs_time_limit < 0 || reflection_limit(a) < 0)
        return HA_GS_BAD_GROUP_ATTRIBUTES;
    return has_source(a) ? check_name(a->gs_source_group_name, HA_GS_OK) : HA_GS_OK;
}

ha_gs_rc_t check_join(const ha_gs_join_request_t *q)
{
    const ha_gs_group_attributes_t *a = q->gs_group_attributes;
    if (a == NULL)
        return HA_GS_BAD_PARAMETER;
    ha_gs_rc_t rc = check_name(a->gs_group_name, HA_GS_BAD_PARAMETER);
    if (rc != HA_GS_OK)
        return rc;
    if (system_group(a->gs_group_name))
        return HA_GS_INVALID_GROUP;
    if ((rc = check_attributes(a)) != HA_GS_OK)
        return rc;
    if (has_source(a) && (strcmp(a->gs_source_group_name, a->gs_group_name) == 0 || system_group(a->gs_source_group_name)))
        return HA_GS_INVALID_SOURCE_GROUP;
    if (q->gs_provider_instance < 0)
        return HA_GS_BAD_PARAMETER;
    return check_name(q->gs_provider_local_name, HA_GS_OK);
}

ha_gs_rc_t check_state(const ha_gs_state_value_t *v)
{
    if (v == NULL || v->gs_length < 0 || v->gs_length > HA_GS_MAX_STATE_VALUE_LENGTH || (v->gs_length > 0 && v->gs_state == NULL))
        return HA_GS_BAD_PARAMETER;
    return HA_GS_OK;
}

ha_gs_rc_t check_message(const ha_gs_provider_message_t *m)
{
    if (m == NULL || m->gs_length < 1 || m->gs_length > HA_GS_MAX_MESSAGE_LENGTH || m->gs_message == NULL)
        return HA_GS_BAD_PARAMETER;
    return HA_GS_OK;
}

static int by_id(const void *a, const void *b)
{
    int x = ((const ha_gs_provider_t *)a)->gs_provider_id, y = ((const ha_gs_provider_t *)b)->gs_provider_id;
    return (x > y) - (x < y);
}

static ha_gs_rc_t check_twice(const ha_gs_membership_t *m)
{
    ha_gs_provider_t *sorted = malloc(m->gs_count * sizeof *sorted);
    if (sorted == NULL)
        return HA_GS_NO_MEMORY;
    memcpy(sorted, m->gs_providers, m->gs_count * sizeof *sorted);
    qsort(sorted, m->gs_count, sizeof *sorted, by_id);
    ha_gs_rc_t rc = HA_GS_OK;
    for (unsigned i = 1; i < m->gs_count; i++)
        if (sorted[i].gs_provider_id == sorted[i - 1].gs_provider_id)
            rc = HA_GS_PROVIDER_APPEARS_TWICE;
    free(sorted);
    return rc;
}

ha_gs_rc_t check_expel(const ha_gs_expel_request_t *q)
{
    const ha_gs_membership_t *m = &q->gs_expel_list;
    const size_t most = HA_GS_MAX_DEACTIVATE_FLAG_LENGTH;
    if (m->gs_count < 1 || m->gs_count > MAX_PROVIDERS || m->gs_providers == NULL ||
        (q->gs_deactivate_flag != NULL && strnlen(q->gs_deactivate_flag, most + 1) > most))
        return HA_GS_BAD_PARAMETER;
    ha_gs_rc_t rc = check_twice(m);
    if (rc == HA_GS_OK && q->gs_num_phases == HA_GS_1_PHASE && q->gs_deactivate_phase > 1)
        rc = HA_GS_INVALID_DEACTIVATE_PHASE;
    return rc;
}

ha_gs_rc_t check_subscribe(const ha_gs_subscribe_request_t *q)
{
    if (q->gs_subscription_control == 0 || (q->gs_subscription_control & ~HA_GS_SUBSCRIBE_STATE_AND_MEMBERSHIP) != 0 ||
        q->gs_subscription_callback == NULL)
        return HA_GS_BAD_PARAMETER;
    return check_name(q->gs_subscription_group, HA_GS_BAD_PARAMETER);
}
