/*
 * wire.h - bounded reading and growing writing of little-endian bodies.
 *
 * A reader never goes beyond its end: the first value that is not there makes it
 * bad, and later ones are zero. A writer that finds no memory is failed, and what
 * is put into it is lost.
 */
#ifndef MOOT_WIRE_H
#define MOOT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct reader read_from(const uint8_t *data, size_t len)
{
    return (struct reader){ .at = data, .end = data + len };
}

/* The next n bytes, a view; NULL if they are not there. */
static inline const uint8_t *read_bytes(struct reader *r, size_t n)
{
    if (r->bad || n > (size_t)(r->end - r->at)) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += n;
    return p;
}

static inline uint64_t read_int(struct reader *r, size_t size)
{
    const uint8_t *p = read_bytes(r, size);
    uint64_t v = 0;
    for (size_t i = 0; p != NULL && i < size; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static inline uint8_t read_u8(struct reader *r) { return (uint8_t)read_int(r, 1); }
static inline uint16_t read_u16(struct reader *r) { return (uint16_t)read_int(r, 2); }
static inline uint32_t read_u32(struct reader *r) { return (uint32_t)read_int(r, 4); }
static inline uint64_t read_u64(struct reader *r) { return read_int(r, 8); }

/* A byte that is 0 or 1. */
static inline bool read_bool(struct reader *r)
{
    uint8_t v = read_u8(r);
    if (v > 1)
        r->bad = true;
    return v == 1;
}

/* The length of a list whose elements have at least size bytes: never more than
 * are there. */
static inline uint32_t read_count(struct reader *r, size_t size)
{
    uint32_t n = read_u32(r);
    if (r->bad || n > (size_t)(r->end - r->at) / size) {
        r->bad = true;
        return 0;
    }
    return n;
}

/* A byte string with its length in four bytes in front, of at most limit bytes. */
static inline const uint8_t *read_text(struct reader *r, size_t limit, uint32_t *len)
{
    *len = read_count(r, 1);
    if (*len > limit)
        r->bad = true;
    return read_bytes(r, *len);
}

/* True if all was there and nothing is left. */
static inline bool read_all(const struct reader *r) { return !r->bad && r->at == r->end; }

struct writer {
    uint8_t *data;
    size_t len, cap;
    bool failed;
};

static inline void write_bytes(struct writer *w, const void *data, size_t len)
{
    if (w->failed || len == 0)
        return;
    if (len > w->cap - w->len) {
        size_t cap = 2 * w->cap + len + 64;
        uint8_t *grown = realloc(w->data, cap);
        if (grown == NULL) {
            w->failed = true;
            return;
        }
        w->data = grown;
        w->cap = cap;
    }
    memcpy(w->data + w->len, data, len);
    w->len += len;
}

static inline void write_int(struct writer *w, uint64_t v, size_t size)
{
    uint8_t b[8];
    for (size_t i = 0; i < size; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    write_bytes(w, b, size);
}

static inline void write_u8(struct writer *w, uint8_t v) { write_int(w, v, 1); }
static inline void write_u16(struct writer *w, uint16_t v) { write_int(w, v, 2); }
static inline void write_u32(struct writer *w, uint32_t v) { write_int(w, v, 4); }
static inline void write_u64(struct writer *w, uint64_t v) { write_int(w, v, 8); }

static inline void write_text(struct writer *w, const void *data, size_t len)
{
    write_u32(w, (uint32_t)len);
    write_bytes(w, data, len);
}

static inline void write_free(struct writer *w) { free(w->data); }

#endif
