/* SPDX-License-Identifier: Apache-2.0 */
/* libcmap: types, errors, iteration, tracking, the map of statistics. */

#include "check.h"
#include <corosync/cmap.h>

static int adds, modifies, deletes, members, wrong;

static void on_test(cmap_handle_t h, cmap_track_handle_t t, int32_t event, const char *key, struct cmap_notify_value now,
                    struct cmap_notify_value old, void *data)
{
	(void)h;
	(void)t;
	if (strncmp(key, "test.", 5) != 0 || data != &wrong)
		wrong++;
	switch (event) {
	case CMAP_TRACK_ADD:
		adds++;
		if (old.type != 0 || old.len != 0)
			wrong++;
		break;
	case CMAP_TRACK_MODIFY:
		modifies++;
		if (now.type == CMAP_VALUETYPE_STRING && (old.type != CMAP_VALUETYPE_UINT32 || strcmp(now.data, "text") != 0 || now.len != 5))
			wrong++;
		break;
	case CMAP_TRACK_DELETE:
		deletes++;
		if (now.type != 0 || now.len != 0)
			wrong++;
		break;
	default:
		wrong++;
	}
}

static void on_member(cmap_handle_t h, cmap_track_handle_t t, int32_t event, const char *key, struct cmap_notify_value now,
                      struct cmap_notify_value old, void *data)
{
	(void)h;
	(void)t;
	(void)old;
	(void)data;
	if (event != CMAP_TRACK_ADD || strcmp(key, "runtime.members.2.status") != 0 || strcmp(now.data, "joined") != 0)
		wrong++;
	members++;
}

static void types(cmap_handle_t h)
{
	int8_t i8;
	uint8_t u8;
	int16_t i16;
	uint16_t u16;
	int32_t i32;
	uint32_t u32;
	int64_t i64;
	uint64_t u64;
	float f;
	double d;
	char *s;
	size_t len;
	cmap_value_types_t type;

	CHECK(CS_OK, cmap_set_int8(h, "type.i8", -1));
	CHECK(CS_OK, cmap_get_int8(h, "type.i8", &i8));
	CHECK(-1, i8);
	CHECK(CS_OK, cmap_set_uint8(h, "type.u8", 255));
	CHECK(CS_OK, cmap_get_uint8(h, "type.u8", &u8));
	CHECK(255, u8);
	CHECK(CS_OK, cmap_set_int16(h, "type.i16", -2));
	CHECK(CS_OK, cmap_get_int16(h, "type.i16", &i16));
	CHECK(-2, i16);
	CHECK(CS_OK, cmap_set_uint16(h, "type.u16", 65535));
	CHECK(CS_OK, cmap_get_uint16(h, "type.u16", &u16));
	CHECK(65535, u16);
	CHECK(CS_OK, cmap_set_int32(h, "type.i32", -3));
	CHECK(CS_OK, cmap_get_int32(h, "type.i32", &i32));
	CHECK(-3, i32);
	CHECK(CS_OK, cmap_set_uint32(h, "type.u32", 7));
	CHECK(CS_OK, cmap_get_uint32(h, "type.u32", &u32));
	CHECK(7, u32);
	CHECK(CS_OK, cmap_set_int64(h, "type.i64", -4));
	CHECK(CS_OK, cmap_get_int64(h, "type.i64", &i64));
	CHECK(-4, i64);
	CHECK(CS_OK, cmap_set_uint64(h, "type.u64", 1ull << 63));
	CHECK(CS_OK, cmap_get_uint64(h, "type.u64", &u64));
	REQUIRE(u64 == 1ull << 63);
	CHECK(CS_OK, cmap_set_float(h, "type.flt", 1.5f));
	CHECK(CS_OK, cmap_get_float(h, "type.flt", &f));
	REQUIRE(f == 1.5f);
	CHECK(CS_OK, cmap_set_double(h, "type.dbl", 2.5));
	CHECK(CS_OK, cmap_get_double(h, "type.dbl", &d));
	REQUIRE(d == 2.5);
	CHECK(CS_OK, cmap_set_string(h, "type.str", "a string"));
	CHECK(CS_OK, cmap_get_string(h, "type.str", &s));
	REQUIRE(strcmp(s, "a string") == 0);
	free(s);
	CHECK(CS_OK, cmap_get(h, "type.str", NULL, &len, &type));
	CHECK(9, len);
	CHECK(CMAP_VALUETYPE_STRING, type);
	CHECK(CS_OK, cmap_set(h, "type.bin", "\0\1\2", 3, CMAP_VALUETYPE_BINARY));
	CHECK(CS_OK, cmap_get(h, "type.bin", NULL, &len, &type));
	CHECK(3, len);

	CHECK(CS_ERR_INVALID_PARAM, cmap_get_uint8(h, "type.u32", &u8));
	CHECK(CS_ERR_NOT_EXIST, cmap_get_uint8(h, "type.none", &u8));
	CHECK(CS_ERR_ACCESS, cmap_set_uint32(h, "nodelist.node.0.nodeid", 9));
	CHECK(CS_ERR_ACCESS, cmap_delete(h, "nodelist.node.0.nodeid"));
	CHECK(CS_ERR_NAME_TOO_LONG, cmap_set_uint8(h, "ab", 1));
	CHECK(CS_ERR_NAME_TOO_LONG, cmap_set_uint8(h, "with blank", 1));
	CHECK(CS_OK, cmap_inc(h, "type.u8"));
	CHECK(CS_OK, cmap_get_uint8(h, "type.u8", &u8));
	CHECK(0, u8);
	CHECK(CS_OK, cmap_dec(h, "type.u16"));
	CHECK(CS_ERR_INVALID_PARAM, cmap_inc(h, "type.str"));
	CHECK(CS_ERR_NOT_EXIST, cmap_inc(h, "type.none"));
	CHECK(CS_OK, cmap_delete(h, "type.u8"));
	CHECK(CS_ERR_NOT_EXIST, cmap_delete(h, "type.u8"));
}

static void iteration(cmap_handle_t h)
{
	cmap_iter_handle_t iter;
	char key[CMAP_KEYNAME_MAXLEN + 1];
	size_t len;
	cmap_value_types_t type;

	CHECK(CS_OK, cmap_iter_init(h, "nodelist", &iter)); /* without a dot, as Pacemaker does */
	CHECK(CS_OK, cmap_iter_next(h, iter, key, &len, &type));
	REQUIRE(strcmp(key, "nodelist.node.0.name") == 0);
	CHECK(4, len);
	CHECK(CMAP_VALUETYPE_STRING, type);
	CHECK(CS_OK, cmap_iter_next(h, iter, key, &len, &type));
	REQUIRE(strcmp(key, "nodelist.node.0.nodeid") == 0);
	CHECK(CS_ERR_NO_SECTIONS, cmap_iter_next(h, iter, key, &len, &type));
	CHECK(CS_OK, cmap_iter_finalize(h, iter));
}

static void tracking(cmap_handle_t h)
{
	cmap_track_handle_t prefix, key;
	int fd;

	CHECK(CS_OK, cmap_track_add(h, "test.", CMAP_TRACK_ADD | CMAP_TRACK_MODIFY | CMAP_TRACK_DELETE | CMAP_TRACK_PREFIX, on_test, &wrong, &prefix));
	CHECK(CS_OK, cmap_track_add(h, "runtime.members.", CMAP_TRACK_ADD | CMAP_TRACK_PREFIX, on_member, NULL, &key));
	CHECK(CS_OK, cmap_set_uint32(h, "test.k", 1));
	CHECK(CS_OK, cmap_set_uint32(h, "test.k", 1));
	CHECK(CS_OK, cmap_inc(h, "test.k"));
	CHECK(CS_OK, cmap_set_string(h, "test.k", "text"));
	CHECK(CS_OK, cmap_set_uint8(h, "test.order", 1));
	CHECK(CS_OK, cmap_delete(h, "test.k"));
	CHECK(CS_OK, cmap_dispatch(h, CS_DISPATCH_ALL));
	CHECK(2, adds);
	CHECK(2, modifies);
	CHECK(1, deletes);
	CHECK(1, members);
	CHECK(0, wrong);
	CHECK(CS_OK, cmap_track_delete(h, prefix));
	CHECK(CS_OK, cmap_set_uint8(h, "test.k", 1));
	CHECK(CS_OK, cmap_fd_get(h, &fd));
	REQUIRE(!readable(fd, 0));
}

static void statistics(void)
{
	cmap_handle_t h;
	uint32_t u32;

	CHECK(CS_ERR_NOT_EXIST, cmap_initialize_map(&h, 2));
	CHECK(CS_OK, cmap_initialize_map(&h, CMAP_MAP_STATS));
	CHECK(CS_OK, cmap_get_uint32(h, "stats.pg.msg_reserved", &u32));
	CHECK(1, u32);
	CHECK(CS_ERR_ACCESS, cmap_set_uint32(h, "stats.pg.msg_reserved", 2));
	CHECK(CS_ERR_NOT_SUPPORTED, cmap_set_uint8(h, "stats.clear.nothing", 1));
	CHECK(CS_OK, cmap_finalize(h));
}

int main(void)
{
	cmap_handle_t h;

	CHECK(CS_OK, cmap_initialize_map(&h, CMAP_MAP_DEFAULT));
	types(h);
	iteration(h);
	tracking(h);
	CHECK(CS_OK, cmap_finalize(h));
	statistics();
	puts("passed");
	return 0;
}
