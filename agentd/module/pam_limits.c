/*
 * pam_limits: one limit in limits.conf(5).
 *
 * A line is DOMAIN TYPE ITEM VALUE, and perhaps a comment behind it.  Lines
 * that are not of this form are none of ours.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "module/edit.h"

#define END	{ .name = NULL }
#define BLANK	" \t\r\n\f\v"

struct limit {
	const char	*domain, *type, *item, *value, *comment;
};

static bool
is_unlimited(const char *s)
{
	return strcmp(s, "unlimited") == 0 || strcmp(s, "infinity") == 0 ||
	    strcmp(s, "-1") == 0;
}

static bool
is_number(const char *s, long long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(s, &end, 10);
	return errno == 0 && end != s && *end == '\0';
}

static int
check_value(struct mod *m, const char *item, const char *value)
{
	long long n;

	if (strcmp(item, "nice") == 0 || strcmp(item, "priority") == 0) {
		if (!is_number(value, &n) || n < -20 || n > 19)
			return mod_fail(m, "the value of %s is a number from -20 to 19, not '%s'",
			    item, value);
	} else if (strcmp(item, "chroot") == 0) {
		if (*value != '/' || strpbrk(value, BLANK "#") != NULL)
			return mod_fail(m, "the value of chroot is a directory, not '%s'", value);
	} else if (!is_unlimited(value) && (!is_number(value, &n) || n < 0))
		return mod_fail(m, "the value of %s is unlimited, infinity, -1, or a number from 0 on, not '%s'",
		    item, value);
	return 0;
}

/* A line as its four words and comment. false: it is no limit. */
static bool
parse(struct arena *a, const struct line *line, struct limit *ret)
{
	char *text = arena_strndup(a, line->s, line_len(line)), *hash, *word, *at;
	const char *words[5];
	size_t n = 0;

	*ret = (struct limit){ .comment = "" };
	if (*text == '#')
		return false;
	if ((hash = strchr(text, '#')) != NULL) {
		*hash = '\0';
		ret->comment = hash + 1;
	}
	for (word = strtok_r(text, BLANK, &at); word != NULL && n < 5;
	    word = strtok_r(NULL, BLANK, &at))
		words[n++] = word;
	if (n != 4)
		return false;
	ret->domain = words[0];
	ret->type = words[1];
	ret->item = words[2];
	ret->value = words[3];
	return true;
}

/* Of what is asked for and what is there, the one that is to be. */
static const char *
choose(struct mod *m, const char *want, const char *is)
{
	bool max = mod_arg_bool(m, "use_max"), min = mod_arg_bool(m, "use_min");
	long long a = 0, b = 0;

	if ((!max && !min) || strcmp(want, is) == 0)
		return want;
	if (is_unlimited(want) || is_unlimited(is))
		return is_unlimited(want) == max && !(is_unlimited(is) && max) ? want : is;
	/* What is no number there gives way. */
	if (!is_number(want, &a) || !is_number(is, &b))
		return want;
	return (a > b) == max ? want : is;
}

static const char *
line_text(struct mod *m, const struct limit *l)
{
	return arena_printf(m->arena, "%s\t%s\t%s\t%s%s%s\n", l->domain, l->type,
	    l->item, l->value, *l->comment != '\0' ? "\t#" : "", l->comment);
}

static int
check_words(struct mod *m, const struct limit *l)
{
	const char *value = l->value;

	if (*l->domain == '\0' || strpbrk(l->domain, BLANK "#") != NULL)
		return mod_fail(m, "'%s' is no domain: a user, @group, *, %%, or a range of numbers",
		    l->domain);
	if (strpbrk(l->comment, "\r\n") != NULL)
		return mod_fail(m, "a comment cannot have a line break");
	return check_value(m, l->item, value);
}

static int
work(struct mod *m, struct edit *e)
{
	struct limit want = { mod_arg_str(m, "domain"), mod_arg_str(m, "limit_type"),
		mod_arg_str(m, "limit_item"), mod_arg_str(m, "value"),
		mod_arg_str(m, "comment") }, is;
	CLEANUP_BUF struct buf new = BUF_INIT;
	const char *text = NULL;
	struct lines l;
	size_t i;

	if (check_words(m, &want) == -1 ||
	    edit_open_path(m, e, mod_arg_path(m, "dest")) == -1)
		return -1;
	lines_split(&l, m->arena, e->old.data, e->old.len);
	for (i = 0; i < l.n; i++) {
		struct limit now = want;

		if (!parse(m->arena, &l.v[i], &is) || strcmp(is.domain, want.domain) != 0 ||
		    strcmp(is.type, want.type) != 0 || strcmp(is.item, want.item) != 0)
			continue;
		text = arena_strndup(m->arena, l.v[i].s, l.v[i].n);
		now.value = choose(m, want.value, is.value);
		if (strcmp(now.value, is.value) == 0)
			continue;
		if (*now.comment == '\0')
			now.comment = is.comment;
		text = line_text(m, &now);
		l.v[i].s = text;
		l.v[i].n = strlen(text);
	}
	if (text == NULL) {
		text = line_text(m, &want);
		lines_end_at(&l, l.n);
		lines_insert(&l, l.n, text, strlen(text));
	}
	lines_join(&l, &new);
	mod_set_str(m, "msg", text);
	return edit_commit(m, e, &new);
}

static int
pam_limits_run(struct mod *m)
{
	CLEANUP_EDIT struct edit e = { 0 };

	return work(m, &e);
}

static const struct mod_arg pam_limits_args[] = {
	{ .name = "domain", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "A user, @group, *, or a range of numbers." },
	{ .name = "limit_type", .type = ARG_STR, .flags = ARG_REQUIRED, .choices = "hard,soft,-",
	    .doc = "Who may change it: nobody, the user up to the hard one; - is both." },
	{ .name = "limit_item", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .choices = "core,data,fsize,memlock,nofile,rss,stack,cpu,nproc,as,maxlogins,maxsyslogins,priority,locks,sigpending,msgqueue,nice,rtprio,chroot",
	    .doc = "What is limited." },
	{ .name = "value", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "A number, or unlimited; of nice and priority -20 to 19." },
	{ .name = "use_max", .type = ARG_BOOL, .def = "false", .doc = "A larger value that is there stays." },
	{ .name = "use_min", .type = ARG_BOOL, .def = "false", .doc = "A smaller value that is there stays." },
	{ .name = "dest", .type = ARG_PATH, .def = "/etc/security/limits.conf", .doc = "The file; it is made when missing." },
	{ .name = "comment", .type = ARG_STR, .def = "", .doc = "A comment behind a new or changed limit; one that is there stays." },
	{ .name = "backup", .type = ARG_BOOL, .def = "false", .doc = "Keeps the old file under a name with the time." },
	END
};

static const struct mod_rule pam_limits_rules[] = {
	{ RULE_EXCLUSIVE, "use_max,use_min" },
	{ RULE_END, NULL }
};

const struct module pam_limits_module = {
	.name = "pam_limits", .collection = "community.general",
	.summary = "Sees to a limit in limits.conf.",
	.examples =
	    "- community.general.pam_limits: {domain: www-data, limit_type: soft, limit_item: nofile, value: \"64000\"}\n",
	.returns = "msg: the line\nbackup_file: name of the kept old file\n",
	.args = pam_limits_args, .rules = pam_limits_rules, .run = pam_limits_run,
};
