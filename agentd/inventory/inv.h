/*
 * The inventory's inside: what its files share.  Private to inventory/.
 */
#ifndef PROVCTL_INVENTORY_INV_H
#define PROVCTL_INVENTORY_INV_H

#include "base/buf.h"
#include "inventory/child.h"
#include "inventory/inventory.h"

#define INV_HOSTS_MAX	500000u		/* in an inventory */
#define INV_RANGE_MAX	100000u		/* that one [a:b] pattern makes */
#define INV_DIR_DEPTH	10u		/* directories in directories */
#define INV_OUTPUT_MAX	((size_t)32 * 1024 * 1024)	/* of an inventory program */
#define INV_TIMEOUT_MS	120000		/* for one, all calls together */

/* Name → pointer, in the arena; open addressing. */
struct names {
	struct names_slot {
		const char	*name;
		void		*obj;
		uint32_t	 hash;
	}		*slots;
	uint32_t	 n, cap;
};

void	*names_get(const struct names *, const char *);
/* The name must be new and outlive the table. */
void	 names_put(struct names *, struct arena *, const char *, void *);

/* struct group and struct host come first: a pointer to the one is a pointer to the other. */
struct group_priv {
	struct group		 g;
	struct mark		*child_marks;	/* where each child was made one */
	uint32_t		 cap_parents, cap_children, cap_hosts;
	struct value		*vars;		/* = g.vars while the inventory is built */
	const struct value	*compiled;	/* templates compiled; NULL: not yet */
	struct host		**all_hosts;	/* also of descendants; valid for `generation` */
	uint32_t		 nall_hosts, generation;
	uint32_t		 stamp;		/* of the last walk that met it */
	uint8_t			 walking;	/* for the search of loops */
};

struct host_priv {
	struct host		 h;
	struct inventory	*inv;
	uint32_t		 cap_groups;
	struct value		*vars;		/* = h.vars */
	const struct value	*compiled;
	struct value		*added;		/* by add_host: data, never templates; or NULL */
	const char		*file;		/* inventory_file: absolute, or the list itself; NULL */
	uint32_t		 stamp;
	bool			 implicit;
};

struct inventory {
	struct arena		*arena;
	const struct yaml_opts	*yaml;
	struct names		 group_names, host_names;
	struct group_priv	**groups;	/* in order of appearance; all, ungrouped first */
	struct host_priv	**hosts;	/* in order of appearance */
	struct host_priv	**order;	/* as the group `all` has them: by index */
	uint32_t		 ngroups, cap_groups, nhosts, cap_hosts, norder, cap_order;
	struct group_priv	*all, *ungrouped;
	struct host_priv	*localhost;	/* explicit or implicit; or NULL */
	struct var_place {			/* a directory with group_vars and host_vars */
		const char	*shown;		/* as the user wrote it; "" for the current one; NULL: none */
		const char	*path;		/* absolute */
	}			*dirs, site_dir;	/* of the sources; of the site */
	uint32_t		 ndirs;
	struct names		 var_dirs, var_files;	/* vars.c */
	const char		*file;		/* being read: inventory_file of new hosts */
	const struct value	*groups_value;	/* cached */
	uint32_t		 generation, stamp;
	bool			 finished;
};

/* ---- inventory.c: building ---------------------------------------------- */

/* Created when missing. NULL with diags when the name is not possible. */
struct group_priv *inv_group(struct inventory *, const char *name, struct mark,
	    struct diags *);
struct host_priv *inv_host(struct inventory *, const char *name, struct mark,
	    struct diags *);
void		 inv_member(struct inventory *, struct group_priv *, struct host_priv *);
void		 inv_child(struct inventory *, struct group_priv *parent,
	    struct group_priv *child, struct mark);
void		 inv_host_var(struct inventory *, struct host_priv *,
	    const struct value *key, const struct value *val);
/* ansible_group_priority is taken out and must be a number. */
void		 inv_group_var(struct inventory *, struct group_priv *,
	    const struct value *key, const struct value *val, struct diags *);
/* A host pattern with ranges and port: all its hosts, created and put into the group (may be NULL). */
typedef void inv_each_host(void *arg, struct host_priv *);
int		 inv_hosts(struct inventory *, struct group_priv *, const char *pattern,
	    struct mark, inv_each_host *, void *arg, struct diags *);
/* All hosts of a group and its descendants, without repetitions. */
struct host	**inv_group_hosts(struct inventory *, struct group_priv *,
	    uint32_t *n);

/* The groups of a host with all above them, but without `all`: an array the caller frees. */
struct group	**inv_ancestors(struct inventory *, const struct host *, uint32_t *n);

/* ---- the forms of sources ------------------------------------------------ */

int	 ini_read(struct inventory *, const struct source *, struct diags *);
int	 tree_read(struct inventory *, const struct source *, const struct value *,
	    struct diags *);
/* An executable. 1: it is none after all (no #! and no binary): read it as text. */
int	 script_read(struct inventory *, const char *path, struct diags *);

/* ---- range.c ------------------------------------------------------------- */

/* Splits "host:port", "[v6]:port"; *ret_port is 0 when there is none. -1 with err. */
int	 address_split(struct arena *, const char *, const char **ret_host,
	    int *ret_port, struct err *);
bool	 address_is_v6(const char *);
/* The names that host[01:10:2] and the like stand for; at most INV_RANGE_MAX. */
int	 range_expand(struct arena *, const char *pattern, const char ***ret,
	    uint32_t *nret, struct err *);

/* ---- literal.c ----------------------------------------------------------- */

/* What Python's ast.literal_eval makes of a text; the text itself when it is no literal. */
const struct value *literal_value(struct arena *, const char *, size_t);

/* ---- vars.c -------------------------------------------------------------- */

const struct value *vars_merge(struct inventory *, struct host_priv *,
	    struct diags *);

#endif
