/*
 * YAML inventories: groups as keys, each with hosts, vars and children.
 *
 *	all:
 *	  hosts:
 *	    web[01:10]: {ansible_port: 2222}
 *	  children:
 *	    db:
 *	      hosts: {db1: }
 *	      vars: {backup: true}
 */
#include <string.h>

#include "inventory/inv.h"

#define TREE_DEPTH	60u

struct tree {
	struct inventory	*inv;
	struct diags		*diags;
	const struct value	*vars;	/* of the host entry being read */
};

static const char *const sections[] = { "hosts", "vars", "children", NULL };

static struct group_priv *read_group(struct tree *, const struct value *key,
	    const struct value *data, unsigned depth);

static void
set_vars(void *arg, struct host_priv *hp)
{
	struct tree *t = arg;
	const struct ventry *e;

	for (uint32_t it = 0; (e = v_next(t->vars, &it)) != NULL;)
		inv_host_var(t->inv, hp, e->key, e->val);
}

static bool
is_name(struct tree *t, const struct value *key, const char *what)
{
	if (key->type == V_STR && memchr(key->u.s, '\0', key->len) == NULL)
		return true;
	err_hint(diags_error(t->diags, ERR_TYPE, v_mark(key),
	    "the name of a %s must be a string, not %s", what, v_type_name(key)),
	    "put it into quotes");
	return false;
}

/* A section as a map: a single name may stand for {name: }. NULL: nothing, or reported. */
static const struct value *
section(struct tree *t, const struct value *data, const char *name,
    const char *group)
{
	const struct value *v = v_gets(data, name);
	struct value *map;
	struct err *e;

	if (v == NULL || v_is_null(v) || v_is_map(v))
		return v_is_map(v != NULL ? v : &v_null) ? v : NULL;
	if (v->type == V_STR && strcmp(name, "vars") != 0) {
		const char *hint = yaml_text_hint(t->inv->arena, v->u.s, v->len);

		if (hint == NULL && strchr(v->u.s, ' ') == NULL) {
			map = v_map(t->inv->arena);
			v_set(t->inv->arena, map, v, &v_null);
			return map;
		}
		e = diags_error(t->diags, ERR_TYPE, v_mark(v),
		    "'%s' of the group '%s' must be a mapping", name, group);
		if (hint != NULL)
			err_hint(e, "%s", hint);
		else
			err_hint(e, "several names each need a line of their own "
			    "that ends with ':'");
		return NULL;
	}
	e = diags_error(t->diags, ERR_TYPE, v_mark(v),
	    "'%s' of the group '%s' must be a mapping, not %s", name, group,
	    v_type_name(v));
	if (v_is_list(v) && strcmp(name, "vars") != 0)
		err_hint(e, "write each name as a key: 'name:' instead of '- name'");
	return NULL;
}

static void
read_hosts(struct tree *t, struct group_priv *gp, const struct value *hosts)
{
	const struct ventry *e;

	for (uint32_t it = 0; (e = v_next(hosts, &it)) != NULL;) {
		if (!is_name(t, e->key, "host"))
			continue;
		if (!v_is_null(e->val) && !v_is_map(e->val)) {
			err_hint(diags_error(t->diags, ERR_TYPE, v_mark(e->val),
			    "the host '%s' must have a mapping of variables or "
			    "nothing, not %s", e->key->u.s, v_type_name(e->val)),
			    "write '%s:' and its variables below, deeper",
			    e->key->u.s);
			continue;
		}
		t->vars = v_is_map(e->val) ? e->val : NULL;
		(void)inv_hosts(t->inv, gp, e->key->u.s, v_mark(e->key),
		    t->vars != NULL ? set_vars : NULL, t, t->diags);
	}
}

static void
unknown_key(struct tree *t, const struct value *key, const struct value *val,
    const char *group)
{
	struct err *e;
	const char *near;

	if (!is_name(t, key, "section"))
		return;
	near = nearest(key->u.s, sections);
	e = diags_warn(t->diags, v_mark(key),
	    "'%s' is ignored: a group has hosts, vars and children", key->u.s);
	if (near != NULL)
		err_hint(e, "did you mean '%s'?", near);
	else if (v_is_map(val))
		err_hint(e, "groups in the group '%s' belong below its 'children:'",
		    group);
	else
		err_hint(e, "variables of the group '%s' belong below its 'vars:'",
		    group);
}

static void
read_sections(struct tree *t, struct group_priv *gp, const struct value *data,
    unsigned depth)
{
	const struct value *vars = section(t, data, "vars", gp->g.name);
	const struct value *hosts = section(t, data, "hosts", gp->g.name);
	const struct value *children = section(t, data, "children", gp->g.name);
	const struct ventry *e;
	uint32_t it;

	for (it = 0; (e = v_next(data, &it)) != NULL;)
		if (!v_eqs(e->key, "vars") && !v_eqs(e->key, "hosts") &&
		    !v_eqs(e->key, "children"))
			unknown_key(t, e->key, e->val, gp->g.name);
	for (it = 0; vars != NULL && (e = v_next(vars, &it)) != NULL;)
		inv_group_var(t->inv, gp, e->key, e->val, t->diags);
	if (hosts != NULL)
		read_hosts(t, gp, hosts);
	for (it = 0; children != NULL && (e = v_next(children, &it)) != NULL;) {
		struct group_priv *child = read_group(t, e->key, e->val, depth + 1);

		if (child != NULL)
			inv_child(t->inv, gp, child, v_mark(e->key));
	}
}

static struct group_priv *
read_group(struct tree *t, const struct value *key, const struct value *data,
    unsigned depth)
{
	struct group_priv *gp;
	struct err *e;

	if (!is_name(t, key, "group"))
		return NULL;
	if (depth > TREE_DEPTH) {
		diags_error(t->diags, ERR_LIMIT, v_mark(key),
		    "groups are nested more than %u deep", TREE_DEPTH);
		return NULL;
	}
	gp = inv_group(t->inv, key->u.s, v_mark(key), t->diags);
	if (gp == NULL || v_is_null(data))
		return gp;
	if (!v_is_map(data)) {
		e = diags_error(t->diags, ERR_TYPE, v_mark(data),
		    "the group '%s' must be a mapping with hosts, vars and "
		    "children, not %s", key->u.s, v_type_name(data));
		if (v_is_list(data))
			err_hint(e, "list its hosts below 'hosts:', each as a key");
		return gp;
	}
	read_sections(t, gp, data, depth);
	return gp;
}

int
tree_read(struct inventory *inv, const struct source *src,
    const struct value *data, struct diags *diags)
{
	struct tree t = { .inv = inv, .diags = diags };
	const struct value *plugin = v_gets(data, "plugin");
	size_t before = diags->nerrors;
	const struct ventry *e;
	struct err *err;

	if (v_is_null(data))
		return 0;
	if (!v_is_map(data)) {
		err = diags_error(diags, ERR_TYPE, v_mark(data).src != NULL ?
		    v_mark(data) : (struct mark){ .src = src },
		    "a YAML inventory is a mapping of groups, not %s",
		    v_type_name(data));
		err_hint(err, "start with 'all:' and below it 'hosts:'");
		return -1;
	}
	if (plugin != NULL && plugin->type == V_STR) {
		err_hint(diags_error(diags, ERR_UNSUPPORTED, v_mark(plugin),
		    "inventory plugins are not supported ('%s')", plugin->u.s),
		    "an executable that prints the inventory as JSON can do the "
		    "same, for example one that calls 'ansible-inventory --list'");
		return -1;
	}
	for (uint32_t it = 0; (e = v_next(data, &it)) != NULL;)
		(void)read_group(&t, e->key, e->val, 0);
	return diags->nerrors > before ? -1 : 0;
}
