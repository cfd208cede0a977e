#include "lib/procstate.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"

#define TIMER_TEXT_MAX 256 /* one entry: at most about 120 characters */

static int notify_parse(const char *how, const char *whom)
{
	static const struct {
		const char *name;
		int notify;
	} names[] = {
		{ "signal", SIGEV_SIGNAL },
		{ "none", SIGEV_NONE },
		{ "thread", SIGEV_THREAD },
	};
	int flag = strcmp(whom, "tid") == 0 ? SIGEV_THREAD_ID : 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i].name, how) == 0)
			return names[i].notify | flag;
	return -EPROTO;
}

/* The entry alone: sscanf(3) measures all of its string at each call. */
static size_t timer_cut(const char *text, char buf[TIMER_TEXT_MAX])
{
	const char *next = strstr(text + 1, "\nID:");
	size_t len = next ? (size_t)(next + 1 - text) : strlen(text);

	if (len >= TIMER_TEXT_MAX)
		return 0;
	memcpy(buf, text, len);
	buf[len] = '\0';
	return len;
}

int timer_parse(const char **text, struct timer_text *ret)
{
	struct timer_text t = {};
	char buf[TIMER_TEXT_MAX], how[8], whom[4];
	size_t len;

	if (!**text)
		return 0;
	len = timer_cut(*text, buf);
	if (!len || sscanf(buf, "ID: %d signal: %d/%lx notify: %7[a-z]/%3[a-z].%d ClockID: %d",
	                   &t.id, &t.signal, &t.value, how, whom, &t.target, &t.clock) != 7)
		return -EPROTO;
	t.notify = notify_parse(how, whom);
	if (t.notify < 0)
		return -EPROTO;
	*ret = t;
	*text += len;
	return 1;
}

static const char *const limit_names[LIMITS] = {
	"Max cpu time",       "Max file size",     "Max data size",         "Max stack size",
	"Max core file size", "Max resident set",  "Max processes",         "Max open files",
	"Max locked memory",  "Max address space", "Max file locks",        "Max pending signals",
	"Max msgqueue size",  "Max nice priority", "Max realtime priority", "Max realtime timeout",
};

const char *limit_name(unsigned resource)
{
	return resource < LIMITS ? limit_names[resource] : "unknown limit";
}

/* "unlimited" or a number, then blanks. */
static bool limit_value(const char **at, uint64_t *ret)
{
	static const char unlimited[] = "unlimited";
	char *end;

	*at += strspn(*at, " ");
	if (strncmp(*at, unlimited, sizeof(unlimited) - 1) == 0) {
		*ret = UINT64_MAX;
		*at += sizeof(unlimited) - 1;
		return true;
	}
	errno = 0;
	*ret = strtoull(*at, &end, 10);
	if (end == *at || **at == '-' || errno)
		return false;
	*at = end;
	return true;
}

static const char *limit_line(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (strncmp(text, name, len) == 0 && text[len] == ' ')
			return text + len;
	return NULL;
}

int limits_parse(const char *text, struct limit_text ret[LIMITS])
{
	for (unsigned i = 0; i < LIMITS; i++) {
		const char *at = limit_line(text, limit_names[i]);

		ret[i].name = limit_names[i];
		if (!at || !limit_value(&at, &ret[i].soft) || !limit_value(&at, &ret[i].hard))
			return -EPROTO;
	}
	return 0;
}
