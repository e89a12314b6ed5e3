/*
 * agentd: the program.
 */
#include <libgen.h>
#include <limits.h>
#include <string.h>

#include "serve/daemon.h"
#include "serve/warm.h"

/* agentd(8) is made from it: ctl/man.awk knows its form. */
static const char help[] =
    "usage: agentd [OPTIONS]\n\n"
    "looks after sites by itself\n\n"
    "For the sites of agentd.yml it corrects drift at set times, tries again what\n"
    "failed, and goes on with runs that were killed; it runs what provctl asks it for.\n\n"
    "SIGHUP reads the configuration again, SIGTERM stops when the runs under way are\n"
    "over. `provctl schedule` shows what it will do, `provctl follow` what it does.\n\n"
    "Options:\n"
    "  --config FILE   The configuration; default /etc/provctl/agentd.yml, or\n"
    "                  ~/.config/provctl/agentd.yml; may be missing.\n"
    "  --state FILE    The state database; default as provctl's.\n"
    "  --socket FILE   Where it listens; default $XDG_RUNTIME_DIR/provctl/agentd.sock,\n"
    "                  or /run/provctl/agentd.sock.\n"
    "  --provctl FILE  The program that runs sites; default: beside agentd.\n"
    "  --help          Shows this text.\n"
    "  --version       Shows the version.\n\n"
    "Exit status:\n"
    "  0    stopped as it was told to\n"
    "  1    something went wrong: the log says what\n"
    "  78   agentd.yml is wrong\n";

static int
usage(const char *what, const char *which)
{
	(void)fprintf(stderr, "agentd: %s '%s'; `agentd --help` shows how it is used\n", what, which);
	return 1;
}

static const char *
own_path(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);

	if (n <= 0)
		return NULL;
	path[n] = '\0';
	return path;
}

int
main(int argc, char **argv)
{
	static char self[PATH_MAX], beside[PATH_MAX + 16];
	struct daemon_opts opts = { .self = own_path(self) };
	const struct {
		const char	 *name;
		const char	**to;
	} rows[] = {
		{ "--config", &opts.config }, { "--state", &opts.state },
		{ "--socket", &opts.socket }, { "--provctl", &opts.provctl },
	};
	char copy[PATH_MAX];
	size_t k;
	int i;

	if (argc == 2 && strcmp(argv[1], "--post") == 0)
		return post_run();
	if (argc == 2 && strcmp(argv[1], WARM_OPTION) == 0)
		return daemon_keep();
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--version") == 0) {
			(void)fputs(argv[i][2] == 'h' ? help : "agentd " PROVCTL_VERSION "\n", stdout);
			return 0;
		}
		for (k = 0; k < NITEMS(rows) && strcmp(rows[k].name, argv[i]) != 0; k++)
			;
		if (k == NITEMS(rows))
			return usage("unknown argument", argv[i]);
		if (++i == argc || *argv[i] == '\0')
			return usage("a file is missing behind", argv[i - 1]);
		*rows[k].to = argv[i];
	}
	if (opts.self == NULL)
		return usage("cannot read", "/proc/self/exe");
	if (opts.provctl == NULL) {
		memcpy(copy, self, sizeof(copy));
		(void)snprintf(beside, sizeof(beside), "%s/provctl", dirname(copy));
		opts.provctl = beside;
	}
	if (access(opts.provctl, X_OK) == -1)
		return usage("there is no program provctl at", opts.provctl);
	return daemon_run(&opts);
}
