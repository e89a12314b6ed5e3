/*
 * See log.h.
 *
 * systemd says in JOURNAL_STREAM which file our standard error is when it is
 * connected to the journal.  Then entries go to the journal's own socket, with
 * fields; should that fail, as lines with a priority in front.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <ctype.h>
#include <string.h>
#include <time.h>

#include "serve/log.h"

#define JOURNAL_SOCKET	"/run/systemd/journal/socket"

static int journal = -1;
static bool to_journal;

void
log_open(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	to_journal = stream != NULL && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
	if (to_journal && journal == -1)
		journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* Names and messages come from outside too: a line stays a line. */
static void
add_clean(struct buf *b, const char *text)
{
	for (; *text != '\0'; text++)
		buf_addc(b, (unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text);
}

static void
add_value(struct buf *b, const struct value *v)
{
	if (v_is_str(v))
		add_clean(b, v->u.s);
	else if (v->type == V_INT)
		buf_addf(b, "%lld", (long long)v->u.i);
}

static bool
send_to_journal(enum log_level level, const struct value *fields, const char *text)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };
	const struct ventry *e;
	const char *p;
	uint32_t it;

	buf_addf(&b, "PRIORITY=%d\nSYSLOG_IDENTIFIER=agentd\nMESSAGE=", (int)level);
	add_clean(&b, text);
	for (it = 0; fields != NULL && (e = v_next(fields, &it)) != NULL;) {
		buf_adds(&b, "\nPROVCTL_");
		for (p = e->key->u.s; *p != '\0'; p++)
			buf_addc(&b, (char)toupper((unsigned char)*p));
		buf_addc(&b, '=');
		add_value(&b, e->val);
	}
	buf_addc(&b, '\n');
	return sendto(journal, b.data, b.len, MSG_NOSIGNAL, (struct sockaddr *)&to,
	    sizeof(to)) != -1;
}

static void
write_line(enum log_level level, const struct value *fields, const char *text)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct ventry *e;
	uint32_t it;

	if (to_journal) {
		buf_addf(&b, "<%d>", (int)level);
	} else {
		time_t now = time(NULL);
		struct tm tm;
		char when[32];

		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S%z",
		    localtime_r(&now, &tm));
		buf_addf(&b, "%s %s: ", when, level == LOG_LEVEL_ERROR ? "error" :
		    level == LOG_LEVEL_WARNING ? "warning" : "info");
	}
	add_clean(&b, text);
	for (it = 0; fields != NULL && (e = v_next(fields, &it)) != NULL;) {
		buf_addf(&b, " %s=", e->key->u.s);
		add_value(&b, e->val);
	}
	buf_addc(&b, '\n');
	(void)!write(STDERR_FILENO, b.data, b.len);
}

static void
put(enum log_level level, const struct value *fields, const char *fmt, va_list ap)
    ATTR_PRINTF(3, 0);

static void
put(enum log_level level, const struct value *fields, const char *fmt, va_list ap)
{
	CLEANUP_BUF struct buf text = BUF_INIT;

	buf_vaddf(&text, fmt, ap);
	if (journal == -1 || !send_to_journal(level, fields, buf_str(&text)))
		write_line(level, fields, buf_str(&text));
}

void
log_fields(enum log_level level, const struct value *fields, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(level, fields, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(LOG_LEVEL_INFO, NULL, fmt, ap);
	va_end(ap);
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(LOG_LEVEL_WARNING, NULL, fmt, ap);
	va_end(ap);
}

static void
log_text(enum log_level level, const char *text)
{
	size_t n;

	for (; *text != '\0'; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		log_fields(level, NULL, "%.*s", (int)n, text);
	}
}

void
log_err(struct err *err)
{
	static const char level[] = "error: ";
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *text;

	err_format(err, false, &b);
	text = buf_str(&b);
	/* The level is said already. */
	log_text(LOG_LEVEL_ERROR, strncmp(text, level, sizeof(level) - 1) == 0 ?
	    text + sizeof(level) - 1 : text);
	err_release(err);
}

void
log_diags(struct diags *diags)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	diags_format(diags, false, &b);
	log_text(diags->nerrors > 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, buf_str(&b));
}
