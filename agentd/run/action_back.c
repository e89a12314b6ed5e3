/*
 * reboot, wait_for_connection: hosts that go away and come back.
 *
 *	reboot:	  since when is it up? ─► the command ─► post_reboot_delay
 *		  ─► up since another time? (until reboot_timeout)
 *		  ─► test_command (until reboot_timeout, anew)
 *	wait_for_connection:	delay ─► ping (until timeout)
 *
 * Each try closes what connections there are and makes a new one, which is the
 * host's from then on.  "Since when" is the kernel's boot id and the start of
 * process 1, since a container keeps the kernel that it had.  Everything that
 * waits looks twice a second whether the run was interrupted.
 */
#include <string.h>

#include "run/engine.h"

#define TICK_MS		500
#define AGAIN_MS	1000
#define SECONDS_MAX	(7 * 86400)
#define BOOT_COMMAND	"cat /proc/sys/kernel/random/boot_id && cut -d\\  -f22 /proc/1/stat"

enum phase {
	BACK_BEFORE, BACK_DOWN, BACK_UP, BACK_TEST
};

struct back {
	struct step	*s;
	enum phase	 phase;
	bool		 fresh;		/* the next request takes a new connection */
	const char	*boot, *down, *test;	/* lines for sh; test NULL: ping */
	const char	*before;	/* what boot said */
	const char	*why;		/* the last try that failed */
	int64_t		 start_ms, not_before_ms, end_ms;
	int64_t		 timeout_ms, sleep_ms, post_ms;
};

static void	tick(evutil_socket_t, short, void *);

/* A number of seconds as ms; negative counts as 0, as in Ansible. */
static int64_t
ms_of(const struct step *s, const char *name)
{
	int64_t n = v_get_int(s->args, name, 0);

	return n < 0 ? 0 : n > SECONDS_MAX ? (int64_t)SECONDS_MAX * 1000 : n * 1000;
}

static void
tell(struct back *b, const char *text)
{
	struct event e = { .text = text };

	emit_step(b->s, EV_PROGRESS, &e);
}

static void
over(struct back *b)
{
	struct step *s = b->s;

	s->target->connect_timeout_ms = 0;
	v_set_int(s->arena, s->result, "elapsed", (now_ms() - b->start_ms) / 1000);
	step_result(s);
}

/* ---- asking ------------------------------------------------------------------- */

static void	answered(void *, const struct value *, struct err *);

static const struct value *
sh(struct back *b, const char *line)
{
	struct arena *a = b->s->arena;
	struct value *args = v_map(a), *argv = v_list(a);
	struct diags diags = DIAGS_INIT;
	const struct value *checked;

	v_push(a, argv, v_str(a, "/bin/sh"));
	v_push(a, argv, v_str(a, "-c"));
	v_push(a, argv, v_str(a, line));
	v_sets(a, args, "argv", argv);
	v_set_bool(a, args, "expand_argument_vars", false);
	checked = mod_args_check(a, module_find("command"), args, b->s->node->mark,
	    0, &diags);
	diags_release(&diags);
	return checked;
}

static void
ask(struct back *b)
{
	struct step *s = b->s;
	const char *line = b->phase == BACK_DOWN ? b->down :
	    b->phase == BACK_TEST ? b->test : b->boot;
	struct value *p, *ping;
	int64_t left = b->end_ms - now_ms();

	if (line == NULL) {
		ping = v_map(s->arena);
		v_set_str(s->arena, ping, "data", "pong");
		p = step_request(s, "ping", ping);
	} else
		p = step_request(s, "command", sh(b, line));
	v_set_int(s->arena, p, "timeout_ms", left < 10000 ? 10000 : left);
	memset(&s->req, 0, sizeof(s->req));
	s->req.payload = p;
	s->req.done = answered;
	s->req.arg = b;
	s->req.arena = s->arena;
	s->in_flight = true;
	link_send(s->target, s->root, s->node, &s->req);
}

/* Once more, with a new connection; why must live as long as the step. */
static void
again(struct back *b, const char *why)
{
	b->why = why;
	b->fresh = true;
	b->not_before_ms = now_ms() + b->sleep_ms;
	tell(b, why);
	step_wait(b->s, 0, tick);
}

static void
go_on(struct back *b, enum phase phase)
{
	b->phase = phase;
	step_wait(b->s, 0, tick);
}

static void
went_down(struct back *b)
{
	tell(b, "rebooting");
	b->not_before_ms = now_ms() + b->post_ms;
	b->end_ms = b->not_before_ms + b->timeout_ms;
	b->fresh = true;
	go_on(b, BACK_UP);
}

static void
fail_with(struct back *b, const char *what, const struct value *r)
{
	struct step *s = b->s;
	const char *says = v_get_str(r, "stderr", "");

	(void)step_fail(s, "%s: %s", what, *says != '\0' ? says :
	    v_get_str(r, "msg", "no message"));
	v_set_bool(s->arena, s->result, "rebooted", false);
	if (v_gets(r, "rc") != NULL)
		v_sets(s->arena, s->result, "rc", v_copy(s->arena, v_gets(r, "rc")));
	over(b);
}

static void
succeed(struct back *b)
{
	struct step *s = b->s;

	s->result = v_map(s->arena);
	v_set_bool(s->arena, s->result, "changed", b->before != NULL);
	if (b->before != NULL)
		v_set_bool(s->arena, s->result, "rebooted", true);
	over(b);
}

static void
answered(void *arg, const struct value *r, struct err *err)
{
	struct back *b = arg;
	struct step *s = b->s;
	bool good = r != NULL && !v_get_bool(r, "failed", false) &&
	    v_get_int(r, "rc", 0) == 0;
	const char *out = r == NULL ? "" : v_get_str(r, "stdout", "");

	s->in_flight = false;
	if (r == NULL && (b->phase == BACK_BEFORE ||
	    (b->phase == BACK_DOWN && !s->req.sent))) {
		step_unreachable(s, err);
		over(b);
	} else if (b->phase == BACK_BEFORE && (!good || *out == '\0'))
		fail_with(b, "cannot tell since when the host is up", r);
	else if (b->phase == BACK_BEFORE) {
		b->before = arena_strdup(s->arena, out);
		go_on(b, BACK_DOWN);
	} else if (b->phase == BACK_DOWN && r != NULL && !good)
		fail_with(b, "the reboot command failed", r);
	else if (b->phase == BACK_DOWN)
		went_down(b);	/* it said so, or was gone before it could */
	else if (r == NULL)
		again(b, arena_strdup(s->arena, err->msg));
	else if (b->phase == BACK_UP && (!good || strcmp(out, b->before) == 0))
		again(b, good ? "it has not gone down yet" :
		    "it does not tell since when it is up");
	else if (b->phase == BACK_UP) {
		b->end_ms = now_ms() + b->timeout_ms;
		go_on(b, BACK_TEST);
	} else if (!good)
		again(b, arena_printf(s->arena, "the test command failed: %s",
		    v_get_str(r, "stderr", v_get_str(r, "msg", ""))));
	else
		succeed(b);
}

static void
tick(evutil_socket_t fd, short what, void *arg)
{
	struct step *s = arg;
	struct back *b = s->back;
	const struct run *run = s->host->run;
	int64_t now = now_ms();

	(void)fd;
	(void)what;
	if (run->interrupted || run->finishing) {
		(void)step_fail(s, "interrupted while waiting for '%s'", s->target->name);
		over(b);
		return;
	}
	if (now < b->not_before_ms) {
		step_wait(s, b->not_before_ms - now < TICK_MS ?
		    b->not_before_ms - now : TICK_MS, tick);
		return;
	}
	if (b->phase >= BACK_UP && now >= b->end_ms) {
		(void)step_fail(s, "'%s' %s within %lld s: %s", s->target->name,
		    b->before == NULL ? "could not be reached" : b->phase == BACK_UP ?
		    "did not come back from its reboot" : "came back, but is not ready",
		    (long long)b->timeout_ms / 1000, b->why != NULL ? b->why : "no time");
		if (b->before != NULL)
			v_set_bool(s->arena, s->result, "rebooted",
			    b->phase == BACK_TEST);
		over(b);
		return;
	}
	if (b->fresh)
		links_renew(s->target, s->node, true);
	b->fresh = false;
	ask(b);
}

static struct back *
begin(struct step *s, enum phase phase)
{
	struct back *b = s->back = arena_zalloc(s->arena, sizeof(*b));

	b->s = s;
	b->phase = phase;
	b->start_ms = now_ms();
	s->target->connect_timeout_ms = (int)ms_of(s, "connect_timeout");
	return b;
}

/* ---- the modules ---------------------------------------------------------------- */

static void
put_quoted(struct buf *out, const char *text)
{
	buf_addc(out, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			buf_adds(out, "'\\'");
		buf_addc(out, *text);
	}
	buf_addc(out, '\'');
}

/* The reboot as a line for sh, with search_paths before what is there. */
static const char *
down_line(struct step *s)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	const struct value *paths = v_gets(s->args, "search_paths");
	const char *own = v_get_str(s->args, "reboot_command", NULL);
	int64_t minutes = ms_of(s, "pre_reboot_delay") / 60000;
	uint32_t i;

	buf_adds(&line, "PATH=");
	for (i = 0; paths != NULL && i < v_count(paths); i++) {
		put_quoted(&line, tmpl_to_str(s->arena, v_at(paths, i))->u.s);
		buf_addc(&line, ':');
	}
	buf_adds(&line, "$PATH; export PATH; ");
	if (own != NULL)
		buf_adds(&line, own);
	else {
		if (minutes > 0)
			buf_addf(&line, "exec shutdown -r +%lld ", (long long)minutes);
		else
			buf_adds(&line, "exec shutdown -r now ");
		put_quoted(&line, v_get_str(s->args, "msg", ""));
	}
	return buf_dup(&line, s->arena);
}

static enum action_result
action_reboot(struct step *s)
{
	struct conn_spec spec;
	struct err err = ERR_INIT;
	struct back *b;
	bool barred;

	if (link_spec(s->target, false, s->node, &spec, &err) == -1)
		return step_fail_err(s, &err);
	if (spec.kind == CONN_LOCAL)
		return step_fail(s, "'%s' is this machine (connection local), which is not rebooted",
		    s->target->name);
	barred = step_barred(s);
	if (s->check) {
		s->result = v_map(s->arena);
		v_set_bool(s->arena, s->result, "changed", true);
		v_set_bool(s->arena, s->result, "rebooted", true);
		v_set_int(s->arena, s->result, "elapsed", 0);
		return ACTION_DONE;
	}
	if (barred) {
		s->withheld = true;
		step_skip(s, "The change was not asked for", NULL);
		return ACTION_DONE;
	}
	b = begin(s, BACK_BEFORE);
	b->boot = v_get_str(s->args, "boot_time_command", BOOT_COMMAND);
	b->test = v_get_str(s->args, "test_command", "whoami");
	b->down = down_line(s);
	b->timeout_ms = ms_of(s, "reboot_timeout");
	b->post_ms = ms_of(s, "pre_reboot_delay") / 60000 * 60000 +
	    ms_of(s, "post_reboot_delay");
	b->sleep_ms = AGAIN_MS;
	b->end_ms = b->start_ms + b->timeout_ms;
	step_wait(s, 0, tick);
	return ACTION_LATER;
}

static enum action_result
action_wait_for_connection(struct step *s)
{
	struct back *b;

	if (s->check) {
		step_skip(s, "wait_for_connection does not wait in check mode", NULL);
		return ACTION_DONE;
	}
	b = begin(s, BACK_TEST);
	b->fresh = true;
	b->timeout_ms = ms_of(s, "timeout");
	b->sleep_ms = ms_of(s, "sleep");
	b->not_before_ms = b->start_ms + ms_of(s, "delay");
	b->end_ms = b->not_before_ms + b->timeout_ms;
	step_wait(s, 0, tick);
	return ACTION_LATER;
}

const struct action actions_back[] = {
	{ .module = "reboot", .run = action_reboot },
	{ .module = "wait_for_connection", .run = action_wait_for_connection },
	{ .module = NULL }
};
