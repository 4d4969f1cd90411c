/*
 * leader.c - the provider that has been in a group longest leads it.
 *
 *     cc -o leader leader.c $(pkg-config --cflags --libs ha_gs)
 *     leader GROUP INSTANCE
 *
 * Every provider sees the same list, oldest first, so nobody has to ask who leads.
 * The leader also writes itself into the group's state value, where subscribers can
 * read it. Each change is a line on standard output; the program ends when its
 * standard input does.
 */
#include <ha_gs.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ha_gs_token_t    token;
static ha_gs_provider_t self, leader;
static bool             joined, over, record_due;

static bool lead(void) { return joined && leader.gs_provider_id == self.gs_provider_id; }

/* A first round lets everybody finish what it does; in the second all agree. */
static void on_phase(const ha_gs_n_phase_notification_t *n)
{
    bool first = n->gs_proposal->gs_phase_info.gs_phase_number == 1;
    ha_gs_vote(n->gs_provider_token, first ? HA_GS_VOTE_CONTINUE : HA_GS_VOTE_APPROVE, NULL, NULL, HA_GS_NULL_VOTE);
}

static void take_members(const ha_gs_membership_t *m)
{
    bool inside = false;
    for (unsigned i = 0; i < m->gs_count; i++)
        inside = inside || m->gs_providers[i].gs_provider_id == self.gs_provider_id;
    if (!inside) {
        over = over || joined;
        return;
    }
    if (!joined || leader.gs_provider_id != m->gs_providers[0].gs_provider_id)
        printf("leader is %d/%d\n", m->gs_providers[0].gs_instance_number, m->gs_providers[0].gs_node_number);
    leader = m->gs_providers[0];
    joined = true;
    record_due = lead();
}

static void on_approved(const ha_gs_approved_notification_t *n)
{
    const ha_gs_proposal_t *p = n->gs_proposal;
    if (p->gs_whats_changed & HA_GS_UPDATED_MEMBERSHIP)
        take_members(p->gs_current_providers);
    if (p->gs_whats_changed & HA_GS_UPDATED_STATE_VALUE)
        printf("record is %.*s\n", p->gs_current_state_value->gs_length, p->gs_current_state_value->gs_state);
}

/* A failure leave that was voted down removes its provider all the same. */
static void on_rejected(const ha_gs_rejected_notification_t *n)
{
    const ha_gs_proposal_t *p = n->gs_proposal;
    if (p->gs_whats_changed & HA_GS_UPDATED_MEMBERSHIP)
        take_members(p->gs_current_providers);
    if (n->gs_protocol_type == HA_GS_STATE_VALUE_CHANGE)
        record_due = lead();
    if (n->gs_protocol_type == HA_GS_JOIN && !joined)
        over = true;
}

static void on_announcement(const ha_gs_announcement_notification_t *n)
{
    if (n->gs_summary_code & (HA_GS_GROUP_DISSOLVED | HA_GS_GROUP_SERVICES_HAS_DIED_HORRIBLY))
        over = true;
}

static void on_delayed_error(const ha_gs_delayed_error_notification_t *n)
{
    if (n->gs_protocol_type == HA_GS_JOIN) {
        fprintf(stderr, "leader: cannot join: code %d\n", n->gs_delayed_return_code);
        over = true;
    } else
        record_due = lead(); /* something else was under way */
}

static void write_record(void)
{
    char text[32];
    ha_gs_state_value_t   value = { snprintf(text, sizeof text, "%d/%d", self.gs_instance_number, self.gs_node_number), text };
    ha_gs_proposal_info_t q = { .gs_state_change_request = { .gs_num_phases = HA_GS_1_PHASE, .gs_new_state = &value } };
    if (ha_gs_change_state_value(token, &q) == HA_GS_OK)
        record_due = false; /* else once more, a little later */
}

static int join(char *group)
{
    ha_gs_group_attributes_t a = {
        .gs_sizeof_group_attributes = sizeof a,
        .gs_group_name = group,
        .gs_batch_control = HA_GS_BATCH_BOTH,
        .gs_num_phases = HA_GS_N_PHASE,
        .gs_group_default_vote = HA_GS_VOTE_APPROVE,
        .gs_merge_control = HA_GS_DISSOLVE_MERGE,
        .gs_time_limit = 10,
    };
    ha_gs_proposal_info_t q = { .gs_join_request = {
        .gs_group_attributes = &a,
        .gs_provider_instance = self.gs_instance_number,
        .gs_provider_local_name = "leader",
        .gs_n_phase_protocol_callback = on_phase,
        .gs_protocol_approved_callback = on_approved,
        .gs_protocol_rejected_callback = on_rejected,
        .gs_announcement_callback = on_announcement,
    } };
    return ha_gs_join(&token, &q);
}

int main(int argc, char **argv)
{
    ha_gs_descriptor_t descriptor;
    int node, rc;
    char input[64];

    if (argc != 3) {
        fprintf(stderr, "usage: leader GROUP INSTANCE\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if ((rc = ha_gs_init(&descriptor, HA_GS_SOCKET_NO_SIGNAL, NULL, NULL, NULL, on_delayed_error, NULL)) != HA_GS_OK ||
        (rc = ha_gs_get_node_number(&node)) != HA_GS_OK) {
        fprintf(stderr, "leader: no Group Services: code %d%s\n", rc,
                rc == HA_GS_CONNECT_FAILED ? " (no agent runs here, or it refuses this user or domain)" : "");
        return 1;
    }
    self.gs_instance_number = (short)atoi(argv[2]);
    self.gs_node_number = (short)node;
    if ((rc = join(argv[1])) != HA_GS_OK) {
        fprintf(stderr, "leader: cannot join: code %d\n", rc);
        return 1;
    }
    while (!over) {
        struct pollfd p[2] = { { .fd = descriptor, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
        if (poll(p, 2, record_due ? 100 : -1) < 0)
            break;
        if (p[0].revents != 0 && ha_gs_dispatch(HA_GS_NON_BLOCKING) != HA_GS_OK)
            break;
        if (p[1].revents != 0 && read(STDIN_FILENO, input, sizeof input) <= 0)
            break;
        if (record_due && !over)
            write_record();
    }
    ha_gs_quit();
    return 0;
}
