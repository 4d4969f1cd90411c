/*
 * ocf/oc_event_04.h - draft 0.4 of the cluster event API. Programs include
 * ocf/oc_event.h with OC_EVENT_API 40.
 */
#ifndef OC_EVENT_04_H
#define OC_EVENT_04_H
#ifdef OC_EVENT_02_H
#error "drafts 0.2 and 0.4 of the cluster event API do not go together in one file"
#endif

#include <ocf/oc_event_common.h>

#ifdef __cplusplus
extern "C" {
#endif

#if !defined(__GNUC__) && !defined(OC_EVENT_IS_34)
#define oc_ev_get_version oc_ev_get_version_v04
#endif

/* The data is at offset, and goes on to size. */
typedef struct {
    int32_t size;
    int32_t offset;
    int32_t ev_id;
    int32_t re_id; /* the event that it refers to; 0: none */
    int32_t seq;   /* in its topic, without gaps */
    char topic[1]; /* ends with a zero */
} oc_ev_event_t;

/* Is called within oc_ev_handle_events, and ends with oc_ev_event_done. */
typedef void oc_ev_on_event_t(const oc_ev_event_t *event);

/* Without fn events are fetched with oc_ev_get_event. */
int oc_ev_subscribe(const char *topic, oc_ev_on_event_t *fn);
int oc_ev_unsubscribe(int ed);
int oc_ev_get_fd(int ed);
int oc_ev_handle_events(void);
oc_ev_event_t *oc_ev_get_event(int ed, int timeout);
#ifndef OC_EVENT_IS_34
int oc_ev_event_done(const oc_ev_event_t *event);
int oc_ev_get_version(oc_ver_t *ver) OC_EV_SYMBOL("oc_ev_get_version_v04");
#endif

#ifdef __cplusplus
}
#endif
#endif
