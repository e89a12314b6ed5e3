/*
 * Vault texts: what ansible-vault wrote is read, what we write comes back, and
 * what is neither is refused with a reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

#include "inventory/vault.h"

/* Written by ansible-vault 2.14; the passwords are "secret" and, with the id dev, "other pw". */
static const char plain_text[] =
    "$ANSIBLE_VAULT;1.1;AES256\n"
    "64363565623730373231366465323066366562353434353430623930653837633931623738393066\n"
    "3632376337373832383436623735316431376636326665390a363836643464373730333862316465\n"
    "64393637306233346333653764336263643631316538366238386430383164303331373439336430\n"
    "3132636535353466370a386163373530396164303930326664663932393437356431303164616532\n"
    "38376337643336666138366338663864376239376531323063396334663638613066\n";
static const char labelled[] =
    "$ANSIBLE_VAULT;1.2;AES256;dev\n"
    "66393533316432336663316535356431383964363031393966633638663331643462303332646131\n"
    "3561616236623865313162613938656239643337653964380a373063376630373432643363376638\n"
    "35323332356432653261616430333236356264396338653161396333313337323332623238323832\n"
    "3735346539396134620a646562633335653665656532343338386537303665373364386461356439\n"
    "3362\n";

static void
expect(struct vault *v, const char *text, const char *want)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;

	assert_int_equal(vault_decrypt(v, text, strlen(text), &out, &err), 0);
	assert_string_equal(buf_str(&out), want);
}

static void
expect_error(struct vault *v, const char *text, size_t len, enum err_code code,
    const char *words)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;

	assert_int_equal(vault_decrypt(v, text, len, &out, &err), -1);
	assert_int_equal(err.code, code);
	if (strstr(err.msg, words) == NULL &&
	    (err.hint == NULL || strstr(err.hint, words) == NULL))
		fail_msg("'%s' (hint '%s') lacks '%s'", err.msg,
		    err.hint != NULL ? err.hint : "", words);
	assert_int_equal(out.len, 0);
}

static void
reads_what_ansible_wrote(void **state)
{
	struct vault *v = vault_new();

	(void)state;
	expect_error(v, plain_text, strlen(plain_text), ERR_AUTH,
	    "no vault password");
	vault_add(v, NULL, "wrong");
	expect_error(v, plain_text, strlen(plain_text), ERR_AUTH,
	    "the vault password is wrong");
	expect_error(v, labelled, strlen(labelled), ERR_AUTH, "--vault-id dev@FILE");
	vault_add(v, NULL, "secret");
	vault_add(v, "dev", "other pw");
	expect(v, plain_text, "from_vault: \"{{ 1 + 1 }}\"\nn: 2\n");
	expect(v, labelled, "labelled text");
	vault_free(v);
	vault_free(NULL);
}

/* Text as it stands in YAML: indented, with other line ends. */
static void
blanks_do_not_matter(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct vault *v = vault_new();

	(void)state;
	vault_add(v, NULL, "secret");
	for (const char *p = plain_text; *p != '\0'; p++) {
		if (*p == '\n')
			buf_adds(&b, "\r\n   ");
		else
			buf_addc(&b, *p);
	}
	expect(v, buf_str(&b), "from_vault: \"{{ 1 + 1 }}\"\nn: 2\n");
	vault_free(v);
}

static void
what_we_write_comes_back(void **state)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	struct vault *v = vault_new();
	char text[64];

	(void)state;
	vault_add(v, NULL, "secret");
	vault_add(v, "dev", "pw");
	memset(text, 'x', sizeof(text));
	for (size_t n = 0; n < 50; n += 7) {
		CLEANUP_BUF struct buf sealed = BUF_INIT, out = BUF_INIT;

		assert_int_equal(vault_encrypt(v, n > 20 ? "dev" : "default", text, n,
		    &sealed, &err), 0);
		assert_true(vault_is(buf_str(&sealed), sealed.len));
		assert_int_equal(strncmp(buf_str(&sealed), n > 20 ?
		    "$ANSIBLE_VAULT;1.2;AES256;dev\n" :
		    "$ANSIBLE_VAULT;1.1;AES256\n", n > 20 ? 30 : 26), 0);
		assert_int_equal(vault_decrypt(v, buf_str(&sealed), sealed.len, &out,
		    &err), 0);
		assert_int_equal(out.len, n);
		assert_memory_equal(buf_str(&out), text, n);
	}
	assert_int_equal(vault_encrypt(v, "prod", "x", 1, &(struct buf)BUF_INIT,
	    &err), -1);
	assert_non_null(strstr(err.msg, "'prod'"));
	assert_int_equal(vault_encrypt(v, NULL, "x", 1, &(struct buf)BUF_INIT,
	    &err), -1);
	assert_non_null(strstr(err.msg, "several"));
	vault_free(v);
}

static void
malformed_texts_are_refused(void **state)
{
	static const struct {
		const char	*text;
		enum err_code	 code;
		const char	*words;
	} bad[] = {
		{ "", ERR_INVALID, "does not start" },
		{ "$ANSIBLE_VAULT", ERR_INVALID, "does not start" },
		{ "$ANSIBLE_VAULT;1.1;AES256", ERR_INVALID, "nothing below" },
		{ "$ANSIBLE_VAULT;1.1;AES256\n", ERR_INVALID, "hexadecimal" },
		{ "$ANSIBLE_VAULT;1.0;AES\n61", ERR_UNSUPPORTED, "1.0" },
		{ "$ANSIBLE_VAULT;1.1;AES128\n61", ERR_UNSUPPORTED, "AES128" },
		{ "$ANSIBLE_VAULT;1.1;AES256\n6", ERR_INVALID, "hexadecimal" },
		{ "$ANSIBLE_VAULT;1.1;AES256\nzz", ERR_INVALID, "hexadecimal" },
		{ "$ANSIBLE_VAULT;1.1;AES256\n6161", ERR_INVALID, "cut off" },
		{ "$ANSIBLE_VAULT;1.1;AES256\n61610a61610a6161", ERR_INVALID,
		    "wrong lengths" },
		{ "$ANSIBLE_VAULT;1.1;AES256\n0a0a", ERR_INVALID,
		    "not hexadecimal" },
	};
	struct vault *v = vault_new();
	char changed[sizeof(plain_text)];
	size_t n = strlen(plain_text);

	(void)state;
	vault_add(v, NULL, "secret");
	for (size_t i = 0; i < NITEMS(bad); i++)
		expect_error(v, bad[i].text, strlen(bad[i].text), bad[i].code,
		    bad[i].words);
	/* one digit of the ciphertext changed: the HMAC tells */
	memcpy(changed, plain_text, sizeof(changed));
	changed[n - 2] = changed[n - 2] == '1' ? '2' : '1';
	expect_error(v, changed, n, ERR_AUTH, "wrong");
	expect_error(v, plain_text, n - 66, ERR_INVALID, "malformed");
	vault_free(v);
}

static void
write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void
passwords_from_files_and_programs(void **state)
{
	char dir[] = "/tmp/test-vault-XXXXXX", path[64], spec[80];
	CLEANUP_ERR struct err err = ERR_INIT;
	struct vault *v = vault_new();

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/my-client", dir);
	(void)snprintf(spec, sizeof(spec), "dev@%s", path);

	assert_int_equal(vault_add_file(v, path, &err), -1);
	assert_non_null(strstr(err.msg, "No such file"));
	assert_int_equal(vault_add_file(v, dir, &err), -1);
	assert_non_null(strstr(err.msg, "directory"));
	write_file(path, " \n", 0600);
	assert_int_equal(vault_add_file(v, path, &err), -1);
	assert_non_null(strstr(err.msg, "is empty"));
	write_file(path, "secret \r\n", 0600);
	assert_int_equal(vault_add_file(v, path, &err), 0);
	expect(v, plain_text, "from_vault: \"{{ 1 + 1 }}\"\nn: 2\n");

	/* a program named *-client is told the id */
	write_file(path, "#!/bin/sh\n[ \"$1 $2\" = \"--vault-id dev\" ] && "
	    "echo 'other pw'\n", 0700);
	assert_int_equal(vault_add_file(v, spec, &err), 0);
	expect(v, labelled, "labelled text");
	write_file(path, "#!/bin/sh\necho no such secret >&2\nexit 2\n", 0700);
	assert_int_equal(vault_add_file(v, spec, &err), -1);
	assert_non_null(strstr(err.msg, "status 2"));
	assert_non_null(strstr(err.hint, "no such secret"));
	write_file(path, "#!/bin/sh\nexec yes\n", 0700);
	assert_int_equal(vault_add_file(v, spec, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	vault_free(v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_ansible_wrote),
		cmocka_unit_test(blanks_do_not_matter),
		cmocka_unit_test(what_we_write_comes_back),
		cmocka_unit_test(malformed_texts_are_refused),
		cmocka_unit_test(passwords_from_files_and_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
