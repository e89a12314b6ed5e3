/*
 * Text for a terminal: colours, widths, and what hosts must not do to it.
 */
#ifndef PROVCTL_CTL_TERM_H
#define PROVCTL_CTL_TERM_H

#include "base/buf.h"
#include "base/value.h"

enum colour { PLAIN, BOLD, DIM, RED, GREEN, YELLOW, BLUE, CYAN };

struct term {
	int	 fd;
	bool	 tty;		/* live output is possible */
	bool	 colour;
	unsigned width, height;
};

/* when: auto, always, never or NULL. */
void	 term_init(struct term *, int fd, const char *when);
/* Asks for the size again (SIGWINCH). */
void	 term_resize(struct term *);
/* Text in a colour; nothing but the text when colours are off. */
void	 term_add(struct buf *, const struct term *, enum colour, const char *fmt, ...)
	    ATTR_PRINTF(4, 5);
void	 term_on(struct buf *, const struct term *, enum colour);
void	 term_off(struct buf *, const struct term *, enum colour);

/*
 * Text from outside, made harmless: SGR sequences are dropped, other control
 * characters shown as ^X or <U+202E>, bad UTF-8 as U+FFFD.  Newlines and tabs stay
 * with CLEAN_LINES; without it they become blanks.
 */
#define CLEAN_LINES	0x1
void	 term_clean(struct buf *, const char *, size_t, unsigned flags);
/* Columns that clean text takes. */
unsigned term_width(const char *, size_t);
/* Appends as much of clean text as fits into max columns, with … when cut. Returns the columns used. */
unsigned term_fit(struct buf *, const char *, size_t, unsigned max);
/* Appends, padded with blanks to columns. */
void	 term_pad(struct buf *, const char *, unsigned columns);
/* "0.3s", "12s", "2m05s", "1h02m". */
const char *term_duration(struct arena *, int64_t ms);
/* Milliseconds since the epoch as local date and time. */
const char *term_time(struct arena *, int64_t ms);
/* Writes all; false when the reader is gone. */
bool	 term_write(const struct term *, const char *, size_t);

#endif
