/*
 * Requests to a host's executor, and the contents that it asks for.
 *
 * A host has at most two links: one as the login user, one as root (through
 * sudo, or the only one when root logs in).  They are opened when first needed
 * and live as long as the run.  Requests are numbered and may be several in
 * flight; the executor answers them in order.
 *
 *	link_send ── REQUEST ──►            ◄── NEED sha256
 *	              BLOB … BLOB ──►       ◄── PROGRESS, DATA
 *	                                    ◄── RESULT ── request.done
 *
 * A request waits in its link until the host is held (run_opts.hold), before
 * the first connection to it, and one that says so until it is on record
 * (run_opts.await).  Both answers may come after the link has gone: then they
 * find it marked, and the last one frees it.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#include "base/codec.h"
#include "run/engine.h"
#include "yaml/files.h"

#define QUEUE_HIGH	((size_t)1 << 20)	/* bytes queued before a blob waits */

struct blob {			/* the content that is being sent */
	struct request		*req;
	const struct content	*content;
	size_t			 offset;
	int			 fd;		/* or -1: content->text */
};

#define OVERDUE_S	15	/* beyond a task's own deadline */

/* A connection that was opened; strings are the host's. */
struct way {
	struct way	*next;
	struct conn_spec spec;
};

struct link {
	struct hostrun	*host;
	struct conn	*conn;		/* NULL: closed */
	bool		 root;
	bool		 ready;
	bool		 overdue;
	bool		 gone;		/* closed; not free as long as … */
	unsigned	 nawaited;	/* … so many answers are to come */
	uint32_t	 last_id;
	struct request	*requests;	/* in flight, in order; what waits is last */
	struct blob	 blob;
	struct conn_spec spec;
};

/* ---- where to connect, and as whom --------------------------------------------- */

static const char *
own_name(struct arena *a)
{
	const struct passwd *pw = getpwuid(geteuid());

	return pw != NULL ? arena_strdup(a, pw->pw_name) : "root";
}

static const char *
first(const char *a, const char *b)
{
	return a != NULL ? a : b;
}

static const char *
keyword(struct arena *a, const struct scope *scope, const struct value *v)
{
	struct err err = ERR_INIT;

	if (v == NULL || v->type == V_NULL)
		return NULL;
	if ((v = tmpl_eval(a, scope, v, &err)) == NULL) {
		err_release(&err);
		return NULL;
	}
	return v->type == V_NULL || v->type == V_OMIT ? NULL :
	    tmpl_to_str(a, v)->u.s;
}

/* Options for ssh in ansible_ssh_common_args: we understand those that name a jump host. */
static const char *
jump_of(struct arena *a, const char *args)
{
	static const char *const forms[] = { "ProxyJump=", "-J " };
	unsigned i;

	for (i = 0; args != NULL && i < NITEMS(forms); i++) {
		const char *p = strstr(args, forms[i]);

		if (p != NULL) {
			p += strlen(forms[i]);
			p += strspn(p, " \"'");
			return arena_strndup(a, p, strcspn(p, " \"'"));
		}
	}
	return NULL;
}

static int
jump_spec(void *arg, const char *name, struct conn_spec *ret, struct err *err)
{
	struct hostrun *h = arg;
	struct sshconf_host conf;
	const char **keys;
	unsigned i;

	(void)err;
	if (h->run->opts->sshconf == NULL)
		return 0;
	sshconf_get(h->run->opts->sshconf, &h->arena, name, &conf);
	if (conf.hostname != NULL)
		ret->host = conf.hostname;
	if (ret->user == NULL)
		ret->user = conf.user;
	if (ret->port == 0)
		ret->port = conf.port;
	keys = ARENA_ARRAY(&h->arena, NITEMS(conf.identity) + 1, const char *);
	for (i = 0; i < NITEMS(conf.identity) && conf.identity[i] != NULL; i++)
		keys[i] = conf.identity[i];
	if (i > 0)
		ret->keys = keys;
	return 0;
}

static const char *const *
key_list(struct hostrun *h, const struct scope *scope,
    const struct sshconf_host *conf)
{
	const char **keys = ARENA_ARRAY(&h->arena, NITEMS(conf->identity) + 2,
	    const char *);
	const char *own = first(vars_text(&h->arena, scope,
	    "ansible_ssh_private_key_file"), vars_text(&h->arena, scope,
	    "ansible_private_key_file"));
	unsigned i, n = 0;

	if (own == NULL)
		own = h->run->opts->key;
	if (own != NULL && own[0] == '~' && own[1] == '/' && getenv("HOME") != NULL)
		own = arena_printf(&h->arena, "%s%s", getenv("HOME"), own + 1);
	if (own != NULL)
		keys[n++] = own;
	else
		for (i = 0; i < NITEMS(conf->identity) &&
		    conf->identity[i] != NULL; i++)
			keys[n++] = conf->identity[i];
	return n > 0 ? keys : NULL;
}

static int
port_of(const char *text, int def, struct err *err)
{
	char *end;
	long n;

	if (text == NULL)
		return def;
	n = strtol(text, &end, 10);
	if (*end != '\0' || n < 1 || n > 65535)
		return err_set(err, ERR_INVALID, "'%s' is no port number", text);
	return (int)n;
}

/* `false` does without strict key exchange. 0, or -1. */
static int
lax_of(struct arena *a, const struct scope *scope, const char *name, bool *ret,
    struct err *err)
{
	const char *text = vars_text(a, scope, name);
	int strict = text == NULL ? 1 : mod_parse_bool(v_str(a, text));

	*ret = strict == 0;
	return strict == -1 ? err_set(err, ERR_VALUE, "%s: '%s' is neither true nor false",
	    name, text) : 0;
}

/* The connection's settings: variables before keywords before the command line before ssh_config. */
static int
spec_fill(struct hostrun *h, const struct node *node, struct conn_spec *spec,
    struct err *err)
{
	const struct run_opts *o = h->run->opts;
	struct arena *a = &h->arena;
	const struct scope *scope = vars_scope(a, h, NULL, NULL, NULL);
	const struct keywords *kw = node != NULL ? &node->kw : NULL;
	struct sshconf_host conf = { 0 };
	const char *kind, *alias;

	memset(spec, 0, sizeof(*spec));
	kind = first(vars_text(a, scope, "ansible_connection"),
	    kw != NULL ? keyword(a, scope, kw->connection) : NULL);
	spec->name = h->name;
	if (kind != NULL && (strcmp(kind, "local") == 0 ||
	    strcmp(kind, "ansible.builtin.local") == 0)) {
		spec->kind = CONN_LOCAL;
		spec->user = own_name(a);
	} else if (kind == NULL || strcmp(kind, "ssh") == 0 ||
	    strcmp(kind, "smart") == 0 || strcmp(kind, "paramiko") == 0 ||
	    strcmp(kind, "ansible.builtin.ssh") == 0) {
		spec->kind = CONN_SSH;
		alias = first(vars_text(a, scope, "ansible_host"),
		    vars_text(a, scope, "ansible_ssh_host"));
		if (alias == NULL)
			alias = h->name;
		if (o->sshconf != NULL)
			sshconf_get(o->sshconf, a, alias, &conf);
		spec->host = first(conf.hostname, alias);
		spec->user = first(vars_text(a, scope, "ansible_user"),
		    vars_text(a, scope, "ansible_ssh_user"));
		if (spec->user == NULL && kw != NULL)
			spec->user = keyword(a, scope, kw->remote_user);
		spec->user = first(first(spec->user, o->user),
		    first(conf.user, own_name(a)));
		spec->port = port_of(first(first(vars_text(a, scope,
		    "ansible_port"), vars_text(a, scope, "ansible_ssh_port")),
		    kw != NULL ? keyword(a, scope, kw->port) : NULL),
		    conf.port > 0 ? conf.port : 22, err);
		if (spec->port == -1)
			return -1;
		spec->keys = key_list(h, scope, &conf);
		spec->use_agent = !conf.identities_only;
		spec->password = first(vars_text(a, scope, "ansible_password"),
		    vars_text(a, scope, "ansible_ssh_pass"));
		spec->jump = first(jump_of(a, vars_text(a, scope,
		    "ansible_ssh_common_args")), conf.jump);
		if (lax_of(a, scope, "provctl_ssh_strict_kex", &spec->lax_kex, err) == -1 ||
		    lax_of(a, scope, "provctl_ssh_jump_strict_kex", &spec->jump_lax_kex,
		    err) == -1)
			return -1;
	} else
		return err_set(err, ERR_UNSUPPORTED,
		    "connection '%s' is not supported (ssh and local are)", kind);
	if (!inventory_name_ok(spec->user) ||
	    (spec->host != NULL && !inventory_name_ok(spec->host)))
		return err_set(err, ERR_INVALID,
		    "'%s@%s' is no valid user and host", spec->user,
		    spec->host != NULL ? spec->host : "localhost");
	spec->become_password = first(first(
	    vars_text(a, scope, "ansible_become_password"),
	    vars_text(a, scope, "ansible_become_pass")), o->become_password);
	spec->connect_timeout_ms = h->connect_timeout_ms > 0 ?
	    h->connect_timeout_ms : o->timeout_ms;
	spec->accept_new_host_keys = o->accept_new_host_keys;
	spec->known_keys = o->known_keys;
	spec->pin_key = o->pin_key;
	spec->keys_arg = o->keys_arg;
	spec->jump_spec = jump_spec;
	spec->jump_arg = h;
	return 0;
}

const char *
link_login(struct hostrun *h, const struct node *node)
{
	struct conn_spec spec;
	struct err err = ERR_INIT;

	if (h->login == NULL) {
		h->login = spec_fill(h, node, &spec, &err) == 0 ? spec.user :
		    own_name(&h->arena);
		err_release(&err);
	}
	return h->login;
}

/* ---- contents -------------------------------------------------------------------------- */

static void
blob_end(struct link *l, const char *failure)
{
	struct buf out = BUF_INIT;

	frame_put(&out, FRAME_BLOB, failure != NULL ? FRAME_FAILED : 0,
	    l->blob.req->id, failure, failure != NULL ? strlen(failure) : 0);
	conn_send(l->conn, out.data, out.len);
	buf_release(&out);
	if (l->blob.fd >= 0)
		(void)close(l->blob.fd);
	l->blob = (struct blob){ .fd = -1 };
}

static void
blob_more(void *arg)
{
	struct link *l = arg;
	struct blob *b = &l->blob;

	while (b->req != NULL && conn_queued(l->conn) < QUEUE_HIGH) {
		char chunk[FRAME_CHUNK];
		const char *from = chunk;
		struct buf out = BUF_INIT;
		ssize_t n;

		if (b->fd >= 0) {
			n = read(b->fd, chunk, sizeof(chunk));
		} else {
			size_t left = b->content->len - b->offset;

			n = (ssize_t)(left < sizeof(chunk) ? left : sizeof(chunk));
			from = b->content->text + b->offset;
		}
		if (n == -1) {
			blob_end(l, strerror(errno));
			return;
		}
		if (n == 0) {
			blob_end(l, NULL);
			return;
		}
		b->offset += (size_t)n;
		frame_put(&out, FRAME_BLOB, 0, b->req->id, from, (size_t)n);
		conn_send(l->conn, out.data, out.len);
		buf_release(&out);
	}
}

static void
need(struct link *l, struct request *r, const struct frame *f)
{
	char sha256[65];
	uint32_t i;

	if (l->blob.req != NULL || f->len != 32) {
		conn_close(l->conn, true);	/* the executor has lost its way */
		return;
	}
	for (i = 0; i < 32; i++)
		(void)snprintf(sha256 + 2 * i, 3, "%02x",
		    (unsigned char)f->payload[i]);
	l->blob = (struct blob){ .req = r, .fd = -1 };
	for (i = 0; r->contents != NULL && i < r->contents->n; i++)
		if (strcmp(r->contents->v[i].sha256, sha256) == 0)
			l->blob.content = &r->contents->v[i];
	if (l->blob.content == NULL) {
		blob_end(l, "this content was not offered");
		return;
	}
	if (l->blob.content->path != NULL) {
		l->blob.fd = open(file_at(l->blob.content->path), O_RDONLY | O_CLOEXEC);
		if (l->blob.fd == -1) {
			blob_end(l, strerror(errno));
			return;
		}
	}
	conn_on_drain(l->conn, blob_more);
	blob_more(l);
}

/* ---- answers ------------------------------------------------------------------------------ */

static struct request *
request_of(struct link *l, uint32_t id)
{
	struct request *r;

	for (r = l->requests; r != NULL && r->id != id; r = r->next)
		;
	return r;
}

/* The executor ends what overruns its time; a host that is not able or willing to is given up. */
static void
overdue(evutil_socket_t fd, short what, void *arg)
{
	struct request *r = arg;

	(void)fd;
	(void)what;
	r->link->overdue = true;
	conn_close(r->link->conn, true);
}

static void
watch(struct link *l, struct request *r)
{
	struct timeval tv = { (time_t)(r->timeout_ms / 1000 + OVERDUE_S), 0 };

	if (r->timeout_ms <= 0 || r->ahead || !l->ready || !r->written ||
	    r->overdue != NULL)
		return;
	if ((r->overdue = evtimer_new(l->host->run->base, overdue, r)) == NULL ||
	    event_add(r->overdue, &tv) == -1)
		abort();	/* out of memory */
}

static void
unlink_request(struct link *l, struct request *r)
{
	struct request **p;

	if (r->overdue != NULL)
		event_free(r->overdue);
	r->overdue = NULL;

	for (p = &l->requests; *p != NULL; p = &(*p)->next) {
		if (*p == r) {
			*p = r->next;
			break;
		}
	}
	if (l->blob.req == r) {
		if (l->blob.fd >= 0)
			(void)close(l->blob.fd);
		l->blob = (struct blob){ .fd = -1 };
	}
}

static void
result(struct link *l, struct request *r, const struct frame *f)
{
	struct err err = ERR_INIT;
	const struct value *v = codec_decode(r->arena, f->payload, f->len, &err);

	if (v != NULL && v->type != V_MAP) {
		(void)err_set(&err, ERR_INVALID,
		    "the executor answered with %s", v_type_name(v));
		v = NULL;
	}
	unlink_request(l, r);
	r->done(r->arg, v, &err);
	err_release(&err);
}

static void
on_frame(void *arg, const struct frame *f)
{
	struct link *l = arg;
	struct request *r = request_of(l, f->id);

	if (r == NULL)
		return;		/* cancelled meanwhile */
	switch (f->type) {
	case FRAME_PROGRESS:
		if (r->progress != NULL) {
			struct arena a = { 0 };

			r->progress(r->arg, arena_strndup(&a, f->payload, f->len));
			arena_release(&a);
		}
		break;
	case FRAME_NEED:
		need(l, r, f);
		break;
	case FRAME_HELD:
		if (r->ahead && !r->waits && r->held != NULL)
			r->held(r->arg);
		break;
	case FRAME_DATA:
		if (r->data != NULL && r->data(r->arg, f->payload, f->len) == -1)
			request_cancel(r);
		break;
	case FRAME_RESULT:
		result(l, r, f);
		break;
	default:
		break;
	}
}

static void
on_ready(void *arg, const struct value *hello)
{
	struct link *l = arg;
	struct request *r;

	(void)hello;
	l->ready = true;
	for (r = l->requests; r != NULL; r = r->next)
		watch(l, r);
	emit_host_state(l->host, "");
}

static void
link_free(struct link *l)
{
	if (l->gone && l->nawaited == 0)
		free(l);
}

/* It is no more; err is released. */
static void
link_lost(struct link *l, struct err *err)
{
	l->conn = NULL;
	l->gone = true;
	if (l->host->links[l->root] == l)
		l->host->links[l->root] = NULL;
	l->host->run->nlinks--;
	while (l->requests != NULL) {
		struct request *r = l->requests;

		unlink_request(l, r);
		r->sent = l->ready && r->written;
		r->done(r->arg, NULL, err);
	}
	err_release(err);
	if (l->host->run->finishing)
		run_turn(l->host->run);
	link_free(l);
}

static void
on_closed(void *arg, struct err *err)
{
	struct link *l = arg;
	struct err lost = ERR_INIT;

	l->host->unanswered = conn_unanswered(l->conn, &l->host->arena);
	if (l->overdue)
		(void)err_set(&lost, ERR_TIMEOUT, "the host did not end a task within its "
		    "time, nor %d s later: the connection was closed", OVERDUE_S);
	else if (err->code == ERR_NONE)
		(void)err_set(&lost, ERR_IO, l->host->run->aborted ?
		    "interrupted: its end was not waited for" : "the connection was closed");
	else
		err_move(&lost, err);
	link_lost(l, &lost);
}

static const struct conn_ops ops = { on_ready, on_frame, on_closed };

/* ---- sending ---------------------------------------------------------------------------------- */

int
link_spec(struct hostrun *h, bool root, const struct node *node,
    struct conn_spec *spec, struct err *err)
{
	if (spec_fill(h, node, spec, err) == -1)
		return -1;
	if (root && strcmp(spec->user, "root") != 0)
		spec->become = BECOME_SUDO;
	return 0;
}

static void
write_request(struct link *l, struct request *r)
{
	struct err err = ERR_INIT;
	struct buf out = BUF_INIT;
	size_t at;

	r->written = true;
	watch(l, r);
	buf_init(&out, FRAME_PAYLOAD_MAX + FRAME_HEADER);
	at = frame_begin(&out, FRAME_REQUEST, r->ahead ? FRAME_AHEAD : 0, r->id);
	if (r->encoded != NULL)
		buf_add(&out, r->encoded->data, r->encoded->len);
	else
		codec_encode(&out, r->payload);
	frame_end(&out, at);
	if (buf_overflowed(&out)) {
		unlink_request(l, r);
		(void)err_set(&err, ERR_LIMIT, "the arguments of this task are "
		    "larger than %zu MiB", FRAME_PAYLOAD_MAX >> 20);
		r->done(r->arg, NULL, &err);
		err_release(&err);
	} else
		conn_send(l->conn, out.data, out.len);
	/* The arguments may hold secrets. */
	if (out.data != NULL)
		explicit_bzero(out.data, out.len);
	buf_release(&out);
}

/* Sends what need not wait any more, in order. */
static void
pump(struct link *l)
{
	struct request *r, *next;

	for (r = l->requests; l->conn != NULL && r != NULL && !r->waits; r = next) {
		next = r->next;
		if (!r->written)
			write_request(l, r);
	}
}

static void
tell(struct request *r, enum frame_type type)
{
	struct buf out = BUF_INIT;

	/* What waits still goes with its link. */
	if (r->link == NULL || r->link->conn == NULL || !r->written)
		return;
	frame_put(&out, type, 0, r->id, NULL, 0);
	conn_send(r->link->conn, out.data, out.len);
	buf_release(&out);
}

/* The answer of run_opts.await, in the order it was asked. */
static void
on_record(void *arg)
{
	struct link *l = arg;
	struct request *r;

	l->nawaited--;
	for (r = l->requests; r != NULL && !r->waits; r = r->next)
		;
	if (r != NULL)
		r->waits = false;
	if (r != NULL && r->ahead)
		link_go(r, false);
	pump(l);
	link_free(l);
}

/* Does the request wait for the record? */
static bool
await(struct link *l, struct request *r)
{
	const struct run_opts *o = l->host->run->opts;

	if (o->await == NULL || !o->await(o->await_arg, on_record, l))
		return false;
	r->waits = true;
	l->nawaited++;
	return true;
}

/* The answer of run_opts.hold. */
static void
on_hold(void *arg, struct err *err)
{
	struct link *l = arg;
	struct way *way;

	l->nawaited--;
	if (l->gone)
		link_free(l);
	else if (err != NULL)
		link_lost(l, err);
	else {
		way = ARENA_NEW(&l->host->arena, struct way);
		way->spec = l->spec;
		way->next = l->host->ways;
		l->host->ways = way;
		emit_host_state(l->host, "connecting");
		l->conn = conn_open(l->host->run->pool, &l->spec, &ops, l);
		pump(l);
	}
}

/* Hosts of plays are held since the run began; one that was added or delegated to is met only now. */
static void
hold(struct link *l)
{
	static const char *const here[] = { "localhost", "127.0.0.1", "::1" };
	const struct run_opts *o = l->host->run->opts;
	bool ours = o->hold == NULL;
	size_t i;

	for (i = 0; i < NITEMS(here); i++)
		ours |= strcmp(l->host->name, here[i]) == 0;
	l->nawaited++;
	if (ours)
		on_hold(l, NULL);
	else
		o->hold(o->hold_arg, l->host->name, on_hold, l);
}

/* Two names of one machine: what is asked of one may change the other. */
static void
note_address(struct hostrun *h, const struct conn_spec *spec)
{
	struct hostrun *other;

	if (h->address != NULL)
		return;
	h->address = spec->kind == CONN_LOCAL ? "here" :
	    arena_printf(&h->arena, "%s %d", spec->host, spec->port);
	for (other = h->run->hosts; other != NULL; other = other->next) {
		if (other == h || other->address == NULL ||
		    strcmp(other->address, h->address) != 0)
			continue;
		h->twin = other->twin = true;
		ahead_drop(other);
	}
}

void
link_send(struct hostrun *h, bool root, const struct node *node,
    struct request *r)
{
	struct link *l = h->links[root];
	struct err err = ERR_INIT;
	struct request **p;
	bool new = l == NULL;

	if (!r->guessed)
		ahead_drop(h);
	if (new) {
		l = xcalloc(1, sizeof(*l));
		l->host = h;
		l->root = root;
		l->blob.fd = -1;
		if (link_spec(h, root, node, &l->spec, &err) == -1) {
			free(l);
			r->done(r->arg, NULL, &err);
			err_release(&err);
			return;
		}
		note_address(h, &l->spec);
		h->links[root] = l;
		h->unanswered = NULL;
		h->run->nlinks++;
	}
	r->link = l;
	r->id = ++l->last_id;
	r->next = NULL;
	r->overdue = NULL;
	r->written = r->waits = false;
	if (r->payload != NULL)
		r->timeout_ms = v_get_int(r->payload, "timeout_ms", 0);
	for (p = &l->requests; *p != NULL; p = &(*p)->next)
		;
	*p = r;
	if (r->on_record)
		(void)await(l, r);
	if (new)
		hold(l);
	else
		pump(l);
}

void
request_cancel(struct request *r)
{
	struct err none = ERR_INIT;

	/* The host never hears of it. */
	if (r->guessed && r->ahead && !r->written && r->link != NULL) {
		unlink_request(r->link, r);
		r->done(r->arg, NULL, &none);
	} else
		tell(r, FRAME_CANCEL);
}

void
link_go(struct request *r, bool on_record)
{
	if (on_record && await(r->link, r))
		return;
	r->ahead = false;
	watch(r->link, r);
	tell(r, FRAME_GO);
}

void
links_close(struct hostrun *h, bool abort)
{
	unsigned i;

	for (i = 0; i < 2; i++) {
		struct link *l = h->links[i];
		struct err err = ERR_INIT;

		/* Others wait for it to be opened. */
		if (l != NULL && l->conn == NULL && !abort && l->requests != NULL)
			continue;
		/* From here on it is on its own: a new request opens a new one. */
		h->links[i] = NULL;
		if (l != NULL && l->conn != NULL)
			conn_close(l->conn, abort);
		else if (l != NULL) {
			(void)err_set(&err, ERR_IO, "the connection was closed before it was open");
			link_lost(l, &err);
		}
	}
}

void
links_renew(struct hostrun *h, const struct node *node, bool abort)
{
	struct conn_spec spec;
	struct err err = ERR_INIT;

	links_close(h, abort);
	if (spec_fill(h, node, &spec, &err) == 0)
		conn_pool_forget(h->run->pool, &spec);
	err_release(&err);
}

/*
 * Groups, limits, sshd's configuration: what a login has it has for ever, and
 * what has changed them nobody can know.  So a session outlives a run only if
 * that has found nothing to do.
 */
void
links_end(struct hostrun *h, bool abort)
{
	const struct way *way;

	links_close(h, abort);
	for (way = h->ways; way != NULL && h->touched; way = way->next)
		conn_pool_forget(h->run->pool, &way->spec);
	h->ways = NULL;
}
