/*
 * draft04.c - a program of draft 0.4: memberships by callback, a topic by pulling.
 *
 *     cc -o draft04 draft04.c -l_oc_event -pthread
 *     moot topic create TOPIC
 *     draft04 TOPIC
 *
 * oc_ev_handle_events takes the thread that calls it, and runs the functions of all
 * subscriptions that have one. Of the topic, which has none, another thread fetches
 * events. Numbers of a topic have no gaps, but where this program was too slow. Each
 * event is a line on standard output; the program ends when the service does.
 */
#define OC_EVENT_API 34 /* the data of the membership topic is the record of draft 0.3 */
#include <ocf/oc_event.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_nodes(const char *what, const oc_node_t *node, unsigned n)
{
    printf(" | %s", what);
    for (unsigned i = 0; i < n; i++)
        printf(" %u@%u", node[i].node_id, node[i].node_born_on);
}

static void on_membership(const oc_ev_event_t *event)
{
    const void *data = (const char *)event + event->offset;
    const oc_ev_membership_t *m = data;
    flockfile(stdout);
    switch (m->data_hdr.e_event) {
    case OC_EV_MS_NEW_MEMBERSHIP:
    case OC_EV_MS_PRIMARY_RESTORED:
        printf("membership %u", m->m_sequence);
        print_nodes("members", &m->m_array[m->m_memb_idx], m->m_n_member);
        print_nodes("came", &m->m_array[m->m_in_idx], m->m_n_in);
        print_nodes("went", &m->m_array[m->m_out_idx], m->m_n_out);
        printf("\n");
        break;
    case OC_EV_MS_NOT_PRIMARY:
        printf("membership %u is not certain\n", m->m_sequence);
        break;
    case OC_EV_MS_EVICTED:
        printf("not a member any more\n");
    }
    funlockfile(stdout);
    oc_ev_event_done(event);
}

static void *pull(void *subscription)
{
    int ed = *(int *)subscription, last = 0;
    oc_ev_event_t *event;
    while ((event = oc_ev_get_event(ed, -1)) != NULL || errno == EINTR) {
        if (event == NULL)
            continue;
        if (last != 0 && event->seq != last + 1)
            printf("%d events were missed\n", event->seq - last - 1);
        last = event->seq;
        printf("%s %d: %.*s\n", event->topic, event->seq, (int)(event->size - event->offset), (const char *)event + event->offset);
        oc_ev_event_done(event);
    }
    oc_ev_unsubscribe(ed);
    return NULL;
}

static int subscribe(const char *topic, oc_ev_on_event_t *fn)
{
    int ed = oc_ev_subscribe(topic, fn);
    if (ed < 0) {
        fprintf(stderr, "subscribe to %s: %s\n", topic, errno == EINVAL ? "there is no such topic" : strerror(errno));
        exit(1);
    }
    return ed;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: draft04 TOPIC\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int news = subscribe(argv[1], NULL);
    subscribe(S_OC_EV_MEMB_CLASS, on_membership);
    pthread_t thread;
    if (pthread_create(&thread, NULL, pull, &news) != 0)
        return 1;
    oc_ev_handle_events();
    pthread_join(thread, NULL);
    printf("the service has ended\n");
    return 0;
}
