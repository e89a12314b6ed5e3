/*
 * A secret text in an editor.
 *
 * The plaintext is in a directory of our own (0700), in memory where there is
 * a place for that ($XDG_RUNTIME_DIR, /dev/shm), as a file of 0600.  Editors
 * leave things beside the file (swap and backup files): the whole directory
 * goes when the editor has ended, however it or we end: SIGTERM and SIGHUP
 * wait until that is done, ^C is the editor's.
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "private.h"
#include "vault.h"

#define ARGS_MAX	16

static int
write_text(const char *path, const struct buf *text, struct err *err)
{
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t done = 0;

	while (fd != -1 && done < text->len) {
		ssize_t n = write(fd, text->data + done, text->len - done);

		if (n == -1 && errno != EINTR)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	return fd != -1 && done == text->len ? 0 : err_errno(err, "cannot write '%s'", path);
}

/* $VISUAL, $EDITOR or vi; blanks separate its arguments. The exit status, or -1 with err. */
static int
run_editor(struct arena *a, const char *path, struct err *err)
{
	const char *editor = getenv("VISUAL"), *p;
	const char *argv[ARGS_MAX + 2];
	sigset_t mine, old;
	int n = 0, status, sig;
	pid_t pid;
	size_t len;

	if (editor == NULL || editor[strspn(editor, " ")] == '\0')
		editor = getenv("EDITOR");
	if (editor == NULL || editor[strspn(editor, " ")] == '\0')
		editor = "vi";
	for (p = editor + strspn(editor, " "); *p != '\0' && n < ARGS_MAX; p += strspn(p, " ")) {
		len = strcspn(p, " ");
		argv[n++] = arena_strndup(a, p, len);
		p += len;
	}
	argv[n++] = path;
	argv[n] = NULL;
	(void)sigemptyset(&mine);
	(void)sigaddset(&mine, SIGCHLD);
	(void)sigaddset(&mine, SIGTERM);
	(void)sigaddset(&mine, SIGHUP);
	(void)sigaddset(&mine, SIGINT);
	(void)sigaddset(&mine, SIGQUIT);
	(void)sigprocmask(SIG_BLOCK, &mine, &old);
	if ((pid = fork()) == 0) {
		(void)sigprocmask(SIG_SETMASK, &old, NULL);
		(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	while (pid != -1 && waitpid(pid, &status, WNOHANG) == 0)
		if (sigwait(&mine, &sig) == 0 && (sig == SIGTERM || sig == SIGHUP))
			(void)kill(pid, sig);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid == -1)
		return err_errno(err, "cannot start the editor");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	(void)err_set(err, ERR_IO, WIFEXITED(status) && WEXITSTATUS(status) == 127 ?
	    "there is no editor '%s'" : "the editor '%s' did not end well: nothing is changed", argv[0]);
	err_hint(err, "the environment variable EDITOR says which one is used");
	return -1;
}

int
vault_edit(const char *name, const struct buf *before, struct buf *after, struct err *err)
{
	const char *slash = strrchr(name, '/'), *path;
	struct private_dir dir;
	struct arena a = { 0 };
	int r;

	if (private_dir(&a, true, &dir, err) == -1) {
		arena_release(&a);
		return -1;
	}
	path = arena_printf(&a, "%s/%s", dir.path, slash != NULL ? slash + 1 : name);
	if ((r = write_text(path, before, err)) == 0 && (r = run_editor(&a, path, err)) == 0 &&
	    (r = buf_read_file(after, path)) == -1)
		(void)err_errno(err, "cannot read what the editor has left");
	if (private_dir_remove(&dir, "THE DECRYPTED TEXT", err) == -1)
		r = -1;
	if (r == 0)
		r = after->len != before->len ||
		    (after->len > 0 && memcmp(after->data, before->data, after->len) != 0);
	arena_release(&a);
	return r;
}
