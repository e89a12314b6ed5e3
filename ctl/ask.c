/*
 * Asking on the terminal.
 *
 * The terminal gives us single characters and no signals while we ask: so a
 * ^C restores the settings first and is then passed on, whoever handles
 * SIGINT.  The little line editing there is (erase, kill) is done here.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>

#include "ask.h"
#include "term.h"

#define ANSWER_MAX	4096

enum key_result { GO_ON, DONE, STOPPED };

/* Erases the last character: one code point. */
static void
erase(struct buf *line, int fd, bool secret)
{
	if (line->len == 0)
		return;
	while (line->len > 1 && (line->data[line->len - 1] & 0xc0) == 0x80)
		line->len--;
	line->len--;
	if (!secret)
		(void)!write(fd, "\b \b", 3);
}

static enum key_result
key(struct buf *line, int fd, unsigned char c, bool secret)
{
	switch (c) {
	case '\n':
	case '\r':
		return DONE;
	case 3:		/* ^C */
		return STOPPED;
	case 4:		/* ^D */
		return line->len == 0 ? STOPPED : GO_ON;
	case 8:
	case 127:
		erase(line, fd, secret);
		return GO_ON;
	case 21:	/* ^U */
		while (line->len > 0)
			erase(line, fd, secret);
		return GO_ON;
	default:
		if (c < 32 || line->len >= ANSWER_MAX)
			return GO_ON;
		buf_addc(line, (char)c);
		if (!secret)
			(void)!write(fd, &c, 1);
		return GO_ON;
	}
}

static int passed = -1;

void
ask_at(int fd)
{
	passed = fd;
}

const char *
ask(struct arena *a, const char *prompt, bool secret)
{
	CLEANUP_CLOSE int fd = passed != -1 ? fcntl(passed, F_DUPFD_CLOEXEC, 0) :
	    open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	CLEANUP_BUF struct buf line = BUF_INIT, clean = BUF_INIT;
	enum key_result result = GO_ON;
	struct termios old, raw;
	const char *answer = NULL;
	unsigned char c = 0;

	if (fd == -1 || tcgetattr(fd, &old) == -1)
		return NULL;
	raw = old;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(fd, TCSAFLUSH, &raw) == -1)
		return NULL;
	term_clean(&clean, prompt, strlen(prompt), CLEAN_LINES);
	(void)!write(fd, buf_str(&clean), clean.len);
	/* Room for everything at once: no copy of a password stays behind in freed memory. */
	(void)buf_reserve(&line, ANSWER_MAX + 8);
	while (result == GO_ON) {
		ssize_t n = read(fd, &c, 1);

		if (n == -1 && errno == EINTR)
			continue;
		result = n == 1 ? key(&line, fd, c, secret) : STOPPED;
	}
	(void)!write(fd, "\r\n", 2);
	(void)tcsetattr(fd, TCSAFLUSH, &old);
	if (result == DONE)
		answer = arena_strndup(a, buf_str(&line), line.len);
	else if (c == 3)
		(void)raise(SIGINT);
	if (line.data != NULL)
		explicit_bzero(line.data, line.cap);
	return answer;
}

const char *
ask_password(struct arena *a, const char *what, const char *instead, struct err *err)
{
	const char *answer = ask(a, arena_printf(a, "%s: ", what), true);

	if (answer == NULL) {
		(void)err_set(err, ERR_USAGE, "cannot ask for the %s: no terminal, or no answer",
		    what);
		err_hint(err, "%s FILE reads it from a file", instead);
	}
	return answer;
}

const char *
read_password(struct arena *a, const char *path, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	struct buf b = BUF_INIT;
	const char *answer;
	size_t n;

	buf_init(&b, ANSWER_MAX);
	fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1 || buf_read_fd(&b, fd) == -1) {
		(void)err_errno(err, "cannot read the password from '%s'", path);
		buf_release(&b);
		return NULL;
	}
	n = strcspn(buf_str(&b), "\r\n");
	if (n == 0) {
		(void)err_set(err, ERR_USAGE, "'%s' holds no password: its first line is empty", path);
		buf_release(&b);
		return NULL;
	}
	answer = arena_strndup(a, buf_str(&b), n);
	explicit_bzero(b.data, b.len);
	buf_release(&b);
	return answer;
}
