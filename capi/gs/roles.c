/* roles.c - tokens and what they stand for. */
#include "gs.h"

static struct group *find_group(struct gs *g, const char *name)
{
    for (struct group *p = g->groups; p != NULL; p = p->next)
        if (strcmp(p->name, name) == 0)
            return p;
    struct group *p = calloc(1, sizeof *p);
    if (p != NULL) {
        strcpy(p->name, name);
        p->next = g->groups;
        g->groups = p;
    }
    return p;
}

void release_group(struct gs *g, struct group *group)
{
    if (--group->refs > 0)
        return;
    struct group **p = &g->groups;
    while (*p != group)
        p = &(*p)->next;
    *p = group->next;
    free(group);
}

struct role *add_role(struct gs *g, const char *name, bool provider, ha_gs_rc_t *rc)
{
    ha_gs_token_t token = 0;
    while (token < MAX_TOKENS && g->roles[token] != NULL)
        token++;
    *rc = HA_GS_NO_MEMORY;
    if (token == MAX_TOKENS)
        return NULL;
    struct role *r = calloc(1, sizeof *r);
    struct group *group = r != NULL ? find_group(g, name) : NULL;
    if (group == NULL) {
        free(r);
        return NULL;
    }
    group->refs++;
    *r = (struct role){ .refs = 1, .token = token, .taken = true, .provider = provider, .group = group };
    g->roles[token] = r;
    *rc = HA_GS_OK;
    return r;
}

struct role *find_role(const struct gs *g, ha_gs_token_t token, bool provider)
{
    if (token < 0 || token >= MAX_TOKENS)
        return NULL;
    struct role *r = g->roles[token];
    return r != NULL && r->provider == provider ? r : NULL;
}

void hold_role(struct role *r) { r->refs++; }

void release_role(struct gs *g, struct role *r)
{
    if (--r->refs > 0)
        return;
    release_group(g, r->group);
    free(r->join);
    free(r->proposal);
    free(r);
}

void end_role(struct gs *g, struct role *r)
{
    if (!r->taken)
        return;
    r->taken = false;
    g->roles[r->token] = NULL;
    release_role(g, r);
}

ha_gs_token_t event_token(const struct native_event *e)
{
    if (e->kind < EVENT_N_PHASE || e->kind > EVENT_DELAYED_ERROR)
        return NOBODY;
    struct reader r = read_from(e->body, e->len);
    return (ha_gs_token_t)read_u32(&r);
}

static bool is_for(const void *token, const struct native_event *e)
{
    return event_token(e) == *(const ha_gs_token_t *)token;
}

void drop_events(struct gs *g, ha_gs_token_t token) { native_drop(g->native, is_for, &token); }
