/*
 * Victims that compare their address space with what it was: every mapping
 * with its protection, offset, name, VmFlags and protection key, as smaps shows them.
 *
 *	struct maps before, after;
 *
 *	maps_take(&before);
 *	zdtm_park();
 *	maps_take(&after);
 *	check(maps_same(&before, &after));
 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "zdtm.h"

struct maps {
	size_t len;
	char text[1 << 18];
};

/* "start-end perms offset dev inode name": without device and inode. */
static inline void maps_add_mapping(struct maps *m, const char *line)
{
	char range[64], perms[8], offset[32];
	int name = 0;

	check(sscanf(line, "%63s %7s %31s %*s %*s %n", range, perms, offset, &name) == 3);
	m->len += (size_t)snprintf(m->text + m->len, sizeof(m->text) - m->len, "%s %s %s %s", range,
	                           perms, offset, line + name);
	check(m->len < sizeof(m->text));
}

static inline void maps_cut(char *flags, const char *flag)
{
	char *at = strstr(flags, flag);

	if (at)
		memmove(at, at + strlen(flag), strlen(at + strlen(flag)) + 1);
}

/* Soft-dirty is what is mapped anew, where a kernel tells that; what is still to come on demand has a mark. */
static inline void maps_add_flags(struct maps *m, char *flags)
{
	const char *mode = getenv("ZDTM_MODE");

	maps_cut(flags, " sd");
	if (mode && !strcmp(mode, "demand"))
		maps_cut(flags, " um");
	m->len += (size_t)snprintf(m->text + m->len, sizeof(m->text) - m->len, "%s\n", flags);
}

static inline void maps_take(struct maps *m)
{
	static char text[4 << 20];
	size_t have = 0;
	ssize_t n;
	int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);

	check(fd >= 0);
	while ((n = read(fd, text + have, sizeof(text) - 1 - have)) > 0)
		have += (size_t)n;
	check(n == 0 && have < sizeof(text) - 1);
	close(fd);
	text[have] = '\0';
	m->len = 0;
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (line[0] < 'A' || line[0] > 'Z')
			maps_add_mapping(m, line);
		else if (!strncmp(line, "VmFlags:", 8) || !strncmp(line, "ProtectionKey:", 14))
			maps_add_flags(m, strchr(line, ':') + 1);
	}
}

static inline bool maps_same(const struct maps *a, const struct maps *b)
{
	if (a->len == b->len && !memcmp(a->text, b->text, a->len))
		return true;
	dprintf(2, "--- before:\n%.*s--- after:\n%.*s", (int)a->len, a->text, (int)b->len, b->text);
	return false;
}
