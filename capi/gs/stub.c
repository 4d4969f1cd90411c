#include "ha_gs.h"

#define PUBLIC __attribute__((visibility("default")))

PUBLIC ha_gs_rc_t ha_gs_init(ha_gs_descriptor_t *ha_gs_descriptor, const ha_gs_socket_ctrl_t socket_options, const ha_gs_responsiveness_t *responsiveness_control, const char *deactivate_script, ha_gs_responsiveness_cb_t *responsiveness_callback, ha_gs_delayed_error_cb_t *delayed_error_callback, ha_gs_query_cb_t *query_callback) { (void)ha_gs_descriptor;(void)socket_options;(void)responsiveness_control;(void)deactivate_script;(void)responsiveness_callback;(void)delayed_error_callback;(void)query_callback; return HA_GS_NO_INIT; }

PUBLIC void ha_gs_quit(void) {  }

PUBLIC ha_gs_rc_t ha_gs_dispatch(const ha_gs_dispatch_flag_t dispatch_flags) { (void)dispatch_flags; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_join(ha_gs_token_t *provider_token, const ha_gs_proposal_info_t *proposal_info) { (void)provider_token;(void)proposal_info; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_leave(ha_gs_token_t provider_token, const ha_gs_proposal_info_t *proposal_info) { (void)provider_token;(void)proposal_info; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_goodbye(ha_gs_token_t provider_token) { (void)provider_token; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_expel(ha_gs_token_t provider_token, const ha_gs_proposal_info_t *proposal_info) { (void)provider_token;(void)proposal_info; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_change_state_value(ha_gs_token_t provider_token, const ha_gs_proposal_info_t *proposal_info) { (void)provider_token;(void)proposal_info; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_change_attributes(ha_gs_token_t provider_token, const ha_gs_proposal_info_t *proposal_info) { (void)provider_token;(void)proposal_info; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_send_message(ha_gs_token_t provider_token, const ha_gs_proposal_info_t *proposal_info) { (void)provider_token;(void)proposal_info; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_vote(ha_gs_token_t provider_token, ha_gs_vote_value_t vote_value, const ha_gs_state_value_t *proposed_state_value, const ha_gs_provider_message_t *provider_message, ha_gs_vote_value_t default_vote_value) { (void)provider_token;(void)vote_value;(void)proposed_state_value;(void)provider_message;(void)default_vote_value; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_subscribe(ha_gs_token_t *subscriber_token, const ha_gs_proposal_info_t *proposal_info) { (void)subscriber_token;(void)proposal_info; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_unsubscribe(ha_gs_token_t subscriber_token) { (void)subscriber_token; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_get_node_number(int *node_number) { (void)node_number; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_get_adapter_info(ha_gs_adapter_info *adapter) { (void)adapter; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_get_ffdc_id(fc_eid_t fid) { (void)fid; return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_setup_ffdc(void) {  return HA_GS_NO_INIT; }

PUBLIC ha_gs_rc_t ha_gs_get_limits(ha_gs_limits_t *limits) { (void)limits; return HA_GS_NO_INIT; }
