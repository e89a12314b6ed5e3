/*
 * Keywords: rows of data.
 *
 * One row says where a keyword may stand, its type, whether and how it is
 * inherited, and what it is for.  Loading, messages, the JSON schema and the
 * documentation come from the same rows.
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "playbook/private.h"

#define F(field)	offsetof(struct keywords, field)
#define AT_ANY_TASK	(AT_TASK | AT_HANDLER)

const struct keyword keyword_rows[] = {
	{ "action", AT_ANY_TASK | AT_INCLUDE, KW_ANY, 0, KW_NONE, NULL,
	    "The module and its arguments in the old form: `action: copy src=a dest=b`." },
	{ "always", AT_BLOCK, KW_TASKS, 0, KW_NONE, NULL,
	    "Tasks that run after the block, whether it failed or not." },
	{ "always_run", AT_ANY_TASK, KW_ANY, KWF_REMOVED, KW_NONE, NULL,
	    "write `check_mode: false`" },
	{ "any_errors_fatal", AT_BASE, KW_BOOL, 0, F(any_errors_fatal), NULL,
	    "A failure on one host ends the play for all hosts." },
	{ "args", AT_ANY_TASK | AT_INCLUDE, KW_ANY, 0, KW_NONE, NULL,
	    "Further arguments of the module, below those given with it." },
	{ "async", AT_ANY_TASK, KW_INT, 0, KW_NONE, NULL,
	    "Lets the task run in the background for at most that many seconds." },
	{ "become", AT_BASE, KW_BOOL, 0, F(become), NULL,
	    "Runs as another user (root unless become_user says otherwise)." },
	{ "become_exe", AT_BASE, KW_STR, KWF_NO_EFFECT, KW_NONE, NULL,
	    "Path of the program that changes the user." },
	{ "become_flags", AT_BASE, KW_STR, 0, F(become_flags), NULL,
	    "Options for the program that changes the user." },
	{ "become_method", AT_BASE, KW_STR, 0, F(become_method), NULL,
	    "How to become another user; sudo." },
	{ "become_user", AT_BASE, KW_STR, 0, F(become_user), NULL,
	    "The user to become." },
	{ "block", AT_BLOCK, KW_TASKS, 0, KW_NONE, NULL,
	    "Tasks that share keywords, and that rescue and always belong to." },
	{ "changed_when", AT_ANY_TASK, KW_CONDS, 0, KW_NONE, NULL,
	    "When the task counts as changed." },
	{ "check_mode", AT_BASE, KW_BOOL, 0, F(check_mode), NULL,
	    "Yes: the task only predicts, always. No: it acts even with --check." },
	{ "collections", AT_BASE | AT_INCLUDE, KW_STRS, 0, KW_NONE, NULL,
	    "Collections in which short names of roles and modules are looked for." },
	{ "connection", AT_BASE, KW_STR, 0, F(connection), NULL,
	    "How to reach the host: ssh or local." },
	{ "debugger", AT_BASE | AT_INCLUDE, KW_STR, KWF_NO_EFFECT, KW_NONE, NULL,
	    "Starts Ansible's interactive debugger." },
	{ "delay", AT_ANY_TASK, KW_NUMBER, 0, KW_NONE, NULL,
	    "Seconds between retries." },
	{ "delegate_facts", AT_ANY_TASK | AT_BLOCK | AT_ROLE, KW_BOOL, 0, F(delegate_facts), NULL,
	    "Facts found belong to the host of delegate_to." },
	{ "delegate_to", AT_ANY_TASK | AT_BLOCK | AT_ROLE, KW_STR, 0, F(delegate_to), NULL,
	    "Runs the task on another host, with this host's variables." },
	{ "diff", AT_BASE, KW_BOOL, 0, F(diff), NULL,
	    "Whether differences are shown." },
	{ "environment", AT_BASE, KW_ENV, KWF_EXTEND, F(environment), NULL,
	    "Environment variables of what the tasks run." },
	{ "fact_path", AT_PLAY, KW_STR, 0, KW_NONE, NULL,
	    "Directory of local facts on the host." },
	{ "failed_when", AT_ANY_TASK, KW_CONDS, 0, KW_NONE, NULL,
	    "When the task counts as failed." },
	{ "first_available_file", AT_ANY_TASK, KW_ANY, KWF_REMOVED, KW_NONE, NULL,
	    "write `with_first_found:`" },
	{ "force_handlers", AT_PLAY, KW_BOOL, 0, KW_NONE, NULL,
	    "Notified handlers run even on hosts where a task failed." },
	{ "gather_facts", AT_PLAY, KW_BOOL, 0, KW_NONE, NULL,
	    "Whether facts about the hosts are gathered first; yes unless said otherwise." },
	{ "gather_subset", AT_PLAY, KW_STRS, 0, KW_NONE, NULL,
	    "Which facts are gathered." },
	{ "gather_timeout", AT_PLAY, KW_INT, 0, KW_NONE, NULL,
	    "Seconds for gathering a kind of facts." },
	{ "handlers", AT_PLAY, KW_TASKS, 0, KW_NONE, NULL,
	    "Tasks that run once, later, when another task that changed something notifies them." },
	{ "hosts", AT_PLAY, KW_STRS, 0, KW_NONE, NULL,
	    "Pattern of hosts and groups the play is for." },
	{ "ignore_errors", AT_BASE | AT_INCLUDE, KW_BOOL, 0, F(ignore_errors), NULL,
	    "Goes on though the task failed." },
	{ "ignore_unreachable", AT_BASE, KW_BOOL, 0, F(ignore_unreachable), NULL,
	    "Goes on with the host's next task though it could not be reached." },
	{ "import_playbook", AT_IMPORT, KW_STR, 0, KW_NONE, NULL,
	    "A playbook whose plays are put here." },
	{ "include", AT_IMPORT, KW_STR, 0, KW_NONE, NULL,
	    "The old name of import_playbook." },
	{ "listen", AT_HANDLER, KW_STRS, KWF_STATIC, KW_NONE, NULL,
	    "Topics: notifying one of them notifies this handler." },
	{ "local_action", AT_ANY_TASK, KW_ANY, 0, KW_NONE, NULL,
	    "Like action, on the controller." },
	{ "loop", AT_ANY_TASK | AT_INCLUDE, KW_ANY, 0, KW_NONE, NULL,
	    "A list; the task runs once for each element, which is `item`." },
	{ "loop_control", AT_ANY_TASK | AT_INCLUDE, KW_ANY, 0, KW_NONE, NULL,
	    "How the loop works: loop_var, index_var, label, pause, extended, break_when." },
	{ "max_fail_percentage", AT_PLAY, KW_NUMBER, 0, KW_NONE, NULL,
	    "Ends the play when more than that share of the hosts failed." },
	{ "module_defaults", AT_BASE, KW_DEFAULTS, KWF_EXTEND, KW_NONE, NULL,
	    "Default arguments by module." },
	{ "name", AT_BASE | AT_INCLUDE, KW_STR, 0, KW_NONE, NULL,
	    "What it is for, shown while it runs." },
	{ "no_log", AT_BASE | AT_INCLUDE, KW_BOOL, 0, F(no_log), NULL,
	    "Arguments and results are never shown or stored." },
	{ "notify", AT_ANY_TASK | AT_BLOCK, KW_STRS, 0, KW_NONE, NULL,
	    "Handlers to run later when the task changed something." },
	{ "order", AT_PLAY, KW_STR, 0, KW_NONE,
	    "inventory,sorted,reverse_sorted,reverse_inventory,shuffle",
	    "In which order the hosts are taken." },
	{ "poll", AT_ANY_TASK, KW_INT, 0, KW_NONE, NULL,
	    "Seconds between looks at an async task; 0: it is left alone." },
	{ "port", AT_BASE, KW_INT, 0, F(port), NULL,
	    "Port of the host's SSH server." },
	{ "post_tasks", AT_PLAY, KW_TASKS, 0, KW_NONE, NULL,
	    "Tasks that run after roles and tasks." },
	{ "pre_tasks", AT_PLAY, KW_TASKS, 0, KW_NONE, NULL,
	    "Tasks that run before the roles." },
	{ "register", AT_ANY_TASK | AT_INCLUDE, KW_STR, KWF_STATIC, KW_NONE, NULL,
	    "Variable that takes the result." },
	{ "remote_user", AT_BASE, KW_STR, 0, F(remote_user), NULL,
	    "User to log in as." },
	{ "rescue", AT_BLOCK, KW_TASKS, 0, KW_NONE, NULL,
	    "Tasks that run when one of the block failed." },
	{ "retries", AT_ANY_TASK, KW_INT, 0, KW_NONE, NULL,
	    "How often the task is tried again until `until` holds." },
	{ "role", AT_ROLE, KW_STR, 0, KW_NONE, NULL,
	    "Name of the role." },
	{ "roles", AT_PLAY, KW_LIST, 0, KW_NONE, NULL,
	    "Roles whose tasks run before the play's own." },
	{ "run_once", AT_BASE | AT_INCLUDE, KW_BOOL, 0, F(run_once), NULL,
	    "Runs on the first host only; the result counts for all." },
	{ "serial", AT_PLAY, KW_BATCH, 0, KW_NONE, NULL,
	    "How many hosts (or what percentage) go through the play at a time." },
	{ "static", AT_ANY_TASK, KW_BOOL, KWF_STATIC, KW_NONE, NULL,
	    "Of the legacy include: yes imports, no includes." },
	{ "strategy", AT_PLAY, KW_STR, 0, KW_NONE, NULL,
	    "linear: hosts keep step; free: each goes ahead." },
	{ "sudo", AT_PLAY | AT_BLOCK | AT_ANY_TASK, KW_ANY, KWF_REMOVED, KW_NONE, NULL,
	    "write `become: true`" },
	{ "sudo_user", AT_PLAY | AT_BLOCK | AT_ANY_TASK, KW_ANY, KWF_REMOVED, KW_NONE, NULL,
	    "write `become: true` and `become_user:`" },
	{ "tags", AT_BASE | AT_INCLUDE, KW_TAGS, KWF_EXTEND, F(tags), NULL,
	    "Labels to choose tasks by with --tags and --skip-tags." },
	{ "tasks", AT_PLAY, KW_TASKS, 0, KW_NONE, NULL,
	    "The play's tasks." },
	{ "throttle", AT_BASE, KW_INT, 0, F(throttle), NULL,
	    "At most that many hosts at a time." },
	{ "timeout", AT_BASE | AT_INCLUDE, KW_INT, 0, F(timeout), NULL,
	    "Seconds after which the task is stopped and has failed." },
	{ "until", AT_ANY_TASK, KW_CONDS, 0, KW_NONE, NULL,
	    "Tries the task again until this holds." },
	{ "user", AT_PLAY, KW_STR, 0, F(remote_user), NULL,
	    "The old name of remote_user." },
	{ "vars", AT_BASE | AT_INCLUDE, KW_VARS, 0, KW_NONE, NULL,
	    "Variables." },
	{ "vars_files", AT_PLAY, KW_LIST, 0, KW_NONE, NULL,
	    "Files of variables; of a list in the list the first that exists." },
	{ "vars_prompt", AT_PLAY, KW_LIST, 0, KW_NONE, NULL,
	    "Variables asked for when the run starts." },
	{ "when", AT_ANY_TASK | AT_BLOCK | AT_ROLE | AT_IMPORT | AT_INCLUDE, KW_CONDS,
	    KWF_EXTEND, F(when), NULL,
	    "Runs only where this holds; of a list all must hold." },

	{ "break_when", AT_LOOP, KW_CONDS, 0, KW_NONE, NULL,
	    "Ends the loop when this holds after an element." },
	{ "extended", AT_LOOP, KW_BOOL, KWF_STATIC, KW_NONE, NULL,
	    "Sets ansible_loop (index, first, last, nextitem …)." },
	{ "extended_allitems", AT_LOOP, KW_BOOL, KWF_STATIC, KW_NONE, NULL,
	    "Whether ansible_loop has allitems." },
	{ "index_var", AT_LOOP, KW_STR, KWF_STATIC, KW_NONE, NULL,
	    "Variable that counts the elements from 0." },
	{ "label", AT_LOOP, KW_ANY, 0, KW_NONE, NULL,
	    "What is shown for an element." },
	{ "loop_var", AT_LOOP, KW_STR, KWF_STATIC, KW_NONE, NULL,
	    "Variable for the element, instead of item." },
	{ "pause", AT_LOOP, KW_NUMBER, 0, KW_NONE, NULL,
	    "Seconds between elements." },

	{ "confirm", AT_PROMPT, KW_BOOL, KWF_STATIC, KW_NONE, NULL,
	    "Asks twice." },
	{ "default", AT_PROMPT, KW_ANY, 0, KW_NONE, NULL,
	    "The answer when none is given." },
	{ "encrypt", AT_PROMPT, KW_STR, KWF_STATIC, KW_NONE, NULL,
	    "Hashes the answer: sha512_crypt and the like." },
	{ "name", AT_PROMPT, KW_STR, KWF_STATIC, KW_NONE, NULL,
	    "The variable." },
	{ "private", AT_PROMPT, KW_BOOL, KWF_STATIC, KW_NONE, NULL,
	    "Does not show what is typed; yes unless said otherwise." },
	{ "prompt", AT_PROMPT, KW_STR, 0, KW_NONE, NULL,
	    "The question." },
	{ "salt", AT_PROMPT, KW_STR, KWF_STATIC, KW_NONE, NULL,
	    "Salt for encrypt." },
	{ "salt_size", AT_PROMPT, KW_INT, KWF_STATIC, KW_NONE, NULL,
	    "Length of a random salt for encrypt." },
	{ "unsafe", AT_PROMPT, KW_BOOL, KWF_STATIC, KW_NONE, NULL,
	    "The answer is never a template; here no answer ever is." },
	{ NULL, 0, KW_ANY, 0, KW_NONE, NULL, NULL }
};

/* ---- rows ------------------------------------------------------------------- */

const struct keyword *
keyword_find(const char *name, unsigned where)
{
	const struct keyword *k;

	for (k = keyword_rows; k->name != NULL; k++) {
		if ((k->where & where) != 0 && strcmp(k->name, name) == 0)
			return k;
	}
	return NULL;
}

const char *
keyword_nearest(const char *name, unsigned where)
{
	const struct keyword *k;
	const char *best = NULL;
	unsigned dist = 0;

	for (k = keyword_rows; k->name != NULL; k++) {
		if ((k->where & where) != 0 && (k->flags & KWF_REMOVED) == 0)
			nearest_try(name, k->name, &best, &dist);
	}
	return best;
}

const char *
keyword_where(unsigned where)
{
	if (where & AT_TASK)
		return "a task";
	if (where & AT_PLAY)
		return "a play";
	if (where & AT_ROLE)
		return "a role entry";
	if (where & AT_BLOCK)
		return "a block";
	if (where & AT_HANDLER)
		return "a handler";
	if (where & AT_INCLUDE)
		return "an include";
	if (where & AT_LOOP)
		return "loop_control";
	if (where & AT_PROMPT)
		return "an entry of vars_prompt";
	return "import_playbook";
}

const char *
key_text(const struct ctx *c, const struct value *key, const char *what)
{
	if (v_is_str(key))
		return key->u.s;
	diags_error(c->d, ERR_TYPE, v_mark(key), "a key of %s must be a name, not %s",
	    what, v_type_name(key));
	return NULL;
}

void
keyword_unknown(const struct ctx *c, const struct value *key, unsigned where)
{
	const char *name = key->u.s, *near;
	const struct keyword *k;
	struct err *e;

	e = diags_error(c->d, ERR_INVALID, v_mark(key), "'%s' is no keyword of %s",
	    name, keyword_where(where));
	if ((near = keyword_nearest(name, where)) != NULL) {
		err_hint(e, "did you mean '%s'?", near);
		return;
	}
	for (k = keyword_rows; k->name != NULL; k++) {
		if (strcmp(k->name, name) == 0 && (k->where & (AT_LOOP | AT_PROMPT)) == 0) {
			err_hint(e, "it belongs to %s", keyword_where(k->where));
			return;
		}
	}
	if (where == AT_PLAY && (module_find(name) != NULL || module_known_elsewhere(name)))
		err_hint(e, "tasks belong into the list below `tasks:`");
}

/* ---- values ------------------------------------------------------------------- */

static const struct value *
wrong(const struct ctx *c, const struct keyword *k, const struct value *v, const char *want)
{
	const char *shown = v_is_str(v) && v->len < 60 && (v->flags & V_SECRET) == 0 ?
	    arena_printf(c->a, "'%s'", v->u.s) : v_type_name(v);

	diags_error(c->d, ERR_TYPE, v_mark(v), "'%s' must be %s, not %s", k->name, want, shown);
	return NULL;
}

static const struct value *
marked(const struct ctx *c, const struct value *v, const struct value *like)
{
	return like->mark == NULL ? v : v_with_mark(c->a, v, *like->mark);
}

static const struct value *
read_number(const struct ctx *c, const struct keyword *k, const struct value *v)
{
	const struct value *n = v;

	if (v_is_str(v))
		n = yaml_scalar(c->a, v->u.s, v->len);
	if (n->type == V_INT || (n->type == V_FLOAT && k->type == KW_NUMBER))
		return marked(c, n, v);
	if (n->type == V_FLOAT && n->u.f > -1e9 && n->u.f < 1e9 &&
	    n->u.f == (double)(int64_t)n->u.f)
		return marked(c, v_int(c->a, (int64_t)n->u.f), v);
	if (n->type == V_STR && k->type == KW_NUMBER && n->len > 1 && n->u.s[n->len - 1] == '%')
		return read_number(c, k, marked(c, v_strn(c->a, n->u.s, n->len - 1), v));
	return wrong(c, k, v, k->type == KW_INT ? "a whole number" : "a number");
}

static const struct value *
read_text(const struct ctx *c, const struct keyword *k, const struct value *v)
{
	const struct value *s;

	if (v_is_str(v))
		return v;
	if (v->type != V_INT && v->type != V_FLOAT && v->type != V_BOOL)
		return wrong(c, k, v, "a text");
	s = tmpl_to_str(c->a, v);
	return marked(c, s, v);
}

static const struct value *
read_texts(const struct ctx *c, const struct keyword *k, const struct value *v)
{
	struct value *list = v_list(c->a);
	const struct value *s;
	uint32_t i;

	if (!v_is_list(v)) {
		if (v_is_map(v))
			return wrong(c, k, v, "a text or a list of texts");
		if ((s = read_text(c, k, v)) != NULL)
			v_push(c->a, list, s);
		return marked(c, list, v);
	}
	for (i = 0; i < v_count(v); i++) {
		if (v_is_list(v_at(v, i)) || v_is_map(v_at(v, i)) || v_is_null(v_at(v, i)))
			return wrong(c, k, v_at(v, i), "a list of texts");
		if (v_is_tmpl(v_at(v, i)))
			v_push(c->a, list, v_at(v, i));
		else if ((s = read_text(c, k, v_at(v, i))) != NULL)
			v_push(c->a, list, s);
	}
	return marked(c, list, v);
}

static const struct value *
read_env(const struct ctx *c, const struct keyword *k, const struct value *v)
{
	uint32_t i;

	if (v_is_map(v))
		return v;
	if (!v_is_list(v))
		return wrong(c, k, v, "a map of names to values");
	for (i = 0; i < v_count(v); i++) {
		if (!v_is_map(v_at(v, i)) && !v_is_tmpl(v_at(v, i)))
			return wrong(c, k, v_at(v, i), "a list of maps");
	}
	return v;
}

static const struct value *
read_batch(const struct ctx *c, const struct keyword *k, const struct value *v)
{
	const struct value *n;
	uint32_t i;
	size_t digits;

	if (v_is_tmpl(v) || v->type == V_INT)
		return v;
	if (v_is_list(v)) {
		for (i = 0; i < v_count(v); i++) {
			if (v_is_list(v_at(v, i)) || read_batch(c, k, v_at(v, i)) == NULL)
				return NULL;
		}
		return v;
	}
	if (v_is_str(v)) {
		digits = strspn(v->u.s, "0123456789.");
		n = yaml_scalar(c->a, v->u.s, digits);
		if (digits > 0 && (n->type == V_INT || n->type == V_FLOAT) &&
		    (v->u.s[digits] == '\0' || strcmp(v->u.s + digits, "%") == 0))
			return v;
	}
	return wrong(c, k, v, "a number of hosts or a percentage, or a list of them");
}

static const struct value *
read_choice(const struct ctx *c, const struct keyword *k, const struct value *v)
{
	const char *p = k->choices, *best = NULL, *word;
	unsigned dist = 0;
	struct err *e;
	size_t n;

	while (*p != '\0') {
		n = strcspn(p, ",");
		word = arena_strndup(c->a, p, n);
		if (v_eqs(v, word))
			return v;
		nearest_try(v->u.s, word, &best, &dist);
		p += n + (p[n] == ',');
	}
	e = diags_error(c->d, ERR_VALUE, v_mark(v), "'%s' cannot be '%s'", k->name, v->u.s);
	if (best != NULL)
		err_hint(e, "did you mean '%s'?", best);
	else
		err_hint(e, "it is one of %s", k->choices);
	return NULL;
}

static const struct value *
read_final(const struct ctx *c, const struct keyword *k, const struct value *v)
{
	int b;

	switch (k->type) {
	case KW_BOOL:
		b = v->type == V_BOOL || v->type == V_STR || v->type == V_INT ?
		    mod_parse_bool(v) : -1;
		return b < 0 ? wrong(c, k, v, "yes or no") : marked(c, v_bool(b == 1), v);
	case KW_INT:
	case KW_NUMBER:
		return read_number(c, k, v);
	case KW_STR:
		if ((v = read_text(c, k, v)) == NULL || k->choices == NULL)
			return v;
		return read_choice(c, k, v);
	case KW_STRS:
		return read_texts(c, k, v);
	case KW_LIST:
		return v_is_list(v) ? v : wrong(c, k, v, "a list");
	case KW_MAP:
		return v_is_map(v) ? v : wrong(c, k, v, "a map");
	case KW_ENV:
		return read_env(c, k, v);
	case KW_BATCH:
		return read_batch(c, k, v);
	case KW_VARS:
	case KW_CONDS:
	case KW_TASKS:
	case KW_TAGS:
	case KW_DEFAULTS:
	case KW_ANY:
		break;
	}
	return v;
}

const struct value *
keyword_read(const struct ctx *c, const struct keyword *k, const struct value *v)
{
	const struct value *t;

	if (v == NULL || v_is_null(v))
		return NULL;
	if (k->flags & KWF_NO_EFFECT)
		diags_warn(c->d, v_mark(v), "'%s' has no effect", k->name);
	if ((t = compile(c, v)) == NULL)
		return NULL;
	if ((k->flags & KWF_STATIC) != 0 && (v_is_tmpl(t) || (t->flags & V_HAS_TMPL))) {
		if ((t = static_eval(c, t, NULL)) != NULL)
			return read_final(c, k, marked(c, t, v));
		err_hint(diags_error(c->d, ERR_INVALID, v_mark(v),
		    "'%s' must be known when the site is loaded", k->name),
		    "use variables of the play or of -e, or write it out");
		return NULL;
	}
	if (v_is_tmpl(t) && k->type != KW_STRS)
		return t;
	if (v_is_tmpl(t)) {	/* a list of one, unless the template is to make the list */
		struct value *list = v_list(c->a);

		v_push(c->a, list, t);
		return marked(c, list, v);
	}
	return read_final(c, k, t);
}

const struct value *
keyword_get(const struct ctx *c, const struct value *map, const char *name, unsigned where)
{
	const struct keyword *k = keyword_find(name, where);
	const struct value *v;

	assert(k != NULL);
	return (v = v_gets(map, name)) == NULL ? NULL : keyword_read(c, k, v);
}

const char *
keyword_text(const struct ctx *c, const struct value *map, const char *name, unsigned where)
{
	const struct value *v = keyword_get(c, map, name, where);

	return v != NULL && v_is_str(v) ? v->u.s : NULL;
}

void
conds_read(const struct ctx *c, const struct value *v, struct conds *conds)
{
	const struct value **all, *one;
	uint32_t n = v_is_list(v) ? v_count(v) : 1, i;

	all = ARENA_ARRAY(c->a, conds->n + n, const struct value *);
	if (conds->n > 0)
		memcpy(all, conds->v, conds->n * sizeof(*all));
	for (i = 0; i < n; i++) {
		one = v_is_list(v) ? v_at(v, i) : v;
		if (v_is_null(one) || (v_is_str(one) && one->len == 0))
			continue;	/* as if it were not there */
		if (one->type != V_BOOL && one->type != V_STR) {
			err_hint(diags_error(c->d, ERR_TYPE, v_mark(one),
			    "a condition must be an expression, not %s", v_type_name(one)),
			    v_is_map(one) ? "quote it when it holds `: ` or begins with {" :
			    "write a comparison");
			continue;
		}
		if ((one = compile_when(c, one)) != NULL)
			all[conds->n++] = one;
	}
	conds->v = all;
}

/* ---- inheritance ---------------------------------------------------------------- */

static void
tag_add(const struct ctx *c, const char *tag, size_t n, struct keywords *kw)
{
	const char **tags;
	uint32_t i;

	while (n > 0 && (*tag == ' ' || *tag == '\t'))
		tag++, n--;
	while (n > 0 && (tag[n - 1] == ' ' || tag[n - 1] == '\t'))
		n--;
	for (i = 0; i < kw->ntags; i++) {
		if (strlen(kw->tags[i]) == n && memcmp(kw->tags[i], tag, n) == 0)
			return;
	}
	if (n == 0)
		return;
	tags = ARENA_ARRAY(c->a, kw->ntags + 1, const char *);
	if (kw->ntags > 0)
		memcpy(tags, kw->tags, kw->ntags * sizeof(*tags));
	tags[kw->ntags++] = arena_strndup(c->a, tag, n);
	kw->tags = tags;
}

void
tags_add(const struct ctx *c, const struct value *v, struct keywords *kw)
{
	const struct value *t = v;
	const char *p;
	uint32_t i;
	size_t n;

	if (v == NULL || v_is_null(v))
		return;
	if (v_is_list(v)) {
		for (i = 0; i < v_count(v); i++) {
			if (v_is_list(v_at(v, i)))
				diags_error(c->d, ERR_TYPE, v_mark(v_at(v, i)),
				    "a tag must be a word, not a list");
			else
				tags_add(c, v_at(v, i), kw);
		}
		return;
	}
	if (v_is_str(v) && tmpl_is(v->u.s, v->len) && (v->flags & V_RAW) == 0) {
		if ((t = compile(c, v)) == NULL)
			return;
		if ((t = static_eval(c, t, NULL)) == NULL) {
			err_hint(diags_error(c->d, ERR_INVALID, v_mark(v),
			    "a tag must be known when the site is loaded"),
			    "use variables of the play or of -e, or write it out");
			return;
		}
		if (v_is_list(t)) {
			tags_add(c, t, kw);
			return;
		}
	}
	if (t->type == V_INT || t->type == V_BOOL)
		t = tmpl_to_str(c->a, t);
	if (!v_is_str(t)) {
		diags_error(c->d, ERR_TYPE, v_mark(v), "a tag must be a word, not %s", v_type_name(t));
		return;
	}
	for (p = t->u.s;; p += n + 1) {
		n = strcspn(p, ",");
		tag_add(c, p, n, kw);
		if (p[n] == '\0')
			break;
	}
}

static void
environment_add(const struct ctx *c, const struct value *v, struct keywords *kw)
{
	uint32_t n = v_is_list(v) ? v_count(v) : 1, i;
	const struct value **env = ARENA_ARRAY(c->a, kw->nenvironment + n, const struct value *);

	/* the inner first; in a list the later entry is the inner */
	for (i = 0; i < n; i++)
		env[i] = v_is_list(v) ? v_at(v, n - 1 - i) : v;
	if (kw->nenvironment > 0)
		memcpy(env + n, kw->environment, kw->nenvironment * sizeof(*env));
	kw->environment = env;
	kw->nenvironment += n;
}

static void
defaults_add(const struct ctx *c, const struct value *v, struct keywords *kw)
{
	struct value *all = v_map(c->a);
	const struct module *m;
	const struct ventry *e;
	uint32_t it, i;

	if (v_is_list(v)) {
		for (i = 0; i < v_count(v); i++)
			defaults_add(c, v_at(v, i), kw);
		return;
	}
	if (!v_is_map(v)) {
		diags_error(c->d, ERR_TYPE, v_mark(v),
		    "'module_defaults' must be a map of modules to arguments, not %s",
		    v_is_tmpl(v) ? "a template" : v_type_name(v));
		return;
	}
	if (kw->module_defaults != NULL)
		v_merge(c->a, all, kw->module_defaults);
	for (it = 0; (e = v_next(v, &it)) != NULL;) {
		if (key_text(c, e->key, "module_defaults") == NULL)
			continue;
		if (!v_is_map(e->val) && !v_is_null(e->val)) {
			diags_error(c->d, ERR_TYPE, v_mark(e->val),
			    "the defaults of '%s' must be a map, not %s", e->key->u.s,
			    v_type_name(e->val));
			continue;
		}
		m = module_find(e->key->u.s);
		if (m == NULL && strncmp(e->key->u.s, "group/", 6) != 0 &&
		    strchr(e->key->u.s, '.') == NULL && !module_known_elsewhere(e->key->u.s)) {
			struct err *err = diags_error(c->d, ERR_INVALID, v_mark(e->key),
			    "unknown module '%s'", e->key->u.s);
			const char *near = module_nearest(e->key->u.s);

			if (near != NULL)
				err_hint(err, "did you mean '%s'?", near);
			continue;
		}
		v_sets(c->a, all, m != NULL ? m->name : e->key->u.s, e->val);
	}
	kw->module_defaults = all;
}

static void
keyword_apply(const struct ctx *c, const struct keyword *k, const struct value *val,
    struct keywords *kw)
{
	const struct value *v;

	if (k->type == KW_CONDS) {
		if (k->flags & KWF_EXTEND)
			conds_read(c, val, &kw->when);
		return;
	}
	if (k->type == KW_TAGS) {
		tags_add(c, val, kw);
		return;
	}
	if (k->type != KW_DEFAULTS && k->offset == KW_NONE) {
		if (k->flags & KWF_NO_EFFECT)
			(void)keyword_read(c, k, val);
		return;
	}
	if ((v = keyword_read(c, k, val)) == NULL)
		return;
	if (k->type == KW_ENV)
		environment_add(c, v, kw);
	else if (k->type == KW_DEFAULTS)
		defaults_add(c, v, kw);
	else
		memcpy((char *)kw + k->offset, &v, sizeof(v));
}

struct keywords *
keywords_inherit(const struct ctx *c, const struct value *map, unsigned where)
{
	struct keywords *kw = ARENA_NEW(c->a, struct keywords);
	const struct keyword *k;
	const struct ventry *e;
	uint32_t it;

	*kw = *c->kw;
	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (!v_is_str(e->key) || (k = keyword_find(e->key->u.s, where)) == NULL)
			continue;
		if (k->flags & KWF_REMOVED)
			err_hint(diags_error(c->d, ERR_INVALID, v_mark(e->key),
			    "'%s' was removed from Ansible long ago", k->name), "%s", k->doc);
		else
			keyword_apply(c, k, e->val, kw);
	}
	return kw;
}
