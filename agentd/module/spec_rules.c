/*
 * Rules between the arguments of a module: one of these, these only together.
 */
#include <assert.h>
#include <string.h>

#include "module/spec.h"

static uint32_t
count_given(struct spec *sp, const struct value *args, const char *names,
    bool *ret_unsure)
{
	const struct value *v;
	const char *name;
	uint32_t n = 0;

	*ret_unsure = false;
	while ((name = spec_next_name(sp->arena, &names)) != NULL) {
		v = v_gets(args, name);
		if (v == NULL)
			continue;
		if (v->type == V_TMPL)
			*ret_unsure = true;
		n++;
	}
	return n;
}

/* True when the condition "state=present|latest" of a rule holds for sure. */
static bool
rule_holds(struct spec *sp, const struct value *args, const char *cond)
{
	const char *eq = strchr(cond, '='), *value, *p;
	const struct value *v, *text;
	size_t n;

	assert(eq != NULL);
	v = v_gets(args, arena_strndup(sp->arena, cond, (size_t)(eq - cond)));
	if (v == NULL || v->type == V_TMPL)
		return false;
	text = spec_text(sp, v);
	if (text == NULL)
		return false;
	for (value = eq + 1;; value = p + 1) {
		p = value + strcspn(value, "|:");
		n = (size_t)(p - value);
		if (v->type == V_BOOL) {
			if ((v->u.b && n == 4 && strncmp(value, "true", 4) == 0) ||
			    (!v->u.b && n == 5 && strncmp(value, "false", 5) == 0))
				return true;
		} else if (n == text->len && strncmp(value, text->u.s, n) == 0)
			return true;
		if (*p != '|')
			return false;
	}
}

/* "state=latest" of a rule "state=present|latest:…" that holds. */
static const char *
condition_text(struct spec *sp, const struct value *args, const char *cond)
{
	const char *name = arena_strndup(sp->arena, cond, strcspn(cond, "="));
	const struct value *v = v_gets(args, name), *text = spec_text(sp, v);

	return arena_printf(sp->arena, "%s=%s", name, v->type == V_BOOL ?
	    v->u.b ? "true" : "false" : text->u.s);
}

static const char *
words(struct spec *sp, const char *names, const char *last)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *name;

	while ((name = spec_next_name(sp->arena, &names)) != NULL) {
		if (b.len > 0)
			buf_adds(&b, *names == '\0' ? last : ", ");
		buf_addf(&b, "'%s'", name);
	}
	return buf_dup(&b, sp->arena);
}

static const char *
missing(struct spec *sp, const struct value *args, const char *names)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *name;

	while ((name = spec_next_name(sp->arena, &names)) != NULL)
		if (v_gets(args, name) == NULL)
			buf_addf(&b, "%s'%s'", b.len > 0 ? ", " : "", name);
	return b.len == 0 ? NULL : buf_dup(&b, sp->arena);
}

static void
check_rule(struct spec *sp, const struct value *args,
    const struct mod_rule *rule)
{
	const char *names = rule->names, *colon, *lack, *key;
	bool unsure;
	uint32_t n;

	switch (rule->kind) {
	case RULE_EXCLUSIVE:
		n = count_given(sp, args, names, &unsure);
		if (n > 1 && !unsure)
			(void)spec_fail(sp, NULL, ERR_INVALID,
			    "%s takes only one of %s", sp->where,
			    words(sp, names, " and "));
		return;
	case RULE_ONE_OF:
		if (count_given(sp, args, names, &unsure) == 0)
			(void)spec_fail(sp, NULL, ERR_INVALID,
			    "%s needs one of %s", sp->where,
			    words(sp, names, " or "));
		return;
	case RULE_TOGETHER:
		n = count_given(sp, args, names, &unsure);
		lack = missing(sp, args, names);
		if (n > 0 && lack != NULL && !unsure)
			(void)spec_fail(sp, NULL, ERR_INVALID,
			    "%s takes %s only together; missing: %s",
			    sp->where, words(sp, names, " and "), lack);
		return;
	case RULE_IF:
	case RULE_IF_ONE:
		colon = strchr(names, ':');
		assert(colon != NULL);
		if (!rule_holds(sp, args, names))
			return;
		key = condition_text(sp, args, names);
		if (rule->kind == RULE_IF_ONE) {
			if (count_given(sp, args, colon + 1, &unsure) == 0)
				(void)spec_fail(sp, NULL, ERR_INVALID,
				    "%s with %s needs one of %s", sp->where,
				    key, words(sp, colon + 1, " or "));
			return;
		}
		lack = missing(sp, args, colon + 1);
		if (lack != NULL)
			(void)spec_fail(sp, NULL, ERR_INVALID, "%s with %s needs %s",
			    sp->where, key, lack);
		return;
	case RULE_BY:
		colon = strchr(names, ':');
		assert(colon != NULL);
		key = arena_strndup(sp->arena, names, (size_t)(colon - names));
		if (v_gets(args, key) == NULL ||
		    v_gets(args, key)->type == V_TMPL)
			return;
		lack = missing(sp, args, colon + 1);
		if (lack != NULL)
			(void)spec_fail(sp, NULL, ERR_INVALID,
			    "'%s' of %s needs %s as well", key, sp->where, lack);
		return;
	case RULE_END:
		return;
	}
}

void
spec_check_rules(struct spec *sp, const struct value *args, bool early)
{
	const struct mod_rule *rule;

	for (rule = sp->rules; rule != NULL && rule->kind != RULE_END; rule++)
		if (early == (rule->kind == RULE_EXCLUSIVE ||
		    rule->kind == RULE_TOGETHER))
			check_rule(sp, args, rule);
}
