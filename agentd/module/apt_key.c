/*
 * apt_key: keys that apt trusts for every repository.
 *
 * apt-key itself is gone from Debian 13, so this does without it and without
 * gpg: a key is taken out of its armour, its packets are read far enough to
 * know their fingerprints (RFC 4880, RFC 9580), and it becomes a file in
 * trusted.gpg.d.
 */
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <string.h>

#include "module/apt.h"
#include "module/base64.h"
#include "module/fs.h"
#include "module/hash.h"

#define END		{ .name = NULL }
#define TRUSTED		"/etc/apt/trusted.gpg.d"
#define KEY_MAX		((size_t)8 * 1024 * 1024)
#define KEYS_MAX	1000

/* ---- OpenPGP ------------------------------------------------------------ */

/* Takes one packet off; false at the end or when it is none. */
static bool
next_packet(const unsigned char **p, const unsigned char *end, int *tag,
    const unsigned char **body, size_t *len)
{
	const unsigned char *s = *p;
	size_t n = 0, i, k;

	if (s >= end || !(*s & 0x80))
		return false;
	if (*s & 0x40) {			/* new form */
		*tag = *s++ & 0x3f;
		if (s >= end)
			return false;
		if (*s < 192)
			n = *s++;
		else if (*s < 224 && end - s >= 2) {
			n = (size_t)(s[0] - 192) * 256 + s[1] + 192;
			s += 2;
		} else if (*s == 255 && end - s >= 5) {
			n = (size_t)s[1] << 24 | (size_t)s[2] << 16 | (size_t)s[3] << 8 | s[4];
			s += 5;
		} else
			return false;
	} else {
		*tag = (*s >> 2) & 0x0f;
		k = (size_t)1 << (*s & 3);
		if ((*s++ & 3) == 3 || (size_t)(end - s) < k)
			return false;
		for (i = 0; i < k; i++)
			n = n << 8 | *s++;
	}
	if (n > (size_t)(end - s))
		return false;
	*body = s;
	*len = n;
	*p = s + n;
	return true;
}

/* The fingerprint of a version 4 key, in upper case. false: another version. */
static bool
fingerprint(const unsigned char *body, size_t n, char out[HASH_HEX_MAX])
{
	unsigned char head[3] = { 0x99, (unsigned char)(n >> 8), (unsigned char)n };
	struct hash h;
	size_t i;

	if (n < 6 || n > 0xffff || body[0] != 4)
		return false;
	hash_init(&h, HASH_SHA1);
	hash_add(&h, head, sizeof(head));
	hash_add(&h, body, n);
	hash_end(&h, out);
	for (i = 0; out[i] != '\0'; i++)
		out[i] = (char)toupper((unsigned char)out[i]);
	return true;
}

/* Fingerprints of the keys (with their subkeys) in binary data. */
static struct value *
fingerprints(struct arena *a, const struct buf *b)
{
	const unsigned char *p = (const unsigned char *)b->data, *end = p + b->len;
	const unsigned char *body;
	struct value *list = v_list(a);
	char hex[HASH_HEX_MAX];
	size_t n;
	int tag;

	while (v_count(list) < KEYS_MAX && next_packet(&p, end, &tag, &body, &n))
		if ((tag == 6 || tag == 14) && fingerprint(body, n, hex))
			v_push(a, list, v_str(a, hex));
	return list;
}

/* Takes the armour off; data that has none stays. */
static int
dearmour(struct mod *m, struct buf *b)
{
	static const char begin[] = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
	CLEANUP_BUF struct buf text = BUF_INIT, out = BUF_INIT;
	const char *s = strstr(buf_str(b), begin), *end, *line;
	size_t n;

	if (s == NULL)
		return 0;
	out.max = text.max = KEY_MAX;
	for (; s != NULL; s = strstr(s, begin)) {
		s += strlen(begin);
		end = strstr(s, "-----END PGP");
		if (end == NULL)
			return mod_fail(m, "the key's armour has no end");
		/* headers, then an empty line */
		for (line = s + strcspn(s, "\n"); *line == '\n'; line += n) {
			line++;
			n = strcspn(line, "\n");
			if (line[strspn(line, " \r")] == '\n')
				break;
		}
		if (line >= end)
			return mod_fail(m, "the key's armour is empty");
		buf_clear(&text);
		for (; line < end; line += n + 1) {
			n = strcspn(line, "\n");
			if (*line != '=')	/* the checksum */
				buf_add(&text, line, n);
		}
		if (base64_decode(&out, buf_str(&text), text.len) == -1)
			return mod_fail(m, "the key's armour is damaged");
		s = end;
	}
	buf_clear(b);
	buf_add(b, out.data, out.len);
	return 0;
}

/* "0x1234 ABCD" as upper-case hex digits; NULL: it is none. */
static const char *
clean_id(struct arena *a, const char *s)
{
	char *out = arena_strdup(a, s);
	size_t k = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		s += 2;
	for (; *s != '\0'; s++) {
		if (*s == ' ')
			continue;
		if (!isxdigit((unsigned char)*s))
			return NULL;
		out[k++] = (char)toupper((unsigned char)*s);
	}
	out[k] = '\0';
	return k < 8 || k > 40 ? NULL : out;
}

static bool
has_key(const struct value *prints, const char *id)
{
	uint32_t i;

	for (i = 0; i < v_count(prints); i++) {
		const struct value *p = v_at(prints, i);
		size_t n = strlen(id);

		if (p->len >= n && strcmp(p->u.s + p->len - n, id) == 0)
			return true;
	}
	return false;
}

/* ---- files -------------------------------------------------------------- */

/* Calls back with each file of keys. Stops (and returns) at a value other than 0. */
static int
each_file(struct mod *m, int (*cb)(struct mod *, const char *,
    const struct value *, void *), void *arg)
{
	const char *own = mod_arg_path(m, "keyring");
	glob_t g;
	size_t i;
	int rc = 0;

	memset(&g, 0, sizeof(g));
	if (own != NULL)
		(void)glob(own, 0, NULL, &g);
	else {
		(void)glob("/etc/apt/trusted.gpg", 0, NULL, &g);
		(void)glob(TRUSTED "/*.gpg", GLOB_APPEND, NULL, &g);
		(void)glob(TRUSTED "/*.asc", GLOB_APPEND, NULL, &g);
	}
	for (i = 0; i < g.gl_pathc && rc == 0; i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;

		b.max = KEY_MAX;
		if (buf_read_file(&b, g.gl_pathv[i]) == 0 && dearmour(m, &b) == 0)
			rc = cb(m, arena_strdup(m->arena, g.gl_pathv[i]),
			    fingerprints(m->arena, &b), arg);
		/* a damaged file of somebody else's is not our business */
		m->failed = false;
	}
	globfree(&g);
	return rc;
}

struct search {
	const struct value	*want;	/* fingerprints or ids, all of them */
	uint32_t		 found;
	const char		*id;
};

static int
count_found(struct mod *m, const char *path, const struct value *prints, void *arg)
{
	struct search *s = arg;
	uint32_t i;

	(void)m;
	(void)path;
	for (i = 0; i < v_count(s->want); i++)
		s->found += has_key(prints, v_at(s->want, i)->u.s);
	return 0;
}

static bool
all_there(struct mod *m, const struct value *want)
{
	struct search s = { .want = want };

	(void)each_file(m, count_found, &s);
	return s.found >= v_count(want) && v_count(want) > 0;
}

/* Removes a file that holds the key (and perhaps its subkeys) alone. */
static int
remove_from(struct mod *m, const char *path, const struct value *prints, void *arg)
{
	struct search *s = arg;

	if (!has_key(prints, s->id))
		return 0;
	if (!mod_change(m, path, v_strf(m->arena, "key %s\n", s->id), NULL))
		return 0;
	return fs_remove(m, path);
}

/* ---- getting it --------------------------------------------------------- */

static int
get_key(struct mod *m, const char *id, struct buf *b)
{
	const char *data = mod_arg_str(m, "data"), *file = mod_arg_path(m, "file");
	const char *url = mod_arg_str(m, "url"), *server = mod_arg_str(m, "keyserver");
	const char *tmp;
	int rc;

	b->max = KEY_MAX;
	if (data != NULL) {
		buf_adds(b, data);
		return 0;
	}
	if (file != NULL) {
		rc = fs_read(m, file, b);
		return rc == 1 ? mod_fail(m, "there is no file %s", file) : rc;
	}
	if (url == NULL && server == NULL)
		return mod_fail(m, "the key is not there, and none of data, file, url and keyserver says where it is");
	if (url == NULL) {
		if (strstr(server, "://") == NULL)
			server = arena_printf(m->arena, "https://%s", server);
		else if (strncmp(server, "hkp://", 6) == 0)
			server = arena_printf(m->arena, "http://%s", server + 6);
		else if (strncmp(server, "hkps://", 7) == 0)
			server = arena_printf(m->arena, "https://%s", server + 7);
		url = arena_printf(m->arena, "%s/pks/lookup?op=get&options=mr&search=0x%s",
		    server, id);
	}
	tmp = apt_download(m, url);
	if (tmp == NULL)
		return -1;
	rc = buf_read_file(b, tmp);
	(void)unlink(tmp);
	return rc == 0 ? 0 : mod_fail_errno(m, "cannot read what %s gave", url);
}

static int
apt_key_present(struct mod *m, const char *id)
{
	const char *path = mod_arg_path(m, "keyring");
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct fs_replace r = { .fd = -1, .force_mode = true, .default_mode = 0644 };
	struct value *prints;

	if (id != NULL) {
		prints = v_list(m->arena);
		v_push(m->arena, prints, v_str(m->arena, id));
		if (all_there(m, prints))
			return 0;
	}
	if (get_key(m, id, &b) == -1 || dearmour(m, &b) == -1)
		return -1;
	prints = fingerprints(m->arena, &b);
	if (v_count(prints) == 0)
		return mod_fail(m, "what was given is no OpenPGP key");
	if (id != NULL && !has_key(prints, id))
		return mod_fail(m, "the key that was given is %s, not %s",
		    v_at(prints, 0)->u.s, id);
	if (id == NULL && all_there(m, prints))
		return 0;
	if (path == NULL)
		path = arena_printf(m->arena, TRUSTED "/%s.gpg", v_at(prints, 0)->u.s);
	if (!mod_change(m, path, NULL, v_strf(m->arena, "key %s\n", v_at(prints, 0)->u.s)))
		return 0;
	r.path = path;
	if (mod_arg_path(m, "keyring") != NULL) {
		/* others may be in it */
		CLEANUP_BUF struct buf old = BUF_INIT;
		int rc = fs_read(m, path, &old);

		if (rc == -1 || (rc == 0 && dearmour(m, &old) == -1))
			return -1;
		buf_add(&old, b.data, b.len);
		r.data = old.data;
		r.len = old.len;
		return fs_replace(m, &r);
	}
	r.data = b.data;
	r.len = b.len;
	return fs_replace(m, &r);
}

static int
apt_key_run(struct mod *m)
{
	const char *given = mod_arg_str(m, "id");
	const char *id = given == NULL ? NULL : clean_id(m->arena, given);
	struct search s = { .id = id };

	if (given != NULL && id == NULL)
		return mod_fail(m, "'%s' is not the id of a key (8 to 40 hex digits)", given);
	if (mod_arg_is(m, "state", "present")) {
		if (mod_has(m, "keyserver") && id == NULL)
			return mod_fail(m, "'keyserver' needs the key's 'id'");
		return apt_key_present(m, id);
	}
	if (id == NULL)
		return mod_fail(m, "'id' says which key shall leave");
	return each_file(m, remove_from, &s);
}

static const struct mod_arg apt_key_args[] = {
	{ .name = "id", .type = ARG_STR, .doc = "The key's id or fingerprint." },
	{ .name = "data", .type = ARG_STR, .doc = "The key itself." },
	{ .name = "file", .type = ARG_PATH, .doc = "A file of the host with it." },
	{ .name = "url", .type = ARG_STR, .doc = "Where it is." },
	{ .name = "keyserver", .type = ARG_STR, .doc = "A server of keys that has it." },
	{ .name = "keyring", .type = ARG_PATH,
	    .doc = "File that it goes to; one of its own in trusted.gpg.d unless given." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Whether it is trusted." },
	{ .name = "validate_certs", .type = ARG_BOOL, .flags = ARG_IGNORED,
	    .doc = "Certificates are always checked." },
	END
};

static const struct mod_rule apt_key_rules[] = {
	{ RULE_EXCLUSIVE, "data,file,keyserver,url" },
	{ RULE_END, NULL }
};

const struct module apt_key_module = {
	.name = "apt_key", .collection = "ansible.builtin",
	.summary = "Adds and removes keys that apt trusts for every repository.",
	.doc = "Better is a key that counts for one repository: signed_by of deb822_repository.",
	.examples =
	    "- apt_key:\n"
	    "    url: https://example.org/key.asc\n"
	    "    id: 0A0B0C0D\n",
	.returns = "",
	.args = apt_key_args, .rules = apt_key_rules, .run = apt_key_run,
};
