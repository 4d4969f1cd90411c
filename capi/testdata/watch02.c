/*
 * watch02.c - a client of draft 0.2 as it was shipped that prints all that it is told,
 * until there is no agent any more. With LOADED it finds the library by itself, under
 * the name that it has in LOADED.
 *
 *   plain    is told of memberships
 *   special  of those without quorum, too
 *   lazy     looks when it reads a line, and says how many events there were
 */
#include <ocf/oc_event.h>

#include "want.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#ifdef LOADED
#include <dlfcn.h>

/* The types that the shipped header has. */
static struct {
    int (*reg)(oc_ev_t **);
    int (*set_callback)(const oc_ev_t *, oc_ev_class_t, oc_ev_callback_t *, oc_ev_callback_t **);
    void (*special)(const oc_ev_t *, oc_ev_class_t, int);
    int (*activate)(const oc_ev_t *, int *);
    int (*handle_event)(const oc_ev_t *);
    int (*callback_done)(void *);
    int (*unregister)(oc_ev_t *);
} api;

static void load(void)
{
    void *library = dlopen(LOADED, RTLD_LAZY);
    if (library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    TRUE(library != NULL);
    *(void **)&api.reg = dlsym(library, "oc_ev_register");
    *(void **)&api.set_callback = dlsym(library, "oc_ev_set_callback");
    *(void **)&api.special = dlsym(library, "oc_ev_special");
    *(void **)&api.activate = dlsym(library, "oc_ev_activate");
    *(void **)&api.handle_event = dlsym(library, "oc_ev_handle_event");
    *(void **)&api.callback_done = dlsym(library, "oc_ev_callback_done");
    *(void **)&api.unregister = dlsym(library, "oc_ev_unregister");
    TRUE(api.reg != NULL && api.set_callback != NULL && api.special != NULL && api.activate != NULL);
    TRUE(api.handle_event != NULL && api.callback_done != NULL && api.unregister != NULL);
}

#define oc_ev_register api.reg
#define oc_ev_set_callback api.set_callback
#define oc_ev_special api.special
#define oc_ev_activate api.activate
#define oc_ev_handle_event api.handle_event
#define oc_ev_callback_done api.callback_done
#define oc_ev_unregister api.unregister
#else
static void load(void) {}
#endif

static oc_ev_t *token;
static oc_ev_membership_t last; /* but for its lists */
static int told;

static void print_nodes(const oc_ev_membership_t *m, size_t size, unsigned n, unsigned index)
{
    TRUE(size >= offsetof(oc_ev_membership_t, m_array) + (index + n) * sizeof(oc_node_t));
    for (unsigned i = 0; i < n; i++) {
        TRUE(strlen(m->m_array[index + i].node_uname) > 0);
        printf("%s%u", i == 0 ? " " : ",", m->m_array[index + i].node_id);
    }
    printf("%s", n == 0 ? " -" : "");
}

/* The records of a token follow each other. */
static void check_record(oc_ed_t event, const oc_ev_membership_t *m, size_t size)
{
    WANT(m->m_memb_idx, 0);
    WANT(m->m_in_idx, last.m_instance == 0 ? 0 : m->m_n_member);
    WANT(size, sizeof *m + (m->m_out_idx - m->m_n_member) * 2 * sizeof(oc_node_t));
    for (unsigned i = 1; i < m->m_n_member; i++) {
        const oc_node_t *a = &m->m_array[i - 1], *b = &m->m_array[i];
        TRUE(a->node_born_on < b->node_born_on || (a->node_born_on == b->node_born_on && a->node_id < b->node_id));
    }
    if (last.m_instance == 0)
        WANT(m->m_n_in, m->m_n_member);
    if (event == OC_EV_MS_NOT_PRIMARY)
        WANT(m->m_instance, last.m_instance);
    else
        TRUE(m->m_instance > last.m_instance);
    memcpy(&last, m, offsetof(oc_ev_membership_t, m_array));
}

static void on_event(oc_ed_t event, void *cookie, size_t size, const void *data)
{
    static const char *const names[] = { "INVALID", "NM", "NOT_PRIMARY", "RESTORED", "EVICTED" };
    const oc_ev_membership_t *m = data;
    told++;
    WANT(OC_EV_GET_CLASS(event), OC_EV_MEMB_CLASS);
    WANT(oc_ev_handle_event(token), 0); /* and nothing comes */
    printf("%s", names[OC_EV_GET_EVENT(event)]);
    if (m != NULL) {
        if (event != OC_EV_MS_NOT_PRIMARY)
            check_record(event, m, size);
        print_nodes(m, size, m->m_n_member, m->m_memb_idx);
        print_nodes(m, size, m->m_n_in, m->m_in_idx);
        print_nodes(m, size, m->m_n_out, m->m_out_idx);
    } else {
        WANT(size, 0);
        last.m_instance = 0; /* all are new again */
    }
    printf("\n");
    fflush(stdout);
    WANT(oc_ev_callback_done(cookie), 0);
}

static void say(const char *what)
{
    printf("%s\n", what);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int fd = 7, ends = 0;
    TRUE(argc == 2);
    load();
    WANT(oc_ev_register(&token), 0);
    WANT(oc_ev_set_callback(token, OC_EV_MEMB_CLASS, on_event, NULL), 0);
    if (strcmp(argv[1], "special") == 0)
        oc_ev_special(token, OC_EV_MEMB_CLASS, 0);
    WANT(oc_ev_activate(token, &fd), 0);
    say("active");
    bool lazy = strcmp(argv[1], "lazy") == 0;
    for (;;) {
        char line[10];
        struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
        TRUE(poll(lazy ? p + 1 : p, lazy ? 1 : 2, -1) >= 1);
        if (p[1].revents != 0 && fgets(line, sizeof line, stdin) == NULL)
            break;
        int before = told;
        int e = oc_ev_handle_event(token);
        if (e != 0) {
            WANT(e, -1);
            WANT(oc_ev_handle_event(token), -1);
            say("gone");
            break;
        }
        if (lazy) {
            printf("%d at once\n", told - before);
            fflush(stdout);
        } else if ((p[0].revents & POLLHUP) != 0)
            WANT(ends++, 0); /* it is said once that nothing comes */
    }
    WANT(oc_ev_unregister(token), 0);
    printf("all right\n");
    return 0;
}
