/*
 * capabilities: what a program may do of what only root may, as a property of
 * its file (capabilities(7)).
 *
 * Read and written as the attribute that the kernel keeps (security.capability,
 * linux/capability.h: struct vfs_cap_data), so that libcap's programs need not
 * be there.  The kernel knows one `effective` for the whole file: all of its
 * capabilities have the flag e, or none.
 */
#include <sys/stat.h>
#include <sys/xattr.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "module/fs.h"
#include "module/keep.h"

#define END		{ .name = NULL }
#define ATTR		"security.capability"
#define REVISION_1	0x01000000U
#define REVISION_2	0x02000000U
#define REVISION_3	0x03000000U	/* of a user namespace: with its root's number */
#define REVISION_MASK	0xff000000U
#define EFFECTIVE	0x00000001U

static const char *const names[] = {
	"cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner",
	"cap_fsetid", "cap_kill", "cap_setgid", "cap_setuid", "cap_setpcap",
	"cap_linux_immutable", "cap_net_bind_service", "cap_net_broadcast",
	"cap_net_admin", "cap_net_raw", "cap_ipc_lock", "cap_ipc_owner",
	"cap_sys_module", "cap_sys_rawio", "cap_sys_chroot", "cap_sys_ptrace",
	"cap_sys_pacct", "cap_sys_admin", "cap_sys_boot", "cap_sys_nice",
	"cap_sys_resource", "cap_sys_time", "cap_sys_tty_config", "cap_mknod",
	"cap_lease", "cap_audit_write", "cap_audit_control", "cap_setfcap",
	"cap_mac_override", "cap_mac_admin", "cap_syslog", "cap_wake_alarm",
	"cap_block_suspend", "cap_audit_read", "cap_perfmon", "cap_bpf",
	"cap_checkpoint_restore",
};

struct caps {
	uint64_t	 permitted, inheritable;
	bool		 effective;
};

/* "cap_a,cap_b+ep": which, and with which flags. */
struct wish {
	uint64_t	 which;
	bool		 e, i, p;
};

static int
parse_names(struct mod *m, const char *s, size_t n, uint64_t *ret)
{
	const char *end = s + n;
	size_t k, len;

	for (; s < end; s += len + 1) {
		len = strcspn(s, ",");
		if (len > (size_t)(end - s))
			len = (size_t)(end - s);
		for (k = 0; k < NITEMS(names); k++)
			if (strlen(names[k]) == len && strncasecmp(names[k], s, len) == 0)
				break;
		if (k == NITEMS(names))
			return mod_fail(m, "there is no capability '%.*s' (capabilities(7))",
			    (int)len, s);
		*ret |= UINT64_C(1) << k;
	}
	return *ret != 0 ? 0 : mod_fail(m, "capability names none");
}

static int
parse(struct mod *m, bool want, struct wish *w)
{
	const char *text = mod_arg_str(m, "capability"), *op, *f;

	while (*text == ' ')
		text++;
	op = text + strcspn(text, "=+-");
	*w = (struct wish){ 0 };
	if (parse_names(m, text, (size_t)(op - text), &w->which) == -1)
		return -1;
	if (!want)
		return 0;
	if (*op == '\0')
		return mod_fail(m, "capability needs an operator and flags: %s+ep", text);
	if (*op == '-')
		return mod_fail(m, "'%s' takes something away: `state: absent` does", text);
	for (f = op + 1; *f != '\0' && *f != ' '; f++) {
		if (strchr("eipEIP", *f) == NULL)
			return mod_fail(m, "'%c' in '%s' is no flag: e, i and p are", *f, text);
		w->e = w->e || *f == 'e' || *f == 'E';
		w->i = w->i || *f == 'i' || *f == 'I';
		w->p = w->p || *f == 'p' || *f == 'P';
	}
	if (!w->i && !w->p)
		return mod_fail(m, "'%s' needs flag p or i", text);
	return 0;
}

static uint32_t
le32(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void
put32(unsigned char *p, uint64_t v)
{
	int i;

	for (i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (8 * i) & 0xff);
}

static int
get(struct mod *m, int fd, const char *path, struct caps *c)
{
	unsigned char a[64];
	ssize_t n = fgetxattr(fd, ATTR, a, sizeof(a));
	uint32_t revision;

	*c = (struct caps){ 0 };
	if (n == -1)
		return errno == ENODATA ? 0 : mod_fail_errno(m,
		    "cannot read the capabilities of %s", path);
	revision = n < 12 ? 0 : le32(a) & REVISION_MASK;
	if (revision == REVISION_3)
		return mod_fail(m, "the capabilities of %s are of a user namespace: they are left alone",
		    path);
	if (revision != REVISION_1 && (revision != REVISION_2 || n < 20))
		return mod_fail(m, "the capabilities of %s are of a kind not known here",
		    path);
	c->effective = le32(a) & EFFECTIVE;
	c->permitted = le32(a + 4);
	c->inheritable = le32(a + 8);
	if (revision == REVISION_2) {
		c->permitted |= (uint64_t)le32(a + 12) << 32;
		c->inheritable |= (uint64_t)le32(a + 16) << 32;
	}
	return 0;
}

static int
put(struct mod *m, int fd, const char *path, const struct caps *c)
{
	unsigned char a[20];
	int rc;

	put32(a, REVISION_2 | (c->effective ? EFFECTIVE : 0));
	put32(a + 4, c->permitted);
	put32(a + 8, c->inheritable);
	put32(a + 12, c->permitted >> 32);
	put32(a + 16, c->inheritable >> 32);
	if ((c->permitted | c->inheritable) == 0)
		rc = fremovexattr(fd, ATTR);
	else
		rc = fsetxattr(fd, ATTR, a, sizeof(a), 0);
	return rc == 0 ? 0 : mod_fail_errno(m, "cannot set the capabilities of %s", path);
}

/* As getcap writes them: "cap_net_admin,cap_net_raw=ep". */
static const struct value *
text(struct mod *m, const struct caps *c)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t k;
	int kind;

	for (kind = 1; kind < 4; kind++) {	/* 1: p, 2: i, 3: both */
		bool any = false;

		for (k = 0; k < NITEMS(names); k++) {
			if ((int)((c->permitted >> k & 1) | (c->inheritable >> k & 1) << 1) != kind)
				continue;
			buf_addf(&b, "%s%s", any ? "," : b.len > 0 ? " " : "", names[k]);
			any = true;
		}
		if (any)
			buf_addf(&b, "=%s%s%s", c->effective ? "e" : "",
			    kind & 2 ? "i" : "", kind & 1 ? "p" : "");
	}
	return v_str(m->arena, buf_dup(&b, m->arena));
}

/* What it is to be. -1 after mod_fail: the kernel has no such thing. */
static int
wanted(struct mod *m, const struct wish *w, bool present, const struct caps *old,
    struct caps *new)
{
	*new = *old;
	new->permitted &= ~w->which;
	new->inheritable &= ~w->which;
	if (present) {
		if ((new->permitted | new->inheritable) != 0 && w->e != old->effective)
			return mod_fail(m, "flag e is of all capabilities of a file or of none: it has '%s' already",
			    text(m, old)->u.s);
		new->permitted |= w->p ? w->which : 0;
		new->inheritable |= w->i ? w->which : 0;
		new->effective = w->e;
	}
	if ((new->permitted | new->inheritable) == 0)
		new->effective = false;
	return 0;
}

static int
capabilities_run(struct mod *m)
{
	const char *path = mod_arg_str(m, "path");
	bool present = mod_arg_is(m, "state", "present");
	CLEANUP_CLOSE int fd = -1;
	struct caps old, new;
	struct wish w;
	struct stat st;
	int rc;

	mod_set_str(m, "state", mod_arg_str(m, "state"));
	if (parse(m, present, &w) == -1 || (rc = fs_lstat(m, path, &st)) == -1)
		return -1;
	if (rc == 1) {
		if (!m->check)
			return mod_fail(m, "%s does not exist", path);
		mod_warn(m, "%s does not exist yet: assuming that an earlier task makes it", path);
		if (present)
			(void)mod_change(m, path, NULL, v_str(m->arena, mod_arg_str(m, "capability")));
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return mod_fail(m, "%s is no regular file%s", path,
		    S_ISLNK(st.st_mode) ? " but a link: name the file itself" : "");
	if ((fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)) == -1)
		return mod_fail_errno(m, "cannot open %s", path);
	if (get(m, fd, path, &old) == -1 || wanted(m, &w, present, &old, &new) == -1)
		return -1;
	if (old.permitted == new.permitted && old.inheritable == new.inheritable &&
	    old.effective == new.effective)
		return 0;
	mod_set_str(m, "msg", "capabilities changed");
	if (!mod_change(m, path, text(m, &old), text(m, &new)))
		return m->failed ? -1 : 0;
	return keep_path(m, path) == -1 ? -1 : put(m, fd, path, &new);
}

static const struct mod_arg capabilities_args[] = {
	{ .name = "path", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "key", .doc = "The program's file." },
	{ .name = "capability", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "cap",
	    .doc = "Which, and with which flags: cap_net_raw+ep, or several: cap_net_raw,cap_net_admin+ep. "
	    "With `state: absent` the names are enough." },
	{ .name = "state", .type = ARG_STR, .def = "present", .choices = "absent,present",
	    .doc = "Whether the file is to have them." },
	END
};

const struct module capabilities_module = {
	.name = "capabilities", .collection = "community.general",
	.summary = "Gives capabilities to a program's file, or takes them away.",
	.examples =
	    "- community.general.capabilities: {path: /usr/bin/ping, capability: cap_net_raw+ep}\n"
	    "- community.general.capabilities: {path: /opt/app/server, capability: cap_net_bind_service, state: absent}\n",
	.returns = "msg: what was done\nstate: as given\n",
	.args = capabilities_args, .run = capabilities_run,
};
