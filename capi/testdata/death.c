/* death.c - what a program sees of the end of its agent. */
#include "test.h"

static void on_phase(const ha_gs_n_phase_notification_t *n) { (void)n; }

static int approved;

static void on_approved(const ha_gs_approved_notification_t *n)
{
    approved++;
    printf("AP %d\n", n->gs_provider_token);
}

static void on_rejected(const ha_gs_rejected_notification_t *n) { (void)n; }
static void on_delayed_error(const ha_gs_delayed_error_notification_t *n) { (void)n; }

static void on_announcement(const ha_gs_announcement_notification_t *n)
{
    TRUE(n->gs_announcement == NULL);
    printf("AN %d %#x\n", n->gs_provider_token, n->gs_summary_code);
    WANT(ha_gs_goodbye(n->gs_provider_token), HA_GS_NOT_OK);
}

static void on_subscription(const ha_gs_subscription_notification_t *n)
{
    if (n->gs_subscription_type == HA_GS_SUBSCRIPTION_GS_HAS_DIED)
        TRUE(n->gs_state_value == NULL && n->gs_full_membership == NULL && n->gs_changing_membership == NULL && n->gs_subscription_special_data == NULL);
    printf("SU %d %#x\n", n->gs_subscriber_token, n->gs_subscription_type);
}

static void join(const char *group)
{
    ha_gs_group_attributes_t a = attributes(group, HA_GS_1_PHASE);
    ha_gs_proposal_info_t q = { .gs_join_request = { &a, 1, NULL, on_phase, on_approved, on_rejected, on_announcement, NULL } };
    ha_gs_token_t t;
    WANT(ha_gs_join(&t, &q), HA_GS_OK);
}

static ha_gs_rc_t init(ha_gs_descriptor_t *fd)
{
    return ha_gs_init(fd, HA_GS_SOCKET_NO_SIGNAL, NULL, NULL, NULL, on_delayed_error, NULL);
}

int main(int argc, char **argv)
{
    ha_gs_dispatch_flag_t how = argc > 1 && strcmp(argv[1], "blocking") == 0 ? HA_GS_BLOCKING : HA_GS_NON_BLOCKING;
    bool early = argc > 1 && strcmp(argv[1], "early") == 0;
    ha_gs_descriptor_t fd;
    ha_gs_token_t t;
    ha_gs_rc_t rc;
    int number;
    fc_eid_t id;
    setvbuf(stdout, NULL, _IOLBF, 0);
    WANT(init(&fd), HA_GS_OK);
    ha_gs_proposal_info_t q = { .gs_subscribe_request = { HA_GS_SUBSCRIBE_MEMBERSHIP, HA_GS_HOST_MEMBERSHIP_GROUP, on_subscription } };
    WANT(ha_gs_subscribe(&t, &q), HA_GS_OK);
    join("one");
    join("two");
    WANT(ha_gs_subscribe(&t, &q), HA_GS_OK);
    do {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (how == HA_GS_NON_BLOCKING)
            poll(&p, 1, -1);
        if (early && approved == 2) { /* tries to connect anew before it hears of the end */
            while ((rc = init(&fd)) == HA_GS_EXISTS)
                poll(&p, 1, -1);
            WANT(rc, HA_GS_CONNECT_FAILED);
        }
        rc = ha_gs_dispatch(how);
    } while (rc == HA_GS_OK);
    WANT(rc, HA_GS_NOT_OK);
    puts("not ok");
    WANT(ha_gs_dispatch(how), HA_GS_NOT_OK);
    WANT(ha_gs_get_node_number(&number), HA_GS_NOT_OK);
    WANT(ha_gs_goodbye(1), HA_GS_NOT_OK);
    WANT(ha_gs_get_ffdc_id(id), HA_GS_NOT_OK);
    WANT(init(&fd), HA_GS_CONNECT_FAILED);
    WANT(ha_gs_dispatch(how), HA_GS_NOT_OK);
    puts("alone");
    getchar(); /* until there is an agent again */
    WANT(init(&fd), HA_GS_OK);
    WANT(ha_gs_get_node_number(&number), HA_GS_OK);
    ha_gs_quit();
    WANT(ha_gs_get_node_number(&number), HA_GS_NO_INIT);
    puts("all right");
    return 0;
}
