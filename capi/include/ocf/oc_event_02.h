/*
 * ocf/oc_event_02.h - draft 0.2 of the cluster event API, as it was shipped with
 * libccmclient. Programs include ocf/oc_event.h with OC_EVENT_API 20.
 *
 * Tokens count from 0, so the first one is the NULL pointer. There are membership
 * events only.
 */
#ifndef OC_EVENT_02_H
#define OC_EVENT_02_H
#if defined(OC_EVENT_03_H) || defined(OC_EVENT_04_H)
#error "draft 0.2 of the cluster event API does not go together with others in one file"
#endif

#include <ocf/oc_event_common.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef __GNUC__
#define oc_ev_register oc_ev_register_v02
#define oc_ev_unregister oc_ev_unregister_v02
#define oc_ev_handle_event oc_ev_handle_event_v02
#define oc_ev_is_my_nodeid oc_ev_is_my_nodeid_v02
#endif

typedef int oc_ev_t;

typedef struct oc_node_s {
    char *node_uname; /* belongs to the record */
    unsigned int node_id;
    unsigned int node_born_on; /* m_instance with which it came */
} oc_node_t;

typedef struct oc_ev_membership_s {
    unsigned int m_instance; /* rises, with gaps */
    unsigned int m_n_member, m_memb_idx;
    unsigned int m_n_out, m_out_idx; /* who went since the last record that this token was given */
    unsigned int m_n_in, m_in_idx;   /* who came */
    oc_node_t m_array[1];
} oc_ev_membership_t;

/* Ends with oc_ev_callback_done(cookie). Without a record data is NULL. */
typedef void oc_ev_callback_t(oc_ed_t event, void *cookie, size_t size, const void *data);

int oc_ev_register(oc_ev_t **token) OC_EV_SYMBOL("oc_ev_register_v02");
int oc_ev_unregister(oc_ev_t *token) OC_EV_SYMBOL("oc_ev_unregister_v02");
int oc_ev_set_callback(const oc_ev_t *token, oc_ev_class_t event_class, oc_ev_callback_t *fn, oc_ev_callback_t **prev_fn);
int oc_ev_activate(const oc_ev_t *token, int *fd);
int oc_ev_handle_event(const oc_ev_t *token) OC_EV_SYMBOL("oc_ev_handle_event_v02");
int oc_ev_callback_done(void *cookie);
int oc_ev_is_my_nodeid(const oc_ev_t *token, const oc_node_t *node) OC_EV_SYMBOL("oc_ev_is_my_nodeid_v02");
/* Has memberships without quorum told, too, as OC_EV_MS_INVALID. */
void oc_ev_special(const oc_ev_t *token, oc_ev_class_t event_class, int type);

#ifdef __cplusplus
}
#endif
#endif
