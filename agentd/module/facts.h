/*
 * Facts: what `setup` tells about a host.
 *
 * Every collector reads /proc, /sys, /etc and the kernel's netlink and puts
 * what it finds into one map, under the names that Ansible gives them (without
 * the prefix ansible_).  No programs are started, except those in facts.d.
 * A file that is missing or holds nonsense leaves its facts out; it never
 * fails the module.  `root` stands before every path, so that tests can show
 * a collector a host of their own.
 */
#ifndef PROVCTL_MODULE_FACTS_H
#define PROVCTL_MODULE_FACTS_H

#include "module/module.h"

#define FACTS_FILE_MAX	((size_t)4 * 1024 * 1024)

struct facts {
	struct mod	*m;		/* for programs in facts.d; its arena is ours */
	struct arena	*a;
	const char	*root;		/* "" */
	const char	*fact_path;
	int		 timeout_ms;	/* of one slow file system */
	struct value	*map;
};

/* A file's text, NUL-terminated, or NULL; len may be NULL. */
const char	*facts_read(struct facts *, const char *path, size_t *len);
/* Its first line without blanks around, or NULL. */
const char	*facts_line(struct facts *, const char *path);
const char	*facts_link(struct facts *, const char *path);	/* readlink, or NULL */
bool		 facts_exists(struct facts *, const char *path);
/* Names in a directory, sorted, NULL-terminated; never NULL. */
const char	*const *facts_names(struct facts *, const char *path);
const char	*facts_path(struct facts *, const char *fmt, ...) ATTR_PRINTF(2, 3);
void		 facts_set(struct facts *, const char *name, const struct value *);
void		 facts_str(struct facts *, const char *name, const char *);
void		 facts_int(struct facts *, const char *name, int64_t);
void		 facts_bool(struct facts *, const char *name, bool);
/* A host's text as a value: bytes that are no UTF-8 are replaced. */
const struct value *facts_text(struct facts *, const char *, size_t);
/* Takes the next line off *p; NULL at the end. Writes no NUL: *n is its length. */
const char	*facts_next_line(const char **p, size_t *n);
/* The value of KEY=value (quotes taken off) in a shell-like file's text, or NULL. */
const char	*facts_shell_var(struct facts *, const char *text, const char *key);

/* Collectors. */
void		 facts_platform(struct facts *);
void		 facts_distribution(struct facts *);
void		 facts_lsb(struct facts *);
void		 facts_python(struct facts *);
void		 facts_pkg_mgr(struct facts *);
void		 facts_service_mgr(struct facts *);
void		 facts_systemd(struct facts *);
void		 facts_selinux(struct facts *);
void		 facts_apparmor(struct facts *);
void		 facts_caps(struct facts *);
void		 facts_cmdline(struct facts *);
void		 facts_date_time(struct facts *);
void		 facts_dns(struct facts *);
void		 facts_env(struct facts *);
void		 facts_fips(struct facts *);
void		 facts_ssh_keys(struct facts *);
void		 facts_user(struct facts *);
void		 facts_loadavg(struct facts *);
void		 facts_chroot(struct facts *);
void		 facts_local(struct facts *);
void		 facts_hardware(struct facts *);
void		 facts_mounts(struct facts *);
void		 facts_devices(struct facts *);
void		 facts_network(struct facts *);
void		 facts_virtual(struct facts *);
void		 facts_storage_names(struct facts *);

#endif
