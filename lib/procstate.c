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

static bool four_ids(const char *at, uint32_t ids[4])
{
	for (int i = 0; i < 4; i++)
		if (!group_next(&at, &ids[i]))
			return false;
	return true;
}

static bool hex64(const char *at, uint64_t *ret)
{
	char *end;

	at += strspn(at, " \t");
	*ret = strtoull(at, &end, 16);
	return end != at;
}

static bool decimal(const char *at, unsigned *ret)
{
	return group_next(&at, ret);
}

bool group_next(const char **at, uint32_t *ret)
{
	char *end;

	*at += strspn(*at, " \t");
	if (**at < '0' || **at > '9')
		return false;
	*ret = (uint32_t)strtoul(*at, &end, 10);
	*at = end;
	return true;
}

enum {
	CRED_UID,
	CRED_GID,
	CRED_GROUPS,
	CRED_INH,
	CRED_PRM,
	CRED_EFF,
	CRED_BND,
	CRED_AMB,
	CRED_NNP,
	CRED_SECCOMP,
	CRED_FILTERS,
	CRED_KEYS
};

static bool cred_value(int key, const char *at, struct cred_text *c)
{
	unsigned nnp = 0;
	bool ok = true;

	switch (key) {
	case CRED_UID:
		return four_ids(at, c->uid);
	case CRED_GID:
		return four_ids(at, c->gid);
	case CRED_GROUPS:
		c->groups = at;
		return true;
	case CRED_INH:
		return hex64(at, &c->inheritable);
	case CRED_PRM:
		return hex64(at, &c->permitted);
	case CRED_EFF:
		return hex64(at, &c->effective);
	case CRED_BND:
		return hex64(at, &c->bounding);
	case CRED_AMB:
		return hex64(at, &c->ambient);
	case CRED_NNP:
		ok = decimal(at, &nnp);
		c->no_new_privs = nnp;
		return ok;
	case CRED_SECCOMP:
		return decimal(at, &c->seccomp);
	default:
		return decimal(at, &c->seccomp_filters);
	}
}

/* In the order of status (fs/proc/array.c), so that one pass finds all. */
static const char *const cred_keys[CRED_KEYS] = {
	"Uid:",    "Gid:",    "Groups:",     "CapInh:",  "CapPrm:",         "CapEff:",
	"CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:", "Seccomp_filters:"
};

int cred_parse(const char *status, struct cred_text *ret)
{
	struct cred_text c = {};
	int key = 0;

	while (*status && key < CRED_KEYS) {
		size_t len = strlen(cred_keys[key]);
		const char *eol = strchr(status, '\n');

		if (strncmp(status, cred_keys[key], len) == 0) {
			if (!cred_value(key, status + len, &c))
				return -EPROTO;
			key++;
		}
		if (!eol)
			break;
		status = eol + 1;
	}
	if (key < CRED_FILTERS)
		return -EPROTO;
	*ret = c;
	return 0;
}
