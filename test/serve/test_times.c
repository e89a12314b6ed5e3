/*
 * Schedules: what they mean, and what makes no sense.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "serve/times.h"

/* "2026-11-22 19:10" in local time. */
static int64_t
at(const char *text)
{
	struct tm tm = { .tm_isdst = -1 };

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
	return mktime(&tm);
}

static void
check_next(const char *schedule, const char *after, const char *expected)
{
	struct err err = ERR_INIT;
	struct times t;
	char got[64] = "never", utc[64] = "";
	struct tm tm;
	int64_t next;
	time_t when;

	if (times_parse(schedule, &t, &err) == -1)
		fail_msg("%s: %s", schedule, err.msg);
	next = times_next(&t, at(after));
	when = (time_t)next;
	if (next != -1)
		assert_true(strftime(got, sizeof(got), "%a %Y-%m-%d %H:%M", localtime_r(&when, &tm)) > 0);
	(void)strftime(utc, sizeof(utc), "%H:%M UTC", gmtime_r(&when, &tm));
	if (strcmp(got, expected) != 0)
		fail_msg("'%s' after %s: %s (%s), expected %s", schedule, after, got, utc, expected);
	assert_true(next == -1 || next > at(after));
}

static void
meanings(void **state)
{
	(void)state;
	check_next("nightly, 03:10", "2026-11-22 19:10", "Mon 2026-11-23 03:10");
	check_next("nightly", "2026-11-22 03:09", "Sun 2026-11-22 03:10");
	check_next("daily 3:10", "2026-11-22 03:10", "Mon 2026-11-23 03:10");
	check_next("15:00 3:00", "2026-11-22 03:00", "Sun 2026-11-22 15:00");
	check_next("mon-fri 06:00, 18:00", "2026-11-20 18:00", "Mon 2026-11-23 06:00");
	check_next("sat,sun 05:30", "2026-11-23 00:00", "Sat 2026-11-28 05:30");
	check_next("fri-mon 01:00", "2026-11-23 02:00", "Fri 2026-11-27 01:00");
	check_next("weekly, sunday 04:00", "2026-11-22 04:00", "Sun 2026-11-29 04:00");
	check_next("hourly", "2026-11-22 23:00", "Mon 2026-11-23 00:00");
	check_next("hourly :15", "2026-11-22 23:10", "Sun 2026-11-22 23:15");
	check_next("every 30 min", "2026-11-22 23:10", "Sun 2026-11-22 23:30");
	check_next("every 5min", "2026-11-22 23:10", "Sun 2026-11-22 23:15");
	check_next("every 4 hours", "2026-11-22 19:10", "Sun 2026-11-22 21:00");	/* 20:00 UTC */
	check_next("never", "2026-11-22 23:10", "never");
	check_next("nightly, 00:00", "2026-12-31 23:59", "Fri 2027-01-01 00:00");
	check_next("sun 12:00", "2028-02-28 12:00", "Sun 2028-03-05 12:00");	/* over a 29th of February */
}

/* 2026-03-29 02:00 is 03:00, 2026-10-25 03:00 is 02:00 again. */
static void
summer_time(void **state)
{
	struct err err = ERR_INIT;
	struct times t;
	int64_t first;

	(void)state;
	check_next("nightly, 02:30", "2026-03-28 12:00", "Sun 2026-03-29 03:30");
	check_next("nightly, 02:30", "2026-03-29 03:30", "Mon 2026-03-30 02:30");
	check_next("nightly, 03:10", "2026-03-28 12:00", "Sun 2026-03-29 03:10");
	/* Once, not twice. */
	assert_int_equal(times_parse("nightly, 02:30", &t, &err), 0);
	first = times_next(&t, at("2026-10-24 12:00"));
	assert_true(times_next(&t, first) - first > 23 * 3600);
}

static void
nonsense(void **state)
{
	static const char *const rows[][2] = {
		{ "", "an empty schedule" },
		{ " , ", "an empty schedule" },
		{ "nigthly", "'nigthly' says no time" },
		{ "24:00", "'24:00' is no time of the day" },
		{ "3:60", "'3:60' is no time of the day" },
		{ "03:1x", "'03:1x' is no time of the day" },
		{ "-1:00", "'-1:00' is no time of the day" },
		{ "003:10", "'003:10' is no time of the day" },
		{ "03:10 3:10", "the time '3:10' is there twice" },
		{ "nightly, mon 03:10", "nightly is every day, but days are named" },
		{ "nightly hourly", "that contradicts itself: one of nightly, weekly, hourly, never" },
		{ "never 03:10", "that contradicts itself: one of nightly, weekly, hourly, never" },
		{ "weekly 04:00", "weekly needs one day" },
		{ "weekly, mon-tue 04:00", "weekly needs one day" },
		{ "hourly 04:00", "hourly, but at an hour of the day" },
		{ ":15", "a minute without an hour" },
		{ "every", "'every' needs a number and a unit" },
		{ "every day", "'every' needs a number and a unit" },
		{ "every 5", "'every' needs a number and a unit" },
		{ "every 5 min 3", "'every' needs a number and a unit" },
		{ "every 5min h", "'every' needs a number and a unit" },
		{ "every 99999999999999999999 h", "'every' needs a number and a unit" },
		{ "every 0 min", "every 0 minutes is too often" },
		{ "every 4 min", "every 4 minutes is too often" },
		{ "every 25 h", "every 1500 minutes is too rare" },
	};
	struct err err = ERR_INIT;
	struct times t;
	char lng[400];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(rows); i++) {
		if (times_parse(rows[i][0], &t, &err) != -1)
			fail_msg("'%s' is taken", rows[i][0]);
		assert_string_equal(err.msg, rows[i][1]);
		err_release(&err);
	}
	memset(lng, 'a', sizeof(lng));
	lng[sizeof(lng) - 1] = '\0';
	assert_int_equal(times_parse(lng, &t, &err), -1);
	err_release(&err);
	for (i = 0; i < 33; i++)	/* 33 times a day */
		memcpy(&lng[i * 6], (char[]){ (char)('0' + i / 20), (char)('0' + i / 2 % 10), ':',
		    i % 2 ? '3' : '0', '0', ' ' }, 6);
	lng[i * 6] = '\0';
	assert_int_equal(times_parse(lng, &t, &err), -1);
	assert_string_equal(err.msg, "more than 24 times a day");
	err_release(&err);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(meanings), cmocka_unit_test(summer_time),
		cmocka_unit_test(nonsense),
	};

	(void)setenv("TZ", "Europe/Berlin", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
