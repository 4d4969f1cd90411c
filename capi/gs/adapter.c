/* adapter.c - addresses, and the nodes and interfaces that have them. */
#include "gs.h"

static void read_adapter(struct reader *r, struct adapter *a)
{
    uint32_t len;
    const uint8_t *bytes = read_bytes(r, sizeof a->address);
    if (bytes != NULL)
        memcpy(a->address, bytes, sizeof a->address);
    a->node = (short)read_u16(r);
    bytes = read_text(r, sizeof a->interface - 1, &len);
    if (bytes != NULL)
        memcpy(a->interface, bytes, len);
}

bool take_adapters(struct gs *g, const struct native_event *e)
{
    struct reader r = read_from(e->body, e->len);
    struct adapter *table;
    uint32_t count = read_count(&r, sizeof table->address + 2 + 4);
    table = calloc((size_t)count + 1, sizeof *table);
    if (table == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        read_adapter(&r, &table[i]);
    if (!read_all(&r)) {
        free(table);
        return false;
    }
    free(g->adapters);
    g->adapters = table;
    g->num_adapters = count;
    return true;
}

/* The key of an address: IPv4 unless it is one of IPv4 in IPv6. */
static void key_of(const ha_gs_ip_addr *a, uint8_t key[16])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    if (memcmp(a, mapped, sizeof mapped) == 0) {
        memcpy(key, a, 16);
        return;
    }
    memcpy(key, mapped, sizeof mapped);
    memcpy(key + sizeof mapped, &a->ip4, 4);
}

PUBLIC ha_gs_rc_t ha_gs_get_adapter_info(ha_gs_adapter_info *info)
{
    static _Thread_local char interface[sizeof ((struct adapter *)0)->interface];
    ha_gs_rc_t rc;
    uint8_t key[16];
    struct gs *g = enter(true, &rc);
    if (g == NULL)
        return rc;
    if (info == NULL)
        return leave(g, HA_GS_BAD_PARAMETER);
    if (!g->wants_adapters)
        return leave(g, HA_GS_NOT_SUPPORTED);
    key_of(&info->ip_addr, key);
    for (uint32_t i = 0; i < g->num_adapters; i++) {
        const struct adapter *a = &g->adapters[i];
        if (memcmp(a->address, key, sizeof key) != 0)
            continue;
        memcpy(interface, a->interface, sizeof interface);
        info->node_number = a->node;
        info->interface_name = interface;
        return leave(g, HA_GS_OK);
    }
    return leave(g, HA_GS_NOT_OK);
}
