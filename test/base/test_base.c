/* The base layer: arenas, buffers, values, JSON, codec, frames, digests, diagnostics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/digest.h"
#include "base/frame.h"
#include "base/json.h"
#include "base/utf8.h"

static const struct value *
J(struct arena *a, const char *text)
{
	struct err err = ERR_INIT;
	const struct value *v = json_parse_text(a, text, strlen(text), &err);

	if (v == NULL)
		fail_msg("%s: %s", text, err.msg);
	return v;
}

static void
check_json(struct arena *a, const char *text, unsigned flags, const char *expect)
{
	struct buf b = BUF_INIT;

	json_write(&b, J(a, text), flags);
	assert_string_equal(buf_str(&b), expect);
	buf_release(&b);
}

static void
test_arena(void **state)
{
	struct arena a;
	char *p, *q;
	unsigned i;

	(void)state;
	arena_init(&a);
	p = arena_strdup(&a, "kept");
	for (i = 1; i < 2000; i++)
		memset(arena_alloc(&a, i * 7), (int)i, i * 7);
	q = arena_zalloc(&a, 3 << 20);	/* a chunk of its own */
	assert_int_equal(q[(3 << 20) - 1], 0);
	assert_string_equal(p, "kept");
	assert_int_equal((uintptr_t)arena_alloc(&a, 1) % 16, 0);
	arena_clear(&a);
	assert_int_equal(a.used, 0);
	assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
	arena_release(&a);
}

static void
test_buf(void **state)
{
	struct buf b;
	unsigned i;

	(void)state;
	buf_init(&b, 100);
	for (i = 0; i < 10; i++)
		buf_adds(&b, "0123456789");
	assert_false(buf_overflowed(&b));
	buf_addc(&b, 'x');
	assert_true(buf_overflowed(&b));
	assert_int_equal(b.len, 100);
	assert_int_equal(strlen(buf_str(&b)), 100);
	buf_clear(&b);
	buf_addf(&b, "%s=%d", "n", 5);
	buf_consume(&b, 2);
	assert_string_equal(buf_str(&b), "5");
	buf_release(&b);
}

static void
test_map(void **state)
{
	struct arena a = { 0 };
	struct value *m = v_map(&a);
	const struct ventry *e;
	uint32_t it = 0;
	int64_t i;

	(void)state;
	for (i = 0; i < 1000; i++)
		v_set(&a, m, v_int(&a, i), v_int(&a, i * i));
	for (i = 0; i < 1000; i += 2)
		assert_true(v_del(m, v_int(&a, i)));
	assert_false(v_del(m, v_int(&a, 0)));
	assert_int_equal(v_count(m), 500);
	for (i = 0; i < 300; i++)
		v_sets(&a, m, arena_printf(&a, "k%d", (int)i), v_int(&a, i));
	assert_int_equal(v_count(m), 800);
	assert_null(v_get(m, v_int(&a, 2)));
	assert_int_equal(v_get(m, v_int(&a, 999))->u.i, 999 * 999);
	assert_int_equal(v_gets(m, "k299")->u.i, 299);
	assert_null(v_gets(m, "1"));			/* an int key is no string key */
	assert_ptr_equal(v_get(m, v_float(&a, 999.0)), v_get(m, v_int(&a, 999)));
	e = v_next(m, &it);
	assert_int_equal(e->key->u.i, 1);		/* order of insertion */
	v_sets(&a, m, "k0", &v_true);			/* replaced in place */
	assert_ptr_equal(v_gets(m, "k0"), &v_true);
	assert_int_equal(v_count(m), 800);
	arena_release(&a);
}

static void
test_equal(void **state)
{
	struct arena a = { 0 };

	(void)state;
	assert_true(v_equal(v_int(&a, 1), &v_true));
	assert_true(v_equal(v_int(&a, 1), v_float(&a, 1.0)));
	assert_int_equal(v_hash(v_int(&a, 1)), v_hash(v_float(&a, 1.0)));
	assert_int_equal(v_hash(v_int(&a, 1)), v_hash(&v_true));
	assert_false(v_equal(v_int(&a, INT64_MAX), v_float(&a, 9223372036854775808.0)));
	assert_false(v_equal(v_str(&a, "1"), v_int(&a, 1)));
	assert_true(v_equal(J(&a, "{\"a\": [1, 2], \"b\": 3}"), J(&a, "{\"b\": 3.0, \"a\": [true, 2]}")));
	assert_false(v_equal(J(&a, "[1, 2]"), J(&a, "[1, 2, 3]")));
	assert_true(v_equal(v_copy(&a, J(&a, "{\"a\": [\"x\"]}")), J(&a, "{\"a\": [\"x\"]}")));
	arena_release(&a);
}

static void
test_json(void **state)
{
	static const char *const bad[] = {
		"", "{", "[1,]", "{\"a\"}", "01", "1.", "-", "\"\\x\"", "\"a", "nul",
		"[1] 2", "{1: 2}", "\"\x01\"", "\"\xff\"", "1e", "[\"\\u12\"]"
	};
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	char deep[512];
	unsigned i;

	(void)state;
	check_json(&a, " {\"b\" : [1, -2.50, true, null, \"x\\n\\u00e9\"], \"a\": {}} ", 0,
	    "{\"b\": [1, -2.5, true, null, \"x\\n\xc3\xa9\"], \"a\": {}}");
	check_json(&a, "{\"b\": 1, \"a\": [\"\xf0\x9f\x98\x80\"]}", JSON_SORT | JSON_ASCII | JSON_COMPACT,
	    "{\"a\":[\"\\ud83d\\ude00\"],\"b\":1}");
	check_json(&a, "{\"a\": [1, {\"b\": []}]}", JSON_INDENT(2),
	    "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ]\n}");
	check_json(&a, "[0.1, 1e16, 1e-7, 123456789012345680.0, 5e-324, 1.7976931348623157e308, 100.0, 0.0001]", 0,
	    "[0.1, 1e+16, 1e-07, 1.2345678901234568e+17, 5e-324, 1.7976931348623157e+308, 100.0, 0.0001]");
	check_json(&a, "99999999999999999999", 0, "1e+20");
	check_json(&a, "\"\\ud83d\\ude00\"", 0, "\"\xf0\x9f\x98\x80\"");
	for (i = 0; i < NITEMS(bad); i++) {
		assert_null(json_parse_text(&a, bad[i], strlen(bad[i]), &err));
		assert_int_equal(err.code, ERR_SYNTAX);
		err_release(&err);
	}
	memset(deep, '[', sizeof(deep));
	assert_null(json_parse_text(&a, deep, sizeof(deep), &err));
	err_release(&err);
	{
		struct value *m = v_map(&a);
		struct buf b = BUF_INIT;

		v_sets(&a, m, "password", v_flag(&a, v_str(&a, "hunter2"), V_SECRET));
		json_write(&b, m, JSON_CENSOR);
		assert_string_equal(buf_str(&b), "{\"password\": \"********\"}");
		buf_release(&b);
	}
	arena_release(&a);
}

static void
test_codec(void **state)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	const struct value *v = J(&a, "{\"a\": [1, -1, 9223372036854775807, -9223372036854775808, 1.5, null,"
	    " true, false, \"\\u0000x\"], \"nested\": {\"k\": [[], {}]}}"), *w;
	size_t i;

	(void)state;
	codec_encode(&b, v);
	w = codec_decode(&a, b.data, b.len, &err);
	assert_non_null(w);
	assert_true(v_equal(v, w));
	for (i = 0; i < b.len; i++) {		/* every truncation is refused */
		assert_null(codec_decode(&a, b.data, i, &err));
		err_release(&err);
	}
	buf_addc(&b, 1);
	assert_null(codec_decode(&a, b.data, b.len, &err));
	err_release(&err);
	/* A count far beyond the input must not allocate. */
	assert_null(codec_decode(&a, "\x07\xff\xff\xff\xff\x0f", 6, &err));
	err_release(&err);
	/* Nested beyond the limit. */
	buf_clear(&b);
	for (i = 0; i < 200; i++)
		buf_add(&b, "\x07\x01", 2);
	buf_addc(&b, 1);
	assert_null(codec_decode(&a, b.data, b.len, &err));
	assert_int_equal(err.code, ERR_LIMIT);
	err_release(&err);
	/* Bad UTF-8 is mended. */
	w = codec_decode(&a, "\x06\x03" "a\xff" "b", 5, &err);
	assert_non_null(w);
	assert_string_equal(w->u.s, "a\xef\xbf\xbd" "b");
	/* The secret bit travels. */
	buf_clear(&b);
	codec_encode(&b, v_flag(&a, v_str(&a, "s"), V_SECRET));
	w = codec_decode(&a, b.data, b.len, &err);
	assert_true(w->flags & V_SECRET);
	buf_release(&b);
	arena_release(&a);
}

static void
test_frame(void **state)
{
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct frame f;
	size_t i;

	(void)state;
	frame_put(&b, FRAME_RESULT, 0, 0x01020304, "hello", 5);
	for (i = 0; i < b.len; i++)
		assert_int_equal(frame_get(b.data, i, &f, &err), 0);
	assert_int_equal(frame_get(b.data, b.len, &f, &err), 1);
	assert_int_equal(f.id, 0x01020304);
	assert_int_equal(f.len, 5);
	assert_memory_equal(f.payload, "hello", 5);
	b.data[4] = 99;
	assert_int_equal(frame_get(b.data, b.len, &f, &err), -1);
	err_release(&err);
	b.data[4] = FRAME_RESULT;
	b.data[3] = 0x7f;
	assert_int_equal(frame_get(b.data, b.len, &f, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	err_release(&err);
	buf_release(&b);
}

static void
test_sha256(void **state)
{
	char hex[SHA256_HEX], million[1000];
	unsigned char digest[SHA256_LEN];
	struct sha256 s;
	unsigned i;

	(void)state;
	/* FIPS 180-4's examples. */
	sha256_text("abc", 3, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_text("", 0, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
	assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	memset(million, 'a', sizeof(million));
	sha256_init(&s);
	for (i = 0; i < 1000; i++)
		sha256_add(&s, million, sizeof(million));
	sha256_end(&s, digest);
	sha256_hex(digest, hex);
	assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void
test_utf8(void **state)
{
	uint32_t c;

	(void)state;
	assert_int_equal(utf8_decode("\xe2\x82\xac", 3, &c), 3);
	assert_int_equal(c, 0x20ac);
	assert_int_equal(utf8_decode("\xc0\x80", 2, &c), 0);		/* overlong */
	assert_int_equal(utf8_decode("\xed\xa0\x80", 3, &c), 0);	/* surrogate */
	assert_int_equal(utf8_decode("\xf4\x90\x80\x80", 4, &c), 0);	/* beyond the end */
	assert_int_equal(utf8_decode("\xe2\x82", 2, &c), 0);
	assert_int_equal(utf8_count("a\xe2\x82\xac" "b", 5), 3);
	assert_int_equal(utf8_offset("a\xe2\x82\xac" "b", 5, 2), 4);
}

static void
test_diags(void **state)
{
	static const char text[] = "a: 1\n\tmoed: \"0644\"\nlast";
	struct source src = { .path = "site.yml", .text = text, .len = sizeof(text) - 1 };
	struct diags d = DIAGS_INIT;
	struct buf b = BUF_INIT;
	struct err *e;

	(void)state;
	e = diags_error(&d, ERR_INVALID, (struct mark){ &src, 2, 2, 4 },
	    "unknown parameter '%s' of module '%s'", "moed", "file");
	err_hint(e, "did you mean '%s'?", "mode");
	(void)diags_error(&d, ERR_INVALID, (struct mark){ &src, 2, 2, 4 },
	    "unknown parameter '%s' of module '%s'", "moed", "file");	/* the same: dropped */
	(void)diags_warn(&d, (struct mark){ &src, 1, 1, 1 }, "careful\x1b[2J");
	(void)diags_error(&d, ERR_INVALID, (struct mark){ 0 }, "no place");
	diags_format(&d, false, &b);
	assert_string_equal(buf_str(&b),
	    "error: no place\n"
	    "site.yml:1:1: warning: careful\\x1b[2J\n"
	    "    1 | a: 1\n"
	    "      | ^\n"
	    "site.yml:2:2: error: unknown parameter 'moed' of module 'file'\n"
	    "    2 |  moed: \"0644\"\n"
	    "      |  ^^^^\n"
	    "hint: did you mean 'mode'?\n"
	    "2 errors\n");
	assert_int_equal(d.nerrors, 2);
	buf_release(&b);
	diags_release(&d);
}

static void
test_nearest(void **state)
{
	static const char *const words[] = { "mode", "owner", "group", "path", NULL };

	(void)state;
	assert_string_equal(nearest("moed", words), "mode");
	assert_string_equal(nearest("ower", words), "owner");
	assert_string_equal(nearest("Path", words), "path");
	assert_null(nearest("completely", words));
	assert_string_equal(nearest("taks", (const char *const[]){ "tags", "tasks", NULL }), "tasks");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena), cmocka_unit_test(test_buf),
		cmocka_unit_test(test_map), cmocka_unit_test(test_equal),
		cmocka_unit_test(test_json), cmocka_unit_test(test_codec),
		cmocka_unit_test(test_frame), cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_utf8), cmocka_unit_test(test_diags),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
