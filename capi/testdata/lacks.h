/* lacks.h - memory that is lacking once. The program is linked with --wrap for malloc,
 * calloc and realloc. */
#ifndef LACKS_H
#define LACKS_H

#include <stdbool.h>
#include <stddef.h>

static int left;    /* allocations that succeed */
static bool lacked; /* one did not */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool lacks(void)
{
    lacked |= left == 0;
    return left-- == 0;
}

void *__wrap_malloc(size_t n) { return lacks() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return lacks() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return lacks() ? NULL : __real_realloc(p, n); }

#endif
