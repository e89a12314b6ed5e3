/*
 * known_hosts: keys of other hosts, for ssh on this one.
 *
 * Names may be hashed (|1|salt|HMAC-SHA1): they are recognised, and written so
 * with hash_host.  One key of each type is kept for a name: another key of the
 * same type replaces it.
 */
#include <sys/random.h>
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "module/base64.h"
#include "module/edit.h"
#include "module/hash.h"

#define SALT_LEN	20

static const struct mod_arg known_hosts_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .aliases = "host", .doc = "The host, as ssh is given it; [host]:port for other ports." },
	{ .name = "key", .type = ARG_STR,
	    .doc = "The line: host, type, key." },
	{ .name = "path", .type = ARG_PATH, .def = "~/.ssh/known_hosts",
	    .doc = "The file." },
	{ .name = "hash_host", .type = ARG_BOOL, .def = "false",
	    .doc = "The name is not readable in the file." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "absent,present", .doc = "Whether the host is known." },
	{ .name = NULL }
};

static const struct mod_rule known_hosts_rules[] = {
	{ RULE_IF, "state=present:key" }, { RULE_END, NULL }
};

struct entry {
	const char	*marker;	/* "@revoked" … or "" */
	const char	*hosts, *type, *key;
};

/* ---- HMAC-SHA1 ---------------------------------------------------------- */

static void
raw_sha1(const char hex[HASH_HEX_MAX], unsigned char out[20])
{
	unsigned i, byte;

	for (i = 0; i < 20; i++) {
		(void)sscanf(hex + (size_t)2 * i, "%2x", &byte);
		out[i] = (unsigned char)byte;
	}
}

static void
hmac_sha1(const unsigned char *key, size_t nkey, const char *text,
    unsigned char out[20])
{
	unsigned char pad[64];
	char hex[HASH_HEX_MAX];
	struct hash h;
	size_t i;

	for (i = 0; i < sizeof(pad); i++)
		pad[i] = (unsigned char)((i < nkey ? key[i] : 0) ^ 0x36);
	hash_init(&h, HASH_SHA1);
	hash_add(&h, pad, sizeof(pad));
	hash_add(&h, text, strlen(text));
	hash_end(&h, hex);
	raw_sha1(hex, out);
	for (i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash_init(&h, HASH_SHA1);
	hash_add(&h, pad, sizeof(pad));
	hash_add(&h, out, 20);
	hash_end(&h, hex);
	raw_sha1(hex, out);
}

static const char *
hashed_name(struct mod *m, const unsigned char salt[SALT_LEN], const char *name)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	unsigned char mac[20];

	hmac_sha1(salt, SALT_LEN, name, mac);
	buf_adds(&b, "|1|");
	base64_encode(&b, salt, SALT_LEN);
	buf_addc(&b, '|');
	base64_encode(&b, mac, sizeof(mac));
	return buf_dup(&b, m->arena);
}

static bool
matches_hash(struct mod *m, const char *hosts, const char *name)
{
	CLEANUP_BUF struct buf salt = BUF_INIT;
	const char *bar = strchr(hosts + 3, '|');

	if (bar == NULL ||
	    base64_decode(&salt, hosts + 3, (size_t)(bar - hosts - 3)) == -1 ||
	    salt.len != SALT_LEN)
		return false;
	return strcmp(hashed_name(m, (const unsigned char *)salt.data, name),
	    hosts) == 0;
}

/* ---- lines -------------------------------------------------------------- */

static const char *
word(struct arena *a, const char **s)
{
	const char *p = *s + strspn(*s, " \t");
	size_t n = strcspn(p, " \t\r\n");

	*s = p + n;
	return arena_strndup(a, p, n);
}

static bool
parse(struct arena *a, const char *s, struct entry *e)
{
	e->marker = "";
	e->hosts = word(a, &s);
	if (*e->hosts == '#' || *e->hosts == '\0')
		return false;
	if (*e->hosts == '@') {
		e->marker = e->hosts;
		e->hosts = word(a, &s);
	}
	e->type = word(a, &s);
	e->key = word(a, &s);
	return *e->key != '\0';
}

/* Whether the list of names has this one; patterns are somebody else's. */
static bool
names_host(struct mod *m, const char *hosts, const char *name)
{
	size_t n = strlen(name), k;

	if (strncmp(hosts, "|1|", 3) == 0)
		return matches_hash(m, hosts, name);
	for (; *hosts != '\0'; hosts += k + (hosts[k] == ',')) {
		k = strcspn(hosts, ",");
		if (k == n && strncasecmp(hosts, name, n) == 0)
			return true;
	}
	return false;
}

static int
wanted_line(struct mod *m, const struct entry *want, const char **ret)
{
	unsigned char salt[SALT_LEN];
	const char *hosts = want->hosts;

	if (mod_arg_bool(m, "hash_host") && *hosts != '|') {
		if (getrandom(salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
			return mod_fail_errno(m, "no random numbers");
		hosts = hashed_name(m, salt, mod_arg_str(m, "name"));
	}
	*ret = arena_printf(m->arena, "%s%s%s %s %s\n", want->marker,
	    *want->marker != '\0' ? " " : "", hosts, want->type, want->key);
	return 0;
}

/* The line is right already, or goes; *keep says which. */
static bool
judge(struct mod *m, const struct entry *have, const struct entry *want,
    bool *ret_right)
{
	bool hashed = strncmp(have->hosts, "|1|", 3) == 0;

	*ret_right = false;
	if (mod_arg_is(m, "state", "absent"))
		return want != NULL && (strcmp(have->type, want->type) != 0 ||
		    strcmp(have->key, want->key) != 0);
	if (strcmp(have->type, want->type) != 0 ||
	    strcmp(have->marker, want->marker) != 0)
		return true;
	*ret_right = strcmp(have->key, want->key) == 0 &&
	    hashed == (mod_arg_bool(m, "hash_host") || *want->hosts == '|');
	return *ret_right;
}

static int
edit_lines(struct mod *m, struct lines *l, const struct entry *want)
{
	const char *name = mod_arg_str(m, "name"), *line = "";
	bool there = false, right;
	struct entry have;
	size_t i, kept = 0;

	for (i = 0; i < l->n; i++) {
		if (parse(m->arena, arena_strndup(m->arena, l->v[i].s,
		    line_len(&l->v[i])), &have) &&
		    names_host(m, have.hosts, name)) {
			if (!judge(m, &have, want, &right) || (right && there))
				continue;
			there = there || right;
		}
		l->v[kept++] = l->v[i];
	}
	l->n = kept;
	if (there || mod_arg_is(m, "state", "absent"))
		return 0;
	if (wanted_line(m, want, &line) == -1)
		return -1;
	lines_end_at(l, l->n);
	lines_insert(l, l->n, line, strlen(line));
	return 0;
}

static int
work(struct mod *m, struct edit *e)
{
	CLEANUP_BUF struct buf new = BUF_INIT;
	const char *key = mod_arg_str(m, "key"), *path = mod_arg_path(m, "path");
	struct entry want = { 0 };
	const char *slash;
	struct lines l;
	int rc;

	if (key != NULL) {
		if (!parse(m->arena, key, &want))
			return mod_fail(m, "'%s' is no line of known_hosts: host, type and key are needed",
			    key);
		if (!names_host(m, want.hosts, mod_arg_str(m, "name")))
			return mod_fail(m, "Host parameter does not match hashed host field in supplied key: %s is not in '%s'",
			    mod_arg_str(m, "name"), want.hosts);
	}
	rc = edit_open_path(m, e, path);
	if (rc == -1)
		return -1;
	mod_set_str(m, "key", key);
	if (rc == 1 && mod_arg_is(m, "state", "absent"))
		return 0;
	lines_split(&l, m->arena, e->old.data, e->old.len);
	if (edit_lines(m, &l, key == NULL ? NULL : &want) == -1)
		return -1;
	lines_join(&l, &new);
	slash = strrchr(path, '/');
	if (!e->exists && !m->check && slash != NULL && slash != path &&
	    fs_mkdir_p(m, arena_strndup(m->arena, path, (size_t)(slash - path)),
	    0700) == -1)
		return -1;
	return edit_commit(m, e, &new);
}

static int
known_hosts_run(struct mod *m)
{
	CLEANUP_EDIT struct edit e = { 0 };

	return work(m, &e);
}

const struct module known_hosts_module = {
	.name = "known_hosts", .collection = "ansible.builtin",
	.summary = "Sees to the key of a host in a known_hosts file.",
	.examples =
	    "- known_hosts:\n"
	    "    name: git.example.com\n"
	    "    key: \"{{ lookup('file', 'git.example.com.pub') }}\"\n"
	    "    path: /etc/ssh/ssh_known_hosts\n",
	.returns = "key: the line\n",
	.args = known_hosts_args, .rules = known_hosts_rules,
	.run = known_hosts_run,
};
