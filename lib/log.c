/* The static state here is the only mutable global state of crtool. */
#define _GNU_SOURCE
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/array.h"

static enum log_level log_level = LOG_WARN;
static FILE *log_out;
static char *failure;
static ARRAY(const char *) losses;
static pthread_mutex_t losses_lock = PTHREAD_MUTEX_INITIALIZER;
static ARRAY(struct log_fact) facts;

void log_setup(enum log_level level, FILE *out)
{
	log_level = level;
	log_out = out;
}

/* "dump/pipe.c" is the room "pipe". */
static enum log_level room_level(const char *file)
{
	const char *spec = getenv("CRTOOL_LOG");
	const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
	size_t len = strcspn(base, ".");

	while (spec && *spec) {
		if (!strncmp(spec, base, len) && spec[len] == ':')
			return !strncmp(spec + len + 1, "debug", 5) ? LOG_DEBUG : LOG_INFO;
		spec = strchr(spec, ',');
		if (spec)
			spec++;
	}
	return log_level;
}

static void say(const char *prefix, const char *text)
{
	fprintf(log_out ? log_out : stderr, "crtool: %s%s\n", prefix, text);
}

bool log_tells(enum log_level level, const char *file)
{
	return level <= log_level || level <= room_level(file);
}

void log_say(enum log_level level, const char *file, const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	if (!log_tells(level, file))
		return;
	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		say(level == LOG_WARN ? "warning: " : "", text);
	free(text);
}

/* These errors only say that the message speaks for itself. */
static bool speaks_for_itself(int r)
{
	return r == -ENOTSUP || r == -EBADMSG || r == -EINVAL || r == -ETIMEDOUT ||
	       r == -ECANCELED || r == -EBUSY || r == -EINTR;
}

/* Copying threads may fail at the same time: the first one is kept, main prints it last. Takes TEXT. */
static void keep(char *text)
{
	char *none = NULL;

	if (__atomic_compare_exchange_n(&failure, &none, text, false, __ATOMIC_ACQ_REL,
	                                __ATOMIC_ACQUIRE))
		return;
	if (log_level >= LOG_INFO)
		say("also: ", text);
	free(text);
}

/* The limit itself may be anybody's; but that there is no number left for another file below it is ours. */
static bool has_no_number(void)
{
	struct rlimit limit;
	int low = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	bool none = low < 0 && errno == EMFILE;

	if (low >= 0) {
		close(low);
		none = getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)low >= limit.rlim_cur / 2;
	}
	return none;
}

static bool is_limited(int resource)
{
	struct rlimit limit;

	return getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

const char *log_remedy(int r)
{
	if (r == -EMFILE && has_no_number())
		return "; raise the hard limit (ulimit -Hn): crtool takes one for each process, "
		       "and some more";
	if (r == -ENFILE)
		return "; raise fs.file-max";
	if (r == -ENOMEM && (is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA)))
		return "; the memory of crtool is limited: raise that (ulimit -v, ulimit -d)";
	if (r == -EFBIG && is_limited(RLIMIT_FSIZE))
		return "; the size of files is limited: raise that (ulimit -f)";
	return "";
}

int log_fail(int r, const char *file, const char *format, ...)
{
	char *text = NULL, *whole = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	if (!text)
		return r;
	if (speaks_for_itself(r))
		whole = strdup(text);
	else if (asprintf(&whole, "%s: %s%s", text, strerror(-r),
	                  strstr(text, "ulimit") ? "" : log_remedy(r)) < 0)
		whole = NULL;
	free(text);
	if (whole)
		keep(whole);
	return r;
}

int log_relay(int r, const char *text)
{
	char *copy = strdup(text);

	if (copy)
		keep(copy);
	return r;
}

void log_loss(const char *file, const char *format, ...)
{
	char *text = NULL;
	const char **slot;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	pthread_mutex_lock(&losses_lock);
	slot = text ? array_add(&losses) : NULL;
	if (slot)
		*slot = text;
	else
		free(text);
	pthread_mutex_unlock(&losses_lock);
}

const char *log_failure(void)
{
	return failure;
}

size_t log_losses(const char *const **ret_texts)
{
	*ret_texts = losses.v;
	return losses.n;
}

void log_losses_forget(void)
{
	pthread_mutex_lock(&losses_lock);
	array_each (text, &losses)
		free((char *)*text);
	losses.n = 0;
	pthread_mutex_unlock(&losses_lock);
}

void log_forget(void)
{
	free(failure);
	failure = NULL;
}

void log_fact(const char *name, uint64_t value)
{
	struct log_fact *fact = array_add(&facts);

	if (fact)
		*fact = (struct log_fact){ name, value };
}

size_t log_facts(const struct log_fact **ret_facts)
{
	*ret_facts = facts.v;
	return facts.n;
}
