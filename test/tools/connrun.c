/*
 * connrun: runs modules on a host through a real connection, for trying out
 * connections and modules without the engine.
 *
 *	connrun [options] HOST MODULE JSON [MODULE JSON]…
 *
 * The requests are sent at once, the results come one JSON object a line.
 * HOST "local" is this machine.  Files of the controller that a module asks
 * for by SHA-256 are looked up in the folder given with --content (any file
 * below it with that hash).  Exit status: 0, 1 usage or arguments, 3 a module
 * failed, 4 no connection.
 */
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>

#include "base/codec.h"
#include "base/digest.h"
#include "base/json.h"
#include "module/module.h"
#include "ssh/conn.h"

struct request {
	const struct module	*module;
	const struct value	*args;
};

struct tool {
	struct event_base	*base;
	struct conn		*conn;
	struct arena		 arena;
	struct conn_spec	 spec;
	struct request		*requests;
	uint32_t		 n, done;
	const char		*keys_file;	/* lines "host:port type base64" */
	const char		*content;
	const char		*user;		/* become_user */
	bool			 check, diff, verbose, stay, hello, renew;
	int			 timeout_ms;
	int			 keeper;	/* descriptor */
	int			 status;
	struct value		*known;
};

static struct tool tool = { .spec = { .port = 22, .use_agent = true } };

/* ---- pinned keys in a file --------------------------------------------------- */

static int
known_keys(void *arg, const char *host, int port, const char **ret,
    uint32_t max, uint32_t *ret_n)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct tool *t = arg;
	char *line, *rest;
	const char *name = arena_printf(&t->arena, "%s:%d ", host, port);

	*ret_n = 0;
	if (t->keys_file == NULL || buf_read_file(&text, t->keys_file) != 0)
		return 0;
	for (rest = buf_dup(&text, &t->arena); (line = strsep(&rest, "\n")) != NULL;)
		if (strncmp(line, name, strlen(name)) == 0 && *ret_n < max)
			ret[(*ret_n)++] = line + strlen(name);
	return 0;
}

static int
pin_key(void *arg, const char *host, int port, const char *key, struct err *err)
{
	struct tool *t = arg;
	CLEANUP_FCLOSE FILE *f = NULL;

	if (t->keys_file == NULL)
		return 0;
	if ((f = fopen(t->keys_file, "ae")) == NULL ||
	    fprintf(f, "%s:%d %s\n", host, port, key) < 0)
		return err_errno(err, "%s", t->keys_file);
	return 0;
}

/* ---- contents ------------------------------------------------------------------ */

static char want_hash[SHA256_HEX], found_path[4096];

static int
look_at(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	CLEANUP_CLOSE int fd = -1;
	char hash[SHA256_HEX];

	(void)st;
	(void)ftw;
	if (type != FTW_F || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 ||
	    sha256_fd(fd, hash) != 0 || strcmp(hash, want_hash) != 0)
		return 0;
	(void)snprintf(found_path, sizeof(found_path), "%s", path);
	return 1;
}

static void
send_content(struct tool *t, const struct frame *f)
{
	CLEANUP_BUF struct buf out = BUF_INIT, data = BUF_INIT;
	size_t at, n;

	sha256_hex((const unsigned char *)f->payload, want_hash);
	if (t->content == NULL || nftw(t->content, look_at, 16, FTW_PHYS) != 1 ||
	    buf_read_file(&data, found_path) != 0) {
		frame_put(&out, FRAME_BLOB, FRAME_FAILED, f->id, "no such file", 12);
	} else {
		for (at = 0; at < data.len; at += n) {
			n = data.len - at < FRAME_CHUNK ? data.len - at : FRAME_CHUNK;
			frame_put(&out, FRAME_BLOB, 0, f->id, data.data + at, n);
		}
		frame_put(&out, FRAME_BLOB, 0, f->id, NULL, 0);
	}
	conn_send(t->conn, out.data, out.len);
}

/* ---- the connection --------------------------------------------------------------- */

static void
print(const struct value *v)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	json_write(&b, v, 0);
	(void)puts(buf_str(&b));
	(void)fflush(stdout);
}

static void
on_ready(void *arg, const struct value *hello)
{
	struct tool *t = arg;
	uint32_t i;

	if (t->hello)
		print(hello);
	for (i = 0; i < t->n; i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct arena arena = { 0 };
		struct value *r = v_map(&arena);
		size_t at = frame_begin(&b, FRAME_REQUEST, 0, i + 1);

		v_set_str(&arena, r, "module", t->requests[i].module->name);
		v_sets(&arena, r, "args", t->requests[i].args);
		v_set_bool(&arena, r, "check", t->check);
		v_set_bool(&arena, r, "diff", t->diff);
		v_set_int(&arena, r, "timeout_ms", t->timeout_ms);
		if (t->user != NULL)
			v_set_str(&arena, r, "user", t->user);
		codec_encode(&b, r);
		frame_end(&b, at);
		conn_send(t->conn, b.data, b.len);
		arena_release(&arena);
	}
	if (t->n == 0 && !t->stay)
		conn_close(t->conn, false);
}

static void
on_result(struct tool *t, const struct frame *f)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	struct arena arena = { 0 };
	const struct value *v = codec_decode(&arena, f->payload, f->len, &err);

	if (v == NULL || v_get_bool(v, "failed", false))
		t->status = 3;
	if (v != NULL)
		print(v);
	arena_release(&arena);
	if (++t->done == t->n && !t->stay)
		conn_close(t->conn, false);
}

static void
on_frame(void *arg, const struct frame *f)
{
	struct tool *t = arg;

	switch (f->type) {
	case FRAME_RESULT:
		on_result(t, f);
		break;
	case FRAME_NEED:
		send_content(t, f);
		break;
	case FRAME_PROGRESS:
		if (t->verbose)
			(void)fprintf(stderr, "%.*s\n", (int)f->len, f->payload);
		break;
	case FRAME_DATA:
		if (t->verbose)
			(void)fprintf(stderr, "%u bytes of data\n", f->len);
		break;
	default:
		break;
	}
}

static void
on_closed(void *arg, struct err *err)
{
	struct tool *t = arg;
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (err->code != ERR_NONE) {
		err_format(err, false, &b);
		(void)fputs(buf_str(&b), stderr);
		t->status = 4;
	}
	t->conn = NULL;
	(void)event_base_loopbreak(t->base);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	static const char *last;
	struct tool *t = arg;
	const char *now = t->conn == NULL ? NULL : conn_state(t->conn);

	(void)fd;
	(void)what;
	if (now != NULL && now != last)
		(void)fprintf(stderr, "[%s]\n", last = now);
}

/* ---- command line -------------------------------------------------------------------- */

static int
usage(void)
{
	(void)fputs("usage: connrun [options] HOST MODULE JSON [MODULE JSON]...\n"
	    "  -p PORT  -u USER  -i KEYFILE  -J JUMP  -P LOGINPASSWORD\n"
	    "  -b (become root)  -K PASSWORD (of sudo)  -U USER (run modules as)\n"
	    "  -k FILE (pinned host keys)  -a (pin new ones)  -A (no agent)\n"
	    "  -c (check)  -d (diff)  -t MS (task timeout)  -T MS (step timeout)\n"
	    "  -I MS (idle timeout)  --content DIR  -H (print the greeting)\n"
	    "  -x (no strict key exchange), -X (nor with jump hosts)\n"
	    "  -W FD (of a keeper)  -R (log in anew)\n"
	    "  -s (stay connected)  -v (states and progress on stderr)\n"
	    "HOST may be 'local'.\n", stderr);
	return 1;
}

static int
add_request(struct tool *t, const char *name, const char *json)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	struct request *r = &t->requests[t->n];
	const struct value *args, *content;
	struct value *all;
	struct mark none = { 0 };

	if ((r->module = module_find(name)) == NULL) {
		(void)fprintf(stderr, "connrun: no module '%s'\n", name);
		return -1;
	}
	if ((args = json_parse_text(&t->arena, json, strlen(json), &err)) == NULL) {
		err_format(&err, false, &b);
		(void)fputs(buf_str(&b), stderr);
		return -1;
	}
	/* What the engine would add is not the module's argument. */
	if ((content = v_gets(args, "_content")) != NULL) {
		all = v_map(&t->arena);
		v_merge(&t->arena, all, args);
		(void)v_dels(all, "_content");
		args = all;
	}
	args = mod_args_check(&t->arena, r->module, args, none, 0, &diags);
	if (args == NULL) {
		diags_format(&diags, false, &b);
		(void)fputs(buf_str(&b), stderr);
		return -1;
	}
	if (content != NULL) {
		all = v_map(&t->arena);
		v_merge(&t->arena, all, args);
		v_sets(&t->arena, all, "_content", content);
		args = all;
	}
	r->args = args;
	t->n++;
	return 0;
}

static int
options(struct tool *t, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "content", required_argument, NULL, 'C' }, { NULL, 0, NULL, 0 }
	};
	static const char *keys[9];
	size_t nkeys = 0;
	int c;

	while ((c = getopt_long(argc, argv, "p:u:i:J:P:bK:U:k:aAcdt:T:I:HsvxXW:R", longs,
	    NULL)) != -1)
		switch (c) {
		case 'p': t->spec.port = atoi(optarg); break;
		case 'u': t->spec.user = optarg; break;
		case 'i':
			if (nkeys < NITEMS(keys) - 1)
				keys[nkeys++] = optarg;
			t->spec.keys = keys;
			break;
		case 'J': t->spec.jump = optarg; break;
		case 'P': t->spec.password = optarg; break;
		case 'b': t->spec.become = BECOME_SUDO; break;
		case 'K': t->spec.become_password = optarg; break;
		case 'U': t->user = optarg; break;
		case 'k': t->keys_file = optarg; break;
		case 'a': t->spec.accept_new_host_keys = true; break;
		case 'A': t->spec.use_agent = false; break;
		case 'c': t->check = true; break;
		case 'd': t->diff = true; break;
		case 't': t->timeout_ms = atoi(optarg); break;
		case 'T': t->spec.connect_timeout_ms = atoi(optarg); break;
		case 'I': t->spec.idle_timeout_ms = atoi(optarg); break;
		case 'C': t->content = optarg; break;
		case 'H': t->hello = true; break;
		case 'W': t->keeper = atoi(optarg); break;
		case 'R': t->renew = true; break;
		case 's': t->stay = true; break;
		case 'v': t->verbose = true; break;
		case 'x': t->spec.lax_kex = true; break;
		case 'X': t->spec.jump_lax_kex = true; break;
		default: return -1;
		}
	return optind < argc && (argc - optind) % 2 == 1 ? 0 : -1;
}

int
main(int argc, char **argv)
{
	static const struct conn_ops ops = {
		.ready = on_ready, .frame = on_frame, .closed = on_closed,
	};
	CLEANUP_ERR struct err err = ERR_INIT;
	struct tool *t = &tool;
	struct conn_pool *pool;
	struct event *tick;
	int i;

	(void)signal(SIGPIPE, SIG_IGN);
	if (options(t, argc, argv) != 0)
		return usage();
	t->spec.name = t->spec.host = argv[optind];
	t->spec.kind = strcmp(argv[optind], "local") == 0 ? CONN_LOCAL : CONN_SSH;
	t->spec.known_keys = known_keys;
	t->spec.pin_key = pin_key;
	t->spec.keys_arg = t;
	t->requests = xcalloc((size_t)argc, sizeof(*t->requests));
	for (i = optind + 1; i + 1 < argc; i += 2)
		if (add_request(t, argv[i], argv[i + 1]) != 0)
			return 1;
	t->base = event_base_new();
	if ((pool = conn_pool_new(t->base, 0, &err)) == NULL)
		return 4;
	tick = event_new(t->base, -1, EV_PERSIST, on_tick, t);
	if (t->verbose)
		(void)event_add(tick, &(struct timeval){ 0, 2000 });
	if (t->keeper > 0)
		conn_pool_keeper(pool, t->keeper);
	if (t->renew)
		conn_pool_forget(pool, &t->spec);
	t->conn = conn_open(pool, &t->spec, &ops, t);
	(void)event_base_dispatch(t->base);
	event_free(tick);
	conn_pool_free(pool);
	event_base_free(t->base);
	arena_release(&t->arena);
	free(t->requests);
	return t->status;
}
