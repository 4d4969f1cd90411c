/* threads.c - several threads dispatch, vote, propose, come and go, all at once. */
#include "test.h"

#include <stdatomic.h>

enum { GROUPS = 3, DISPATCHERS = 3, ROUNDS = 40, VISITS = 25 };

static const char *const names[] = { "zero", "one", "two" };
static ha_gs_token_t     member[GROUPS], subscriber[GROUPS];
static atomic_int        inside[256], group_of[256], approved[GROUPS], told[GROUPS], answered[GROUPS];

/* Votes that another thread casts. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  change = PTHREAD_COND_INITIALIZER;
static ha_gs_token_t   due[64];
static int             dues;
static bool            stop;

/* Callbacks of one group never overlap. */
static void begin(int group)
{
    if (group >= 0)
        WANT(atomic_fetch_add(&inside[group], 1), 0);
}

static void finish(int group)
{
    if (group >= 0)
        WANT(atomic_fetch_sub(&inside[group], 1), 1);
}

static void on_phase(const ha_gs_n_phase_notification_t *n)
{
    int group = atomic_load(&group_of[n->gs_provider_token]);
    begin(group);
    touch_proposal(n->gs_proposal);
    if (group == 2) {
        pthread_mutex_lock(&lock);
        due[dues++] = n->gs_provider_token;
        pthread_cond_broadcast(&change);
        pthread_mutex_unlock(&lock);
    } else
        WANT(ha_gs_vote(n->gs_provider_token, HA_GS_VOTE_APPROVE, NULL, NULL, HA_GS_NULL_VOTE), HA_GS_OK);
    finish(group);
}

static void *votes(void *unused)
{
    pthread_mutex_lock(&lock);
    while (!stop) {
        if (dues == 0) {
            pthread_cond_wait(&change, &lock);
            continue;
        }
        ha_gs_token_t t = due[--dues];
        pthread_mutex_unlock(&lock);
        WANT(ha_gs_vote(t, HA_GS_VOTE_APPROVE, NULL, NULL, HA_GS_NULL_VOTE), HA_GS_OK);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return unused;
}

static void count(atomic_int *n)
{
    pthread_mutex_lock(&lock);
    atomic_fetch_add(n, 1);
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
}

static void wait_for(atomic_int *n, int least)
{
    pthread_mutex_lock(&lock);
    while (atomic_load(n) < least)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
}

static void on_approved(const ha_gs_approved_notification_t *n)
{
    int group = atomic_load(&group_of[n->gs_provider_token]);
    begin(group);
    touch_proposal(n->gs_proposal);
    finish(group);
    if (group < 0)
        return;
    count(&approved[group]);
    if (n->gs_protocol_type != HA_GS_JOIN)
        count(&answered[group]);
}

static void on_rejected(const ha_gs_rejected_notification_t *n) { (void)n; abort(); }

static void on_announcement(const ha_gs_announcement_notification_t *n) { (void)n; abort(); }

static void on_delayed_error(const ha_gs_delayed_error_notification_t *n)
{
    WANT(n->gs_delayed_return_code, HA_GS_COLLIDE);
    touch(n->gs_failing_request->gs_message_request.gs_message->gs_message, 1);
    count(&answered[atomic_load(&group_of[n->gs_request_token])]);
}

static void on_subscription(const ha_gs_subscription_notification_t *n)
{
    int group = atomic_load(&group_of[n->gs_subscriber_token]);
    begin(group);
    touch_subscription(n);
    finish(group);
    if (group >= 0)
        count(&told[group]);
}

static ha_gs_token_t join(const char *group, short instance, ha_gs_num_phases_t phases)
{
    ha_gs_group_attributes_t a = attributes(group, phases);
    ha_gs_proposal_info_t q = { .gs_join_request = { &a, instance, NULL, on_phase, on_approved, on_rejected, on_announcement, NULL } };
    ha_gs_token_t t;
    WANT(ha_gs_join(&t, &q), HA_GS_OK);
    return t;
}

static void *dispatches(void *unused)
{
    WANT(ha_gs_dispatch(HA_GS_BLOCKING), HA_GS_OK);
    return unused;
}

static void *polls(void *arg)
{
    const int *fd = arg;
    ha_gs_rc_t rc;
    do {
        struct pollfd p = { .fd = *fd, .events = POLLIN };
        poll(&p, 1, 20);
        rc = ha_gs_dispatch(HA_GS_NON_BLOCKING);
    } while (rc == HA_GS_OK);
    WANT(rc, HA_GS_NO_INIT);
    return NULL;
}

static void *proposes(void *arg)
{
    int group = (int)(long)arg;
    for (int round = 0; round < ROUNDS; round++) {
        char text[16];
        ha_gs_provider_message_t m = { snprintf(text, sizeof text, "%d", round), text };
        ha_gs_proposal_info_t q = { .gs_message_request = { round % 2 != 0 ? HA_GS_1_PHASE : HA_GS_N_PHASE, 0, &m } };
        int before = atomic_load(&answered[group]);
        ha_gs_rc_t rc = ha_gs_send_message(member[group], &q);
        if (rc == HA_GS_OK)
            wait_for(&answered[group], before + 1);
        else
            WANT(rc, HA_GS_COLLIDE);
    }
    return NULL;
}

/* Providers and subscribers that come and go; no callback comes behind a goodbye. */
static void *visits(void *unused)
{
    for (int i = 0; i < VISITS; i++) {
        ha_gs_proposal_info_t q = { .gs_subscribe_request = { HA_GS_SUBSCRIBE_STATE_AND_MEMBERSHIP, HA_GS_HOST_MEMBERSHIP_GROUP, on_subscription } };
        ha_gs_token_t t = join("visited", 1, HA_GS_1_PHASE), s;
        WANT(ha_gs_subscribe(&s, &q), HA_GS_OK);
        WANT(ha_gs_goodbye(t), HA_GS_OK);
        WANT(ha_gs_goodbye(t), HA_GS_BAD_MEMBER_TOKEN);
        WANT(ha_gs_unsubscribe(s), HA_GS_OK);
    }
    return unused;
}

/* Two threads end one role: one of them does. */
static void *parts(void *arg)
{
    return (void *)(long)ha_gs_goodbye(*(const ha_gs_token_t *)arg);
}

static void race_to_part(void)
{
    pthread_t one, two;
    void *first, *second;
    ha_gs_token_t t = join("race", 1, HA_GS_1_PHASE);
    pthread_create(&one, NULL, parts, &t);
    pthread_create(&two, NULL, parts, &t);
    pthread_join(one, &first);
    pthread_join(two, &second);
    TRUE((first == NULL) != (second == NULL));
}

static void fork_once(void)
{
    pid_t child = fork();
    int number, status;
    if (child == 0) {
        if (ha_gs_get_node_number(&number) != HA_GS_NO_INIT || ha_gs_dispatch(HA_GS_BLOCKING) != HA_GS_NO_INIT)
            _exit(1);
        _exit(0);
    }
    WANT(waitpid(child, &status, 0), child);
    WANT(status, 0);
}

int main(void)
{
    pthread_t dispatcher[DISPATCHERS], proposer[GROUPS], voter, visitor, poller;
    ha_gs_descriptor_t fd;
    for (int i = 0; i < 256; i++)
        atomic_store(&group_of[i], -1);
    WANT(ha_gs_init(&fd, HA_GS_SOCKET_NO_SIGNAL, NULL, NULL, NULL, on_delayed_error, NULL), HA_GS_OK);
    for (int i = 0; i < GROUPS; i++) { /* tokens are the smallest that are free */
        atomic_store(&group_of[2 * i], i);
        atomic_store(&group_of[2 * i + 1], i);
    }
    pthread_create(&voter, NULL, votes, NULL);
    for (int i = 0; i < DISPATCHERS; i++)
        pthread_create(&dispatcher[i], NULL, dispatches, NULL);
    pthread_create(&poller, NULL, polls, &fd);
    for (int i = 0; i < GROUPS; i++) {
        member[i] = join(names[i], (short)i, HA_GS_N_PHASE);
        WANT(member[i], 2 * i);
        wait_for(&approved[i], 1);
        ha_gs_proposal_info_t q = { .gs_subscribe_request = { HA_GS_SUBSCRIBE_STATE_AND_MEMBERSHIP, (char *)names[i], on_subscription } };
        WANT(ha_gs_subscribe(&subscriber[i], &q), HA_GS_OK);
        WANT(subscriber[i], 2 * i + 1);
    }
    for (int i = 0; i < GROUPS; i++)
        pthread_create(&proposer[i], NULL, proposes, (void *)(long)i);
    pthread_create(&visitor, NULL, visits, NULL);
    fork_once();
    pthread_join(visitor, NULL);
    for (int i = 0; i < 5; i++) /* with nobody else who could be given the token */
        race_to_part();
    for (int i = 0; i < GROUPS; i++)
        pthread_join(proposer[i], NULL);
    for (int i = 0; i < GROUPS; i++) {
        wait_for(&told[i], 1);
        TRUE(atomic_load(&approved[i]) > ROUNDS / 2);
    }
    ha_gs_quit();
    for (int i = 0; i < DISPATCHERS; i++)
        pthread_join(dispatcher[i], NULL);
    pthread_join(poller, NULL);
    pthread_mutex_lock(&lock);
    stop = true;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
    pthread_join(voter, NULL);
    puts("all right");
    return 0;
}
