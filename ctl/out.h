/*
 * Outputs: how what commands have to say reaches people or programs.
 *
 * One table of functions for text, one for JSON (as in OpenBSD's bgpctl);
 * commands call through it and never print.
 */
#ifndef PROVCTL_CTL_OUT_H
#define PROVCTL_CTL_OUT_H

#include <event2/event.h>

#include "base/err.h"
#include "module/module.h"
#include "playbook/site.h"
#include "state/event.h"
#include "term.h"

struct out;
struct report;
struct gate;

/* What a run's output needs to know. */
struct out_run {
	struct event_base	*base;		/* for live output; NULL: none */
	bool			 diff;		/* show diffs */
	bool			 check;
	int			 verbose;
	bool			 quiet, silent;	/* struct watch */
	int64_t			 (*run_id)(void *arg);	/* of the state; NULL: not recorded */
	void			*arg;
};

struct out_ops {
	const char	*name;
	/* A run's events; after it run_end. */
	struct sink	(*run_start)(struct out *, const struct out_run *);
	void		(*run_end)(struct out *);
	/* Values as state.h describes them. */
	void		(*history)(struct out *, const struct value *runs);
	void		(*run)(struct out *, const struct value *run, bool diff, int verbose);
	void		(*facts)(struct out *, const struct value *facts);
	/* List of maps host, port, type, fingerprint, key, pinned_ms. */
	void		(*keys)(struct out *, const struct value *keys);
	void		(*module_list)(struct out *);
	void		(*module)(struct out *, const struct module *);
	/* Hosts, tasks and tags of a site: list of maps play, mark, pattern, hosts, tasks (name, tags, file, line), tags. */
	void		(*site)(struct out *, const struct value *plays,
			    bool hosts, bool tasks, bool tags);
	void		(*graph)(struct out *, struct inventory *);
	/* Rows of cells: the columns are keys and titles; empty: said when there are none. JSON: the list. */
	void		(*table)(struct out *, const char *const *columns,
			    const struct value *rows, const char *empty);
	/* Map: held, pending, owed, unfinished (lists as state.h describes them). */
	void		(*status)(struct out *, const struct value *);
	/* A list as state_drift() gives it. */
	void		(*drift)(struct out *, const struct value *, bool diff);
	/* Map as plan.c makes it. */
	void		(*plan)(struct out *, const struct value *, bool diff, int verbose);
	/* Any value; text: strings as they are, others as indented JSON. */
	void		(*value)(struct out *, const struct value *);
	/* Problems, sorted; a program gets them as lines of their own. */
	void		(*diags)(struct out *, struct diags *);
};

struct out {
	const struct out_ops	*ops;
	struct term		 term;		/* standard output */
	struct term		 errors;	/* standard error */
	struct arena		 arena;
	struct report		*report;	/* of the run under way */
	struct gate		*gate;		/* its events come through here; or NULL */
	bool			 broken;	/* the reader is gone, or */
	int			 error;		/* errno: it cannot be written */
	bool			 stream;	/* JSON: standard output is a stream of events, problems belong into it */
};

extern const struct out_ops output_text, output_json;

void	 output_init(struct out *, const struct out_ops *, const char *color);
void	 output_release(struct out *);
/* Writing has failed, errno says why: nothing more is written. */
void	 out_broken(struct out *);
/* Writes and empties. */
void	 out_flush(struct out *, struct buf *);
/* A line on the terminal that stands in the way of live output: hides and shows it. No-op otherwise. */
void	 out_pause(struct out *);
void	 out_resume(struct out *);
/* A short remark for the person (standard error, not in JSON). */
void	 out_note(struct out *, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* The rows of a module's documentation as a value, for JSON. */
const struct value *module_value(struct arena *, const struct module *);

/* out_text's inside: */
void	 text_drift(struct out *, const struct value *, bool diff);		/* out_plan.c */
void	 text_plan(struct out *, const struct value *, bool diff, int verbose);	/* out_plan.c */
struct sink	 text_run_start(struct out *, const struct out_run *);	/* report.c */
void		 text_run_end(struct out *);
void		 text_module_list(struct out *);			/* out_doc.c */
void		 text_module(struct out *, const struct module *);
/* A unified diff with colours, indented. */
void		 text_diff(struct buf *, const struct term *, const char *diff, const char *indent);
/* Text of several lines, clean, each line with a prefix. */
void		 text_lines(struct buf *, const struct term *, const char *, size_t, const char *prefix);
enum colour	 outcome_colour(const char *name);
/* The table at the end: list of maps host, ok, changed, …. */
void		 text_hosts(struct buf *, const struct term *, const struct value *hosts);

#endif
