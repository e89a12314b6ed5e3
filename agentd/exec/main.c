/*
 * The program that a connection starts on a host.
 *
 *	executor NONCE		says "NONCE READY" and a newline, then speaks frames
 *	executor --version	prints the version
 *	executor --guard STORE ID TOKEN	puts back what was not confirmed before the reboot
 *
 * The nonce separates what the host's login shell may have printed before
 * (.bashrc) from what we say.  Nothing else is ever printed.
 */
#include <sys/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exec/exec.h"
#include "exec/worker.h"
#include "module/guard.h"

int
main(int argc, char **argv)
{
	char line[96];
	int in, out, n;

	/* What we hold of secrets is in no core file, and not for the user's other processes; what we start is not meant. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		(void)puts("provctl executor " PROVCTL_VERSION);
		return 0;
	}
	if (argc == 5 && strcmp(argv[1], "--guard") == 0)
		return guard_boot(argv[2], argv[3], argv[4]);
	if (argc != 2 || !exec_nonce_valid(argv[1])) {
		(void)fputs("usage: executor NONCE\n"
		    "Started by provctl on the hosts it works on.\n", stderr);
		return 2;
	}
	/* Away from a terminal's signals; fails when we lead a group already, as below sshd. */
	(void)setsid();
	if (exec_take_stdio(&in, &out) != 0)
		return 3;
	n = snprintf(line, sizeof(line), "%s READY\n", argv[1]);
	if (n < 0 || worker_write(out, line, (size_t)n) != 0)
		return 1;
	return exec_serve(in, out);
}
