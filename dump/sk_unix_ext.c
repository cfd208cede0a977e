/*
 * What becomes of a unix socket whose other end is not in the tree: --ext-unix,
 * once or more, POLICY or POLICY:PATTERN. The first whose fnmatch(3) pattern fits
 * the address of that end ("@x" for an abstract one) decides; without a pattern it fits all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>

#include "dump/sk_unix.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"

static const char *const policies[] = {
	[UNIX_REFUSE] = "refuse",
	[UNIX_RECONNECT] = "reconnect",
	[UNIX_CLOSE] = "close",
	[UNIX_INHERIT] = "inherit",
};

/* POLICY[:PATTERN]: the pattern, "*" for none. -EINVAL: there is no such policy. */
static int word_parse(const char *word, enum unix_policy *ret, const char **ret_pattern)
{
	size_t len = strcspn(word, ":");

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		if (strlen(policies[i]) != len || strncmp(policies[i], word, len) != 0)
			continue;
		*ret = (enum unix_policy)i;
		*ret_pattern = word[len] ? word + len + 1 : "*";
		return 0;
	}
	return -EINVAL;
}

int ext_unix_parse(const struct words *words)
{
	enum unix_policy policy;
	const char *pattern;

	array_each (word, words)
		if (word_parse(*word, &policy, &pattern) < 0)
			return fail(
				-EINVAL,
				"--ext-unix: '%s': give refuse, reconnect, close or inherit, and a "
				"pattern after a colon if not for all",
				*word);
	return 0;
}

enum unix_policy unix_policy(const struct dump *d, const struct unix_address *peer)
{
	array_each (word, &d->opt->ext_unix) {
		enum unix_policy policy;
		const char *pattern;

		if (word_parse(*word, &policy, &pattern) == 0 &&
		    fnmatch(pattern, unix_address_text(peer), 0) == 0)
			return policy;
	}
	return UNIX_REFUSE;
}

/* Does the process with that directory in /proc have a descriptor that points there? */
static bool holds(const char *pid, const char *link)
{
	char path[64];
	auto_dir DIR *dir = NULL;
	struct dirent *de;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	while (dir && (de = readdir(dir))) {
		auto_free char *target = NULL;

		if (de->d_name[0] != '.' && link_read(dirfd(dir), de->d_name, &target) == 0 &&
		    !strcmp(target, link))
			return true;
	}
	return false;
}

const char *unix_holder(uint32_t ino)
{
	static char text[96];
	auto_dir DIR *proc = opendir("/proc");
	struct dirent *de;
	char link[32];

	snprintf(link, sizeof(link), "socket:[%u]", ino);
	while (ino && proc && (de = readdir(proc))) {
		struct proc_stat st = {};
		char path[32];

		if (de->d_name[0] < '1' || de->d_name[0] > '9' || !holds(de->d_name, link))
			continue;
		snprintf(path, sizeof(path), "%.20s/stat", de->d_name);
		stat_read(dirfd(proc), path, &st);
		snprintf(text, sizeof(text), "pid %d (%s)", (int)strtol(de->d_name, NULL, 10),
		         st.comm);
		return text;
	}
	return "";
}
