/*
 * The lookup `url`: text from a web server, fetched by the controller.
 *
 * Options are Ansible's, of which several can also be given as variables
 * (ansible_lookup_url_timeout …).  How an address is fetched is the business of who
 * evaluates (struct tmpl_files): this layer knows no network.
 */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "template/filter_util.h"
#include "template/lookup_util.h"

#define TIMEOUT_MAX_S	600.0

/* Option i, else the variable of that name; NULL: neither is given. */
static bool
option(struct tcall *c, uint32_t i, const char *var, const struct value **ret)
{
	*ret = fu_given(c, i) ? c->a[i] : var == NULL ? NULL : tcall_var(c, var);
	if (*ret == NULL)
		return c->err->code == ERR_NONE;
	if ((*ret = tcall_final(c, *ret)) == NULL)
		return false;
	if ((*ret)->type == V_UNDEF)
		return fu_undef(c, *ret);
	if ((*ret)->type == V_NULL || (*ret)->type == V_OMIT)
		*ret = NULL;
	return true;
}

/* has_var: a variable ansible_lookup_url_NAME too. */
static bool
bool_option(struct tcall *c, uint32_t i, const char *name, bool has_var, bool *ret)
{
	const struct value *v;
	int b;

	if (!option(c, i, has_var ? arena_printf(c->arena, "ansible_lookup_url_%s", name) : NULL, &v))
		return false;
	if (v == NULL)
		return true;
	if ((b = fu_boolean(v)) < 0) {
		terr(c, ERR_VALUE, "url: the option '%s' must be a boolean", name);
		return false;
	}
	*ret = b;
	return true;
}

static bool
text_option(struct tcall *c, uint32_t i, const char *var, const char **ret)
{
	const struct value *v;

	if (!option(c, i, var, &v) || (v != NULL && (v = tcall_str(c, v)) == NULL))
		return false;
	if (v != NULL)
		*ret = v->u.s;
	return true;
}

static bool
timeout_option(struct tcall *c, struct tmpl_fetch *f)
{
	const struct value *v;
	double s = 10;

	if (!option(c, 7, "ansible_lookup_url_timeout", &v))
		return false;
	if (v != NULL && !fu_is_num(v, &s) &&
	    !(v->type == V_STR && fu_parse_float(v->u.s, v->len, &s) == 1)) {
		terr(c, ERR_TYPE, "url: timeout must be a number of seconds, not %s", tmpl_py_type(v));
		return false;
	}
	if (!(s > 0) || s > TIMEOUT_MAX_S) {
		terr(c, ERR_VALUE, "url: timeout must lie between 0 and %.0f seconds", TIMEOUT_MAX_S);
		return false;
	}
	f->timeout_ms = (int64_t)ceil(s * 1000);
	return true;
}

/* "Name: value" of each header; nothing that would end a line. */
static bool
header_option(struct tcall *c, struct tmpl_fetch *f)
{
	const struct value *v, *text;
	struct value *list = v_list(c->arena);
	const struct ventry *e;
	uint32_t it;

	if (!option(c, 5, NULL, &v))
		return false;
	f->headers = list;
	if (v == NULL)
		return true;
	if (v->type != V_MAP) {
		terr(c, ERR_TYPE, "url: headers must be a dict, not %s", tmpl_py_type(v));
		return false;
	}
	for (it = 0; (e = v_next(v, &it)) != NULL;) {
		if (e->key->type != V_STR || (text = tcall_str(c, e->val)) == NULL ||
		    strpbrk(e->key->u.s, "\r\n:") != NULL || strpbrk(text->u.s, "\r\n") != NULL ||
		    strlen(e->key->u.s) != e->key->len || strlen(text->u.s) != text->len) {
			if (c->err->code == ERR_NONE)
				terr(c, ERR_VALUE, "url: a header's name or value is not allowed");
			return false;
		}
		/* A header without a value is written with a semicolon. */
		v_push(c->arena, list, text->len == 0 ? v_strf(c->arena, "%s;", e->key->u.s) :
		    v_strf(c->arena, "%s: %s", e->key->u.s, text->u.s));
	}
	return true;
}

static bool
redirect_option(struct tcall *c, struct tmpl_fetch *f)
{
	static const char *const follow[] = { "urllib2", "all", "safe", "yes", "true" };
	static const char *const stay[] = { "none", "no", "false" };
	const char *how = "urllib2";
	size_t i;

	if (!text_option(c, 10, "ansible_lookup_url_follow_redirects", &how))
		return false;
	for (i = 0; i < NITEMS(follow); i++)
		if (strcasecmp(how, follow[i]) == 0)
			return f->follow = true;
	for (i = 0; i < NITEMS(stay); i++)
		if (strcasecmp(how, stay[i]) == 0)
			return true;
	terr(c, ERR_VALUE, "url: follow_redirects must be all, none, safe or urllib2, not '%s'", how);
	return false;
}

/* Several ciphers in order, joined as OpenSSL wants them. */
static bool
cipher_option(struct tcall *c, struct tmpl_fetch *f)
{
	const struct value *v, *colon = v_str(c->arena, ":");

	if (!option(c, 16, "ansible_lookup_url_ciphers", &v))
		return false;
	if (v != NULL && v->type == V_LIST && ((v = tcall_filter(c, "join", v, &colon, 1, NULL)) == NULL ||
	    v->type != V_STR))
		return false;
	if (v != NULL && (v = tcall_str(c, v)) != NULL)
		f->ciphers = v->u.s;
	return c->err->code == ERR_NONE;
}

static bool
options(struct tcall *c, struct tmpl_fetch *f, bool *split)
{
	bool gssapi = false;
	const struct value *v;

	f->validate_certs = f->use_proxy = f->use_netrc = *split = true;
	f->agent = "ansible-httpget";
	if (!bool_option(c, 0, "validate_certs", false, &f->validate_certs) ||
	    !bool_option(c, 1, "split_lines", false, split) ||
	    !bool_option(c, 2, "use_proxy", false, &f->use_proxy) ||
	    !text_option(c, 3, NULL, &f->username) || !text_option(c, 4, NULL, &f->password) ||
	    !header_option(c, f) || !bool_option(c, 6, "force", true, &f->no_cache) || !timeout_option(c, f) ||
	    !text_option(c, 8, "ansible_lookup_url_agent", &f->agent) ||
	    !bool_option(c, 9, "force_basic_auth", true, &f->basic_auth) || !redirect_option(c, f) ||
	    !bool_option(c, 11, "use_gssapi", true, &gssapi) ||
	    !bool_option(c, 12, "use_netrc", true, &f->use_netrc) ||
	    !text_option(c, 13, "ansible_lookup_url_unix_socket", &f->unix_socket) ||
	    !text_option(c, 14, "ansible_lookup_url_ca_path", &f->ca_path) ||
	    !option(c, 15, "ansible_lookup_url_unredir_headers", &v) || !cipher_option(c, f))
		return false;
	if (gssapi || (v != NULL && v_count(v) > 0)) {
		terr(c, ERR_UNSUPPORTED, "url: %s is not supported", gssapi ? "use_gssapi" : "unredirected_headers");
		return false;
	}
	return true;
}

/* As bytes.splitlines(): ends are \n, \r and \r\n. */
static void
push_lines(struct tcall *c, struct value *out, const char *s, size_t len)
{
	const char *end = s + len, *p;

	for (; s < end; s = p) {
		for (p = s; p < end && *p != '\n' && *p != '\r'; p++)
			continue;
		v_push(c->arena, out, fu_strn(c, s, (size_t)(p - s)));
		p += p < end ? 1 + (*p == '\r' && p + 1 < end && p[1] == '\n') : 0;
	}
}

static const struct value *
l_url(struct tcall *c)
{
	const struct tmpl_files *files = tcall_scope(c)->files;
	struct tmpl_fetch f = { 0 };
	struct value *out = v_list(c->arena);
	size_t len;
	bool split;

	if (!options(c, &f, &split))
		return NULL;
	if (files == NULL || files->fetch == NULL)
		return terr(c, ERR_UNSUPPORTED, "url: nothing is fetched here");
	for (uint32_t i = 0; i < c->nstar; i++) {
		CLEANUP_BUF struct buf body = { .max = TMPL_OUTPUT_MAX / 4 }, clean = BUF_INIT;

		if (!lookup_term(c, i, &f.url, &len))
			return NULL;
		if (strlen(f.url) != len || (strncasecmp(f.url, "http://", 7) != 0 && strncasecmp(f.url, "https://", 8) != 0))
			return terr(c, ERR_VALUE, "url: only http:// and https:// are fetched, not '%s'", f.url);
		if (files->fetch(&f, &body, c->err) != 0)
			return NULL;
		utf8_clean(&clean, buf_str(&body), body.len);
		if (split)
			push_lines(c, out, buf_str(&clean), clean.len);
		else
			v_push(c->arena, out, fu_strn(c, buf_str(&clean), clean.len));
	}
	return out;
}

const struct tlookup lookups_url[] = {
	{ "url", "validate_certs,split_lines,use_proxy,username,password,headers,force,timeout,http_agent,"
	    "force_basic_auth,follow_redirects,use_gssapi,use_netrc,unix_socket,ca_path,unredirected_headers,"
	    "ciphers", 0, l_url },
	{ NULL, NULL, 0, NULL }
};
