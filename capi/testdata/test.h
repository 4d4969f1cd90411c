/* test.h - what the test programs share. */
#ifndef TEST_H
#define TEST_H

#include <ha_gs.h>

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WANT(got, want)                                                                                   \
    do {                                                                                                  \
        long got_ = (long)(got), want_ = (long)(want);                                                    \
        if (got_ != want_) {                                                                              \
            fprintf(stderr, "%s:%d: %s is %ld, want %ld\n", __FILE__, __LINE__, #got, got_, want_);       \
            abort();                                                                                      \
        }                                                                                                 \
    } while (0)

#define TRUE(what) WANT((what) != 0, 1)

static inline ha_gs_group_attributes_t attributes(const char *group, ha_gs_num_phases_t phases)
{
    return (ha_gs_group_attributes_t){
        .gs_sizeof_group_attributes = sizeof(ha_gs_group_attributes_t),
        .gs_group_name = (char *)group,
        .gs_num_phases = phases,
        .gs_source_reflection_num_phases = HA_GS_1_PHASE,
        .gs_group_default_vote = HA_GS_VOTE_APPROVE,
    };
}

/* Reads every byte that a notification reaches, for the sanitizers. */
static _Thread_local volatile unsigned sink;

static inline void touch(const void *p, size_t n)
{
    for (size_t i = 0; p != NULL && i < n; i++)
        sink += ((const unsigned char *)p)[i];
}

static inline void touch_list(const ha_gs_membership_t *m)
{
    if (m != NULL)
        touch(m->gs_providers, m->gs_count * sizeof *m->gs_providers);
}

static inline void touch_state(const ha_gs_state_value_t *v)
{
    if (v != NULL)
        touch(v->gs_state, (size_t)v->gs_length + 1);
}

static inline void touch_proposal(const ha_gs_proposal_t *p)
{
    touch_list(p->gs_current_providers);
    touch_list(p->gs_changing_providers);
    if (p->gs_leave_info != NULL)
        touch(p->gs_leave_info->gs_leave_codes, p->gs_leave_info->gs_count * sizeof *p->gs_leave_info->gs_leave_codes);
    if (p->gs_expel_info != NULL)
        touch(p->gs_expel_info->gs_deactivate_flag, strlen(p->gs_expel_info->gs_deactivate_flag) + 1);
    touch_state(p->gs_current_state_value);
    touch_state(p->gs_proposed_state_value);
    touch_state(p->gs_source_state_value);
    if (p->gs_provider_message != NULL)
        touch(p->gs_provider_message->gs_message, (size_t)p->gs_provider_message->gs_length + 1);
    if (p->gs_new_group_attributes != NULL) {
        touch(p->gs_new_group_attributes->gs_group_name, strlen(p->gs_new_group_attributes->gs_group_name) + 1);
        touch(p->gs_new_group_attributes->gs_source_group_name, strlen(p->gs_new_group_attributes->gs_source_group_name) + 1);
    }
}

static inline void touch_subscription(const ha_gs_subscription_notification_t *n)
{
    touch_state(n->gs_state_value);
    touch_list(n->gs_full_membership);
    touch_list(n->gs_changing_membership);
    if (n->gs_subscription_special_data != NULL)
        for (const ha_gs_special_block_t *b = n->gs_subscription_special_data->gs_special_data; b != NULL; b = b->gs_next_special_block)
            touch(b->gs_special, (size_t)b->gs_special_num_entries * (size_t)b->gs_special_length);
}

#endif
