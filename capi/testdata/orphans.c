/* orphans.c - several threads are at work when the agent dies: each role is told
 * once, providers before subscribers, in the order of their tokens. */
#include "test.h"

#include <sched.h>
#include <stdatomic.h>

enum { ROLES = 8, THREADS = 4 };

static atomic_int last_told = -1, told, in_progress;
static ha_gs_token_t provider[ROLES];

static void on_phase(const ha_gs_n_phase_notification_t *n)
{
    ha_gs_vote(n->gs_provider_token, HA_GS_VOTE_APPROVE, NULL, NULL, HA_GS_NULL_VOTE);
}

static void on_approved(const ha_gs_approved_notification_t *n) { touch_proposal(n->gs_proposal); }
static void on_rejected(const ha_gs_rejected_notification_t *n) { touch_proposal(n->gs_proposal); }
static void on_delayed_error(const ha_gs_delayed_error_notification_t *n) { touch(n->gs_failing_request, 1); }

static void died(ha_gs_token_t t)
{
    WANT(atomic_fetch_add(&in_progress, 1), 0);
    TRUE(t > atomic_exchange(&last_told, t));
    atomic_fetch_add(&told, 1);
    atomic_fetch_sub(&in_progress, 1);
}

static void on_announcement(const ha_gs_announcement_notification_t *n)
{
    WANT(n->gs_summary_code, HA_GS_GROUP_SERVICES_HAS_DIED_HORRIBLY);
    died(n->gs_provider_token);
}

static void on_subscription(const ha_gs_subscription_notification_t *n)
{
    touch_subscription(n);
    if (n->gs_subscription_type == HA_GS_SUBSCRIPTION_GS_HAS_DIED)
        died(n->gs_subscriber_token);
}

static void *dispatches(void *unused)
{
    WANT(ha_gs_dispatch(HA_GS_BLOCKING), HA_GS_NOT_OK);
    return unused;
}

static void *polls(void *unused)
{
    ha_gs_rc_t rc;
    while ((rc = ha_gs_dispatch(HA_GS_NON_BLOCKING)) == HA_GS_OK)
        poll(NULL, 0, 1);
    WANT(rc, HA_GS_NOT_OK);
    return unused;
}

static void *proposes(void *arg)
{
    const ha_gs_token_t *t = arg;
    ha_gs_provider_message_t m = { 1, "m" };
    ha_gs_proposal_info_t q = { .gs_message_request = { HA_GS_N_PHASE, 0, &m } };
    ha_gs_rc_t rc;
    while ((rc = ha_gs_send_message(*t, &q)) == HA_GS_OK || rc == HA_GS_COLLIDE || rc == HA_GS_NOT_A_MEMBER)
        sched_yield();
    TRUE(rc == HA_GS_NOT_OK || rc == HA_GS_BAD_MEMBER_TOKEN);
    return NULL;
}

int main(void)
{
    pthread_t dispatcher[THREADS], poller, proposer[ROLES];
    ha_gs_descriptor_t fd;
    ha_gs_token_t t;
    setvbuf(stdout, NULL, _IOLBF, 0);
    WANT(ha_gs_init(&fd, HA_GS_SOCKET_NO_SIGNAL, NULL, NULL, NULL, on_delayed_error, NULL), HA_GS_OK);
    for (int i = 0; i < ROLES; i++) {
        char name[] = { 'g', (char)('a' + i), '\0' };
        ha_gs_group_attributes_t a = attributes(name, HA_GS_N_PHASE);
        ha_gs_proposal_info_t q = { .gs_join_request = { &a, 1, NULL, on_phase, on_approved, on_rejected, on_announcement, NULL } };
        WANT(ha_gs_join(&provider[i], &q), HA_GS_OK);
    }
    for (int i = 0; i < ROLES; i++) {
        ha_gs_proposal_info_t q = { .gs_subscribe_request = { HA_GS_SUBSCRIBE_STATE_AND_MEMBERSHIP, HA_GS_HOST_MEMBERSHIP_GROUP, on_subscription } };
        WANT(ha_gs_subscribe(&t, &q), HA_GS_OK);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_create(&dispatcher[i], NULL, dispatches, NULL);
    pthread_create(&poller, NULL, polls, NULL);
    for (int i = 0; i < ROLES; i++)
        pthread_create(&proposer[i], NULL, proposes, &provider[i]);
    puts("at work");
    for (int i = 0; i < THREADS; i++)
        pthread_join(dispatcher[i], NULL);
    pthread_join(poller, NULL);
    for (int i = 0; i < ROLES; i++)
        pthread_join(proposer[i], NULL);
    WANT(atomic_load(&told), 2 * ROLES);
    WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_NOT_OK);
    ha_gs_quit();
    WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_NO_INIT);
    puts("all right");
    return 0;
}
