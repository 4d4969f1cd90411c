/*
 * loaded.c - a program that finds the interface that heartbeat shipped when it runs.
 *
 *     cc $(pkg-config --cflags ccmclient) -o loaded loaded.c -ldl
 *
 * Without the library it still runs, and says that it knows nothing of the cluster.
 */
#include <ocf/oc_event.h>

#include <dlfcn.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>

static struct {
    int (*enter)(oc_ev_t **token);
    int (*set_callback)(const oc_ev_t *token, oc_ev_class_t event_class, oc_ev_callback_t *fn, oc_ev_callback_t **before);
    void (*special)(const oc_ev_t *token, oc_ev_class_t event_class, int type);
    int (*activate)(const oc_ev_t *token, int *fd);
    int (*handle_event)(const oc_ev_t *token);
    int (*callback_done)(void *cookie);
    int (*leave)(oc_ev_t *token);
} oc;

static bool load(void)
{
    void *library = dlopen("libccmclient.so.1", RTLD_LAZY);
    if (library == NULL)
        return false;
    *(void **)&oc.enter = dlsym(library, "oc_ev_register");
    *(void **)&oc.set_callback = dlsym(library, "oc_ev_set_callback");
    *(void **)&oc.special = dlsym(library, "oc_ev_special");
    *(void **)&oc.activate = dlsym(library, "oc_ev_activate");
    *(void **)&oc.handle_event = dlsym(library, "oc_ev_handle_event");
    *(void **)&oc.callback_done = dlsym(library, "oc_ev_callback_done");
    *(void **)&oc.leave = dlsym(library, "oc_ev_unregister");
    return oc.enter != NULL && oc.set_callback != NULL && oc.special != NULL && oc.activate != NULL && oc.handle_event != NULL &&
           oc.callback_done != NULL && oc.leave != NULL;
}

static void on_membership(oc_ed_t event, void *cookie, size_t size, const void *data)
{
    const oc_ev_membership_t *m = data;
    if (size == 0)
        printf("evicted\n");
    else {
        printf("instance %u | members", m->m_instance);
        for (unsigned i = 0; i < m->m_n_member; i++)
            printf(" %s", m->m_array[m->m_memb_idx + i].node_uname);
        printf(" | %s\n", event == OC_EV_MS_NEW_MEMBERSHIP || event == OC_EV_MS_PRIMARY_RESTORED ? "quorum" : "no quorum");
    }
    oc.callback_done(cookie);
}

int main(void)
{
    oc_ev_t *token;
    int fd;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!load()) {
        printf("there is no cluster here\n");
        return 0;
    }
    if (oc.enter(&token) != 0 || oc.set_callback(token, OC_EV_MEMB_CLASS, on_membership, NULL) != 0)
        return 1;
    oc.special(token, OC_EV_MEMB_CLASS, 0);
    if (oc.activate(token, &fd) != 0) {
        fprintf(stderr, "nobody answers\n");
        return 1;
    }
    struct pollfd p = { .fd = fd, .events = POLLIN };
    do
        poll(&p, 1, -1);
    while (oc.handle_event(token) == 0);
    oc.leave(token);
    printf("the service has ended\n");
    return 0;
}
