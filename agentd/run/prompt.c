/*
 * vars_prompt: variables that a person is asked for, once a play.
 *
 * What is private (unless it says `private: no`) is secret, typed or default.
 * Without a terminal the default counts, or an empty text, as in Ansible.
 */
#include <string.h>

#include "run/engine.h"
#include "template/password.h"

#define TRIES_MAX	3	/* to say the same twice */

static const char *
ask(struct run *run, const struct value *p, bool secret)
{
	const char *question = v_get_str(p, "prompt", v_get_str(p, "name", "")), *one = NULL, *two;
	const struct value *confirm = v_gets(p, "confirm");
	struct arena *a = &run->arena;
	unsigned i;

	if (run->opts->ask == NULL)
		return NULL;
	for (i = 0; i < TRIES_MAX; i++) {
		one = run->opts->ask(run->opts->ask_arg, a, i == 0 ? question :
		    arena_printf(a, "not the same; %s", question), secret);
		if (one == NULL || confirm == NULL || mod_parse_bool(confirm) != 1)
			return one;
		two = run->opts->ask(run->opts->ask_arg, a, arena_printf(a, "confirm %s",
		    question), secret);
		if (two == NULL || strcmp(one, two) == 0)
			return two;
	}
	return NULL;
}

/* As secret as what would be typed. */
static const struct value *
hide(struct run *run, const struct value *v)
{
	if (v_is_tmpl(v)) {
		struct tmpl_value *t = ARENA_NEW(&run->arena, struct tmpl_value);

		*t = *(const struct tmpl_value *)(const void *)v;
		t->v.flags |= V_SECRET;
		return &t->v;
	}
	return v->type == V_LIST || v->type == V_MAP ?
	    secrets_mark(run, &run->arena, v, true) : v_flag(&run->arena, v, V_SECRET);
}

/* NULL after an error. */
static const struct value *
hashed(struct run *run, const struct value *p, const struct value *v)
{
	struct password_opts o = { .salt = v_get_str(p, "salt", NULL),
	    .salt_size = v_get_int(p, "salt_size", 0) };
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	if (password_crypt(tmpl_to_str(&run->arena, v)->u.s, v_get_str(p, "encrypt", ""), &o,
	    &out, &err) == 0)
		return v_str(&run->arena, buf_str(&out));
	err_at(&err, v_mark(p));
	diags_add(run->diags, DIAG_ERROR, &err);
	return NULL;
}

const struct value *
prompt_vars(struct run *run, const struct value *prompts)
{
	struct value *map = v_map(&run->arena);
	uint32_t i;

	for (i = 0; prompts != NULL && i < v_count(prompts); i++) {
		const struct value *p = v_at(prompts, i), *v = v_gets(p, "default");
		const struct value *private = v_gets(p, "private");
		const char *name = v_get_str(p, "name", NULL), *answer;
		bool secret = private == NULL || mod_parse_bool(private) != 0;

		if (name == NULL || v_gets(run->site->extra_vars, name) != NULL)
			continue;
		answer = ask(run, p, secret);
		if (v == NULL || (answer != NULL && *answer != '\0'))
			v = v_str(&run->arena, answer != NULL ? answer : "");
		if (v_gets(p, "encrypt") != NULL)
			v = hashed(run, p, v);
		if (v != NULL)
			v_sets(&run->arena, map, name, secret ? hide(run, v) : v);
	}
	return map;
}
