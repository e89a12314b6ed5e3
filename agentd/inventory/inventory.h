/*
 * Hosts, groups and their variables.
 *
 * An inventory is read from one or more sources (INI, YAML, a directory of
 * them, an executable that prints JSON, "host1,host2,") and is immutable after
 * inventory_finish().  group_vars/ and host_vars/ beside each source, and
 * beside the site, are read and merged by Ansible's precedence:
 *
 *	inventory group vars (all, then parents before children, by
 *	ansible_group_priority and name) < inventory group_vars/all < site
 *	group_vars/all < inventory group_vars/x < site group_vars/x < inventory
 *	host vars < inventory host_vars < site host_vars
 */
#ifndef PROVCTL_INVENTORY_INVENTORY_H
#define PROVCTL_INVENTORY_INVENTORY_H

#include "base/value.h"
#include "yaml/yaml.h"

struct inventory;

struct group {
	const char		*name;
	struct group		**parents, **children;
	struct host		**hosts;	/* direct members, in order of appearance */
	uint32_t		  nparents, nchildren, nhosts;
	int			  depth;
	int64_t			  priority;
	const struct value	 *vars;		/* from the sources only */
	struct mark		  mark;
};

struct host {
	const char		*name;		/* inventory_hostname */
	struct group		**groups;	/* direct groups */
	uint32_t		  ngroups;
	const struct value	 *vars;		/* from the sources only */
	const struct value	 *all_vars;	/* merged by precedence; made on first use, templates compiled */
	struct mark		  mark;
	uint32_t		  index;	/* position in the inventory; UINT32_MAX for the implicit localhost */
};

struct inventory *inventory_new(struct arena *, const struct yaml_opts *);
/* -i: a path, or a list with a comma. 0, or -1 with diags. */
int	 inventory_add(struct inventory *, const char *source, struct diags *);
/* group_vars/ and host_vars/ of the site's directory. */
int	 inventory_add_site_dir(struct inventory *, const char *dir, struct diags *);
/* Loops among groups, depth, group `ungrouped`; implicit localhost. */
int	 inventory_finish(struct inventory *, struct diags *);
/* add_host and group_by, during a run: creates what is missing; the host's merged variables are made anew. */
struct host *inventory_host_add(struct inventory *, const char *name,
	    const struct value *vars, struct err *);
int	 inventory_group_add(struct inventory *, struct host *, const char *group, struct err *);
/* Makes one group a child of another (group_by's parents); both are created when missing. */
int	 inventory_group_nest(struct inventory *, const char *parent, const char *child, struct err *);

uint32_t	 inventory_nhosts(const struct inventory *);
struct host	*inventory_host_at(const struct inventory *, uint32_t);
struct host	*inventory_host(struct inventory *, const char *name);	/* also localhost, implicitly; NULL */
struct group	*inventory_group(const struct inventory *, const char *name);
/* host.all_vars, merged when first asked for; NULL with diags when a template in a vars file does not parse. */
const struct value *inventory_host_vars(struct inventory *, struct host *, struct diags *);
bool		 inventory_in_group(const struct host *, const struct group *);	/* also through parents */
/* Maps for the magic variables: groups (name: [hosts]) and group_names of a host (sorted, without all). */
const struct value *inventory_groups_value(struct inventory *);
const struct value *inventory_group_names(struct inventory *, const struct host *);

/*
 * Ansible's host patterns: all, *, names, globs, ~regex, a:b, a,b, :&x, :!x,
 * group[0], group[1:3], @file.  The hosts as an array in the arena, each once,
 * in Ansible's order: part by part as the pattern names them, within a part in
 * inventory order; 0, or -1 with err when the pattern is malformed.  A part that
 * matches nothing is reported through *ret_unmatched (first one, or NULL).
 */
int	 inventory_match(struct inventory *, struct arena *, const char *pattern,
	    struct host ***ret, uint32_t *nret, const char **ret_unmatched,
	    struct err *);
/* The grammar of host and user names: letters, digits, . _ - : [ ] %, never starting with '-', at most 255. */
bool	 inventory_name_ok(const char *);
/* Nearest group or host name, for hints. */
const char *inventory_nearest(const struct inventory *, const char *);

#endif
