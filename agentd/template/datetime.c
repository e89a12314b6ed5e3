/*
 * Dates and durations: see datetime.h; and the filters to_datetime, strftime.
 *
 * A datetime is kept as microseconds since 0001-01-01 (proleptic Gregorian),
 * so that arithmetic and order are those of integers.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base/json.h"
#include "template/datetime.h"
#include "template/filter_util.h"
#include "template/regex.h"

#define US		INT64_C(1000000)
#define DAY_US		(INT64_C(86400) * US)
#define MAX_DAYS	INT64_C(3652059)	/* 9999-12-31 */
#define EPOCH_DAYS	INT64_C(719163)		/* of 1970-01-01, counted from 1 */
#define TD_DAYS_MAX	INT64_C(999999999)

enum dkind { DATETIME, DATE, TIME, TIMEDELTA };

struct dobj {
	struct vobj	 o;
	enum dkind	 kind;
	int64_t		 days;		/* datetime, date: 1 = 0001-01-01; timedelta: days */
	int64_t		 us;		/* of the day, 0 … DAY_US - 1 */
	bool		 aware;
	int32_t		 offset;	/* seconds east of UTC, when aware */
};

struct civil {
	int64_t		 year;
	int		 mon, day, hour, min, sec, us, wday, yday;
};

static const struct vobj_ops datetime_ops, date_ops, time_ops, timedelta_ops;

static const struct dobj *
as_dobj(const struct value *v)
{
	const struct vobj_ops *ops = v_obj_ops(v);

	return ops == &datetime_ops || ops == &date_ops || ops == &time_ops ||
	    ops == &timedelta_ops ? v->u.obj : NULL;
}

static const struct value *
make(struct arena *a, enum dkind kind, int64_t days, int64_t us)
{
	static const struct vobj_ops *const ops[] = {
		[DATETIME] = &datetime_ops, [DATE] = &date_ops, [TIME] = &time_ops,
		[TIMEDELTA] = &timedelta_ops
	};
	struct dobj *d = ARENA_NEW(a, struct dobj);

	d->o.ops = ops[kind];
	d->kind = kind;
	d->days = days;
	d->us = us;
	return v_obj(a, ops[kind], d);
}

/* ---- the calendar --------------------------------------------------------------------- */

static bool
is_leap(int64_t y)
{
	return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

static int
month_days(int64_t y, int m)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return m == 2 && is_leap(y) ? 29 : days[m - 1];
}

static int64_t
days_of(int64_t y, int m, int d)
{
	int64_t n = (y - 1) * 365 + (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400;

	for (int i = 1; i < m; i++)
		n += month_days(y, i);
	return n + d;
}

static void
civil_of(const struct dobj *d, struct civil *c)
{
	int64_t n = d->days, y;

	memset(c, 0, sizeof(*c));
	if (d->kind != TIME) {
		y = n / 366 + 1;
		while (days_of(y + 1, 1, 1) <= n)
			y++;
		c->year = y;
		n -= days_of(y, 1, 1);
		c->yday = (int)n + 1;
		for (c->mon = 1; n >= month_days(y, c->mon); c->mon++)
			n -= month_days(y, c->mon);
		c->day = (int)n + 1;
		c->wday = (int)((d->days + 6) % 7);	/* Monday is 0 */
	}
	c->hour = (int)(d->us / US / 3600);
	c->min = (int)(d->us / US / 60 % 60);
	c->sec = (int)(d->us / US % 60);
	c->us = (int)(d->us % US);
}

/* ---- texts ------------------------------------------------------------------------------ */

static void
put_offset(struct buf *b, int32_t off, const char *colon)
{
	buf_addc(b, off < 0 ? '-' : '+');
	off = off < 0 ? -off : off;
	buf_addf(b, "%02d%s%02d", off / 3600, colon, off / 60 % 60);
	if (off % 60 != 0)
		buf_addf(b, "%s%02d", colon, off % 60);
}

static void
put_iso(struct buf *b, const struct dobj *d, char sep)
{
	struct civil c;

	civil_of(d, &c);
	if (d->kind != TIME)
		buf_addf(b, "%04lld-%02d-%02d", (long long)c.year, c.mon, c.day);
	if (d->kind == DATE)
		return;
	if (d->kind == DATETIME)
		buf_addc(b, sep);
	buf_addf(b, "%02d:%02d:%02d", c.hour, c.min, c.sec);
	if (c.us != 0)
		buf_addf(b, ".%06d", c.us);
	if (d->aware)
		put_offset(b, d->offset, ":");
}

static void
obj_str(struct buf *b, const struct value *v)
{
	const struct dobj *d = v->u.obj;
	struct civil c;

	if (d->kind != TIMEDELTA) {
		put_iso(b, d, ' ');
		return;
	}
	if (d->days != 0)
		buf_addf(b, "%lld day%s, ", (long long)d->days,
		    d->days == 1 || d->days == -1 ? "" : "s");
	c.us = (int)(d->us % US);
	buf_addf(b, "%lld:%02d:%02d", (long long)(d->us / US / 3600),
	    (int)(d->us / US / 60 % 60), (int)(d->us / US % 60));
	if (c.us != 0)
		buf_addf(b, ".%06d", c.us);
}

static void
obj_repr(struct buf *b, const struct value *v)
{
	const struct dobj *d = v->u.obj;
	const char *sep = "";
	struct civil c;

	if (d->kind == TIMEDELTA) {
		buf_adds(b, "datetime.timedelta(");
		if (d->days != 0) {
			buf_addf(b, "days=%lld", (long long)d->days);
			sep = ", ";
		}
		if (d->us / US != 0) {
			buf_addf(b, "%sseconds=%lld", sep, (long long)(d->us / US));
			sep = ", ";
		}
		if (d->us % US != 0)
			buf_addf(b, "%smicroseconds=%lld", sep, (long long)(d->us % US));
		else if (d->days == 0 && d->us == 0)
			buf_addc(b, '0');
		buf_addc(b, ')');
		return;
	}
	civil_of(d, &c);
	buf_addf(b, "datetime.%s(", d->o.ops->type);
	if (d->kind != TIME)
		buf_addf(b, "%lld, %d, %d%s", (long long)c.year, c.mon, c.day, d->kind == DATE ? "" : ", ");
	if (d->kind != DATE) {
		buf_addf(b, "%d, %d", c.hour, c.min);
		if (c.sec != 0 || c.us != 0)
			buf_addf(b, ", %d", c.sec);
		if (c.us != 0)
			buf_addf(b, ", %d", c.us);
	}
	if (d->aware && d->offset == 0)
		buf_adds(b, ", tzinfo=datetime.timezone.utc");
	else if (d->aware)
		buf_addf(b, ", tzinfo=datetime.timezone(datetime.timedelta(%sseconds=%d))",
		    d->offset < 0 ? "days=-1, " : "", d->offset < 0 ? 86400 + d->offset : d->offset);
	buf_addc(b, ')');
}

const char *
datetime_text(const struct value *v, struct arena *a)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct dobj *d = as_dobj(v);

	if (d == NULL || d->kind == TIMEDELTA || d->kind == TIME)
		return NULL;
	put_iso(&b, d, ' ');
	return buf_dup(&b, a);
}

const char *
datetime_isoformat(const struct value *v, struct arena *a)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct dobj *d = as_dobj(v);

	if (d == NULL || d->kind == TIMEDELTA)
		return NULL;
	put_iso(&b, d, 'T');
	return buf_dup(&b, a);
}

static const struct value *
obj_final(struct arena *a, const struct value *v)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (((const struct dobj *)v->u.obj)->kind == TIMEDELTA)
		return NULL;
	obj_str(&b, v);
	return v_strn(a, buf_str(&b), b.len);
}

/* libc's strftime into a buffer; an empty result is told from a lack of room by a mark. */
static bool
put_strftime(struct buf *b, const char *fmt, const struct tm *tm, struct err *err)
{
	CLEANUP_FREE char *marked = NULL;
	size_t cap = strlen(fmt) + 256, n;
	char *p;

	marked = xmalloc(strlen(fmt) + 2);
	marked[0] = '.';
	memcpy(marked + 1, fmt, strlen(fmt) + 1);
	for (; cap < 1024 * 1024; cap *= 4) {
		p = xmalloc(cap);
		/* The format is the user's: that is what strftime is for. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		n = strftime(p, cap, marked, tm);
#pragma GCC diagnostic pop
		if (n > 0) {
			buf_add(b, p + 1, n - 1);
			free(p);
			return true;
		}
		free(p);
	}
	err_set(err, ERR_LIMIT, "strftime: the result is too long");
	return false;
}

static void
tm_of(const struct dobj *d, struct tm *tm)
{
	struct civil c;

	civil_of(d, &c);
	memset(tm, 0, sizeof(*tm));
	tm->tm_year = d->kind == TIME ? 0 : (int)c.year - 1900;
	tm->tm_mon = d->kind == TIME ? 0 : c.mon - 1;
	tm->tm_mday = d->kind == TIME ? 1 : c.day;
	tm->tm_hour = c.hour;
	tm->tm_min = c.min;
	tm->tm_sec = c.sec;
	tm->tm_wday = (c.wday + 1) % 7;
	tm->tm_yday = c.yday > 0 ? c.yday - 1 : 0;
	tm->tm_isdst = -1;
}

bool
datetime_strftime(struct buf *out, const struct value *v, const char *fmt, size_t len,
    struct err *err)
{
	CLEANUP_BUF struct buf f = BUF_INIT;
	const struct dobj *d = as_dobj(v);
	struct tm tm;

	/* %f, %z and %Z are Python's own. */
	for (size_t i = 0; i < len; i++) {
		if (fmt[i] != '%' || i + 1 == len) {
			buf_addc(&f, fmt[i]);
			continue;
		}
		switch (fmt[++i]) {
		case 'f':
			buf_addf(&f, "%06d", (int)(d->us % US));
			break;
		case 'z':
			if (d->aware)
				put_offset(&f, d->offset, "");
			break;
		case 'Z':
			if (d->aware) {
				buf_adds(&f, "UTC");
				if (d->offset != 0)
					put_offset(&f, d->offset, ":");
			}
			break;
		default:
			buf_addc(&f, '%');
			buf_addc(&f, fmt[i]);
		}
	}
	tm_of(d, &tm);
	return put_strftime(out, buf_str(&f), &tm, err);
}

/* ---- attributes and methods -------------------------------------------------------------- */

static const struct value *
obj_attr(struct eval *ev, const struct value *v, const char *name, size_t len)
{
	const struct dobj *d = v->u.obj;
	struct arena *a = ev_arena(ev);
	struct civil c;
	struct { const char *name; int64_t v; bool have; } t[12];
	size_t n = 0;

	if (d->kind == TIMEDELTA) {
		t[n].name = "days", t[n].have = true, t[n++].v = d->days;
		t[n].name = "seconds", t[n].have = true, t[n++].v = d->us / US;
		t[n].name = "microseconds", t[n].have = true, t[n++].v = d->us % US;
	} else {
		civil_of(d, &c);
		t[n].name = "year", t[n].have = d->kind != TIME, t[n++].v = c.year;
		t[n].name = "month", t[n].have = d->kind != TIME, t[n++].v = c.mon;
		t[n].name = "day", t[n].have = d->kind != TIME, t[n++].v = c.day;
		t[n].name = "hour", t[n].have = d->kind != DATE, t[n++].v = c.hour;
		t[n].name = "minute", t[n].have = d->kind != DATE, t[n++].v = c.min;
		t[n].name = "second", t[n].have = d->kind != DATE, t[n++].v = c.sec;
		t[n].name = "microsecond", t[n].have = d->kind != DATE, t[n++].v = c.us;
	}
	for (size_t i = 0; i < n; i++)
		if (t[i].have && strlen(t[i].name) == len && memcmp(t[i].name, name, len) == 0)
			return v_int(a, t[i].v);
	if (len == 6 && memcmp(name, "tzinfo", 6) == 0 && d->kind == DATETIME && !d->aware)
		return &v_null;
	return NULL;
}

static const struct value *
m_strftime(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const char *fmt;
	size_t len;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "strftime() missing required argument 'format'");
	if (!fu_str(c, c->a[0], &fmt, &len))
		return NULL;
	if (!datetime_strftime(&b, c->in, fmt, len, c->err)) {
		buf_release(&b);
		return NULL;
	}
	return fu_result(c, &b);
}

static const struct value *
m_isoformat(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const char *sep;
	size_t len;

	if (!targ_str(c, 0, "T", &sep, &len))
		return NULL;
	put_iso(&b, c->in->u.obj, len > 0 ? *sep : 'T');
	return fu_result(c, &b);
}

static const struct value *
m_date(struct tcall *c)
{
	const struct dobj *d = c->in->u.obj;

	return make(c->arena, DATE, d->days, 0);
}

static const struct value *
m_time(struct tcall *c)
{
	const struct dobj *d = c->in->u.obj;

	return make(c->arena, TIME, 0, d->us);
}

static const struct value *
m_weekday(struct tcall *c)
{
	const struct dobj *d = c->in->u.obj;

	return v_int(c->arena, (d->days + 6) % 7);
}

static const struct value *
m_isoweekday(struct tcall *c)
{
	const struct dobj *d = c->in->u.obj;

	return v_int(c->arena, (d->days + 6) % 7 + 1);
}

static const struct value *
m_isocalendar(struct tcall *c)
{
	const struct dobj *d = c->in->u.obj;
	struct value *t = fu_tuple(c);
	struct civil cv;
	int64_t thursday;
	struct dobj th = *d;

	thursday = d->days - (d->days + 6) % 7 + 3;
	th.days = thursday;
	civil_of(&th, &cv);
	v_push(c->arena, t, v_int(c->arena, cv.year));
	v_push(c->arena, t, v_int(c->arena, (thursday - days_of(cv.year, 1, 1)) / 7 + 1));
	v_push(c->arena, t, v_int(c->arena, (d->days + 6) % 7 + 1));
	return t;
}

static const struct value *
m_toordinal(struct tcall *c)
{
	const struct dobj *d = c->in->u.obj;

	return v_int(c->arena, d->days);
}

/* Seconds since 1970; a naive time is local time. */
static const struct value *
m_timestamp(struct tcall *c)
{
	const struct dobj *d = c->in->u.obj;
	struct tm tm;
	double s;

	if (d->aware)
		s = (double)((d->days - EPOCH_DAYS) * 86400 - d->offset) + (double)d->us / 1e6;
	else {
		tm_of(d, &tm);
		s = (double)mktime(&tm) + (double)(d->us % US) / 1e6;
	}
	return v_float(c->arena, s);
}

static const struct value *
m_total_seconds(struct tcall *c)
{
	const struct dobj *d = c->in->u.obj;

	return v_float(c->arena, ((double)d->days * 86400e6 + (double)d->us) / 1e6);
}

/* replace(year=, month=, day=, hour=, minute=, second=, microsecond=) */
static const struct value *
m_replace(struct tcall *c)
{
	const struct dobj *d = c->in->u.obj;
	struct civil cv;
	int64_t f[7];
	struct dobj *r;
	const struct value *v;

	civil_of(d, &cv);
	f[0] = cv.year, f[1] = cv.mon, f[2] = cv.day, f[3] = cv.hour, f[4] = cv.min,
	f[5] = cv.sec, f[6] = cv.us;
	for (uint32_t i = 0; i < 7; i++)
		if (!targ_int(c, i, f[i], &f[i]))
			return NULL;
	if (f[0] < 1 || f[0] > 9999 || f[1] < 1 || f[1] > 12 || f[2] < 1 ||
	    f[2] > month_days(f[0], (int)f[1]) || f[3] < 0 || f[3] > 23 || f[4] < 0 ||
	    f[4] > 59 || f[5] < 0 || f[5] > 59 || f[6] < 0 || f[6] >= US)
		return terr(c, ERR_VALUE, "replace: a part of the date is out of range");
	v = make(c->arena, d->kind, days_of(f[0], (int)f[1], (int)f[2]),
	    ((f[3] * 60 + f[4]) * 60 + f[5]) * US + f[6]);
	r = v->u.obj;
	r->aware = d->aware;
	r->offset = d->offset;
	return v;
}

static const struct tfilter datetime_methods[] = {
	{ "date", "", 0, m_date },
	{ "isocalendar", "", 0, m_isocalendar },
	{ "isoformat", "sep", 0, m_isoformat },
	{ "isoweekday", "", 0, m_isoweekday },
	{ "replace", "year,month,day,hour,minute,second,microsecond", 0, m_replace },
	{ "strftime", "format", 0, m_strftime },
	{ "time", "", 0, m_time },
	{ "timestamp", "", 0, m_timestamp },
	{ "toordinal", "", 0, m_toordinal },
	{ "weekday", "", 0, m_weekday },
	{ NULL, NULL, 0, NULL }
};

static const struct tfilter date_methods[] = {
	{ "isocalendar", "", 0, m_isocalendar },
	{ "isoformat", "", 0, m_isoformat },
	{ "isoweekday", "", 0, m_isoweekday },
	{ "replace", "year,month,day", 0, m_replace },
	{ "strftime", "format", 0, m_strftime },
	{ "toordinal", "", 0, m_toordinal },
	{ "weekday", "", 0, m_weekday },
	{ NULL, NULL, 0, NULL }
};

static const struct tfilter time_methods[] = {
	{ "isoformat", "", 0, m_isoformat },
	{ "strftime", "format", 0, m_strftime },
	{ NULL, NULL, 0, NULL }
};

static const struct tfilter timedelta_methods[] = {
	{ "total_seconds", "", 0, m_total_seconds },
	{ NULL, NULL, 0, NULL }
};

/* ---- order and arithmetic ------------------------------------------------------------------ */

/* Comparable position: aware times in UTC. */
static __int128
position(const struct dobj *d)
{
	return (__int128)d->days * DAY_US + d->us - (d->aware ? (__int128)d->offset * US : 0);
}

static bool
obj_equal(const struct value *a, const struct value *b)
{
	const struct dobj *x = as_dobj(a), *y = as_dobj(b);

	return x != NULL && y != NULL && x->kind == y->kind && x->aware == y->aware &&
	    position(x) == position(y);
}

static int
obj_compare(struct eval *ev, const struct value *a, const struct value *b, int *ret)
{
	const struct dobj *x = as_dobj(a), *y = as_dobj(b);

	if (x == NULL || y == NULL || x->kind != y->kind) {
		ev_error(ev, ERR_TYPE, "'<' not supported between instances of '%s' and '%s'",
		    tmpl_py_type(a), tmpl_py_type(b));
		return -1;
	}
	if (x->aware != y->aware) {
		ev_error(ev, ERR_TYPE, "can't compare offset-naive and offset-aware datetimes");
		return -1;
	}
	*ret = (position(x) > position(y)) - (position(x) < position(y));
	return 0;
}

/* A value of the kind from a number of microseconds, normalised. */
static const struct value *
from_us(struct eval *ev, enum dkind kind, __int128 us, const struct dobj *like)
{
	__int128 days = us / DAY_US, rest = us % DAY_US;
	const struct value *v;
	struct dobj *d;

	if (rest < 0) {
		rest += DAY_US;
		days--;
	}
	if (kind == TIMEDELTA ? days > TD_DAYS_MAX || days < -TD_DAYS_MAX :
	    days < 1 || days > MAX_DAYS)
		return ev_error(ev, ERR_VALUE, "date value out of range");
	v = make(ev_arena(ev), kind, (int64_t)days, kind == DATE ? 0 : (int64_t)rest);
	d = v->u.obj;
	if (like != NULL) {
		d->aware = like->aware;
		d->offset = like->offset;
	}
	return v;
}

static __int128
total_us(const struct dobj *d)
{
	return (__int128)d->days * DAY_US + d->us;
}

static const struct value *
add_sub(struct eval *ev, char op, const struct dobj *x, const struct dobj *y)
{
	__int128 sign = op == '-' ? -1 : 1;

	if (y->kind == TIMEDELTA && x->kind != TIME)
		return from_us(ev, x->kind, total_us(x) + sign * total_us(y), x);
	if (op == '+' && x->kind == TIMEDELTA && y->kind != TIME)
		return from_us(ev, y->kind, total_us(x) + total_us(y), y);
	if (op == '-' && x->kind == y->kind && (x->kind == DATETIME || x->kind == DATE)) {
		if (x->aware != y->aware)
			return ev_error(ev, ERR_TYPE, "can't subtract offset-naive and offset-aware datetimes");
		return from_us(ev, TIMEDELTA, position(x) - position(y), NULL);
	}
	return NULL;
}

static const struct value *
obj_arith(struct eval *ev, char op, const struct value *a, const struct value *b)
{
	const struct dobj *x = as_dobj(a), *y = as_dobj(b);
	double f;
	int64_t i;

	if (x != NULL && y != NULL) {
		if (op == '+' || op == '-')
			return add_sub(ev, op, x, y);
		if (op == '/' && x->kind == TIMEDELTA && y->kind == TIMEDELTA) {
			if (total_us(y) == 0)
				return ev_error(ev, ERR_VALUE, "division by zero");
			return v_float(ev_arena(ev), (double)total_us(x) / (double)total_us(y));
		}
		return NULL;
	}
	if (op == '*' && x == NULL) {
		x = y;
		b = a;
	}
	if (x == NULL || x->kind != TIMEDELTA || (op != '*' && op != '/'))
		return NULL;
	if (op == '*' && fu_is_int(b, &i)) {
		if (i > 1000000000000 || i < -1000000000000)
			return ev_error(ev, ERR_VALUE, "date value out of range");
		return from_us(ev, TIMEDELTA, total_us(x) * i, NULL);
	}
	if (!fu_is_num(b, &f))
		return NULL;
	if (op == '/' && f == 0)
		return ev_error(ev, ERR_VALUE, "division by zero");
	f = op == '*' ? (double)total_us(x) * f : (double)total_us(x) / f;
	if (!(fabs(f) < 1e23))
		return ev_error(ev, ERR_VALUE, "date value out of range");
	return from_us(ev, TIMEDELTA, (__int128)rint(f), NULL);
}

static bool
obj_truth(const struct value *v)
{
	const struct dobj *d = v->u.obj;

	return d->kind != TIMEDELTA || d->days != 0 || d->us != 0;
}

#define COMMON_OPS .attr = obj_attr, .truth = obj_truth, .repr = obj_repr, \
	.str = obj_str, .equal = obj_equal, .compare = obj_compare, \
	.arith = obj_arith, .final = obj_final

static const struct vobj_ops datetime_ops = {
	.type = "datetime", .methods = datetime_methods, COMMON_OPS
};
static const struct vobj_ops date_ops = {
	.type = "date", .methods = date_methods, COMMON_OPS
};
static const struct vobj_ops time_ops = {
	.type = "time", .methods = time_methods, COMMON_OPS
};
static const struct vobj_ops timedelta_ops = {
	.type = "timedelta", .methods = timedelta_methods, COMMON_OPS
};

/* ---- making ------------------------------------------------------------------------------- */

static const struct value *
from_tm(struct arena *a, const struct tm *tm, int64_t us)
{
	return make(a, DATETIME, days_of(tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday),
	    ((int64_t)tm->tm_hour * 3600 + tm->tm_min * 60 +
	    (tm->tm_sec > 59 ? 59 : tm->tm_sec)) * US + us);
}

const struct value *
datetime_now(struct arena *a, bool utc)
{
	struct timeval tv;
	struct tm tm;

	gettimeofday(&tv, NULL);
	if (utc)
		gmtime_r(&tv.tv_sec, &tm);
	else
		localtime_r(&tv.tv_sec, &tm);
	return from_tm(a, &tm, tv.tv_usec);
}

/* ---- strptime: the format becomes a regular expression, as in Python ------------------------ */

#define MONTHS	"january|february|march|april|may|june|july|august|september|october|november|december"
#define MONS	"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
#define WDAYS	"monday|tuesday|wednesday|thursday|friday|saturday|sunday"
#define WDS	"mon|tue|wed|thu|fri|sat|sun"
#define P_D	"(?P<d>3[0-1]|[1-2]\\d|0[1-9]|[1-9]| [1-9])"
#define P_H	"(?P<H>2[0-3]|[0-1]\\d|\\d)"
#define P_M	"(?P<M>[0-5]\\d|\\d)"
#define P_S	"(?P<S>6[0-1]|[0-5]\\d|\\d)"
#define P_m	"(?P<m>1[0-2]|0[1-9]|[1-9])"
#define P_y	"(?P<y>\\d\\d)"
#define P_Y	"(?P<Y>\\d\\d\\d\\d)"

static const struct {
	char		 directive;
	const char	*pattern;
} directives[] = {
	{ 'd', P_D }, { 'H', P_H }, { 'M', P_M }, { 'S', P_S }, { 'm', P_m },
	{ 'y', P_y }, { 'Y', P_Y },
	{ 'f', "(?P<f>[0-9]{1,6})" },
	{ 'I', "(?P<I>1[0-2]|0[1-9]|[1-9]| [1-9])" },
	{ 'j', "(?P<j>36[0-6]|3[0-5]\\d|[1-2]\\d\\d|0[1-9]\\d|00[1-9]|[1-9]\\d|0[1-9]|[1-9])" },
	{ 'w', "(?P<w>[0-6])" }, { 'u', "(?P<u>[1-7])" },
	{ 'B', "(?P<B>" MONTHS ")" }, { 'b', "(?P<b>" MONS ")" }, { 'h', "(?P<b>" MONS ")" },
	{ 'A', "(?P<A>" WDAYS ")" }, { 'a', "(?P<a>" WDS ")" },
	{ 'p', "(?P<p>am|pm)" },
	{ 'z', "(?P<z>([+-]\\d\\d:?[0-5]\\d(:?[0-5]\\d(\\.\\d{1,6})?)?)|(?-i:Z))" },
	{ 'Z', "(?P<Z>utc|gmt)" },
	{ 'T', P_H ":" P_M ":" P_S }, { 'R', P_H ":" P_M },
	{ 'X', P_H ":" P_M ":" P_S }, { 'x', P_m "/" P_D "/" P_y },
	{ 'D', P_m "/" P_D "/" P_y }, { 'F', P_Y "-" P_m "-" P_D },
	{ 'c', "(?P<a>" WDS ")\\s+(?P<b>" MONS ")\\s+" P_D "\\s+" P_H ":" P_M ":" P_S "\\s+" P_Y },
	{ '%', "%" },
};

static bool
format_pattern(struct tcall *c, const char *fmt, size_t len, struct buf *out)
{
	size_t i, k;

	for (i = 0; i < len; i++) {
		if (isspace((unsigned char)fmt[i])) {
			while (i + 1 < len && isspace((unsigned char)fmt[i + 1]))
				i++;
			buf_adds(out, "\\s+");
			continue;
		}
		if (fmt[i] != '%') {
			regex_escape(out, fmt + i, 1);
			continue;
		}
		if (++i == len) {
			terr(c, ERR_VALUE, "stray %% in format '%s'", fmt);
			return false;
		}
		for (k = 0; k < NITEMS(directives) && directives[k].directive != fmt[i]; k++)
			continue;
		if (k == NITEMS(directives)) {
			if (fmt[i] == 'U' || fmt[i] == 'W' || fmt[i] == 'G' || fmt[i] == 'V')
				terr(c, ERR_UNSUPPORTED, "to_datetime: %%%c (weeks) is not supported", fmt[i]);
			else
				terr(c, ERR_VALUE, "'%c' is a bad directive in format '%s'", fmt[i], fmt);
			return false;
		}
		buf_adds(out, directives[k].pattern);
	}
	return true;
}

struct parsed {
	const struct regex		*re;
	const struct regex_match	*m;
	const char			*s;
};

static bool
part_text(const struct parsed *p, const char *name, const char **s, size_t *len)
{
	uint32_t g = regex_group(p->re, name, strlen(name));

	if (g == 0 || p->m->at[2 * g] == REGEX_UNSET)
		return false;
	*s = p->s + p->m->at[2 * g];
	*len = p->m->at[2 * g + 1] - p->m->at[2 * g];
	return true;
}

static bool
part(const struct parsed *p, const char *name, int64_t *ret)
{
	const char *s;
	size_t len;

	return part_text(p, name, &s, &len) && fu_parse_int(s, len, 10, ret) == 1;
}

/* The number (from 1) of a name among those of a pattern "a|b|c". */
static bool
part_name(const struct parsed *p, const char *name, const char *names, int64_t *ret)
{
	const char *s;
	size_t len, n;

	if (!part_text(p, name, &s, &len))
		return false;
	for (*ret = 1; *names != '\0'; (*ret)++) {
		n = strcspn(names, "|");
		if (n == len && strncasecmp(names, s, n) == 0)
			return true;
		names += n + (names[n] == '|');
	}
	return false;
}

static int32_t
parse_offset(const char *s, size_t len)
{
	int d[6] = { 0 }, n = 0;
	int32_t off;

	if (*s == 'Z' || *s == 'z')
		return 0;
	for (size_t i = 1; i < len && n < 6; i++)
		if (isdigit((unsigned char)s[i]))
			d[n++] = s[i] - '0';
	off = (d[0] * 10 + d[1]) * 3600 + (d[2] * 10 + d[3]) * 60 + d[4] * 10 + d[5];
	return *s == '-' ? -off : off;
}

static const struct value *
from_parts(struct tcall *c, const struct parsed *p)
{
	int64_t y = 1900, m = 1, d = 1, h = 0, mi = 0, s = 0, us = 0, n, yday = 0;
	const struct value *v;
	const char *t;
	size_t len;
	struct dobj *o;

	if (part(p, "y", &n))
		y = n + (n <= 68 ? 2000 : 1900);
	part(p, "Y", &y);
	part(p, "m", &m);
	part_name(p, "B", MONTHS, &m);
	part_name(p, "b", MONS, &m);
	part(p, "d", &d);
	part(p, "H", &h);
	if (part(p, "I", &n)) {
		h = n % 12;
		if (part_text(p, "p", &t, &len) && (*t == 'p' || *t == 'P'))
			h += 12;
	}
	part(p, "M", &mi);
	part(p, "S", &s);
	if (part_text(p, "f", &t, &len)) {
		fu_parse_int(t, len, 10, &us);
		for (; len < 6; len++)
			us *= 10;
	}
	if (y < 1)
		return terr(c, ERR_VALUE, "year %lld is out of range", (long long)y);
	if (part(p, "j", &yday)) {
		if (yday > (is_leap(y) ? 366 : 365))
			return terr(c, ERR_VALUE, "day of year out of range");
		v = make(c->arena, DATETIME, days_of(y, 1, 1) + yday - 1, 0);
	} else {
		if (d > month_days(y, (int)m))
			return terr(c, ERR_VALUE, "day is out of range for month");
		v = make(c->arena, DATETIME, days_of(y, (int)m, (int)d), 0);
	}
	if (s > 59)
		return terr(c, ERR_VALUE, "second must be in 0..59");
	o = v->u.obj;
	o->us = ((h * 60 + mi) * 60 + s) * US + us;
	if (part_text(p, "z", &t, &len)) {
		o->aware = true;
		o->offset = parse_offset(t, len);
	}
	return v;
}

static const struct value *
f_to_datetime(struct tcall *c)
{
	CLEANUP_BUF struct buf pattern = BUF_INIT;
	struct regex_match m;
	struct parsed p = { NULL, &m, NULL };
	const char *fmt;
	size_t len, flen;
	int rc;

	if (c->in->type != V_STR)
		return terr(c, ERR_TYPE, "strptime() argument 1 must be str, not %s",
		    c->in->type == V_NULL ? "None" : tmpl_py_type(c->in));
	if (!targ_str(c, 0, "%Y-%m-%d %H:%M:%S", &fmt, &flen) ||
	    !format_pattern(c, fmt, flen, &pattern))
		return NULL;
	p.s = c->in->u.s;
	len = c->in->len;
	p.re = regex_get(buf_str(&pattern), pattern.len, REGEX_ICASE, c->err);
	if (p.re == NULL)
		return NULL;
	rc = regex_exec(p.re, p.s, len, 0, REGEX_MATCH, false, &m, c->err);
	if (rc < 0)
		return NULL;
	if (rc == 0)
		return terr(c, ERR_VALUE, "time data '%s' does not match format '%s'", p.s, fmt);
	if (m.at[1] != len)
		return terr(c, ERR_VALUE, "unconverted data remains: %s", p.s + m.at[1]);
	return from_parts(c, &p);
}

/* strftime(second, utc): the format is the input. */
static const struct value *
f_strftime(struct tcall *c)
{
	struct buf b = BUF_INIT;
	struct tm tm;
	double f;
	time_t t;
	bool utc;

	if (!targ_bool(c, 1, false, &utc))
		return NULL;
	t = time(NULL);
	if (fu_given(c, 0)) {
		if (c->a[0]->type == V_STR ? fu_parse_float(c->a[0]->u.s, c->a[0]->len, &f) != 1 :
		    !fu_is_num(c->a[0], &f)) {
			const struct value *s = tcall_str(c, c->a[0]);

			return s == NULL ? NULL : terr(c, ERR_VALUE, "Invalid value for epoch value (%s)", s->u.s);
		}
		if (!(fabs(f) < 1e15))
			return terr(c, ERR_VALUE, "timestamp out of range for platform time_t");
		t = (time_t)floor(f);
	}
	if (c->in->type != V_STR)
		return terr(c, ERR_TYPE, "strftime() argument 1 must be str, not %s",
		    c->in->type == V_NULL ? "None" : tmpl_py_type(c->in));
	if ((utc ? gmtime_r(&t, &tm) : localtime_r(&t, &tm)) == NULL)
		return terr(c, ERR_VALUE, "timestamp out of range for platform time_t");
	if (!put_strftime(&b, c->in->u.s, &tm, c->err)) {
		buf_release(&b);
		return NULL;
	}
	return fu_result(c, &b);
}

static const struct tfilter filters[] = {
	{ "strftime", "second,utc", 0, f_strftime },
	{ "to_datetime", "format", 0, f_to_datetime },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_time = { filters, NULL };
