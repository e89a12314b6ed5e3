/*
 * Arguments that uri and get_url share (Ansible's url_argument_spec).
 */
#ifndef PROVCTL_MODULE_HTTP_ARGS_H
#define PROVCTL_MODULE_HTTP_ARGS_H

#include "module/http.h"

#define HTTP_ARGS							\
	{ .name = "url", .type = ARG_STR, .flags = ARG_REQUIRED,	\
	    .doc = "Where to: http://… or https://…" },			\
	{ .name = "url_username", .type = ARG_STR, .aliases = "user,username",	\
	    .doc = "User for basic authentication." },			\
	{ .name = "url_password", .type = ARG_STR, .flags = ARG_SECRET,	\
	    .aliases = "password", .doc = "Password for basic authentication." }, \
	{ .name = "force_basic_auth", .type = ARG_BOOL, .def = "false",	\
	    .doc = "Sends user and password with the first request instead of waiting to be asked." }, \
	{ .name = "headers", .type = ARG_MAP,				\
	    .doc = "Headers to send." },				\
	{ .name = "unredirected_headers", .type = ARG_LIST, .of = ARG_STR,	\
	    .doc = "Names of headers that are not sent on to where a redirect leads." }, \
	{ .name = "validate_certs", .type = ARG_BOOL, .def = "true",	\
	    .doc = "Checks the server's certificate. No: anybody could be answering." }, \
	{ .name = "ca_path", .type = ARG_PATH,				\
	    .doc = "File of PEM certificates to trust instead of the host's own bundle." }, \
	{ .name = "client_cert", .type = ARG_PATH,			\
	    .doc = "PEM file with our own certificate, and perhaps its key." }, \
	{ .name = "client_key", .type = ARG_PATH,			\
	    .doc = "PEM file with the key, when it is not in client_cert." }, \
	{ .name = "use_proxy", .type = ARG_BOOL, .def = "true",		\
	    .doc = "Heeds http_proxy, https_proxy and no_proxy of the environment." }, \
	{ .name = "force", .type = ARG_BOOL, .def = "false", .aliases = "thirsty",	\
	    .doc = "Asks for a fresh answer, not one of a cache." },	\
	{ .name = "http_agent", .type = ARG_STR, .def = "ansible-httpget",	\
	    .doc = "The User-Agent to show." },				\
	{ .name = "decompress", .type = ARG_BOOL, .def = "true",	\
	    .flags = ARG_IGNORED,					\
	    .doc = "No compression is ever asked for." },		\
	{ .name = "use_netrc", .type = ARG_BOOL, .def = "true",		\
	    .flags = ARG_IGNORED, .doc = "~/.netrc is never read." },	\
	{ .name = "ciphers", .type = ARG_LIST, .of = ARG_STR,		\
	    .flags = ARG_UNSUPPORTED, .doc = "Choice of TLS ciphers." },	\
	{ .name = "use_gssapi", .type = ARG_BOOL, .flags = ARG_UNSUPPORTED,	\
	    .doc = "Kerberos authentication." }

/* Fills in what these arguments say. -1 after mod_fail. */
int	 http_args_get(struct mod *, struct http_request *);
/* A header that the task does not give itself. */
void	 http_args_add(struct mod *, struct http_request *, const char *name,
	    const char *value);
/* A scalar as text for headers and forms. */
const char *http_args_text(struct mod *, const struct value *);
/* A file without a name for what is downloaded; -1 after mod_fail. dir NULL: the usual place. */
int	 http_temp_fd(struct mod *, const char *dir);

#endif
