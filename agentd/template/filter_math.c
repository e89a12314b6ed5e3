/*
 * Filters of numbers: conversion, rounding, logarithms, sizes for people.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "template/filter_util.h"

/* A number argument or the error Python's math module gives. */
static bool
real(struct tcall *c, const struct value *v, double *ret)
{
	if (v->type == V_UNDEF)
		return fu_undef(c, v);
	if (fu_is_num(v, ret))
		return true;
	terr(c, ERR_TYPE, "%s() can only be used on numbers: must be real number, not %s",
	    c->name, tmpl_py_type(v));
	return false;
}

/* Python raises where C's functions return inf or nan for finite operands. */
static const struct value *
real_result(struct tcall *c, double r, bool finite_in)
{
	if (finite_in && isnan(r))
		return terr(c, ERR_VALUE, "%s: math domain error", c->name);
	if (finite_in && isinf(r))
		return terr(c, ERR_VALUE, "%s: math range error", c->name);
	return v_float(c->arena, r);
}

static const struct value *
f_abs(struct tcall *c)
{
	int64_t i;

	if (c->in->type == V_FLOAT)
		return v_float(c->arena, fabs(c->in->u.f));
	if (!fu_is_int(c->in, &i))
		return terr(c, ERR_TYPE, "bad operand type for abs(): '%s'", tmpl_py_type(c->in));
	if (i == INT64_MIN)
		return terr(c, ERR_VALUE, "abs: the result does not fit 64 bits");
	return v_int(c->arena, i < 0 ? -i : i);
}

static const struct value *
default_or(struct tcall *c, const struct value *def)
{
	return c->a[0] != NULL ? c->a[0] : def;
}

static const struct value *
too_big(struct tcall *c)
{
	return terr(c, ERR_VALUE, "%s: the number does not fit 64 bits", c->name);
}

static const struct value *
f_int(struct tcall *c)
{
	int64_t base, i;
	double f;
	int rc = 0;

	if (!targ_int(c, 1, 10, &base))
		return NULL;
	if (c->in->type == V_STR) {
		if (base == 0 || (base >= 2 && base <= 36))
			rc = fu_parse_int(c->in->u.s, c->in->len, (int)base, &i);
		if (rc < 0)
			return too_big(c);
		if (rc > 0)
			return v_int(c->arena, i);
		if (fu_parse_float(c->in->u.s, c->in->len, &f) && isfinite(f))
			return fu_float_int(f, &i) ? v_int(c->arena, i) : too_big(c);
		return default_or(c, v_int(c->arena, 0));
	}
	if (fu_is_int(c->in, &i))
		return v_int(c->arena, i);
	if (c->in->type == V_FLOAT) {
		f = c->in->u.f;
		if (isnan(f))
			return default_or(c, v_int(c->arena, 0));
		if (isinf(f))
			return terr(c, ERR_VALUE, "cannot convert float infinity to integer");
		return fu_float_int(f, &i) ? v_int(c->arena, i) : too_big(c);
	}
	return default_or(c, v_int(c->arena, 0));
}

static const struct value *
f_float(struct tcall *c)
{
	double f;

	if (c->in->type == V_STR ? fu_parse_float(c->in->u.s, c->in->len, &f) == 1 :
	    fu_is_num(c->in, &f))
		return v_float(c->arena, f);
	return default_or(c, v_float(c->arena, 0.0));
}

/* round(x, n): half to even on the exact value, as Python. */
static double
round_digits(double x, int64_t n)
{
	char buf[400];
	double p;

	if (!isfinite(x) || n > 300)
		return x;
	if (n < 0) {
		if (n < -308)
			return copysign(0.0, x);
		p = pow(10.0, (double)-n);
		return rint(x / p) * p;
	}
	if (n > 22 || fabs(x) > 1e60)
		return x;
	(void)snprintf(buf, sizeof(buf), "%.*f", (int)n, x);
	return strtod(buf, NULL);
}

static const struct value *
round_int(struct tcall *c, int64_t i, int64_t n)
{
	int64_t p = 1, rest, half;

	if (n >= 0)
		return v_int(c->arena, i);
	if (n < -18)
		return v_int(c->arena, 0);
	while (n++ < 0)
		p *= 10;
	rest = i % p;
	if (rest < 0)
		rest += p;
	half = p / 2;
	i -= rest;
	if (rest > half || (rest == half && (i / p) % 2 != 0)) {
		if (__builtin_add_overflow(i, p, &i))
			return too_big(c);
	}
	return v_int(c->arena, i);
}

static const struct value *
f_round(struct tcall *c)
{
	int64_t n, i;
	const char *how;
	size_t len;
	double x, p;

	if (!targ_int(c, 0, 0, &n) || !targ_str(c, 1, "common", &how, &len))
		return NULL;
	if (strcmp(how, "common") != 0 && strcmp(how, "ceil") != 0 && strcmp(how, "floor") != 0)
		return terr(c, ERR_VALUE, "method must be common, ceil or floor");
	if (strcmp(how, "common") == 0) {
		if (fu_is_int(c->in, &i))
			return round_int(c, i, n);
		if (c->in->type != V_FLOAT)
			return terr(c, ERR_TYPE, "type %s doesn't define __round__ method",
			    tmpl_py_type(c->in));
		return v_float(c->arena, round_digits(c->in->u.f, n));
	}
	if (!fu_is_num(c->in, &x))
		return terr(c, ERR_TYPE, "round: must be real number, not %s", tmpl_py_type(c->in));
	p = pow(10.0, (double)n);
	x *= p;
	if (!isfinite(x))
		return terr(c, ERR_VALUE, "round: cannot convert %s to integer", isnan(x) ? "NaN" : "infinity");
	return v_float(c->arena, (strcmp(how, "ceil") == 0 ? ceil(x) : floor(x)) / p + 0.0);
}

static const struct value *
f_log(struct tcall *c)
{
	double x, base = M_E;

	if (c->a[0] != NULL && !real(c, c->a[0], &base))
		return NULL;
	if (!real(c, c->in, &x))
		return NULL;
	if (x <= 0 || base <= 0)
		return terr(c, ERR_VALUE, "log: math domain error");
	if (base == 10)
		return v_float(c->arena, log10(x));
	if (base == 1)
		return terr(c, ERR_VALUE, "log: division by zero");
	return v_float(c->arena, log(x) / log(base));
}

static const struct value *
f_pow(struct tcall *c)
{
	double x, y;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "pow: missing argument 'y'");
	if (!real(c, c->in, &x) || !real(c, c->a[0], &y))
		return NULL;
	return real_result(c, pow(x, y), isfinite(x) && isfinite(y));
}

static const struct value *
f_root(struct tcall *c)
{
	double x, base = 2;

	if (!real(c, c->in, &x))
		return NULL;
	if (c->a[0] != NULL && c->a[0]->type == V_STR) {
		if (fu_parse_float(c->a[0]->u.s, c->a[0]->len, &base) != 1)
			return terr(c, ERR_VALUE, "root() can only be used on numbers");
	} else if (c->a[0] != NULL && !real(c, c->a[0], &base))
		return NULL;
	if (base == 0)
		return terr(c, ERR_VALUE, "root: division by zero");
	return real_result(c, base == 2 ? sqrt(x) : pow(x, 1.0 / base), isfinite(x));
}

/* ---- sizes ----------------------------------------------------------------------- */

static const char size_letters[] = "BKMGTPEZY";

static const struct value *
f_human_readable(struct tcall *c)
{
	double size, limit = 1;
	const char *unit = NULL;
	size_t len, i;
	bool bits, found = false;

	if (!targ_bool(c, 0, false, &bits) ||
	    (fu_given(c, 1) && !targ_str(c, 1, "", &unit, &len)))
		return NULL;
	if (!fu_is_num(c->in, &size))
		return terr(c, ERR_TYPE, "human_readable() failed on bad input: '>=' not supported between instances of '%s' and 'int'",
		    tmpl_py_type(c->in));
	for (i = 8; !found; i--) {
		limit = ldexp(1.0, (int)i * 10);
		found = unit != NULL ? len == 1 && toupper((unsigned char)*unit) == size_letters[i] :
		    size >= limit;
		if (found || i == 0)
			break;
	}
	if (i == 0)
		return v_strf(c->arena, "%.2f %s", size, bits ? "bits" : "Bytes");
	return v_strf(c->arena, "%.2f %c%c", size / limit, size_letters[i], bits ? 'b' : 'B');
}

static bool
valid_unit(const char *unit, size_t i, bool bits)
{
	static const char *const names[] = { "", "kilo", "mega", "giga", "tera",
	    "peta", "exa", "zeta", "yotta" };
	size_t n = strlen(names[i]);

	if (strncasecmp(unit, names[i], n) == 0 && strcasecmp(unit + n, bits ? "bit" : "byte") == 0)
		return true;
	if (i == 0)
		return strcmp(unit, bits ? "b" : "B") == 0;
	return unit[0] == size_letters[i] && unit[1] == (bits ? 'b' : 'B') && unit[2] == '\0';
}

/* Positions of number and unit in "1.5 MB "; false when the text has another form. */
static bool
split_size(const char *s, size_t len, size_t *nlen, const char **unit, size_t *ulen)
{
	size_t i = 0, dot, frac;

	while (i < len && isdigit((unsigned char)s[i]))
		i++;
	dot = i;
	if (i < len && s[i] == '.')
		i++;
	frac = i;
	while (i < len && isdigit((unsigned char)s[i]))
		i++;
	if (i == 0 || (frac > dot && i == frac))
		return false;
	*nlen = i;
	s += i;
	len -= i;
	fu_strip(&s, &len);
	*unit = s;
	*ulen = len;
	for (i = 0; i < len; i++)
		if (!isalpha((unsigned char)s[i]))
			return false;
	return true;
}

static const struct value *
f_human_to_bytes(struct tcall *c)
{
	const char *s, *unit, *def = NULL;
	size_t len, nlen, ulen, dlen = 0, i;
	double num;
	bool bits;
	int64_t n;

	if (!fu_text(c, c->in, &s, &len) || !targ_bool(c, 1, false, &bits) ||
	    (fu_given(c, 0) && !targ_str(c, 0, "", &def, &dlen)))
		return NULL;
	if (!split_size(s, len, &nlen, &unit, &ulen) ||
	    fu_parse_float(s, nlen, &num) != 1)
		return terr(c, ERR_VALUE, "human_to_bytes() can't interpret following string: %s", s);
	if (ulen == 0) {
		if (def == NULL)
			return fu_float_int(rint(num), &n) ? v_int(c->arena, n) : too_big(c);
		if (dlen == 0)
			return terr(c, ERR_VALUE, "human_to_bytes() got an empty default unit");
		unit = def;
		ulen = dlen;
	}
	unit = arena_strndup(c->arena, unit, ulen);
	for (i = 0; i < 9 && toupper((unsigned char)*unit) != size_letters[i]; i++)
		continue;
	if (i == 9)
		return terr(c, ERR_VALUE, "human_to_bytes() failed to convert %s (unit = %s). The suffix must be one of Y, Z, E, P, T, G, M, K, B",
		    s, unit);
	if (ulen > 1 && !valid_unit(unit, i, bits))
		return terr(c, ERR_VALUE, "human_to_bytes() failed to convert %s. Value is not a valid string (expect %c%c or %c)",
		    s, size_letters[i], bits ? 'b' : 'B', size_letters[i]);
	return fu_float_int(rint(ldexp(num, (int)i * 10)), &n) ? v_int(c->arena, n) : too_big(c);
}

static const struct value *
f_filesizeformat(struct tcall *c)
{
	static const char *const dec[] = { "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB" };
	static const char *const bin[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB" };
	double bytes, base;
	long double unit;	/* powers of 1000 that a double cannot hold are compared exactly */
	bool binary;
	size_t i;

	if (!targ_bool(c, 0, false, &binary))
		return NULL;
	if (c->in->type == V_STR) {
		if (fu_parse_float(c->in->u.s, c->in->len, &bytes) != 1)
			return terr(c, ERR_VALUE, "could not convert string to float: '%s'", c->in->u.s);
	} else if (!fu_is_num(c->in, &bytes))
		return terr(c, ERR_TYPE, "float() argument must be a string or a real number, not '%s'",
		    tmpl_py_type(c->in));
	base = binary ? 1024 : 1000;
	if (bytes == 1)
		return v_str(c->arena, "1 Byte");
	if (bytes < base)
		return isfinite(bytes) && bytes > -9e18 ? v_strf(c->arena, "%lld Bytes", (long long)bytes) :
		    terr(c, ERR_VALUE, "cannot convert float infinity to integer");
	for (i = 0, unit = (long double)base * base; i < NITEMS(dec) - 1 && bytes >= unit; i++)
		unit *= base;
	return v_strf(c->arena, "%.1f %s", base * bytes / (double)unit, binary ? bin[i] : dec[i]);
}

static const struct tfilter filters[] = {
	{ "abs", "", 0, f_abs },
	{ "filesizeformat", "binary", 0, f_filesizeformat },
	{ "float", "default", 0, f_float },
	{ "human_readable", "isbits,unit", 0, f_human_readable },
	{ "human_to_bytes", "default_unit,isbits", 0, f_human_to_bytes },
	{ "int", "default,base", 0, f_int },
	{ "log", "base", 0, f_log },
	{ "pow", "y", 0, f_pow },
	{ "root", "base", 0, f_root },
	{ "round", "precision,method", 0, f_round },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_math = { filters, NULL };
