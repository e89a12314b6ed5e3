/*
 * The filters vault and unvault: Ansible Vault with a password given in the
 * template.
 */
#include <string.h>

#include "base/utf8.h"
#include "template/filter_util.h"
#include "template/vault_text.h"

/* The arguments of both: password, and the text to work on. */
static bool
vault_args(struct tcall *c, const char *what, const char **secret, size_t *slen,
    const char **text, size_t *len)
{
	if (c->a[0] == NULL || c->a[0]->type != V_STR) {
		terr(c, ERR_TYPE, "Secret passed is required to be a string, instead we got %s.",
		    c->a[0] != NULL ? tmpl_py_type(c->a[0]) : "nothing");
		return false;
	}
	if (c->in->type != V_STR) {
		terr(c, ERR_TYPE, "%s, instead we got %s.", what, tmpl_py_type(c->in));
		return false;
	}
	*secret = c->a[0]->u.s;
	*slen = c->a[0]->len;
	*text = c->in->u.s;
	*len = c->in->len;
	return true;
}

/* vault(secret, salt, vault_id, wrap_object, vaultid) */
static const struct value *
f_vault(struct tcall *c)
{
	struct buf out = BUF_INIT;
	const char *password, *text, *id, *salt = NULL;
	size_t plen, len, ilen, slen = 0;

	if (!vault_args(c, "Can only vault strings", &password, &plen, &text, &len) ||
	    !targ_str(c, 2, "filter_default", &id, &ilen) ||
	    (fu_given(c, 1) && !fu_str(c, c->a[1], &salt, &slen)))
		return NULL;
	if (vault_text_seal(password, plen, id, salt, slen, text, len, &out, c->err) == -1) {
		buf_release(&out);
		return NULL;
	}
	return fu_result(c, &out);
}

/* unvault(secret, vault_id, vaultid): what is no vault stays as it is. */
static const struct value *
f_unvault(struct tcall *c)
{
	CLEANUP_BUF struct buf plain = BUF_INIT, clean = BUF_INIT;
	struct vault_text v = { .bytes = BUF_INIT };
	const char *password, *text;
	size_t plen, len;
	int r;

	if (!vault_args(c, "Vault should be in the form of a string", &password, &plen, &text, &len))
		return NULL;
	if (!vault_is(text, len))
		return c->in;
	if ((r = vault_text_read(text, len, &v, c->err)) == 0)
		r = vault_text_open(&v, password, plen, &plain, c->err);
	buf_release(&v.bytes);
	if (r == 0)
		return terr(c, ERR_AUTH, "Unable to decrypt: the password is wrong");
	if (r == -1)
		return NULL;
	utf8_clean(&clean, plain.len > 0 ? plain.data : "", plain.len);
	return v_flag(c->arena, fu_strn(c, buf_str(&clean), clean.len), V_SECRET);
}

static const struct tfilter filters[] = {
	{ "unvault", "secret,vault_id,vaultid", 0, f_unvault },
	{ "vault", "secret,salt,vault_id,wrap_object,vaultid", 0, f_vault },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_vault = { filters, NULL };
