/*
 * Values as YAML text, byte for byte as PyYAML's C dumper writes them (and so
 * `to_yaml` and `to_nice_yaml`): keys sorted, strings quoted where a plain one
 * would be read as something else, lists and maps that occur twice as anchor
 * and alias.  The text itself comes from libyaml's emitter, which PyYAML uses
 * too.
 */
#ifndef PROVCTL_TEMPLATE_YAML_DUMP_H
#define PROVCTL_TEMPLATE_YAML_DUMP_H

#include "base/value.h"

enum yaml_flow {
	YAML_FLOW_BEST,		/* containers of scalars only are written on one line */
	YAML_FLOW_ALWAYS, YAML_FLOW_NEVER
};

struct yaml_dump_opts {
	enum yaml_flow	 flow;
	int		 indent;	/* 0: 2 */
	int		 width;		/* 0: 80 */
	bool		 no_sort_keys;
	bool		 no_unicode;	/* escape everything beyond ASCII */
	bool		 explicit_start, explicit_end;
	bool		 canonical;
	char		 style;		/* of all scalars: ' " | >, or 0 */
	const char	*line_break;	/* "\n" (or NULL), "\r", "\r\n" */
	/* Gives the text of a V_OBJ that can be written (a date), or NULL. */
	const char	*(*object)(const struct value *, struct arena *);
};

/* Final values only. 0, or -1 with err. */
int	 yaml_dump(struct buf *, struct arena *, const struct value *,
	    const struct yaml_dump_opts *, struct err *);

#endif
