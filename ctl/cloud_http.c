/*
 * JSON over HTTPS for the APIs of providers, by libcurl.
 *
 * An answer is never trusted with more than its size allows; redirects are not
 * followed (the token would go with them).  Only GET and DELETE are repeated:
 * a POST that was lost may have made a machine that costs money, so its caller
 * looks before it tries again.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>

#include "base/json.h"
#include "cloud.h"
#include "out.h"

#define ANSWER_MAX	((size_t)16 * 1024 * 1024)
#define TRIES		4
#define TIMEOUT_S	60L
#define LIMITED_MAX_S	900	/* longest that we wait for a rate limit */

struct answer {
	struct buf	 body;
	int64_t		 retry_after;	/* seconds; -1: not said */
	int64_t		 reset;		/* seconds since 1970; -1: not said */
};

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;

	buf_add(&a->body, data, size * n);
	return buf_overflowed(&a->body) ? 0 : size * n;
}

static void
number_header(const char *line, size_t n, const char *name, int64_t *ret)
{
	size_t len = strlen(name);
	char digits[24];
	size_t i = 0;

	if (n <= len || strncasecmp(line, name, len) != 0)
		return;
	for (line += len, n -= len; n > 0 && *line == ' '; line++)
		n--;
	for (; i < n && i < 18 && line[i] >= '0' && line[i] <= '9'; i++)
		digits[i] = line[i];
	digits[i] = '\0';
	if (i > 0)
		*ret = strtoll(digits, NULL, 10);
}

static size_t
on_header(char *data, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;

	number_header(data, size * n, "retry-after:", &a->retry_after);
	number_header(data, size * n, "ratelimit-reset:", &a->reset);
	return size * n;
}

static void
sleep_s(int64_t seconds)
{
	struct timespec t = { (time_t)seconds, 0 };

	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		continue;
}

/* The status code, or -1 with err. */
static int
once(struct cloud *c, const char *method, const char *url, struct curl_slist *headers,
    const char *body, struct answer *answer, struct err *err)
{
	char why[CURL_ERROR_SIZE] = "";
	CURL *curl = c->curl;
	CURLcode code;
	long status = 0;

	curl_easy_reset(curl);
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "provctl/" PROVCTL_VERSION);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
#if LIBCURL_VERSION_NUM >= 0x075500
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
#endif
	if (body != NULL)
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	code = curl_easy_perform(curl);
	if (code != CURLE_OK)
		return err_set(err, code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_IO,
		    "%s: %s", url, *why != '\0' ? why : curl_easy_strerror(code));
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

/* How long to wait before the next try; -1: there is none. */
static int64_t
pause_after(const struct answer *a, int status, bool repeatable, unsigned try)
{
	int64_t wait = a->retry_after;

	if (status == 429) {
		if (wait < 0 && a->reset >= 0)
			wait = a->reset - (int64_t)time(NULL) + 1;
		if (wait < 1)
			wait = 1;
		return wait <= LIMITED_MAX_S && try < 10 ? wait : -1;
	}
	if (!repeatable || (status != -1 && status < 500) || try >= TRIES)
		return -1;
	return wait >= 0 && wait <= LIMITED_MAX_S ? wait : (int64_t)1 << (try - 1);
}

static const struct value *
understood(struct cloud *c, struct answer *answer, int status, struct err *err)
{
	const struct value *v;

	if (answer->body.len == 0)
		return &v_null;
	v = json_parse_text(&c->ctl->arena, buf_str(&answer->body), answer->body.len, err);
	/* What failed may say so in HTML: the status is enough then. */
	if (v == NULL && !HTTP_OK(status)) {
		err_release(err);
		return &v_null;
	}
	if (v == NULL) {
		/* No position: the text goes away, and may be long. */
		err->at = (struct mark){ 0 };
		(void)err_wrap(err, "%s answered something that is no JSON", c->url);
	}
	return v;
}

int
cloud_request(struct cloud *c, const char *method, const char *path,
    const struct value *body, const struct value **ret, struct err *err)
{
	struct arena *a = &c->ctl->arena;
	const char *url = arena_printf(a, "%s%s", c->url, path);
	bool repeatable = strcmp(method, "POST") != 0;
	struct curl_slist *headers = NULL;
	struct buf text = BUF_INIT;
	int status = -1;
	unsigned try;

	if (c->curl == NULL && (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    (c->curl = curl_easy_init()) == NULL))
		return err_set(err, ERR_INTERNAL, "libcurl cannot be used");
	headers = curl_slist_append(headers, arena_printf(a, "Authorization: Bearer %s", c->token));
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Accept: application/json");
	if (body != NULL)
		json_write(&text, body, JSON_COMPACT);
	for (try = 1;; try++) {
		struct answer answer = { .retry_after = -1, .reset = -1 };
		int64_t wait;

		err_release(err);
		buf_init(&answer.body, ANSWER_MAX);
		status = once(c, method, url, headers, body != NULL ? buf_str(&text) : NULL,
		    &answer, err);
		wait = pause_after(&answer, status, repeatable, try);
		if (wait < 0 && status != -1 &&
		    (*ret = understood(c, &answer, status, err)) == NULL)
			status = -1;
		buf_release(&answer.body);
		if (wait < 0)
			break;
		if (wait > 2)
			out_note(c->ctl->out, status == 429 ?
			    "too many requests; the API lets us go on in %lld s" :
			    "the API does not answer as it should; next try in %lld s",
			    (long long)wait);
		sleep_s(wait);
	}
	curl_slist_free_all(headers);
	if (text.data != NULL)
		explicit_bzero(text.data, text.cap);
	buf_release(&text);
	return status;
}

void
cloud_close(struct cloud *c)
{
	if (c->curl == NULL)
		return;
	curl_easy_cleanup(c->curl);
	curl_global_cleanup();
	c->curl = NULL;
}
