/*
 * Filters, tests and lookups that Ansible or a well-known collection has and
 * we do not: an error that says so when the template is compiled, and no
 * misspelling.
 */
#include "template/families.h"

#define NO(name, why)	{ name, why, TF_UNSUPPORTED, NULL }

static const char python[] = "it exists only in Python";
static const char cloud[] = "cloud services are not supported";
static const char network[] = "network devices are not supported";

static const char as_test[] = "it is a test: write `x is …` instead of `x | …`";

static const struct tfilter filters[] = {
	NO("changed", as_test),
	NO("failed", as_test),
	NO("match", as_test),
	NO("search", as_test),
	NO("skipped", as_test),
	NO("succeeded", as_test),
	NO("success", as_test),
	NO("version_compare", as_test),
	NO("from_csv", "it is not supported"),
	NO("from_ini", "it is not supported"),
	NO("to_ini", "it is not supported"),
	NO("get_path", "it is not supported"),
	NO("index_of", "it is not supported"),
	NO("to_paths", "it is not supported"),
	NO("json_diff", "it is not supported"),
	NO("json_patch", "it is not supported"),
	NO("json_patch_recipe", "it is not supported"),
	NO("reveal_ansible_type", python),
	NO("unicode_normalize", "it is not supported"),
	NO("aws_arn_parser", cloud),
	NO("cli_parse", network),
	NO("comp_type5", network),
	NO("fact_diff", "comparing facts is not supported"),
	NO("from_xml", "XML is not supported"),
	NO("gce_parse", cloud),
	NO("hash_salt", network),
	NO("hashids_decode", python),
	NO("hashids_encode", python),
	NO("jc", python),
	NO("k8s_config_resource_name", cloud),
	NO("parse_cli", network),
	NO("parse_cli_textfsm", network),
	NO("parse_xml", network),
	NO("pop_ace", network),
	NO("to_prettytable", python),
	NO("to_xml", "XML is not supported"),
	NO("type5_pw", network),
	NO("validate", "JSON schemas are not supported"),
	NO("vlan_expander", network),
	NO("vlan_parser", network),
	NO("openssl_csr_info", "certificates are not supported in templates"),
	NO("openssl_privatekey_info", "certificates are not supported in templates"),
	NO("openssl_publickey_info", "certificates are not supported in templates"),
	NO("x509_certificate_info", "certificates are not supported in templates"),
	NO("x509_crl_info", "certificates are not supported in templates"),
	NO("gpg_fingerprint", "GnuPG is not supported"),
	NO("parse_serial", "certificates are not supported in templates"),
	NO("to_serial", "certificates are not supported in templates"),
	NO("split_pem", "certificates are not supported in templates"),
	{ NULL, NULL, 0, NULL }
};

static const struct ttest tests[] = {
	NO("a_module", "which modules exist is not known to templates"),
	NO("fqdn_valid", "names are not checked in templates"),
	NO("ansible_type", python),
	NO("validate", "JSON schemas are not supported"),
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_unsupported = { filters, tests };

const struct tlookup lookups_unsupported[] = {
	NO("aws_account_attribute", cloud),
	NO("aws_collection_constants", cloud),
	NO("aws_secret", cloud),
	NO("aws_service_ip_ranges", cloud),
	NO("aws_ssm", cloud),
	NO("secretsmanager_secret", cloud),
	NO("ssm_parameter", cloud),
	NO("bitwarden", cloud),
	NO("bitwarden_secrets_manager", cloud),
	NO("chef_databag", cloud),
	NO("collection_version", "there are no collections"),
	NO("consul_kv", cloud),
	NO("credstash", cloud),
	NO("cyberarkpassword", cloud),
	NO("dependent", python),
	NO("dig", "DNS is not supported in templates"),
	NO("dnstxt", "DNS is not supported in templates"),
	NO("dsv", cloud),
	NO("etcd", cloud),
	NO("etcd3", cloud),
	NO("filetree", "it is not supported"),
	NO("hashi_vault", cloud),
	NO("hiera", cloud),
	NO("k8s", cloud),
	NO("keyring", python),
	NO("lastpass", cloud),
	NO("lmdb_kv", cloud),
	NO("manifold", cloud),
	NO("merge_variables", "it is not supported"),
	NO("mongodb", cloud),
	NO("onepassword", cloud),
	NO("onepassword_doc", cloud),
	NO("onepassword_raw", cloud),
	NO("passwordstore", "the program pass is not supported"),
	NO("random_pet", python),
	NO("random_words", python),
	NO("redis", cloud),
	NO("revbitspss", cloud),
	NO("shelvefile", python),
	NO("tss", cloud),
	{ NULL, NULL, 0, NULL }
};
