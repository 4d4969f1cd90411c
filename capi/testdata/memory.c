/* memory.c - lives of which each lacks memory once, one later than the other. Linked
 * with --wrap for malloc, calloc and realloc. */
#include "lacks.h"
#include "test.h"

static bool approved, failed, told;

/* Whether it was done; if not, there was no memory for it, or the connection ended. */
static bool done(ha_gs_rc_t rc)
{
    if (rc != HA_GS_OK)
        TRUE(lacked && (rc == HA_GS_NO_MEMORY || rc == HA_GS_NOT_OK));
    return rc == HA_GS_OK;
}

static void on_phase(const ha_gs_n_phase_notification_t *n)
{
    ha_gs_state_value_t v = { 5, "voted" };
    ha_gs_provider_message_t m = { 5, "hello" };
    ha_gs_rc_t rc = ha_gs_vote(n->gs_provider_token, HA_GS_VOTE_APPROVE, &v, &m, HA_GS_VOTE_APPROVE);
    if (rc == HA_GS_NO_MEMORY)
        rc = ha_gs_vote(n->gs_provider_token, HA_GS_VOTE_APPROVE, &v, &m, HA_GS_VOTE_APPROVE);
    done(rc);
    TRUE(rc != HA_GS_NO_MEMORY);
}

static void on_approved(const ha_gs_approved_notification_t *n)
{
    touch_proposal(n->gs_proposal);
    approved = true;
}

static void on_rejected(const ha_gs_rejected_notification_t *n) { (void)n; abort(); }
static void on_announcement(const ha_gs_announcement_notification_t *n) { touch_list(n->gs_announcement); }

static void on_delayed_error(const ha_gs_delayed_error_notification_t *n)
{
    WANT(n->gs_delayed_return_code, HA_GS_UNKNOWN_PROVIDER);
    failed = true;
}

static void on_subscription(const ha_gs_subscription_notification_t *n)
{
    touch_subscription(n);
    told = true;
}

/* Dispatches until something was told; false: the connection ended before. */
static bool until(ha_gs_descriptor_t fd, const bool *what)
{
    while (!*what) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        WANT(poll(&p, 1, 60000), 1);
        if (!done(ha_gs_dispatch(HA_GS_NON_BLOCKING)))
            return false;
    }
    return true;
}

static void life(ha_gs_descriptor_t fd, char *group)
{
    ha_gs_group_attributes_t a = attributes(group, HA_GS_N_PHASE);
    ha_gs_proposal_info_t q = { .gs_join_request = { &a, 1, "me", on_phase, on_approved, on_rejected, on_announcement, NULL } };
    ha_gs_provider_t nobody = { .gs_provider_id = 0 };
    ha_gs_state_value_t v = { 5, "state" };
    ha_gs_token_t provider, subscriber;
    approved = failed = told = false;
    if (!done(ha_gs_join(&provider, &q)) || !until(fd, &approved))
        return;
    q.gs_subscribe_request = (ha_gs_subscribe_request_t){ HA_GS_SUBSCRIBE_STATE_AND_MEMBERSHIP, group, on_subscription };
    if (!done(ha_gs_subscribe(&subscriber, &q)) || !until(fd, &told))
        return;
    approved = false;
    q.gs_state_change_request = (ha_gs_state_change_request_t){ HA_GS_1_PHASE, 0, &v };
    if (!done(ha_gs_change_state_value(provider, &q)) || !until(fd, &approved))
        return;
    q.gs_expel_request = (ha_gs_expel_request_t){ HA_GS_1_PHASE, 0, { 1, &nobody }, 0, "flag" };
    if (!done(ha_gs_expel(provider, &q)) || !until(fd, &failed))
        return;
    if (done(ha_gs_unsubscribe(subscriber)))
        done(ha_gs_goodbye(provider));
}

int main(void)
{
    ha_gs_descriptor_t fd;
    int n = 0;
    do {
        char group[16];
        snprintf(group, sizeof group, "life %d", n);
        left = n++;
        lacked = false;
        ha_gs_rc_t rc = ha_gs_init(&fd, HA_GS_SOCKET_NO_SIGNAL | HA_GS_ENABLE_ADAPTER_INFO, NULL, NULL, NULL, on_delayed_error, NULL);
        if (rc == HA_GS_OK)
            life(fd, group);
        else
            TRUE(lacked && (rc == HA_GS_NO_MEMORY || rc == HA_GS_CONNECT_FAILED));
        ha_gs_quit();
    } while (lacked);
    TRUE(n > 30); /* there are that many allocations */
    puts("all right");
    return 0;
}
