/*
 * ha_gs.h - Group Services for C programs, served by the Moothall agent.
 *
 * Programs written for the Group Services interface compile against this header
 * without changes; link with -lha_gs or -lha_gs_r, which are the same library.
 * ha_gs(7) is the overview, and each function has a page in section 3.
 *
 * All numbers but HA_GS_OK are this implementation's own: use the names.
 */
#ifndef HA_GS_H
#define HA_GS_H

#include <netinet/in.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Level of the library, and limits in bytes; ha_gs_get_limits tells the others. */
#define HA_GS_RELEASE                        1
#define HA_GS_MAX_GROUP_NAME_LENGTH         32
#define HA_GS_MAX_STATE_VALUE_LENGTH       256
#define HA_GS_MAX_MESSAGE_LENGTH          2048
#define HA_GS_MAX_DEACTIVATE_FLAG_LENGTH   256
#define HA_GS_MAX_LOCAL_NAME_LENGTH         32

/* Numbers and names. */
typedef int            ha_gs_descriptor_t;
typedef int            ha_gs_token_t;
typedef int            ha_gs_time_limit_t;    /* seconds; 0: no limit */
typedef char          *ha_gs_group_name_t;
typedef unsigned int   ha_gs_socket_ctrl_t;
typedef unsigned int   ha_gs_batch_ctrl_t;
typedef unsigned int   ha_gs_subscription_ctrl_t;
typedef unsigned int   ha_gs_subscription_type_t;
typedef unsigned int   ha_gs_summary_code_t;
typedef unsigned int   ha_gs_updates_t;
typedef unsigned int   ha_gs_adapter_death_t; /* one entry of special data */
#ifndef FC_EID_LEN
#define FC_EID_LEN 43
typedef char           fc_eid_t[FC_EID_LEN];
#endif

/* What functions return, and why a request failed later. */
typedef enum {
    HA_GS_OK                        = 0,
    HA_GS_NOT_OK                    = 1,
    HA_GS_EXISTS                    = 2,
    HA_GS_NO_INIT                   = 3,
    HA_GS_NAME_TOO_LONG             = 4,
    HA_GS_NO_MEMORY                 = 5,
    HA_GS_NOT_A_MEMBER              = 6,
    HA_GS_BAD_CLIENT_TOKEN          = 7,
    HA_GS_BAD_MEMBER_TOKEN          = 8,
    HA_GS_BAD_PARAMETER             = 9,
    HA_GS_UNKNOWN_GROUP             = 10,
    HA_GS_INVALID_GROUP             = 11,
    HA_GS_NO_SOURCE_GROUP_PROVIDER  = 12,
    HA_GS_BAD_GROUP_ATTRIBUTES      = 13,
    HA_GS_WRONG_OLD_STATE           = 14,
    HA_GS_DUPLICATE_INSTANCE_NUMBER = 15,
    HA_GS_COLLIDE                   = 16,
    HA_GS_SOCK_CREATE_FAILED        = 17,
    HA_GS_SOCK_INIT_FAILED          = 18,
    HA_GS_CONNECT_FAILED            = 19,
    HA_GS_VOTE_NOT_EXPECTED         = 20,
    HA_GS_NOT_SUPPORTED             = 21,
    HA_GS_INVALID_SOURCE_GROUP      = 22,
    HA_GS_UNKNOWN_PROVIDER          = 23,
    HA_GS_INVALID_DEACTIVATE_PHASE  = 24,
    HA_GS_PROVIDER_APPEARS_TWICE    = 25,
    HA_GS_BACKLEVEL_PROVIDERS       = 26
} ha_gs_rc_t;

/* How long ha_gs_dispatch stays. */
typedef enum {
    HA_GS_NON_BLOCKING = 0,
    HA_GS_BLOCKING     = 1
} ha_gs_dispatch_flag_t;

/* What the responsiveness callback answers. */
typedef enum {
    HA_GS_CALLBACK_OK     = 0,
    HA_GS_CALLBACK_NOT_OK = 1
} ha_gs_callback_rc_t;

/* Done at once, or voted upon. */
typedef enum {
    HA_GS_1_PHASE = 1,
    HA_GS_N_PHASE = 2
} ha_gs_num_phases_t;

/* Votes; HA_GS_NULL_VOTE is no vote, but leaves a default as it is. */
typedef enum {
    HA_GS_NULL_VOTE     = 0,
    HA_GS_VOTE_APPROVE  = 1,
    HA_GS_VOTE_CONTINUE = 2,
    HA_GS_VOTE_REJECT   = 3
} ha_gs_vote_value_t;

/* When two domains meet; only the first is accepted. */
typedef enum {
    HA_GS_DISSOLVE_MERGE = 0,
    HA_GS_LARGER_MERGE   = 1,
    HA_GS_SMALLER_MERGE  = 2,
    HA_GS_DONTCARE_MERGE = 3
} ha_gs_merge_ctrl_t;

/* How a process shows that it works. */
typedef enum {
    HA_GS_NO_RESPONSIVENESS      = 0,
    HA_GS_PING_RESPONSIVENESS    = 1,
    HA_GS_COUNTER_RESPONSIVENESS = 2
} ha_gs_responsiveness_type_t;

/* The first field of every notification. HA_GS_QUERY_ and HA_GS_MERGE_NOTIFICATION
 * are reserved. */
typedef enum {
    HA_GS_RESPONSIVENESS_NOTIFICATION = 1,
    HA_GS_QUERY_NOTIFICATION          = 2,
    HA_GS_DELAYED_ERROR_NOTIFICATION  = 3,
    HA_GS_N_PHASE_NOTIFICATION        = 4,
    HA_GS_APPROVED_NOTIFICATION       = 5,
    HA_GS_REJECTED_NOTIFICATION       = 6,
    HA_GS_ANNOUNCEMENT_NOTIFICATION   = 7,
    HA_GS_SUBSCRIPTION_NOTIFICATION   = 8,
    HA_GS_MERGE_NOTIFICATION          = 9
} ha_gs_notification_type_t;

/* Protocols and requests. HA_GS_RESPONSIVENESS and HA_GS_MERGE are reserved. */
typedef enum {
    HA_GS_RESPONSIVENESS           = 0,
    HA_GS_JOIN                     = 1,
    HA_GS_FAILURE_LEAVE            = 2,
    HA_GS_LEAVE                    = 3,
    HA_GS_EXPEL                    = 4,
    HA_GS_STATE_VALUE_CHANGE       = 5,
    HA_GS_PROVIDER_MESSAGE         = 6,
    HA_GS_CAST_OUT                 = 7,
    HA_GS_SOURCE_STATE_REFLECTION  = 8,
    HA_GS_MERGE                    = 9,
    HA_GS_SUBSCRIPTION             = 10,
    HA_GS_GROUP_ATTRIBUTE_CHANGE   = 11
} ha_gs_request_t;

/* Why a provider left. */
typedef enum {
    HA_GS_VOLUNTARY_LEAVE       = 0x0001,
    HA_GS_PROVIDER_FAILURE      = 0x0002,
    HA_GS_HOST_FAILURE          = 0x0004,
    HA_GS_PROVIDER_EXPELLED     = 0x0008,
    HA_GS_SOURCE_PROVIDER_LEAVE = 0x0010,
    HA_GS_PROVIDER_SAID_GOODBYE = 0x0020
} ha_gs_leave_reasons_t;

/* ha_gs_socket_ctrl_t: HA_GS_SOCKET_NO_SIGNAL is needed, HA_GS_SOCKET_SIGNAL refused. */
#define HA_GS_SOCKET_NO_SIGNAL                0x0001u
#define HA_GS_SOCKET_SIGNAL                   0x0002u
#define HA_GS_ENABLE_ADAPTER_INFO             0x0010u

/* ha_gs_batch_ctrl_t: which changes may share one protocol. */
#define HA_GS_NO_BATCHING                     0x0000u
#define HA_GS_BATCH_JOINS                     0x0001u
#define HA_GS_BATCH_LEAVES                    0x0002u
#define HA_GS_BATCH_BOTH                      0x0003u
#define HA_GS_DEACTIVATE_ON_FAILURE           0x0010u

/* ha_gs_subscription_ctrl_t: what a subscriber wants. */
#define HA_GS_SUBSCRIBE_STATE                 0x01u
#define HA_GS_SUBSCRIBE_DELTA_JOINS           0x02u
#define HA_GS_SUBSCRIBE_DELTA_LEAVES          0x04u
#define HA_GS_SUBSCRIBE_DELTAS_ONLY           0x06u
#define HA_GS_SUBSCRIBE_MEMBERSHIP            0x08u
#define HA_GS_SUBSCRIBE_ALL_MEMBERSHIP        0x0eu
#define HA_GS_SUBSCRIBE_STATE_AND_MEMBERSHIP  0x0fu

/* ha_gs_subscription_type_t: what a subscriber gets. */
#define HA_GS_SUBSCRIPTION_STATE              0x0001u
#define HA_GS_SUBSCRIPTION_DELTA_JOIN         0x0002u
#define HA_GS_SUBSCRIPTION_DELTA_LEAVE        0x0004u
#define HA_GS_SUBSCRIPTION_MEMBERSHIP         0x0008u
#define HA_GS_SUBSCRIPTION_SPECIAL_DATA       0x0040u
#define HA_GS_SUBSCRIPTION_DISSOLVED          0x0080u
#define HA_GS_SUBSCRIPTION_GS_HAS_DIED        0x0100u

/* Kinds of special data. */
#define HA_GS_ADAPTER_DEATH_ARRAY             0x0001u
#define HA_GS_CURRENT_ADAPTER_ALIAS_ARRAY     0x0002u
#define HA_GS_CHANGING_ADAPTER_ALIAS_ARRAY    0x0004u

/* Entries of HA_GS_ADAPTER_DEATH_ARRAY. */
#define HA_GS_ADAPTER_DEATH_FAILED            0x0000u
#define HA_GS_ADAPTER_DEATH_REMOVED           0x0001u

/* ha_gs_summary_code_t: how a protocol or phase ended, and what happened meanwhile. */
#define HA_GS_EXPLICIT_APPROVE                0x0001u
#define HA_GS_EXPLICIT_REJECT                 0x0002u
#define HA_GS_DEFAULT_APPROVE                 0x0004u
#define HA_GS_DEFAULT_REJECT                  0x0008u
#define HA_GS_TIME_LIMIT_EXCEEDED             0x0010u
#define HA_GS_PROVIDER_FAILED                 0x0020u
#define HA_GS_RESPONSIVENESS_NO_RESPONSE      0x0040u
#define HA_GS_RESPONSIVENESS_RESPONSE         0x0080u
#define HA_GS_GROUP_DISSOLVED                 0x0100u
#define HA_GS_GROUP_SERVICES_HAS_DIED_HORRIBLY 0x0200u
#define HA_GS_DEACTIVATE_UNSUCCESSFUL         0x0400u
#define HA_GS_DEACTIVATE_TIME_LIMIT_EXCEEDED  0x0800u

/* ha_gs_updates_t: what a proposal is about, and how far it is. */
#define HA_GS_NO_CHANGE                       0x00000u
#define HA_GS_PROPOSED_MEMBERSHIP             0x00001u
#define HA_GS_ONGOING_MEMBERSHIP              0x00002u
#define HA_GS_UPDATED_MEMBERSHIP              0x00004u
#define HA_GS_REJECTED_MEMBERSHIP             0x00008u
#define HA_GS_PROPOSED_STATE_VALUE            0x00010u
#define HA_GS_ONGOING_STATE_VALUE             0x00020u
#define HA_GS_UPDATED_STATE_VALUE             0x00040u
#define HA_GS_REJECTED_STATE_VALUE            0x00080u
#define HA_GS_UPDATED_PROVIDER_MESSAGE        0x00100u
#define HA_GS_REFLECTED_SOURCE_STATE_VALUE    0x00200u
#define HA_GS_PROPOSED_GROUP_ATTRIBUTES       0x00400u
#define HA_GS_ONGOING_GROUP_ATTRIBUTES        0x00800u
#define HA_GS_UPDATED_GROUP_ATTRIBUTES        0x01000u
#define HA_GS_REJECTED_GROUP_ATTRIBUTES       0x02000u
#define HA_GS_EXPEL_INFORMATION               0x04000u

/* Groups of the service itself, for subscribers. */
#define HA_GS_HOST_MEMBERSHIP_GROUP   "HostMembership"
#define HA_GS_ENET_MEMBERSHIP_GROUP   "enMembership"
#define HA_GS_CSS_MEMBERSHIP_GROUP    "cssMembership"
#define HA_GS_CSSRAW_MEMBERSHIP_GROUP "cssRawMembership"

/* A provider. Two are the same if their gs_provider_id are. */
typedef union {
#ifdef __GNUC__
    __extension__
#endif
    struct {
        short gs_instance_number;
        short gs_node_number;
    };
    int   gs_provider_id;
} ha_gs_provider_t;

/* Providers, the oldest first. */
typedef struct {
    unsigned int      gs_count;
    ha_gs_provider_t *gs_providers;
} ha_gs_membership_t;

/* Bytes of the application. */
typedef struct {
    int   gs_length;
    char *gs_state;
} ha_gs_state_value_t;

typedef struct {
    int   gs_length;
    char *gs_message;
} ha_gs_provider_message_t;

typedef struct {
    ha_gs_num_phases_t gs_num_phases;
    unsigned int       gs_phase_number;
} ha_gs_phase_info_t;

/* gs_leave_codes[i] belongs to gs_changing_providers->gs_providers[i]. The code is that
 * of ha_gs_leave, else 0. */
typedef struct {
    ha_gs_leave_reasons_t gs_voluntary_or_failure;
    unsigned int          gs_voluntary_leave_code;
} ha_gs_leave_info_t;

typedef struct {
    unsigned int        gs_count;
    ha_gs_leave_info_t *gs_leave_codes;
} ha_gs_leave_array_t;

typedef struct {
    unsigned int  gs_deactivate_phase;
    char         *gs_deactivate_flag;
} ha_gs_expel_info_t;

/* Interval and limit are seconds; a counter has 1, 2, 4 or 8 bytes. */
typedef struct {
    ha_gs_responsiveness_type_t gs_responsiveness_type;
    unsigned int                gs_responsiveness_interval;
    ha_gs_time_limit_t          gs_responsiveness_response_time_limit;
    void                       *gs_counter_location;
    unsigned int                gs_counter_length;
} ha_gs_responsiveness_t;

/* What all providers of a group have to agree upon. The library fills gs_version;
 * gs_sizeof_group_attributes is sizeof(ha_gs_group_attributes_t), or 0. */
typedef struct {
    short               gs_version;
    short               gs_sizeof_group_attributes;
    unsigned            gs_client_version;
    ha_gs_group_name_t  gs_group_name;
    ha_gs_batch_ctrl_t  gs_batch_control;
    ha_gs_num_phases_t  gs_num_phases;
    ha_gs_num_phases_t  gs_source_reflection_num_phases;
    ha_gs_vote_value_t  gs_group_default_vote;
    ha_gs_merge_ctrl_t  gs_merge_control;
    ha_gs_time_limit_t  gs_time_limit;
    ha_gs_time_limit_t  gs_source_reflection_time_limit;
    ha_gs_group_name_t  gs_source_group_name;
} ha_gs_group_attributes_t;

/* One step of a protocol. Pointers to what it does not have are NULL; what they point
 * to is gone when the callback returns. */
typedef struct {
    ha_gs_phase_info_t        gs_phase_info;
    ha_gs_provider_t          gs_proposed_by;
    ha_gs_updates_t           gs_whats_changed;
    ha_gs_membership_t       *gs_current_providers;
    ha_gs_membership_t       *gs_changing_providers;
    ha_gs_leave_array_t      *gs_leave_info;
    ha_gs_expel_info_t       *gs_expel_info;
    ha_gs_state_value_t      *gs_current_state_value;
    ha_gs_state_value_t      *gs_proposed_state_value;
    ha_gs_state_value_t      *gs_source_state_value;
    ha_gs_provider_message_t *gs_provider_message;
    ha_gs_group_attributes_t *gs_new_group_attributes;
} ha_gs_proposal_t;

/* Special data: a list of blocks, in no particular order. */
typedef struct ha_gs_special_block {
    unsigned int                gs_special_flag;
    struct ha_gs_special_block *gs_next_special_block;
    int                         gs_special_num_entries;
    int                         gs_special_length;
    void                       *gs_special;
} ha_gs_special_block_t;

typedef struct {
    int                    gs_length;
    unsigned int           gs_flag;
    ha_gs_special_block_t *gs_special_data;
} ha_gs_special_data_t;
#define gs_special_block_count  gs_length
#define gs_special_block_flags  gs_flag

typedef union {
    struct in_addr  ip4;
    struct in6_addr ip6;
} ha_gs_ip_addr;

/* ha_gs_get_adapter_info looks ip_addr up. The last two fields are not used. */
typedef struct {
    ha_gs_ip_addr       ip_addr;
    short               node_number;
    const char         *interface_name;
    ha_gs_provider_t    gs_member_id;
    ha_gs_group_name_t  gs_group_name;
} ha_gs_adapter_info;

/* What callbacks are given. */
typedef struct {
    ha_gs_notification_type_t gs_notification_type;
    ha_gs_responsiveness_t    gs_responsiveness_information;
} ha_gs_responsiveness_notification_t;

typedef struct {
    ha_gs_notification_type_t gs_notification_type;
} ha_gs_query_notification_t;

typedef struct {
    ha_gs_notification_type_t gs_notification_type;
    ha_gs_token_t             gs_provider_token;
    ha_gs_request_t           gs_protocol_type;
    ha_gs_summary_code_t      gs_summary_code;
    ha_gs_time_limit_t        gs_time_limit;
    ha_gs_proposal_t         *gs_proposal;
} ha_gs_n_phase_notification_t;

typedef struct {
    ha_gs_notification_type_t gs_notification_type;
    ha_gs_token_t             gs_provider_token;
    ha_gs_request_t           gs_protocol_type;
    ha_gs_summary_code_t      gs_summary_code;
    ha_gs_proposal_t         *gs_proposal;
} ha_gs_approved_notification_t;
typedef ha_gs_approved_notification_t ha_gs_protocol_approved_notification_t;

typedef struct {
    ha_gs_notification_type_t gs_notification_type;
    ha_gs_token_t             gs_provider_token;
    ha_gs_request_t           gs_protocol_type;
    ha_gs_summary_code_t      gs_summary_code;
    ha_gs_proposal_t         *gs_proposal;
} ha_gs_rejected_notification_t;
typedef ha_gs_rejected_notification_t ha_gs_protocol_rejected_notification_t;

typedef struct {
    ha_gs_notification_type_t gs_notification_type;
    ha_gs_token_t             gs_provider_token;
    ha_gs_summary_code_t      gs_summary_code;
    ha_gs_membership_t       *gs_announcement;
} ha_gs_announcement_notification_t;

typedef struct {
    ha_gs_notification_type_t  gs_notification_type;
    ha_gs_token_t              gs_subscriber_token;
    ha_gs_subscription_type_t  gs_subscription_type;
    ha_gs_state_value_t       *gs_state_value;
    ha_gs_membership_t        *gs_full_membership;
    ha_gs_membership_t        *gs_changing_membership;
    ha_gs_special_data_t      *gs_subscription_special_data;
} ha_gs_subscription_notification_t;

typedef struct {
    ha_gs_notification_type_t gs_notification_type;
    ha_gs_token_t             gs_provider_token;
} ha_gs_merge_notification_t;

typedef union ha_gs_proposal_info ha_gs_proposal_info_t;

typedef struct {
    ha_gs_notification_type_t  gs_notification_type;
    ha_gs_token_t              gs_request_token;
    ha_gs_request_t            gs_protocol_type;
    ha_gs_rc_t                 gs_delayed_return_code;
    ha_gs_proposal_info_t     *gs_failing_request;
} ha_gs_delayed_error_notification_t;

/* Callbacks. They run inside ha_gs_dispatch, in the thread that called it. */
typedef ha_gs_callback_rc_t (ha_gs_responsiveness_cb_t)(const ha_gs_responsiveness_notification_t *);
typedef void (ha_gs_delayed_error_cb_t)(const ha_gs_delayed_error_notification_t *);
typedef void (ha_gs_query_cb_t)(const ha_gs_query_notification_t *);
typedef void (ha_gs_n_phase_cb_t)(const ha_gs_n_phase_notification_t *);
typedef void (ha_gs_approved_cb_t)(const ha_gs_approved_notification_t *);
typedef void (ha_gs_rejected_cb_t)(const ha_gs_rejected_notification_t *);
typedef void (ha_gs_announcement_cb_t)(const ha_gs_announcement_notification_t *);
typedef void (ha_gs_subscriber_cb_t)(const ha_gs_subscription_notification_t *);
typedef void (ha_gs_merge_cb_t)(const ha_gs_merge_notification_t *);

/* Requests. */
typedef struct {
    ha_gs_group_attributes_t *gs_group_attributes;
    short                     gs_provider_instance;
    char                     *gs_provider_local_name;
    ha_gs_n_phase_cb_t       *gs_n_phase_protocol_callback;
    ha_gs_approved_cb_t      *gs_protocol_approved_callback;
    ha_gs_rejected_cb_t      *gs_protocol_rejected_callback;
    ha_gs_announcement_cb_t  *gs_announcement_callback;
    ha_gs_merge_cb_t         *gs_merge_callback;
} ha_gs_join_request_t;

typedef struct {
    ha_gs_num_phases_t   gs_num_phases;
    ha_gs_time_limit_t   gs_time_limit;
    ha_gs_state_value_t *gs_new_state;
} ha_gs_state_change_request_t;

typedef struct {
    ha_gs_num_phases_t        gs_num_phases;
    ha_gs_time_limit_t        gs_time_limit;
    ha_gs_provider_message_t *gs_message;
} ha_gs_message_request_t;

typedef struct {
    ha_gs_num_phases_t gs_num_phases;
    ha_gs_time_limit_t gs_time_limit;
    unsigned int       gs_leave_code;
} ha_gs_leave_request_t;

typedef struct {
    ha_gs_num_phases_t  gs_num_phases;
    ha_gs_time_limit_t  gs_time_limit;
    ha_gs_membership_t  gs_expel_list;
    unsigned int        gs_deactivate_phase;
    char               *gs_deactivate_flag;
} ha_gs_expel_request_t;

typedef struct {
    ha_gs_subscription_ctrl_t gs_subscription_control;
    ha_gs_group_name_t        gs_subscription_group;
    ha_gs_subscriber_cb_t    *gs_subscription_callback;
} ha_gs_subscribe_request_t;

typedef struct {
    ha_gs_num_phases_t        gs_num_phases;
    ha_gs_time_limit_t        gs_time_limit;
    ha_gs_group_attributes_t *gs_group_attributes;
    ha_gs_membership_t       *gs_backlevel_providers;
} ha_gs_change_attributes_t;
typedef ha_gs_change_attributes_t ha_gs_attribute_change_request_t;

/* The argument of all requests; each function uses its own member. */
union ha_gs_proposal_info {
    ha_gs_join_request_t         gs_join_request;
    ha_gs_state_change_request_t gs_state_change_request;
    ha_gs_message_request_t      gs_message_request;
    ha_gs_leave_request_t        gs_leave_request;
    ha_gs_expel_request_t        gs_expel_request;
    ha_gs_subscribe_request_t    gs_subscribe_request;
    ha_gs_change_attributes_t    gs_attribute_change_request;
};

/* What ha_gs_get_limits fills in: bytes, and numbers of things. */
typedef struct {
    int gs_max_group_name_length;
    int gs_max_state_value_length;
    int gs_max_message_length;
    int gs_max_deactivate_flag_length;
    int gs_max_local_name_length;
    int gs_max_providers_per_group;
    int gs_max_groups;
    int gs_max_tokens_per_client;
} ha_gs_limits_t;

/* Functions; each has a manual page. */
ha_gs_rc_t ha_gs_init(ha_gs_descriptor_t *ha_gs_descriptor,
                      const ha_gs_socket_ctrl_t socket_options,
                      const ha_gs_responsiveness_t *responsiveness_control,
                      const char *deactivate_script,
                      ha_gs_responsiveness_cb_t *responsiveness_callback,
                      ha_gs_delayed_error_cb_t *delayed_error_callback,
                      ha_gs_query_cb_t *query_callback);
void       ha_gs_quit(void);
ha_gs_rc_t ha_gs_dispatch(const ha_gs_dispatch_flag_t dispatch_flags);
ha_gs_rc_t ha_gs_join(ha_gs_token_t *provider_token,
                      const ha_gs_proposal_info_t *proposal_info);
ha_gs_rc_t ha_gs_leave(ha_gs_token_t provider_token,
                       const ha_gs_proposal_info_t *proposal_info);
ha_gs_rc_t ha_gs_goodbye(ha_gs_token_t provider_token);
ha_gs_rc_t ha_gs_expel(ha_gs_token_t provider_token,
                       const ha_gs_proposal_info_t *proposal_info);
ha_gs_rc_t ha_gs_change_state_value(ha_gs_token_t provider_token,
                                    const ha_gs_proposal_info_t *proposal_info);
ha_gs_rc_t ha_gs_change_attributes(ha_gs_token_t provider_token,
                                   const ha_gs_proposal_info_t *proposal_info);
ha_gs_rc_t ha_gs_send_message(ha_gs_token_t provider_token,
                              const ha_gs_proposal_info_t *proposal_info);
ha_gs_rc_t ha_gs_vote(ha_gs_token_t provider_token,
                      ha_gs_vote_value_t vote_value,
                      const ha_gs_state_value_t *proposed_state_value,
                      const ha_gs_provider_message_t *provider_message,
                      ha_gs_vote_value_t default_vote_value);
ha_gs_rc_t ha_gs_subscribe(ha_gs_token_t *subscriber_token,
                           const ha_gs_proposal_info_t *proposal_info);
ha_gs_rc_t ha_gs_unsubscribe(ha_gs_token_t subscriber_token);
ha_gs_rc_t ha_gs_get_node_number(int *node_number);
ha_gs_rc_t ha_gs_get_adapter_info(ha_gs_adapter_info *adapter);
ha_gs_rc_t ha_gs_get_ffdc_id(fc_eid_t fid);
ha_gs_rc_t ha_gs_setup_ffdc(void);
ha_gs_rc_t ha_gs_get_limits(ha_gs_limits_t *limits);

#ifdef __cplusplus
}
#endif
#endif /* HA_GS_H */
