/*
 * A webhook, called by a process of its own: neither a slow server nor
 * libcurl's work for it is on the daemon's loop.
 */
#include <curl/curl.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "serve/daemon.h"
#include "serve/log.h"

#define TRIES		3
#define TIMEOUT_S	15L
#define INPUT_MAX	((size_t)1024 * 1024)

static size_t
swallow(char *data, size_t size, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	return size * n;
}

/* NULL: the server has taken it. Else why not. */
static const char *
post(CURL *curl, const char *url, const char *body, char *why)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	long status = 0;
	CURLcode code;

	curl_easy_reset(curl);
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "agentd/" PROVCTL_VERSION);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
#if LIBCURL_VERSION_NUM >= 0x075500
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
#endif
	code = curl_easy_perform(curl);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	if (code != CURLE_OK)
		return *why != '\0' ? why : curl_easy_strerror(code);
	if (status >= 200 && status < 300)
		return NULL;
	(void)snprintf(why, CURL_ERROR_SIZE, "the server answers %ld", status);
	return why;
}

int
post_run(void)
{
	char why[CURL_ERROR_SIZE] = "";
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct buf in = BUF_INIT, body = BUF_INIT;
	const struct value *what = NULL;
	const char *failed = "no memory";
	CURL *curl = NULL;
	int try;

	log_open();
	buf_init(&in, INPUT_MAX);
	if (buf_read_fd(&in, STDIN_FILENO) == 0)
		what = json_parse_text(&a, buf_str(&in), in.len, &err);
	if (what == NULL || v_get_str(what, "url", NULL) == NULL || v_gets(what, "body") == NULL)
		failed = "standard input has no url and body";
	else if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK &&
	    (curl = curl_easy_init()) != NULL) {
		json_write(&body, v_gets(what, "body"), JSON_COMPACT);
		for (try = 1; (failed = post(curl, v_get_str(what, "url", ""), buf_str(&body),
		    why)) != NULL && try < TRIES; try++)
			(void)nanosleep(&(struct timespec){ .tv_sec = try }, NULL);
	}
	/* Without the address: it may hold a password. */
	if (failed != NULL)
		log_warn("the webhook cannot be told: %s", failed);
	curl_easy_cleanup(curl);
	curl_global_cleanup();
	err_release(&err);
	buf_release(&in);
	buf_release(&body);
	arena_release(&a);
	return failed == NULL ? 0 : 1;
}
