/* calls.c - every function, right and wrong, against one agent of node 1. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

static ha_gs_descriptor_t descriptor;
static ha_gs_token_t      token; /* of the join under test */
static char               seen[4096];
static int                pings;

static void add(const char *what, int number)
{
    size_t n = strlen(seen);
    snprintf(seen + n, sizeof seen - n, "%s%s:%d", n != 0 ? " " : "", what, number);
}

static bool readable(int ms)
{
    struct pollfd p = { .fd = descriptor, .events = POLLIN };
    int n;
    do
        n = poll(&p, 1, ms);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

/* Dispatches until as much was seen as is wanted. */
static void expect(const char *what)
{
    while (strlen(seen) < strlen(what)) {
        if (!readable(20000)) {
            fprintf(stderr, "nothing comes; saw \"%s\", want \"%s\"\n", seen, what);
            abort();
        }
        WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_OK);
    }
    if (strcmp(seen, what) != 0) {
        fprintf(stderr, "saw \"%s\", want \"%s\"\n", seen, what);
        abort();
    }
    seen[0] = '\0';
}

static void on_phase(const ha_gs_n_phase_notification_t *n)
{
    WANT(n->gs_notification_type, HA_GS_N_PHASE_NOTIFICATION);
    touch_proposal(n->gs_proposal);
    add("NP", (int)n->gs_proposal->gs_phase_info.gs_phase_number);
    WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_NOT_OK);
    WANT(ha_gs_init(&descriptor, HA_GS_SOCKET_NO_SIGNAL, NULL, NULL, NULL, (ha_gs_delayed_error_cb_t *)abort, NULL), HA_GS_NOT_OK);
    WANT(ha_gs_vote(n->gs_provider_token, HA_GS_NULL_VOTE, NULL, NULL, HA_GS_NULL_VOTE), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_vote(n->gs_provider_token, HA_GS_VOTE_APPROVE, NULL, NULL, HA_GS_VOTE_CONTINUE), HA_GS_BAD_PARAMETER);
    ha_gs_state_value_t bad = { 257, "" }, none = { 1, NULL };
    ha_gs_provider_message_t empty = { 0, "" };
    WANT(ha_gs_vote(n->gs_provider_token, HA_GS_VOTE_APPROVE, &bad, NULL, HA_GS_NULL_VOTE), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_vote(n->gs_provider_token, HA_GS_VOTE_APPROVE, &none, NULL, HA_GS_NULL_VOTE), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_vote(n->gs_provider_token, HA_GS_VOTE_APPROVE, NULL, &empty, HA_GS_NULL_VOTE), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_vote(n->gs_provider_token, HA_GS_VOTE_APPROVE, NULL, NULL, HA_GS_VOTE_APPROVE), HA_GS_OK);
    WANT(ha_gs_vote(n->gs_provider_token, HA_GS_VOTE_APPROVE, NULL, NULL, HA_GS_NULL_VOTE), HA_GS_VOTE_NOT_EXPECTED);
}

static void on_approved(const ha_gs_approved_notification_t *n)
{
    touch_proposal(n->gs_proposal);
    add("AP", n->gs_protocol_type);
    if (n->gs_protocol_type == HA_GS_LEAVE) { /* it is out, and the token not yet free */
        WANT(ha_gs_goodbye(n->gs_provider_token), HA_GS_NOT_A_MEMBER);
        WANT(ha_gs_vote(n->gs_provider_token, HA_GS_VOTE_APPROVE, NULL, NULL, HA_GS_NULL_VOTE), HA_GS_NOT_A_MEMBER);
    }
}

static void on_rejected(const ha_gs_rejected_notification_t *n)
{
    touch_proposal(n->gs_proposal);
    add("RJ", n->gs_protocol_type);
}

static void on_announcement(const ha_gs_announcement_notification_t *n)
{
    touch_list(n->gs_announcement);
    add("AN", (int)n->gs_summary_code);
}

static void on_delayed_error(const ha_gs_delayed_error_notification_t *n)
{
    const ha_gs_proposal_info_t *q = n->gs_failing_request;
    add("DE", n->gs_delayed_return_code);
    switch (n->gs_protocol_type) {
    case HA_GS_JOIN:
        TRUE(q->gs_join_request.gs_protocol_approved_callback == on_approved);
        TRUE(strlen(q->gs_join_request.gs_group_attributes->gs_group_name) > 0);
        TRUE(strcmp(q->gs_join_request.gs_provider_local_name, "me") == 0);
        break;
    case HA_GS_SUBSCRIPTION:
        TRUE(strcmp(q->gs_subscribe_request.gs_subscription_group, "nobody") == 0);
        break;
    case HA_GS_EXPEL:
        WANT(q->gs_expel_request.gs_expel_list.gs_count, 2);
        WANT(q->gs_expel_request.gs_expel_list.gs_providers[1].gs_node_number, 9);
        TRUE(strcmp(q->gs_expel_request.gs_deactivate_flag, "flag") == 0);
        break;
    default:
        abort();
    }
}

static void on_subscription(const ha_gs_subscription_notification_t *n)
{
    touch_subscription(n);
    add("SU", (int)n->gs_subscription_type);
}

static ha_gs_callback_rc_t on_check(const ha_gs_responsiveness_notification_t *n)
{
    WANT(n->gs_responsiveness_information.gs_responsiveness_interval, 1);
    pings++;
    return HA_GS_CALLBACK_OK;
}

static ha_gs_proposal_info_t join_request(ha_gs_group_attributes_t *a)
{
    return (ha_gs_proposal_info_t){ .gs_join_request = {
        .gs_group_attributes = a,
        .gs_provider_instance = 1,
        .gs_provider_local_name = "me",
        .gs_n_phase_protocol_callback = on_phase,
        .gs_protocol_approved_callback = on_approved,
        .gs_protocol_rejected_callback = on_rejected,
        .gs_announcement_callback = on_announcement,
    } };
}

static ha_gs_rc_t join(const char *group, ha_gs_num_phases_t phases)
{
    ha_gs_group_attributes_t a = attributes(group, phases);
    ha_gs_proposal_info_t q = join_request(&a);
    return ha_gs_join(&token, &q);
}

static ha_gs_rc_t init(void)
{
    return ha_gs_init(&descriptor, HA_GS_SOCKET_NO_SIGNAL, NULL, NULL, NULL, on_delayed_error, NULL);
}

static void before_init(ha_gs_rc_t rc)
{
    int number;
    ha_gs_limits_t limits;
    ha_gs_proposal_info_t q = { 0 };
    ha_gs_adapter_info info = { 0 };
    fc_eid_t id;
    WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), rc);
    WANT(join("calls", HA_GS_1_PHASE), rc);
    WANT(ha_gs_leave(0, &q), rc);
    WANT(ha_gs_goodbye(0), rc);
    WANT(ha_gs_expel(0, &q), rc);
    WANT(ha_gs_change_state_value(0, &q), rc);
    WANT(ha_gs_change_attributes(0, &q), rc);
    WANT(ha_gs_send_message(0, &q), rc);
    WANT(ha_gs_vote(0, HA_GS_VOTE_APPROVE, NULL, NULL, HA_GS_NULL_VOTE), rc);
    WANT(ha_gs_subscribe(&token, &q), rc);
    WANT(ha_gs_unsubscribe(0), rc);
    WANT(ha_gs_get_node_number(&number), rc);
    WANT(ha_gs_get_adapter_info(&info), rc);
    WANT(ha_gs_get_ffdc_id(id), HA_GS_NOT_OK);
    WANT(ha_gs_setup_ffdc(), HA_GS_OK);
    WANT(ha_gs_get_limits(&limits), HA_GS_OK);
    WANT(limits.gs_max_state_value_length, 256);
    WANT(limits.gs_max_tokens_per_client, 256);
    WANT(ha_gs_get_limits(NULL), HA_GS_BAD_PARAMETER);
    ha_gs_quit();
}

static void wrong_inits(void)
{
    ha_gs_responsiveness_t r = { .gs_responsiveness_type = HA_GS_PING_RESPONSIVENESS, .gs_responsiveness_interval = 1, .gs_responsiveness_response_time_limit = 1 };
    WANT(ha_gs_init(NULL, HA_GS_SOCKET_NO_SIGNAL, NULL, NULL, NULL, on_delayed_error, NULL), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_init(&descriptor, 0, NULL, NULL, NULL, on_delayed_error, NULL), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_init(&descriptor, HA_GS_SOCKET_SIGNAL, NULL, NULL, NULL, on_delayed_error, NULL), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_init(&descriptor, HA_GS_SOCKET_NO_SIGNAL, NULL, NULL, NULL, NULL, NULL), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_init(&descriptor, HA_GS_SOCKET_NO_SIGNAL, NULL, "bin/true", NULL, on_delayed_error, NULL), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_init(&descriptor, HA_GS_SOCKET_NO_SIGNAL, &r, NULL, NULL, on_delayed_error, NULL), HA_GS_BAD_PARAMETER);
    r.gs_responsiveness_interval = 0;
    WANT(ha_gs_init(&descriptor, HA_GS_SOCKET_NO_SIGNAL, &r, NULL, on_check, on_delayed_error, NULL), HA_GS_BAD_PARAMETER);
    r.gs_responsiveness_type = HA_GS_COUNTER_RESPONSIVENESS;
    r.gs_responsiveness_interval = 1;
    r.gs_counter_location = &r;
    r.gs_counter_length = 3;
    WANT(ha_gs_init(&descriptor, HA_GS_SOCKET_NO_SIGNAL, &r, NULL, on_check, on_delayed_error, NULL), HA_GS_BAD_PARAMETER);
    setenv("HA_DOMAIN_NAME", "another", 1);
    WANT(init(), HA_GS_CONNECT_FAILED);
    setenv("HA_DOMAIN_NAME", "hall", 1);
}

/* Signals that interrupt whatever the library does. */
static void on_alarm(int number) { (void)number; }

static void disturb(int us)
{
    struct sigaction a = { .sa_handler = on_alarm }; /* nothing restarts by itself */
    struct itimerval t = { .it_interval = { .tv_usec = us }, .it_value = { .tv_usec = us } };
    WANT(sigaction(SIGALRM, &a, NULL), 0);
    WANT(setitimer(ITIMER_REAL, &t, NULL), 0);
}

static int next_file(void)
{
    int fd = dup(STDERR_FILENO);
    TRUE(fd >= 0);
    close(fd);
    return fd;
}

/* A process that may not open all files that the library needs; no file stays open. */
static void few_files(void)
{
    struct rlimit before, few;
    int first = next_file();
    WANT(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    for (int more = 0; more < 4; more++) {
        few.rlim_cur = (rlim_t)(first + more);
        WANT(setrlimit(RLIMIT_NOFILE, &few), 0);
        WANT(init(), more == 0 ? HA_GS_SOCK_CREATE_FAILED : HA_GS_SOCK_INIT_FAILED);
        WANT(setrlimit(RLIMIT_NOFILE, &before), 0);
        WANT(next_file(), first);
    }
}

static void wrong_joins(void)
{
    ha_gs_group_attributes_t a = attributes("calls", HA_GS_1_PHASE);
    ha_gs_proposal_info_t q = join_request(&a);
    WANT(ha_gs_join(NULL, &q), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_join(&token, NULL), HA_GS_BAD_PARAMETER);
    WANT(join("", HA_GS_1_PHASE), HA_GS_BAD_PARAMETER);
    WANT(join(NULL, HA_GS_1_PHASE), HA_GS_BAD_PARAMETER);
    WANT(join("123456789012345678901234567890123", HA_GS_1_PHASE), HA_GS_NAME_TOO_LONG);
    WANT(join("HostMembership", HA_GS_1_PHASE), HA_GS_INVALID_GROUP);
    WANT(join("en12Membership", HA_GS_1_PHASE), HA_GS_INVALID_GROUP);
    WANT(join("calls", 0), HA_GS_BAD_GROUP_ATTRIBUTES);
#define WRONG(field, value, rc)                   \
    do {                                          \
        a = attributes("calls", HA_GS_1_PHASE);   \
        q = join_request(&a);                     \
        field = value;                            \
        WANT(ha_gs_join(&token, &q), rc);         \
    } while (0)
    WRONG(a.gs_sizeof_group_attributes, 8, HA_GS_BAD_GROUP_ATTRIBUTES);
    WRONG(a.gs_batch_control, 0x20, HA_GS_BAD_GROUP_ATTRIBUTES);
    WRONG(a.gs_merge_control, HA_GS_LARGER_MERGE, HA_GS_BAD_GROUP_ATTRIBUTES);
    WRONG(a.gs_group_default_vote, HA_GS_VOTE_CONTINUE, HA_GS_BAD_GROUP_ATTRIBUTES);
    WRONG(a.gs_time_limit, -1, HA_GS_BAD_GROUP_ATTRIBUTES);
    WRONG(a.gs_source_group_name, "calls", HA_GS_INVALID_SOURCE_GROUP);
    WRONG(a.gs_source_group_name, "HostMembership", HA_GS_INVALID_SOURCE_GROUP);
    WRONG(a.gs_source_group_name, "123456789012345678901234567890123", HA_GS_NAME_TOO_LONG);
    a = attributes("calls", HA_GS_1_PHASE);
    a.gs_source_group_name = "source";
    a.gs_source_reflection_num_phases = HA_GS_N_PHASE;
    a.gs_source_reflection_time_limit = -1;
    WANT(ha_gs_join(&token, &q), HA_GS_BAD_GROUP_ATTRIBUTES);
    a.gs_source_group_name = NULL; /* then nobody looks at it */
    WANT(ha_gs_join(&token, &q), HA_GS_OK);
    WANT(ha_gs_goodbye(token), HA_GS_OK);
    WRONG(q.gs_join_request.gs_provider_instance, -1, HA_GS_BAD_PARAMETER);
    WRONG(q.gs_join_request.gs_provider_local_name, "123456789012345678901234567890123", HA_GS_NAME_TOO_LONG);
    WRONG(q.gs_join_request.gs_group_attributes, NULL, HA_GS_BAD_PARAMETER);
}

static void wrong_proposals(ha_gs_token_t member, ha_gs_token_t subscriber)
{
    ha_gs_proposal_info_t q = { 0 };
    ha_gs_state_value_t v = { 257, "" };
    ha_gs_provider_message_t m = { 2049, "" };
    WANT(ha_gs_leave(member, NULL), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_leave(77, &q), HA_GS_BAD_MEMBER_TOKEN);
    WANT(ha_gs_leave(-1, &q), HA_GS_BAD_MEMBER_TOKEN);
    WANT(ha_gs_leave(subscriber, &q), HA_GS_BAD_MEMBER_TOKEN);
    WANT(ha_gs_leave(member, &q), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_vote(subscriber, HA_GS_VOTE_APPROVE, NULL, NULL, HA_GS_NULL_VOTE), HA_GS_BAD_MEMBER_TOKEN);
    WANT(ha_gs_vote(member, HA_GS_VOTE_APPROVE, NULL, NULL, HA_GS_NULL_VOTE), HA_GS_VOTE_NOT_EXPECTED);
    WANT(ha_gs_unsubscribe(member), HA_GS_BAD_MEMBER_TOKEN);
    WANT(ha_gs_goodbye(subscriber), HA_GS_BAD_MEMBER_TOKEN);
    q.gs_state_change_request = (ha_gs_state_change_request_t){ HA_GS_1_PHASE, 0, &v };
    WANT(ha_gs_change_state_value(member, &q), HA_GS_BAD_PARAMETER);
    v.gs_length = -1;
    WANT(ha_gs_change_state_value(member, &q), HA_GS_BAD_PARAMETER);
    q.gs_state_change_request.gs_new_state = NULL;
    WANT(ha_gs_change_state_value(member, &q), HA_GS_BAD_PARAMETER);
    q.gs_message_request = (ha_gs_message_request_t){ HA_GS_1_PHASE, 0, &m };
    WANT(ha_gs_send_message(member, &q), HA_GS_BAD_PARAMETER);
    m.gs_length = 0;
    WANT(ha_gs_send_message(member, &q), HA_GS_BAD_PARAMETER);
    m.gs_length = 1;
    q.gs_message_request.gs_time_limit = -1;
    WANT(ha_gs_send_message(member, &q), HA_GS_BAD_PARAMETER);

    ha_gs_provider_t twice[2] = { { .gs_provider_id = 5 }, { .gs_provider_id = 5 } };
    q.gs_expel_request = (ha_gs_expel_request_t){ .gs_num_phases = HA_GS_1_PHASE };
    WANT(ha_gs_expel(member, &q), HA_GS_BAD_PARAMETER);
    q.gs_expel_request.gs_expel_list = (ha_gs_membership_t){ 2, twice };
    WANT(ha_gs_expel(member, &q), HA_GS_PROVIDER_APPEARS_TWICE);
    q.gs_expel_request.gs_expel_list.gs_count = 1;
    q.gs_expel_request.gs_deactivate_phase = 3;
    WANT(ha_gs_expel(member, &q), HA_GS_INVALID_DEACTIVATE_PHASE);

    ha_gs_group_attributes_t a = attributes("other", HA_GS_1_PHASE);
    q.gs_attribute_change_request = (ha_gs_change_attributes_t){ HA_GS_1_PHASE, 0, NULL, NULL };
    WANT(ha_gs_change_attributes(member, &q), HA_GS_BAD_PARAMETER);
    q.gs_attribute_change_request.gs_group_attributes = &a;
    WANT(ha_gs_change_attributes(member, &q), HA_GS_BAD_GROUP_ATTRIBUTES);
    a = attributes("calls", HA_GS_1_PHASE);
    a.gs_source_group_name = "another";
    WANT(ha_gs_change_attributes(member, &q), HA_GS_BAD_GROUP_ATTRIBUTES);

    q.gs_subscribe_request = (ha_gs_subscribe_request_t){ 0x10, "calls", on_subscription };
    WANT(ha_gs_subscribe(&token, &q), HA_GS_BAD_PARAMETER);
    q.gs_subscribe_request = (ha_gs_subscribe_request_t){ HA_GS_SUBSCRIBE_STATE, "calls", NULL };
    WANT(ha_gs_subscribe(&token, &q), HA_GS_BAD_PARAMETER);
    q.gs_subscribe_request = (ha_gs_subscribe_request_t){ HA_GS_SUBSCRIBE_STATE, "", on_subscription };
    WANT(ha_gs_subscribe(&token, &q), HA_GS_BAD_PARAMETER);
    q.gs_subscribe_request.gs_subscription_group = "123456789012345678901234567890123";
    WANT(ha_gs_subscribe(&token, &q), HA_GS_NAME_TOO_LONG);
    WANT(ha_gs_subscribe(NULL, &q), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_subscribe(&token, NULL), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_leave(77, NULL), HA_GS_BAD_PARAMETER); /* before the token */
}

/* All that a provider and a subscriber do, alone in a group. */
static void a_life(void)
{
    ha_gs_token_t member, subscriber;
    ha_gs_proposal_info_t q = { 0 };
    WANT(join("calls", HA_GS_N_PHASE), HA_GS_OK);
    member = token;
    WANT(member, 0);
    q.gs_leave_request.gs_num_phases = HA_GS_1_PHASE;
    WANT(ha_gs_leave(member, &q), HA_GS_NOT_A_MEMBER);
    expect("NP:1 AP:1");

    q.gs_subscribe_request = (ha_gs_subscribe_request_t){ HA_GS_SUBSCRIBE_STATE_AND_MEMBERSHIP, "calls", on_subscription };
    WANT(ha_gs_subscribe(&subscriber, &q), HA_GS_OK);
    WANT(subscriber, 1);
    TRUE(readable(20000)); /* it is in memory already */
    expect("SU:9");
    TRUE(!readable(0));
    wrong_proposals(member, subscriber);

    q.gs_subscribe_request = (ha_gs_subscribe_request_t){ HA_GS_SUBSCRIBE_STATE, "nobody", on_subscription };
    WANT(ha_gs_subscribe(&token, &q), HA_GS_OK);
    expect("DE:10");
    WANT(ha_gs_unsubscribe(token), HA_GS_BAD_MEMBER_TOKEN);

    WANT(join("calls", HA_GS_1_PHASE), HA_GS_OK); /* attributes of its own */
    expect("DE:13");
    WANT(ha_gs_goodbye(token), HA_GS_BAD_MEMBER_TOKEN);

    ha_gs_state_value_t v = { 2, "ab" };
    q.gs_state_change_request = (ha_gs_state_change_request_t){ HA_GS_1_PHASE, 0, &v };
    WANT(ha_gs_change_state_value(member, &q), HA_GS_OK);
    WANT(ha_gs_change_state_value(member, &q), HA_GS_COLLIDE); /* its own is not answered */
    expect("AP:5 SU:1");

    ha_gs_provider_message_t m = { 5, "hello" };
    q.gs_message_request = (ha_gs_message_request_t){ HA_GS_N_PHASE, 0, &m };
    WANT(ha_gs_send_message(member, &q), HA_GS_OK);
    expect("NP:1 AP:6");

    ha_gs_group_attributes_t a = attributes("calls", HA_GS_N_PHASE);
    a.gs_time_limit = 30;
    q.gs_attribute_change_request = (ha_gs_change_attributes_t){ HA_GS_1_PHASE, 0, &a, NULL };
    WANT(ha_gs_change_attributes(member, &q), HA_GS_OK);
    expect("AP:11");

    ha_gs_provider_t both[2] = { { .gs_provider_id = 0 }, { .gs_provider_id = 0 } };
    both[0].gs_instance_number = 1;
    both[0].gs_node_number = 1;
    both[1].gs_node_number = 9;
    q.gs_expel_request = (ha_gs_expel_request_t){ .gs_num_phases = HA_GS_1_PHASE, .gs_expel_list = { 2, both }, .gs_deactivate_flag = "flag" };
    WANT(ha_gs_expel(member, &q), HA_GS_OK);
    expect("DE:23");

    q.gs_leave_request = (ha_gs_leave_request_t){ HA_GS_1_PHASE, 0, 42 };
    WANT(ha_gs_leave(member, &q), HA_GS_OK);
    expect("AP:3 SU:12 SU:128");
    WANT(ha_gs_leave(member, &q), HA_GS_BAD_MEMBER_TOKEN);
    WANT(ha_gs_unsubscribe(subscriber), HA_GS_BAD_MEMBER_TOKEN);
}

static void goodbyes(void)
{
    ha_gs_token_t first;
    ha_gs_proposal_info_t q = { 0 };
    WANT(join("calls", HA_GS_1_PHASE), HA_GS_OK);
    first = token;
    WANT(ha_gs_goodbye(first), HA_GS_OK); /* no callback comes */
    WANT(ha_gs_goodbye(first), HA_GS_BAD_MEMBER_TOKEN);
    WANT(join("more", HA_GS_1_PHASE), HA_GS_OK);
    WANT(token, 0);
    expect("AP:1");
    q.gs_subscribe_request = (ha_gs_subscribe_request_t){ HA_GS_SUBSCRIBE_ALL_MEMBERSHIP, HA_GS_HOST_MEMBERSHIP_GROUP, on_subscription };
    WANT(ha_gs_subscribe(&token, &q), HA_GS_OK);
    WANT(token, 1);
    WANT(ha_gs_unsubscribe(token), HA_GS_OK);
    WANT(ha_gs_unsubscribe(token), HA_GS_BAD_MEMBER_TOKEN);
    WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_OK);
    WANT(strlen(seen), 0);
}

static void too_many(void)
{
    ha_gs_proposal_info_t q = { .gs_subscribe_request = { HA_GS_SUBSCRIBE_DELTAS_ONLY, HA_GS_HOST_MEMBERSHIP_GROUP, on_subscription } };
    for (int i = 1; i < 256; i++)
        WANT(ha_gs_subscribe(&token, &q), HA_GS_OK);
    WANT(ha_gs_subscribe(&token, &q), HA_GS_NO_MEMORY);
    for (int i = 1; i < 256; i++)
        WANT(ha_gs_unsubscribe(i), HA_GS_OK);
}

/* A child does not share its parent's connection, and can have its own. */
static void forks(void)
{
    pid_t child = fork();
    if (child == 0) {
        int number;
        WANT(ha_gs_get_node_number(&number), HA_GS_NO_INIT);
        WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_NO_INIT);
        ha_gs_quit();
        WANT(init(), HA_GS_OK);
        WANT(join("more", HA_GS_1_PHASE), HA_GS_OK);
        expect("DE:15"); /* the parent's instance is there still */
        _exit(0);
    }
    int status;
    WANT(waitpid(child, &status, 0), child);
    WANT(status, 0);
    ha_gs_proposal_info_t q = { .gs_leave_request = { HA_GS_1_PHASE, 0, 0 } };
    WANT(ha_gs_leave(0, &q), HA_GS_OK);
    expect("AP:3");
}

/* A child that closed all files keeps those that it opened since, whatever their
 * numbers; and the library keeps off the standard streams. */
static void forks_and_closes(void)
{
    enum { MOST = 64 };
    pid_t child = fork();
    int status;
    if (child == 0) {
        for (int fd = 3; fd < MOST; fd++)
            close(fd);
        for (int fd = 3; fd < MOST; fd++)
            WANT(dup(STDOUT_FILENO), fd);
        close(STDIN_FILENO);
        WANT(init(), HA_GS_OK);
        TRUE(descriptor >= MOST);
        TRUE(fcntl(STDIN_FILENO, F_GETFD) < 0);
        for (int fd = 3; fd < MOST; fd++)
            TRUE(fcntl(fd, F_GETFD) >= 0);
        ha_gs_quit();
        _exit(0);
    }
    WANT(waitpid(child, &status, 0), child);
    WANT(status, 0);
}

/* A child that is born in a callback returns through the library. */
static void on_approved_fork(const ha_gs_approved_notification_t *n)
{
    (void)n;
    pid_t child = fork();
    int status;
    if (child == 0) {
        WANT(ha_gs_goodbye(0), HA_GS_NO_INIT);
        return;
    }
    WANT(waitpid(child, &status, 0), child);
    WANT(status, 0);
    add("forked", 0);
}

static void forks_in_callback(void)
{
    ha_gs_group_attributes_t a = attributes("fork", HA_GS_1_PHASE);
    ha_gs_proposal_info_t q = join_request(&a);
    pid_t parent = getpid();
    q.gs_join_request.gs_protocol_approved_callback = on_approved_fork;
    WANT(ha_gs_join(&token, &q), HA_GS_OK);
    while (strlen(seen) == 0) {
        TRUE(readable(20000));
        ha_gs_rc_t rc = ha_gs_dispatch(HA_GS_NON_BLOCKING);
        if (getpid() != parent) {
            WANT(rc, HA_GS_NO_INIT);
            WANT(init(), HA_GS_OK);
            _exit(0);
        }
        WANT(rc, HA_GS_OK);
    }
    seen[0] = '\0';
    WANT(ha_gs_goodbye(token), HA_GS_OK);
}

static void missing_callbacks(void)
{
    ha_gs_group_attributes_t a = attributes("silent", HA_GS_1_PHASE);
    ha_gs_proposal_info_t q = { .gs_join_request = { .gs_group_attributes = &a } };
    WANT(ha_gs_join(&token, &q), HA_GS_OK);
    ha_gs_proposal_info_t leave = { .gs_leave_request = { HA_GS_1_PHASE, 0, 0 } };
    ha_gs_rc_t rc;
    while ((rc = ha_gs_leave(token, &leave)) == HA_GS_NOT_A_MEMBER || rc == HA_GS_OK || rc == HA_GS_COLLIDE) {
        TRUE(readable(20000));
        WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_OK);
    }
    WANT(rc, HA_GS_BAD_MEMBER_TOKEN); /* it left */
}

static void responsiveness(void)
{
    static char counter[3]; /* programs need not keep it aligned */
    ha_gs_responsiveness_t r = { .gs_responsiveness_type = HA_GS_PING_RESPONSIVENESS, .gs_responsiveness_interval = 1, .gs_responsiveness_response_time_limit = 5 };
    WANT(ha_gs_init(&descriptor, HA_GS_SOCKET_NO_SIGNAL | HA_GS_ENABLE_ADAPTER_INFO, &r, NULL, on_check, on_delayed_error, NULL), HA_GS_OK);
    while (pings == 0) {
        TRUE(readable(20000));
        WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_OK);
    }
    ha_gs_adapter_info info = { .ip_addr = { .ip4 = { htonl(0x7f000001) } } }, other = { .ip_addr = { .ip4 = { htonl(0x7f010101) } } };
    WANT(ha_gs_get_adapter_info(&other), HA_GS_NOT_OK);
    WANT(ha_gs_get_adapter_info(NULL), HA_GS_BAD_PARAMETER);
    if (ha_gs_get_adapter_info(&info) == HA_GS_OK) {
        WANT(info.node_number, 1);
        TRUE(strlen(info.interface_name) > 0);
        printf("adapter %s\n", info.interface_name);
    }
    ha_gs_quit();

    r.gs_responsiveness_type = HA_GS_COUNTER_RESPONSIVENESS;
    r.gs_counter_location = counter + 1;
    r.gs_counter_length = 2;
    pings = 0;
    WANT(ha_gs_init(&descriptor, HA_GS_SOCKET_NO_SIGNAL, &r, NULL, on_check, on_delayed_error, NULL), HA_GS_OK);
    while (pings == 0) { /* it stands still */
        TRUE(readable(20000));
        WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_OK);
    }
    ha_gs_quit();
}

int main(void)
{
    int number;
    before_init(HA_GS_NO_INIT);
    wrong_inits();
    few_files();
    disturb(2000);
    WANT(init(), HA_GS_OK);
    WANT(init(), HA_GS_EXISTS);
    WANT(ha_gs_get_node_number(&number), HA_GS_OK);
    WANT(number, 1);
    WANT(ha_gs_get_node_number(NULL), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_get_adapter_info(&(ha_gs_adapter_info){ 0 }), HA_GS_NOT_SUPPORTED);
    WANT(ha_gs_dispatch((ha_gs_dispatch_flag_t)7), HA_GS_BAD_PARAMETER);
    WANT(ha_gs_dispatch(HA_GS_NON_BLOCKING), HA_GS_OK);
    wrong_joins();
    a_life();
    goodbyes();
    disturb(0);
    too_many();
    forks();
    forks_and_closes();
    forks_in_callback();
    missing_callbacks();
    ha_gs_quit();
    before_init(HA_GS_NO_INIT);
    responsiveness();
    before_init(HA_GS_NO_INIT);
    puts("all right");
    return 0;
}
