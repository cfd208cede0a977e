/*
 * What becomes of a descriptor that cannot be carried: --on-unknown-fd, once or
 * more, POLICY or POLICY:PATTERN. The first whose fnmatch(3) pattern fits what
 * /proc shows as the link, or the words that messages describe the file with,
 * decides; without a pattern it fits all.
 */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "dump/dump.h"
#include "lib/log.h"

static const struct {
	const char *name;
	enum fd_policy policy;
} names[] = {
	{ "refuse", FD_CARRY }, /* or not at all */
	{ "null", FD_NULL },
	{ "close", FD_CLOSE },
};

/* POLICY[:PATTERN]: the pattern, "" for none. -EINVAL: there is no such policy. */
static int word_parse(const char *word, enum fd_policy *ret, const char **ret_pattern)
{
	size_t len = strcspn(word, ":");

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strlen(names[i].name) != len || strncmp(names[i].name, word, len) != 0)
			continue;
		*ret = names[i].policy;
		*ret_pattern = word[len] ? word + len + 1 : "";
		return 0;
	}
	return -EINVAL;
}

int unknown_parse(const struct words *policies)
{
	enum fd_policy policy;
	const char *pattern;

	array_each (word, policies)
		if (word_parse(*word, &policy, &pattern) < 0)
			return fail(-EINVAL,
			            "--on-unknown-fd: '%s': give refuse, null or close, and a "
			            "pattern after a colon if not for all",
			            *word);
	return 0;
}

enum fd_policy unknown_policy(const struct dump *d, const struct file *f)
{
	array_each (word, &d->opt->on_unknown_fd) {
		enum fd_policy policy;
		const char *pattern;

		if (word_parse(*word, &policy, &pattern) == 0 &&
		    (!*pattern || fnmatch(pattern, f->link, 0) == 0 ||
		     fnmatch(pattern, file_describe(f), 0) == 0))
			return policy;
	}
	return FD_CARRY;
}
