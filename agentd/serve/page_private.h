/*
 * The parts of the status page.
 *
 *	page.c          connections, who may, routes
 *	page_request.c  the target of a request
 *	page_html.c     the only writer of HTML: everything is escaped
 *	page_fleet.c    overview, hosts, sites, drift, what is owed
 *	page_run.c      runs, results, diffs
 *	page_metrics.c  for Prometheus
 *	page_files.c    style sheet, script, icon
 */
#ifndef PROVCTL_SERVE_PAGE_PRIVATE_H
#define PROVCTL_SERVE_PAGE_PRIVATE_H

#include "state/state.h"
#include "state/view.h"

/* ---- requests ------------------------------------------------------------------ */

#define PAGE_TARGET_MAX		2048	/* bytes */
#define PAGE_SEGMENTS_MAX	6
#define PAGE_PARAMS_MAX		8

struct page_param {
	const char	*name, *value;
};

/* Decoded; valid UTF-8 without control characters. */
struct page_target {
	const char		*segment[PAGE_SEGMENTS_MAX];
	unsigned		 nsegments;
	struct page_param	 param[PAGE_PARAMS_MAX];
	unsigned		 nparams;
};

/* "/runs/7?host=a": 0, or the HTTP status of the refusal (400, 404, 414). */
int		 page_parse(struct arena *, const char *target, struct page_target *);
/* NULL: it was not given. */
const char	*page_param(const struct page_target *, const char *name);
/* A positive number; 0: it is none. */
int64_t		 page_number(const char *);

/* ---- writing ------------------------------------------------------------------- */

/*
 * What a page is made of.  fmt is ours and is written as it is; what stands for
 * %s is text and is escaped for elements and quoted attributes alike: nothing
 * that comes from outside can become markup.  Else only %d, %u and %lld.
 */
void		 html(struct buf *, const char *fmt, ...) ATTR_PRINTF(2, 3);
void		 html_text(struct buf *, const char *, size_t);
/* A segment of a path or the value of a parameter, percent-encoded. */
const char	*url_part(struct arena *, const char *);

struct page_view {
	struct arena			*arena;
	struct state			*state;
	const struct page_target	*target;
	struct buf			*out;		/* what stands in <main> */
	const char			*title;
	const char			*section;	/* of the navigation; NULL: none */
	int				 live;		/* seconds until it is worth a new look; 0: not */
	int64_t				 now_ms;
};

/* The page around view->out. */
void		 html_page(struct buf *, const struct page_view *);
void		 html_time(struct page_view *, const struct value *ms);	/* "5 min ago"; a null: a dash */
/* A duration in words. */
const char	*text_duration(struct arena *, int64_t ms);
void		 html_diff(struct buf *, const char *diff);
/* A coloured word: class is one of style's: a stand's or outcome's name. */
void		 html_chip(struct buf *, const char *class, const char *text);
/* The beginning of a table in a box that scrolls: headings separated by '|', those with '-' before them only on wide screens, with '#' for numbers. */
void		 html_table(struct buf *, const char *heads);
void		 html_table_end(struct buf *);
/* A cell with a count of the row. */
void		 html_number(struct buf *, const struct value *row, const char *key, const char *class, bool wide);
/* A link of a navigation. */
void		 html_tab(struct buf *, const char *href, const char *text, bool here);
void		 html_empty(struct buf *, const char *text);
/* How a stand, a run's end is called. */
const char	*stand_title(enum stand);
void		 html_run_state(struct page_view *, const struct value *run);
/* A host's last runs as small bars, the newest on the right; past: as view_hosts() has it. */
void		 html_past(struct buf *, const char *past);
/* Rows of runs. */
void		 html_runs(struct page_view *, const struct value *runs);

/* ---- pages ---------------------------------------------------------------------- */

/* 0 (200), or the HTTP status of an error: 404 (nothing was found), 503 with err. */
int		 page_overview(struct page_view *, struct err *);
int		 page_hosts(struct page_view *, struct err *);
int		 page_host(struct page_view *, struct err *);
int		 page_drift(struct page_view *, struct err *);
int		 page_work(struct page_view *, struct err *);
int		 page_sites(struct page_view *, struct err *);
int		 page_runs(struct page_view *, struct err *);
int		 page_run(struct page_view *, struct err *);
int		 page_run_host(struct page_view *, struct err *);
int		 page_result(struct page_view *, struct err *);
/* Prometheus' text format. 0, or -1 with err. */
int		 page_metrics(struct buf *, struct arena *, struct state *, struct err *);

/* A list of maps whose name is the host's. */
const struct value *find_by(const struct value *list, const char *key, const char *text);

struct page_file {
	const char	*name, *type;
	const char	*text, *end;
};
extern const struct page_file page_files[];	/* name NULL ends */

#endif
