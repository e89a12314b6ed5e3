/*
 * YAML files to values with marks.
 *
 * libyaml's events, resolved as PyYAML's SafeLoader (YAML 1.1) does: yes/no/
 * on/off, octal 010, sexagesimal 1:30, .inf, timestamps kept as strings.
 * Every value and key has a mark.  Tags: !vault (decrypted through the
 * options, the result is secret), !unsafe (V_RAW), !!str and the other core
 * tags; unknown ones are errors.  Merge keys (<<) and anchors work; expansions
 * are bounded.  Duplicate keys are errors that show both places.
 * Strings come as V_STR; template_compile() makes templates of them.
 */
#ifndef PROVCTL_YAML_YAML_H
#define PROVCTL_YAML_YAML_H

#include "base/value.h"

#define YAML_SIZE_MAX	((size_t)32 * 1024 * 1024)	/* of a file */
#define YAML_NODES_MAX	2000000u			/* after expanding aliases */

struct yaml_opts {
	/* Decrypts a vault text (header included) into out; NULL: !vault is an error with a hint. */
	int	(*decrypt)(void *arg, const char *text, size_t len,
		    struct buf *out, struct err *);
	void	*arg;
	bool	 duplicates_ok;	/* as PyYAML for data (from_yaml): the last one counts */
};

/* Reads a file into a source that lives in the arena. A whole-file vault is decrypted (source.secret is set then). NULL with err. */
const struct source *source_read(struct arena *, const char *path,
	    const struct yaml_opts *, struct err *);
/* A source from text (for -e and tests); path and text are copied. */
const struct source *source_text(struct arena *, const char *path,
	    const char *text, size_t len);

/*
 * One document; an empty one is v_null, a second one an error.  Errors go to
 * diags (several where the text allows going on); NULL then.
 */
const struct value *yaml_parse(struct arena *, const struct source *,
	    const struct yaml_opts *, struct diags *);
/* All documents, as a list. */
const struct value *yaml_parse_all(struct arena *, const struct source *,
	    const struct yaml_opts *, struct diags *);
/* source_read and yaml_parse. */
const struct value *yaml_load(struct arena *, const char *path,
	    const struct yaml_opts *, struct diags *);
/* A plain scalar's value by the YAML 1.1 rules (for k=v, INI inventories). */
const struct value *yaml_scalar(struct arena *, const char *, size_t);
/*
 * Why a text stands where a mapping was expected ("name:value": "a space is
 * missing after 'name:'"), as a hint for the error; NULL when nothing is known.
 */
const char	*yaml_text_hint(struct arena *, const char *, size_t);

#endif
