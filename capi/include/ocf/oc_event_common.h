/*
 * ocf/oc_event_common.h - what all drafts of the cluster event API share. Programs
 * include ocf/oc_event.h.
 */
#ifndef OC_EVENT_COMMON_H
#define OC_EVENT_COMMON_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Four functions have one name and different types in different drafts, so each
 * draft's header says which symbol it means. */
#define OC_EV_TEXT_(x) #x
#define OC_EV_TEXT(x) OC_EV_TEXT_(x)
#if defined(OC_EV_BARE_NAMES) || !defined(__GNUC__)
#define OC_EV_SYMBOL(name)
#else
#define OC_EV_SYMBOL(name) __asm__(OC_EV_TEXT(__USER_LABEL_PREFIX__) name)
#endif

/* An event descriptor: the class in its upper 10 bits, the event in its lower 22. */
typedef uint32_t oc_ed_t;

#define OC_EV_CLASS_SHIFT 22
#define OC_EV_EVENT_SHIFT 10
#define OC_EV_EVENT_MASK 0x003FFFFF
#define OC_EV_GET_CLASS(ed) ((uint32_t)(ed) >> OC_EV_CLASS_SHIFT)
#define OC_EV_GET_EVENT(ed) ((uint32_t)(ed) & OC_EV_EVENT_MASK)
#define OC_EV_SET_CLASS(cl, ev) ((uint32_t)(cl) << OC_EV_CLASS_SHIFT | ((uint32_t)(ev) & OC_EV_EVENT_MASK))

typedef enum { OC_EV_CONN_CLASS = 1, OC_EV_MEMB_CLASS = 2, OC_EV_GROUP_CLASS = 3 } oc_ev_class_t;

typedef enum {
    OC_EV_CS_INVALID = 0x00400000,
    OC_EV_CS_INTERFACE = 0x00400001, /* an interface of this node */
    OC_EV_CS_ELIGIBLE = 0x00400002,  /* a node of the configuration */
    OC_EV_CS_CONNECT = 0x00400003    /* a connection of this node with another */
} oc_conn_event_t;

typedef enum {
    OC_EV_MS_INVALID = 0x00800000, /* draft 0.2: a membership without quorum */
    OC_EV_MS_NEW_MEMBERSHIP = 0x00800001,
    OC_EV_MS_NOT_PRIMARY = 0x00800002,
    OC_EV_MS_PRIMARY_RESTORED = 0x00800003,
    OC_EV_MS_EVICTED = 0x00800004
} oc_memb_event_t;

typedef enum {
    OC_EV_GS_INVALID = 0x00C00000,
    OC_EV_GS_JOIN = 0x00C00001,
    OC_EV_GS_LEAVE = 0x00C00002,
    OC_EV_GS_CAST = 0x00C00003,
    OC_EV_GS_REPLY = 0x00C00004
} oc_group_event_t;

/* Names of the classes of draft 0.3 and of their topics in draft 0.4. */
#define S_OC_EV_CONN_CLASS "__OC_EV_CONN_CLASS"
#define S_OC_EV_MEMB_CLASS "__OC_EV_MEMB_CLASS"

/* The version of a draft. */
typedef struct {
    uint32_t major, minor, patch;
} oc_ver_t;

#endif
