/* asked.c - a program that is asked three times at once whether it works, and then told
 * that it joined where it only subscribed. */
#include "test.h"

static int asked;

static void on_subscription(const ha_gs_subscription_notification_t *n) { touch_subscription(n); }

static void on_delayed_error(const ha_gs_delayed_error_notification_t *n)
{
    (void)n;
    abort(); /* there is no request to show */
}

static ha_gs_callback_rc_t on_check(const ha_gs_responsiveness_notification_t *n)
{
    touch(n, sizeof *n);
    asked++;
    return HA_GS_CALLBACK_OK;
}

int main(void)
{
    ha_gs_responsiveness_t r = { .gs_responsiveness_type = HA_GS_PING_RESPONSIVENESS, .gs_responsiveness_interval = 1, .gs_responsiveness_response_time_limit = 1 };
    ha_gs_proposal_info_t q = { .gs_subscribe_request = { HA_GS_SUBSCRIBE_STATE, "g", on_subscription } };
    ha_gs_descriptor_t fd;
    ha_gs_token_t t;
    WANT(ha_gs_init(&fd, HA_GS_SOCKET_NO_SIGNAL, &r, NULL, on_check, on_delayed_error, NULL), HA_GS_OK);
    WANT(ha_gs_subscribe(&t, &q), HA_GS_OK);
    WANT(ha_gs_dispatch(HA_GS_BLOCKING), HA_GS_NOT_OK);
    WANT(asked, 1);
    puts("all right");
    return 0;
}
