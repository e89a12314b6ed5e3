/*
 * See times.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "serve/times.h"

#define EVERY_DAY	0x7fu
#define DAY_MINUTES	1440
#define DEFAULT_AT	(3 * 60 + 10)

static const char *const day_names[] = {
	"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"
};

struct parse {
	struct times	*t;
	bool		 nightly, weekly, hourly, never;
	int		 minute;	/* of `hourly :15`; -1 */
	unsigned	 words;
};

/* "mon", "monday"; -1: none. */
static int
day_number(const char *word, size_t n)
{
	int i;

	for (i = 0; i < 7; i++)
		if ((n == 3 || n == strlen(day_names[i])) &&
		    strncasecmp(word, day_names[i], n) == 0)
			return i;
	return -1;
}

/* "mon", "mon-fri", "fri-mon". */
static bool
parse_days(struct times *t, const char *word)
{
	const char *dash = strchr(word, '-');
	int from = day_number(word, dash != NULL ? (size_t)(dash - word) : strlen(word));
	int to = dash != NULL ? day_number(dash + 1, strlen(dash + 1)) : from;

	if (from == -1 || to == -1)
		return false;
	for (;; from = (from + 1) % 7) {
		t->days |= 1u << from;
		if (from == to)
			return true;
	}
}

/* One or two digits, smaller than max; -1. */
static int
small_number(const char **p, int max)
{
	int n = 0, digits = 0;

	for (; **p >= '0' && **p <= '9' && digits < 3; (*p)++, digits++)
		n = n * 10 + (**p - '0');
	return digits >= 1 && digits <= 2 && n < max ? n : -1;
}

static int
add_time(struct times *t, int at, const char *word, struct err *err)
{
	unsigned i;

	for (i = 0; i < t->n && t->at[i] < at; i++)
		;
	if (i < t->n && t->at[i] == at)
		return err_set(err, ERR_INVALID, "the time '%s' is there twice", word);
	if (t->n == TIMES_MAX) {
		(void)err_set(err, ERR_LIMIT, "more than %d times a day", TIMES_MAX);
		err_hint(err, "`every 30 min` is shorter");
		return -1;
	}
	memmove(&t->at[i + 1], &t->at[i], (t->n - i) * sizeof(t->at[0]));
	t->at[i] = at;
	t->n++;
	return 0;
}

static int
parse_time(struct parse *p, const char *word, struct err *err)
{
	const char *s = word;
	int hour = 0, minute;

	if (*s != ':')
		hour = small_number(&s, 24);
	if (hour == -1 || *s++ != ':' || (minute = small_number(&s, 60)) == -1 || *s != '\0') {
		(void)err_set(err, ERR_INVALID, "'%s' is no time of the day", word);
		err_hint(err, "00:00 to 23:59, as in 03:10");
		return -1;
	}
	if (*word != ':')
		return add_time(p->t, hour * 60 + minute, word, err);
	if (p->minute != -1)
		return err_set(err, ERR_INVALID, "a second minute '%s'", word);
	p->minute = minute;
	return 0;
}

/* What stands behind "every": "30 min", "30min", "4 h". */
static int
parse_every(struct times *t, char **words, unsigned n, struct err *err)
{
	static const char *const units[] = { "min", "minute", "minutes", "m", NULL };
	static const char *const hours[] = { "h", "hour", "hours", NULL };
	char *unit = NULL;
	long count = 0;
	unsigned i;

	if (n >= 1) {
		errno = 0;
		count = strtol(words[0], &unit, 10);
		if (unit == words[0] || errno != 0)
			count = 0, unit = words[0];
		else if (*unit == '\0')
			unit = n == 2 ? words[1] : unit;
		else if (n > 1)
			unit = NULL;
	}
	if (unit == NULL || n > 2)
		goto wrong;
	for (i = 0; units[i] != NULL && strcmp(units[i], unit) != 0; i++)
		;
	if (units[i] == NULL) {
		for (i = 0; hours[i] != NULL && strcmp(hours[i], unit) != 0; i++)
			;
		if (hours[i] == NULL || count > 1000)
			goto wrong;
		count *= 60;
	}
	if (count < TIMES_MIN_EVERY || count > DAY_MINUTES) {
		(void)err_set(err, ERR_INVALID, "every %ld minutes is too %s", count,
		    count < TIMES_MIN_EVERY ? "often" : "rare");
		err_hint(err, count < TIMES_MIN_EVERY ? "%d minutes at least" :
		    "a day at most; for more there is `weekly, sun 04:00`", TIMES_MIN_EVERY);
		return -1;
	}
	t->every = (int)count;
	return 0;
wrong:
	(void)err_set(err, ERR_INVALID, "'every' needs a number and a unit");
	err_hint(err, "`every 30 min` or `every 4 h`");
	return -1;
}

static int
parse_word(struct parse *p, const char *word, struct err *err)
{
	static const char *const known[] = {
		"nightly", "daily", "weekly", "hourly", "every", "never", "sunday",
		"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", NULL
	};
	const char *near;

	if (strchr(word, ':') != NULL)
		return parse_time(p, word, err);
	if (strcmp(word, "nightly") == 0 || strcmp(word, "daily") == 0)
		p->nightly = true;
	else if (strcmp(word, "weekly") == 0)
		p->weekly = true;
	else if (strcmp(word, "hourly") == 0)
		p->hourly = true;
	else if (strcmp(word, "never") == 0)
		p->never = true;
	else if (!parse_days(p->t, word)) {
		(void)err_set(err, ERR_INVALID, "'%s' says no time", word);
		if ((near = nearest(word, known)) != NULL)
			err_hint(err, "did you mean '%s'?", near);
		else
			err_hint(err, "`nightly, 03:10`, `mon-fri 06:00`, `hourly`, `every 30 min`, `never`");
		return -1;
	}
	p->words++;
	return 0;
}

/* What was said together must make sense. */
static int
settle(struct parse *p, struct err *err)
{
	struct times *t = p->t;
	int i;

	if (p->nightly + p->weekly + p->hourly + p->never > 1 ||
	    (p->never && (p->words > 1 || t->n > 0)))
		return err_set(err, ERR_INVALID, "that contradicts itself: one of nightly, weekly, hourly, never");
	if (p->never)
		return t->n = 0, 0;
	if (p->nightly && t->days != 0) {
		(void)err_set(err, ERR_INVALID, "nightly is every day, but days are named");
		err_hint(err, "`mon-fri 03:10` without 'nightly'");
		return -1;
	}
	if (p->weekly && (t->days == 0 || (t->days & (t->days - 1)) != 0)) {
		(void)err_set(err, ERR_INVALID, "weekly needs one day");
		err_hint(err, "`weekly, sun 04:00`");
		return -1;
	}
	if (p->hourly ? t->n > 0 : p->minute != -1) {
		(void)err_set(err, ERR_INVALID, p->hourly ? "hourly, but at an hour of the day" :
		    "a minute without an hour");
		err_hint(err, "`hourly :15`, or `03:15`");
		return -1;
	}
	if (t->days == 0)
		t->days = EVERY_DAY;
	for (i = 0; p->hourly && i < 24; i++)
		t->at[t->n++] = i * 60 + (p->minute != -1 ? p->minute : 0);
	if (t->n == 0)
		t->at[t->n++] = DEFAULT_AT;
	return 0;
}

int
times_parse(const char *text, struct times *t, struct err *err)
{
	struct parse p = { .t = t, .minute = -1 };
	char copy[256], *words[64], *rest, *word;
	unsigned n = 0, i;

	*t = (struct times){ 0 };
	if (strlen(text) >= sizeof(copy))
		return err_set(err, ERR_LIMIT, "a schedule of more than %zu characters", sizeof(copy) - 1);
	memcpy(copy, text, strlen(text) + 1);
	for (word = strtok_r(copy, ", \t\n", &rest); word != NULL && n < NITEMS(words);
	    word = strtok_r(NULL, ", \t\n", &rest))
		words[n++] = word;
	if (n == 0) {
		(void)err_set(err, ERR_INVALID, "an empty schedule");
		err_hint(err, "`nightly, 03:10`, or `never`");
		return -1;
	}
	if (strcmp(words[0], "every") == 0)
		return parse_every(t, words + 1, n - 1, err);
	for (i = 0; i < n; i++)
		if (parse_word(&p, words[i], err) == -1)
			return -1;
	return settle(&p, err);
}

int64_t
times_next(const struct times *t, int64_t after)
{
	time_t from = (time_t)after, found = -1, at;
	struct tm day, tm;
	unsigned i;
	int d;

	if (t->every > 0)
		return (after / (t->every * 60) + 1) * (t->every * 60);
	tzset();
	if (localtime_r(&from, &day) == NULL)
		return -1;
	/* The day before, too: its last time may be now if the clocks change. */
	for (d = -1; d <= 8 && found == -1; d++) {
		for (i = 0; i < t->n; i++) {
			tm = (struct tm){ .tm_year = day.tm_year, .tm_mon = day.tm_mon,
			    .tm_mday = day.tm_mday + d, .tm_hour = 12, .tm_isdst = -1 };
			if (mktime(&tm) == -1 || !(t->days & 1u << tm.tm_wday))
				continue;
			tm.tm_hour = t->at[i] / 60;
			tm.tm_min = t->at[i] % 60;
			tm.tm_isdst = -1;
			at = mktime(&tm);
			if (at != -1 && at > from && (found == -1 || at < found))
				found = at;
		}
	}
	return found;
}
