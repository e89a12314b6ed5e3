/*
 * What the lookup `url` fetches, by libcurl.
 *
 * The engine waits meanwhile, as it does for the other lookups: whoever stays
 * silent longer than the timeout is given up, and nothing takes more than ten minutes.
 */
#include <curl/curl.h>
#include <string.h>

#include "engine.h"

#define TOTAL_S		600L
#define REDIRECTS_MAX	10L

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	struct buf *body = arg;

	buf_add(body, data, size * n);
	return buf_overflowed(body) ? 0 : size * n;
}

static void
who(CURL *curl, const struct tmpl_fetch *f)
{
	if (f->username != NULL) {
		(void)curl_easy_setopt(curl, CURLOPT_USERNAME, f->username);
		(void)curl_easy_setopt(curl, CURLOPT_PASSWORD, f->password != NULL ? f->password : "");
	}
	(void)curl_easy_setopt(curl, CURLOPT_HTTPAUTH, f->basic_auth ? (long)CURLAUTH_BASIC :
	    (long)(CURLAUTH_BASIC | CURLAUTH_DIGEST));
	(void)curl_easy_setopt(curl, CURLOPT_NETRC, f->use_netrc ? (long)CURL_NETRC_OPTIONAL :
	    (long)CURL_NETRC_IGNORED);
}

static void
how(CURL *curl, const struct tmpl_fetch *f)
{
	(void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, f->follow ? 1L : 0L);
	(void)curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)f->timeout_ms);
	(void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)(f->timeout_ms + 999) / 1000);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, TOTAL_S);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	if (!f->validate_certs) {
		(void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		(void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (f->ca_path != NULL)
		(void)curl_easy_setopt(curl, CURLOPT_CAINFO, f->ca_path);
	if (f->ciphers != NULL)
		(void)curl_easy_setopt(curl, CURLOPT_SSL_CIPHER_LIST, f->ciphers);
	if (f->unix_socket != NULL)
		(void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, f->unix_socket);
	if (!f->use_proxy)
		(void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
#if LIBCURL_VERSION_NUM >= 0x075500
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
	(void)curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https,http");
#else
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
	(void)curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

int
fetch_url(const struct tmpl_fetch *f, struct buf *body, struct err *err)
{
	static bool ready;
	struct curl_slist *headers = NULL;
	char why[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURLcode code;
	CURL *curl;
	uint32_t i;

	if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, ERR_INTERNAL, "libcurl cannot be used");
	ready = true;
	if ((curl = curl_easy_init()) == NULL)
		return err_set(err, ERR_INTERNAL, "libcurl cannot be used");
	for (i = 0; i < v_count(f->headers); i++)
		headers = curl_slist_append(headers, v_at(f->headers, i)->u.s);
	if (f->no_cache)
		headers = curl_slist_append(headers, "cache-control: no-cache");
	(void)curl_easy_setopt(curl, CURLOPT_URL, f->url);
	(void)curl_easy_setopt(curl, CURLOPT_USERAGENT, f->agent);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	who(curl, f);
	how(curl, f);
	code = curl_easy_perform(curl);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	if (buf_overflowed(body))
		return err_set(err, ERR_LIMIT, "Failed lookup url for %s : the answer is too large", f->url);
	if (code != CURLE_OK)
		return err_set(err, code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_IO,
		    "Failed lookup url for %s : %s", f->url, *why != '\0' ? why : curl_easy_strerror(code));
	if (status < 200 || status > 299)
		return err_set(err, ERR_IO, "Received HTTP error for %s : HTTP Error %ld", f->url, status);
	return 0;
}
