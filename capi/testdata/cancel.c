/* cancel.c - threads that are cancelled wherever they are: they end between callbacks
 * only, and others go on. */
#include "test.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  change = PTHREAD_COND_INITIALIZER;
static int             told;         /* approvals */
static bool            hold, inside; /* the callback; one is held */
static ha_gs_token_t   token;

static void on_phase(const ha_gs_n_phase_notification_t *n) { (void)n; }
static void on_rejected(const ha_gs_rejected_notification_t *n) { (void)n; }
static void on_announcement(const ha_gs_announcement_notification_t *n) { (void)n; }
static void on_delayed_error(const ha_gs_delayed_error_notification_t *n) { (void)n; }

static void on_approved(const ha_gs_approved_notification_t *n)
{
    int number;
    touch_proposal(n->gs_proposal);
    pthread_mutex_lock(&lock);
    inside = true;
    pthread_cond_broadcast(&change);
    while (hold)
        pthread_cond_wait(&change, &lock);
    inside = false;
    pthread_mutex_unlock(&lock);
    WANT(ha_gs_get_node_number(&number), HA_GS_OK);
    pthread_testcancel();
    pthread_mutex_lock(&lock);
    told++;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
}

static void *dispatches(void *unused)
{
    WANT(ha_gs_dispatch(HA_GS_BLOCKING), HA_GS_OK);
    return unused;
}

static pthread_t dispatcher(void)
{
    pthread_t t;
    WANT(pthread_create(&t, NULL, dispatches, NULL), 0);
    return t;
}

static void gone(pthread_t t)
{
    void *how;
    WANT(pthread_join(t, &how), 0);
    TRUE(how == PTHREAD_CANCELED);
}

static ha_gs_rc_t message(void)
{
    ha_gs_provider_message_t m = { 1, "m" };
    ha_gs_proposal_info_t q = { .gs_message_request = { HA_GS_1_PHASE, 0, &m } };
    return ha_gs_send_message(token, &q);
}

static void wait_told(int least)
{
    pthread_mutex_lock(&lock);
    while (told < least)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
}

static void *calls(void *unused)
{
    int state;
    pthread_cancel(pthread_self());
    WANT(message(), HA_GS_OK);
    WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_OK);
    WANT(ha_gs_goodbye(77), HA_GS_BAD_MEMBER_TOKEN);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    WANT(state, PTHREAD_CANCEL_ENABLE);
    WANT(message() == HA_GS_OK || message() == HA_GS_COLLIDE, 1);
    pthread_setcancelstate(state, &state);
    WANT(state, PTHREAD_CANCEL_DISABLE);
    pthread_testcancel();
    return unused;
}

int main(void)
{
    ha_gs_group_attributes_t a = attributes("cancel", HA_GS_1_PHASE);
    ha_gs_proposal_info_t q = { .gs_join_request = { &a, 1, NULL, on_phase, on_approved, on_rejected, on_announcement, NULL } };
    ha_gs_descriptor_t fd;
    WANT(ha_gs_init(&fd, HA_GS_SOCKET_NO_SIGNAL, NULL, NULL, NULL, on_delayed_error, NULL), HA_GS_OK);
    pthread_t one = dispatcher(), two = dispatcher();
    WANT(ha_gs_join(&token, &q), HA_GS_OK);
    wait_told(1);

    pthread_cancel(one); /* both wait; one of them for all */
    gone(one);
    WANT(message(), HA_GS_OK);
    wait_told(2);

    hold = true; /* in its callback */
    WANT(message(), HA_GS_OK);
    pthread_mutex_lock(&lock);
    while (!inside)
        pthread_cond_wait(&change, &lock);
    pthread_cancel(two);
    hold = false;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
    gone(two);
    WANT(told, 3);

    WANT(pthread_create(&one, NULL, calls, NULL), 0);
    gone(one);
    while (told < 4) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        poll(&p, 1, -1);
        WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_OK);
    }
    ha_gs_quit();
    puts("all right");
    return 0;
}
