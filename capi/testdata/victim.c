/* victim.c - a program whose agent says anything. It has as many sessions as its
 * argument says; each takes what it is given until the connection ends. */
#include "test.h"

static char large[HA_GS_MAX_MESSAGE_LENGTH];

static void on_phase(const ha_gs_n_phase_notification_t *n)
{
    touch_proposal(n->gs_proposal);
    ha_gs_vote(n->gs_provider_token, HA_GS_VOTE_APPROVE, NULL, NULL, HA_GS_NULL_VOTE);
}

static void on_approved(const ha_gs_approved_notification_t *n) { touch_proposal(n->gs_proposal); }
static void on_rejected(const ha_gs_rejected_notification_t *n) { touch_proposal(n->gs_proposal); }
static void on_announcement(const ha_gs_announcement_notification_t *n) { touch_list(n->gs_announcement); }
static void on_subscription(const ha_gs_subscription_notification_t *n) { touch_subscription(n); }

static void on_delayed_error(const ha_gs_delayed_error_notification_t *n)
{
    const ha_gs_proposal_info_t *q = n->gs_failing_request;
    TRUE(n->gs_delayed_return_code <= HA_GS_BACKLEVEL_PROVIDERS);
    switch (n->gs_protocol_type) {
    case HA_GS_JOIN:
        touch(q->gs_join_request.gs_group_attributes->gs_group_name, 2);
        break;
    case HA_GS_SUBSCRIPTION:
        touch(q->gs_subscribe_request.gs_subscription_group, 2);
        break;
    case HA_GS_STATE_VALUE_CHANGE:
        touch_state(q->gs_state_change_request.gs_new_state);
        break;
    case HA_GS_PROVIDER_MESSAGE:
        touch(q->gs_message_request.gs_message->gs_message, sizeof large);
        break;
    default:
        abort(); /* nothing else is asked for */
    }
}

static ha_gs_callback_rc_t on_check(const ha_gs_responsiveness_notification_t *n)
{
    touch(n, sizeof *n);
    return HA_GS_CALLBACK_OK;
}

static void session(void)
{
    ha_gs_responsiveness_t r = { .gs_responsiveness_type = HA_GS_PING_RESPONSIVENESS, .gs_responsiveness_interval = 1, .gs_responsiveness_response_time_limit = 1 };
    ha_gs_group_attributes_t a = attributes("g", HA_GS_N_PHASE);
    ha_gs_proposal_info_t q = { .gs_join_request = { &a, 1, NULL, on_phase, on_approved, on_rejected, on_announcement, NULL } };
    ha_gs_state_value_t v = { 1, "x" };
    ha_gs_provider_message_t m = { sizeof large, large };
    ha_gs_descriptor_t fd;
    ha_gs_token_t provider = -1, subscriber, another;
    ha_gs_adapter_info info = { 0 };
    fc_eid_t id;
    ha_gs_rc_t rc = ha_gs_init(&fd, HA_GS_SOCKET_NO_SIGNAL | HA_GS_ENABLE_ADAPTER_INFO, &r, NULL, on_check, on_delayed_error, NULL);
    if (rc != HA_GS_OK) {
        TRUE(rc <= HA_GS_BACKLEVEL_PROVIDERS);
        return;
    }
    ha_gs_join(&provider, &q);
    q.gs_subscribe_request = (ha_gs_subscribe_request_t){ HA_GS_SUBSCRIBE_STATE, "g", on_subscription };
    ha_gs_subscribe(&subscriber, &q);
    q.gs_state_change_request = (ha_gs_state_change_request_t){ HA_GS_1_PHASE, 0, &v };
    ha_gs_change_state_value(provider, &q);
    do {
        q.gs_subscribe_request = (ha_gs_subscribe_request_t){ HA_GS_SUBSCRIBE_STATE, "h", on_subscription };
        if (ha_gs_subscribe(&another, &q) == HA_GS_OK)
            ha_gs_unsubscribe(another);
        q.gs_message_request = (ha_gs_message_request_t){ HA_GS_1_PHASE, 0, &m };
        ha_gs_send_message(provider, &q);
        ha_gs_get_adapter_info(&info);
        rc = ha_gs_dispatch(HA_GS_NON_BLOCKING);
    } while (rc == HA_GS_OK);
    WANT(rc, HA_GS_NOT_OK);
    if (ha_gs_get_ffdc_id(id) == HA_GS_OK && strcmp(id, "record") == 0)
        printf("failure %s\n", id);
    ha_gs_quit();
    WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_NO_INIT);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)i;
    for (int n = argc > 1 ? atoi(argv[1]) : 1; n > 0; n--)
        session();
    puts("all right");
    return 0;
}
