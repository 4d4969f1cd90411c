/* Text, and the words of commands. */
#include "drive.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const codes[] = {
    "OK", "NOT_OK", "EXISTS", "NO_INIT", "NAME_TOO_LONG", "NO_MEMORY", "NOT_A_MEMBER", "BAD_CLIENT_TOKEN",
    "BAD_MEMBER_TOKEN", "BAD_PARAMETER", "UNKNOWN_GROUP", "INVALID_GROUP", "NO_SOURCE_GROUP_PROVIDER",
    "BAD_GROUP_ATTRIBUTES", "WRONG_OLD_STATE", "DUPLICATE_INSTANCE_NUMBER", "COLLIDE", "SOCK_CREATE_FAILED",
    "SOCK_INIT_FAILED", "CONNECT_FAILED", "VOTE_NOT_EXPECTED", "NOT_SUPPORTED", "INVALID_SOURCE_GROUP",
    "UNKNOWN_PROVIDER", "INVALID_DEACTIVATE_PHASE", "PROVIDER_APPEARS_TWICE", "BACKLEVEL_PROVIDERS",
};

const char *code(ha_gs_rc_t rc)
{
    return (size_t)rc < sizeof codes / sizeof codes[0] ? codes[rc] : "NO_SUCH_CODE";
}

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->s + t->len, sizeof t->s - t->len, format, args);
    va_end(args);
    t->len = t->len + (size_t)n < sizeof t->s ? t->len + (size_t)n : sizeof t->s - 1;
}

const char *value_of(char **w, int n, const char *key)
{
    const char *last = NULL;
    size_t len = strlen(key);
    for (int i = 0; i < n; i++)
        if (strncmp(w[i], key, len) == 0 && w[i][len] == '=')
            last = w[i] + len + 1;
    return last;
}

int number_of(char **w, int n, const char *key, int otherwise)
{
    const char *v = value_of(w, n, key);
    return v ? atoi(v) : otherwise;
}

bool has(char **w, int n, const char *word)
{
    for (int i = 0; i < n; i++)
        if (strcmp(w[i], word) == 0)
            return true;
    return false;
}

int split(char *s, const char *sep, char **w)
{
    int n = 0;
    for (char *save, *p = strtok_r(s, sep, &save); p && n < WORDS; p = strtok_r(NULL, sep, &save))
        w[n++] = p;
    return n;
}

/* expand is what a word of a command stands for. */
char *expand(const char *word, char *out, size_t size)
{
    const char *star = strchr(word, '*');
    if (strcmp(word, "\"\"") == 0) {
        out[0] = '\0';
    } else if (star == word + 1) {
        size_t n = strtoul(star + 1, NULL, 10);
        if (n >= size)
            die("%s is too long", word);
        memset(out, word[0], n);
        out[n] = '\0';
    } else {
        snprintf(out, size, "%s", word);
    }
    return out;
}
