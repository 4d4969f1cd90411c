/* What is known of roles and tokens, and the lines that say what callbacks were told. */
#include "drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shared all = {.mu = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER, .fence = -1};

static struct role roles[ROLES];
static int         num_roles;

struct role *role_named(const char *name)
{
    for (int i = 0; i < num_roles; i++)
        if (strcmp(roles[i].name, name) == 0)
            return &roles[i];
    if (num_roles == ROLES)
        die("too many roles");
    struct role *r = &roles[num_roles++];
    snprintf(r->name, sizeof r->name, "%s", name);
    r->token = -1;
    return r;
}

static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

void say(char kind, const char *text)
{
    pthread_mutex_lock(&writing);
    printf("%c %s\n", kind, text);
    fflush(stdout);
    pthread_mutex_unlock(&writing);
}

/* Lines of one dispatch wait for its end, when it shows which tokens are free. */
struct told {
    struct told *next;
    int          token;
    char         kind;
    bool         may_end;
    char         text[];
};

static struct told *told_first, **told_last = &told_first;

void tell(char kind, int token, bool may_end, const char *text)
{
    if (threads) {
        say(kind, text);
        return;
    }
    struct told *t = malloc(sizeof *t + strlen(text) + 1);
    if (!t)
        die("no memory");
    t->next = NULL;
    t->token = token;
    t->kind = kind;
    t->may_end = may_end;
    strcpy(t->text, text);
    *told_last = t;
    told_last = &t->next;
}

static bool is_free(int token)
{
    return ha_gs_vote(token, HA_GS_NULL_VOTE, NULL, NULL, HA_GS_NULL_VOTE) == HA_GS_BAD_MEMBER_TOKEN &&
           ha_gs_unsubscribe(token) == HA_GS_BAD_MEMBER_TOKEN;
}

static bool is_subscriber(int token)
{
    pthread_mutex_lock(&all.mu);
    bool yes = token >= 0 && token < TOKENS && all.of_token[token] && !all.of_token[token]->provider;
    pthread_mutex_unlock(&all.mu);
    return yes;
}

/* A subscriber's token cannot be tried without ending it, but for what frees it
 * by its kind; a provider's can. */
static bool ended(const struct told *t)
{
    for (const struct told *later = t->next; later; later = later->next)
        if (later->token == t->token)
            return false;
    if (is_subscriber(t->token))
        return (strncmp(t->text, "DE", 2) == 0 || strstr(t->text, "DISSOLVED")) && is_free(t->token);
    return ha_gs_vote(t->token, HA_GS_NULL_VOTE, NULL, NULL, HA_GS_NULL_VOTE) == HA_GS_BAD_MEMBER_TOKEN;
}

void flush(void)
{
    while (told_first) {
        struct told *t = told_first;
        struct text line = {0};
        add(&line, "%s%s", t->text, t->may_end && ended(t) ? " end" : "");
        say(t->kind, line.s);
        told_first = t->next;
        free(t);
    }
    told_last = &told_first;
}
