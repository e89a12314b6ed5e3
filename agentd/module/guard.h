/*
 * Changes that may lock us out: the host takes them back by itself unless a
 * new connection confirms them in time.
 *
 *	task under a guard ── first change ── guard_arm(): a watch is started
 *	    │ each before-image is written down before its change
 *	    ▼
 *	end of the task, or of its worker, or of the connection
 *	    │ nothing changed: the watch ends
 *	    ▼
 *	SECONDS ── confirmed (by provctl_guard, over a new connection): it ends
 *	        └─ else: files are put back, firewall rules loaded again,
 *	           services restarted, a report written
 *
 * The watch is a process of its own, in its own session and, as root, outside
 * of the login's control group: neither the end of the connection nor that of
 * the session ends it.  A reboot does, but then a unit of systemd's, which is
 * there only meanwhile, puts everything back at boot (guard_boot.c; as root).
 *
 * A play's guarded tasks share one list on the host: a file that is changed
 * by one task may take effect by another (a handler).  It lies beside the
 * before-images:
 *
 *	guard-ID/list		what to put back: JSON lines
 *	guard-ID/rules…		of the firewall, from before the first change
 *	guard-ID/armed-TOKEN	while a watch waits; who renames it has decided
 *	guard-ID/boot-TOKEN	the executor, likewise
 *	guard-ID/report-TOKEN	what the watch has put back
 */
#ifndef PROVCTL_MODULE_GUARD_H
#define PROVCTL_MODULE_GUARD_H

#include "module/module.h"

#define GUARD_RESULT	"_guard"	/* in the result: true, it waits to be confirmed */

struct guard {
	const char		*id;		/* letters, digits, '-' */
	int			 seconds;
	const struct value	*commands;	/* list of argv lists, run when all is put back; or NULL */
	const char		*token;		/* of the task */
	bool			 refused;	/* could not be armed */
	int			 dir, list;	/* descriptors */
	int			 alive;		/* the pipe to the watch; its end is the task's end */
};

/* From a request's map (id, token, seconds, commands); NULL when it is malformed. */
struct guard	*guard_new(struct arena *, const struct value *);
/* Before the first change. False after mod_fail: nothing may be changed. True without a guard. */
bool	 guard_arm(struct mod *);
/* A file's before-image is on the list when this returns 0; -1 after mod_fail. */
int	 guard_file(struct mod *, const struct value *entry);
/* systemctl is about to do this to a unit. */
void	 guard_unit(struct mod *, const char *verb, const char *unit);
/* After the task. */
void	 guard_done(struct mod *);
/* `executor --guard STORE ID TOKEN`, by a unit at boot. The exit status. */
int	 guard_boot(const char *store, const char *id, const char *token);

#endif
