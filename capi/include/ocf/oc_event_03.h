/*
 * ocf/oc_event_03.h - draft 0.3 of the cluster event API. Programs include
 * ocf/oc_event.h.
 *
 * Functions return 0 or an error number, which is in errno, too; oc_ev_register
 * returns a descriptor or -1. All may be called by any thread. In a forked child
 * what its parent registered is unknown.
 */
#ifndef OC_EVENT_03_H
#define OC_EVENT_03_H
#ifdef OC_EVENT_02_H
#error "drafts 0.2 and 0.3 of the cluster event API do not go together in one file"
#endif

#include <ocf/oc_event_common.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef __GNUC__
#define oc_ev_register oc_ev_register_v03
#define oc_ev_unregister oc_ev_unregister_v03
#define oc_ev_handle_event oc_ev_handle_event_v03
#define oc_ev_is_my_nodeid oc_ev_is_my_nodeid_v03
#define oc_ev_get_version oc_ev_get_version_v03
#endif

typedef oc_ed_t oc_event_t;

/* Names that the draft has in places. */
#define OC_EV_MEMBER_CLASS OC_EV_MEMB_CLASS
#define OC_EV_NOT_PRIMARY OC_EV_MS_NOT_PRIMARY

/* With this every record begins. */
typedef struct {
    size_t e_size; /* bytes of the whole record */
    oc_ed_t e_event;
} oc_ev_data_t;

typedef struct {
    unsigned int node_id;
    unsigned int node_born_on; /* m_sequence of the membership in which it came */
} oc_node_t;

/* Lists are oldest first, and the same at all members. OC_EV_MS_EVICTED is a header
 * alone. */
typedef struct {
    oc_ev_data_t data_hdr;
    unsigned int m_sequence; /* generation of the membership */
    unsigned int m_n_member, m_memb_idx;
    unsigned int m_n_out, m_out_idx; /* who went since the membership before */
    unsigned int m_n_in, m_in_idx;   /* who came */
    oc_node_t m_array[1];            /* as many as e_size has room for */
} oc_ev_membership_t;

typedef struct {
    oc_ev_data_t data_hdr;
    uint32_t c_kind; /* 1: came, 2: went */
    uint32_t c_node_id; /* 0: an interface */
    uint32_t c_ifindex;
    uint32_t c_addr_family;
    uint8_t c_addr[64]; /* text, the rest zero */
} oc_ev_connectivity_t;

/* Of a group; OC_EV_GS_JOIN and OC_EV_GS_LEAVE tell of the sender. */
typedef struct {
    oc_ev_data_t data_hdr;
    uint32_t g_sender_node;
    uint32_t g_sender_pid;
    uint32_t g_msg_id;
    uint32_t g_reply_to; /* of OC_EV_GS_REPLY */
    uint32_t g_len;
    unsigned char g_data[1]; /* g_len bytes */
} oc_ev_message_t;

/* Is called within oc_ev_handle_event, and ends with oc_ev_event_done. */
typedef void oc_ev_callback_t(const oc_ev_data_t *data);

int oc_ev_register(const char *event_class, oc_ev_callback_t *fn) OC_EV_SYMBOL("oc_ev_register_v03");
int oc_ev_unregister(int fd) OC_EV_SYMBOL("oc_ev_unregister_v03");
int oc_ev_handle_event(int fd) OC_EV_SYMBOL("oc_ev_handle_event_v03");
int oc_ev_is_my_nodeid(int fd, const oc_node_t *node) OC_EV_SYMBOL("oc_ev_is_my_nodeid_v03");
int oc_ev_get_version(oc_ver_t *ver) OC_EV_SYMBOL("oc_ev_get_version_v03");
#ifdef OC_EVENT_IS_34
int oc_ev_event_done(const void *data);
#else
int oc_ev_event_done(const oc_ev_data_t *data);
#endif

#ifdef __cplusplus
}
#endif
#endif
