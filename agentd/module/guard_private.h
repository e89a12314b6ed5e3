/*
 * What guard.c (arming, the watch, confirming), guard_undo.c (putting back) and
 * guard_boot.c (the same after a reboot) share.
 */
#ifndef PROVCTL_MODULE_GUARD_PRIVATE_H
#define PROVCTL_MODULE_GUARD_PRIVATE_H

#include "module/guard.h"
#include "module/keep.h"

#define GUARD_PREFIX	"guard-"
#define GUARD_LIST_MAX	((size_t)64 * 1024 * 1024)
#define GUARD_COMMAND_MS 60000

/* The guard's directory in the store, or -1 with errno. */
int	 guard_dir(int store, const char *id);
/* Writes a file whole and 0600: it is there, or not. 0, or -1 with errno. */
int	 guard_put_file(int dir, const char *name, const char *text, size_t n);
bool	 guard_is_word(const char *);

/* ---- guard_undo.c ------------------------------------------------------------- */

/* Putting back what a guard's list says, in steps; at the end the report is written. */
struct undo {
	struct arena		 arena;
	struct keep		 keep;
	struct mod		 m;
	int			 dir;
	const struct value	*list;
	struct value		*put_back, *trouble;	/* the report */
};

void	 undo_open(struct undo *, int store, int dir);
void	 undo_files(struct undo *);
/* Units as they were in a running system; or … */
void	 undo_units(struct undo *);
/* … only which are enabled and masked, waiting for none of them, and … */
void	 undo_enabled(struct undo *);
/* … after a boot, those that ran, but were not to start when it began. */
void	 undo_started(struct undo *);
/* The firewall's rules in the kernel. */
void	 undo_rules(struct undo *);
void	 undo_commands(struct undo *, const struct value *commands);
/* The report of this task; the list is used up. */
void	 undo_close(struct undo *, const char *token);
/* Rules in force now, once a guard: as soon as there is a program that tells them. */
void	 undo_note_rules(struct mod *, int dir);

/* ---- guard_boot.c --------------------------------------------------------------- */

/* From now on it waits to be confirmed, also through a reboot; with a warning where that cannot be. 0, or -1 with errno. */
int	 boot_arm(struct mod *, int dir, const struct guard *);
void	 boot_disarm(int dir, const char *id, const char *token);

#endif
