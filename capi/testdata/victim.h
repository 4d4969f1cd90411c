/* victim.h - what programs of several drafts do whose agent says anything. */
#include <stddef.h>

/* Reads all bytes of what they were given, where a sanitizer watches. */
static inline void touch(const void *data, size_t size)
{
    static volatile unsigned char sum;
    for (size_t i = 0; i < size; i++)
        sum = (unsigned char)(sum + ((const unsigned char *)data)[i]);
}

void session02(void);
