/*
 * The loop of a worker, and what it offers to a running module (struct
 * mod_io); see worker.h.
 *
 * Input is read at two places only: in the loop between modules, and from
 * within a module's own waits (cancelled(), content()), where CANCEL and the
 * end of input are noticed.  Whatever belongs to an earlier request is stale
 * and dropped.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/codec.h"
#include "base/digest.h"
#include "base/frame.h"
#include "base/utf8.h"
#include "exec/worker.h"
#include "module/fs.h"
#include "module/guard.h"
#include "module/keep.h"
#include "module/module.h"

#define PROGRESS_MAX		512
#define PROGRESS_EVERY_MS	100

struct worker {
	int		 fd;
	struct buf	 rx;
	uint32_t	 id;		/* the request at work */
	bool		 cancelled;
	bool		 ahead;		/* its turn has not come: no effects yet */
	bool		 gone;		/* the server closed its end */
	int		 timeout_ms;	/* of the request; 0: none */
	int64_t		 deadline_ms;	/* 0: none */
	int64_t		 progress_ms;	/* when the last one was sent */
	char		*setup_error;	/* why no module can run here */
};

int64_t
worker_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int
worker_write(int fd, const void *data, size_t len)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	const char *from = data;
	ssize_t n;

	while (len > 0) {
		n = write(fd, from, len);
		if (n < 0 && errno == EAGAIN)
			(void)poll(&p, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -1;
		else if (n > 0) {
			from += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static void
send_frame(struct worker *w, enum frame_type type, const void *data, size_t len)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	frame_put(&b, type, 0, w->id, data, len);
	if (!w->gone && worker_write(w->fd, b.data, b.len) != 0)
		w->gone = true;
}

/* Takes in what there is, waiting up to timeout_ms (-1: for ever) for the first byte. */
static void
receive(struct worker *w, int timeout_ms)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	ssize_t n;
	char *to;

	if (w->gone || poll(&p, 1, timeout_ms) <= 0)
		return;
	to = buf_reserve(&w->rx, FRAME_CHUNK);
	n = to == NULL ? 0 : recv(w->fd, to, FRAME_CHUNK, MSG_DONTWAIT);
	if (n > 0)
		w->rx.len += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		w->gone = true;
}

/* The next whole frame, if there is one. Consumed by frame_done(). */
static bool
next_frame(struct worker *w, struct frame *f)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	int got = w->rx.len == 0 ? 0 : frame_get(w->rx.data, w->rx.len, f, &err);

	if (got < 0)
		w->gone = true;		/* the server checks its frames: a bug */
	return got == 1;
}

static void
frame_done(struct worker *w, const struct frame *f)
{
	buf_consume(&w->rx, FRAME_HEADER + f->len);
}

/* ---- what a module may ask for ------------------------------------------ */

static bool
timed_out(const struct worker *w)
{
	return w->deadline_ms != 0 && worker_now_ms() >= w->deadline_ms;
}

/* The request's turn has come: from here on its time counts. */
static void
go(struct worker *w)
{
	w->ahead = false;
	w->deadline_ms = w->timeout_ms > 0 ? worker_now_ms() + w->timeout_ms : 0;
}

/* What may come at any time while a module runs. */
static void
aside(struct worker *w, const struct frame *f)
{
	if (f->type == FRAME_CANCEL && f->id == w->id)
		w->cancelled = true;
	else if (f->type == FRAME_GO && f->id == w->id)
		go(w);
}

static bool
io_cancelled(void *arg)
{
	struct worker *w = arg;
	struct frame f;

	receive(w, 0);
	while (next_frame(w, &f)) {
		aside(w, &f);
		frame_done(w, &f);
	}
	return w->cancelled || w->gone || timed_out(w);
}

/* The server ends us when the turn never comes; so nothing has happened then. */
static void
io_hold(void *arg)
{
	struct worker *w = arg;
	struct frame f;

	if (!w->ahead)
		return;
	send_frame(w, FRAME_HELD, NULL, 0);
	while (w->ahead) {
		if (w->gone || w->cancelled)
			_exit(0);
		if (next_frame(w, &f)) {
			aside(w, &f);
			frame_done(w, &f);
		} else
			receive(w, -1);
	}
}

static void
io_progress(void *arg, const char *line)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct worker *w = arg;
	int64_t now = worker_now_ms();
	size_t n;

	if (now - w->progress_ms < PROGRESS_EVERY_MS)
		return;
	w->progress_ms = now;
	utf8_clean(&b, line, strlen(line));
	n = b.len;
	if (n > PROGRESS_MAX)
		n = utf8_bad(b.data, PROGRESS_MAX);
	send_frame(w, FRAME_PROGRESS, b.data, n);
}

static int
io_data(void *arg, const void *data, size_t len, struct err *err)
{
	struct worker *w = arg;
	const char *from = data;
	size_t n;

	io_hold(w);
	for (; len > 0; from += n, len -= n) {
		n = len < FRAME_CHUNK ? len : FRAME_CHUNK;
		send_frame(w, FRAME_DATA, from, n);
		if (w->gone)
			return err_set(err, ERR_IO, "the connection was lost");
	}
	return 0;
}

static int
parse_sha256(const char *hex, unsigned char ret[SHA256_LEN])
{
	static const char digits[] = "0123456789abcdef";
	const char *hi, *lo;
	size_t i;

	if (strlen(hex) != SHA256_HEX - 1)
		return -1;
	for (i = 0; i < SHA256_LEN; i++) {
		hi = strchr(digits, hex[2 * i]);
		lo = strchr(digits, hex[2 * i + 1]);
		if (hi == NULL || lo == NULL)
			return -1;
		ret[i] = (unsigned char)((hi - digits) << 4 | (lo - digits));
	}
	return 0;
}

/* One frame of a content: 1 more to come, 0 all there, -1 with err. */
static int
content_frame(struct worker *w, const struct frame *f, int fd,
    struct sha256 *sum, struct err *err)
{
	aside(w, f);
	if (f->id != w->id || f->type != FRAME_BLOB)
		return 1;
	if (f->flags & FRAME_FAILED)
		return err_set(err, ERR_IO, "the controller could not send the "
		    "file: %.*s", (int)f->len, f->payload);
	if (f->len == 0)
		return 0;
	sha256_add(sum, f->payload, f->len);
	if (worker_write(fd, f->payload, f->len) != 0)
		return err_errno(err, "cannot write the file from the controller");
	return 1;
}

static int
io_content(void *arg, const char *hex, int fd, struct err *err)
{
	unsigned char want[SHA256_LEN], got[SHA256_LEN];
	struct worker *w = arg;
	struct sha256 sum;
	struct frame f;
	int more = 1;

	if (parse_sha256(hex, want) != 0)
		return err_set(err, ERR_VALUE, "'%s' is no SHA-256", hex);
	sha256_init(&sum);
	io_hold(w);
	send_frame(w, FRAME_NEED, want, sizeof(want));
	while (more == 1) {
		if (w->gone)
			return err_set(err, ERR_IO, "the connection was lost");
		if (w->cancelled)
			return err_set(err, ERR_IO, "cancelled");
		if (timed_out(w))
			return err_set(err, ERR_TIMEOUT, "no time left while "
			    "waiting for a file from the controller");
		if (!next_frame(w, &f)) {
			receive(w, 200);
			continue;
		}
		more = content_frame(w, &f, fd, &sum, err);
		frame_done(w, &f);
	}
	if (more < 0)
		return -1;
	sha256_end(&sum, got);
	if (memcmp(got, want, sizeof(got)) != 0)
		return err_set(err, ERR_IO, "the file that came from the "
		    "controller is not the one announced (SHA-256 differs): "
		    "did it change during the run?");
	return 0;
}

/* ---- running one request ------------------------------------------------ */

static struct value *
failure(struct arena *arena, const char *msg)
{
	struct value *r = v_map(arena);

	v_set_bool(arena, r, "failed", true);
	v_set_bool(arena, r, "changed", false);
	v_set_str(arena, r, "msg", msg);
	return r;
}

/* Why it ended counts more than what the module made of it. */
static void
explain_end(struct worker *w, struct mod *m)
{
	if (!m->failed)
		return;
	if (w->cancelled) {
		v_set_bool(m->arena, m->result, "cancelled", true);
		v_set_str(m->arena, m->result, "msg", "cancelled");
	} else if (timed_out(w)) {
		v_set_bool(m->arena, m->result, "timed_out", true);
		v_sets(m->arena, m->result, "msg", v_strf(m->arena,
		    "timed out after %.1f s", m->timeout_ms / 1000.0));
	}
}

/* What is to be kept, and under which guard, as the request says. False: malformed. */
static bool
keep_of(struct arena *arena, const struct value *req, struct keep *k)
{
	const struct value *guard = v_gets(req, "guard");

	k->bytes = v_get_int(req, "keep_bytes", k->bytes);
	k->days = v_get_int(req, "keep_days", k->days);
	return (guard == NULL || (k->guard = guard_new(arena, guard)) != NULL) &&
	    k->bytes >= 0 && k->days >= 0 && k->days <= 36500;
}

static const struct value *
run_module(struct worker *w, struct arena *arena, const struct value *req)
{
	const char *name = v_get_str(req, "module", "");
	const struct value *args = v_gets(req, "args");
	struct mod_io io = {
		.progress = io_progress, .content = io_content,
		.data = io_data, .hold = io_hold, .cancelled = io_cancelled,
		.arg = w,
	};
	struct keep keep = KEEP_INIT;
	struct mod m = {
		.keep = &keep,
		.arena = arena, .module = module_find(name), .args = args,
		.io = &io, .check = v_get_bool(req, "check", false),
		.diff = v_get_bool(req, "diff", false),
		.no_log = v_get_bool(req, "no_log", false),
		.env = v_gets(req, "env"), .result = v_map(arena),
		.timeout_ms = (int)v_get_int(req, "timeout_ms", 0),
	};

	if (m.module == NULL)
		return failure(arena, v_strf(arena,
		    "the executor has no module '%s'", name)->u.s);
	if (args == NULL || args->type != V_MAP)
		return failure(arena, "malformed request: args must be a map");
	if (!keep_of(arena, req, &keep))
		return failure(arena, "malformed request: what to keep");
	w->timeout_ms = m.timeout_ms;
	if (!w->ahead)
		go(w);
	mod_run(&m);
	keep_done(&m);
	guard_done(&m);
	explain_end(w, &m);
	return m.result;
}

static void
work(struct worker *w, const struct frame *f)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	struct arena arena = { 0 };
	const struct value *req, *result;

	w->id = f->id;
	w->cancelled = false;
	w->ahead = (f->flags & FRAME_AHEAD) != 0;
	w->deadline_ms = w->progress_ms = 0;
	if (f->flags & WORKER_FORGET)
		fs_ids_forget();
	req = codec_decode(&arena, f->payload, f->len, &err);
	frame_done(w, f);
	if (w->setup_error != NULL)
		result = failure(&arena, w->setup_error);
	else if (req == NULL || req->type != V_MAP)
		result = failure(&arena, "malformed request");
	else
		result = run_module(w, &arena, req);
	out.max = FRAME_PAYLOAD_MAX;
	codec_encode(&out, result);
	if (buf_overflowed(&out)) {
		buf_clear(&out);
		codec_encode(&out, failure(&arena, "the result of the module is "
		    "larger than 32 MiB"));
	}
	send_frame(w, FRAME_RESULT, out.data, out.len);
	arena_release(&arena);
}

void
worker_main(int fd, const char *user)
{
	struct worker w = { .fd = fd };
	CLEANUP_ERR struct err err = ERR_INIT;
	struct frame f;

	if (user != NULL && worker_become(user, &err) != 0)
		w.setup_error = err.msg;
	while (!w.gone) {
		if (!next_frame(&w, &f)) {
			receive(&w, -1);
			continue;
		}
		if (f.type != FRAME_REQUEST) {
			frame_done(&w, &f);	/* came after its request's end */
			continue;
		}
		work(&w, &f);
		if (w.setup_error != NULL)
			break;		/* the next request may find the user */
	}
	_exit(0);
}
