/*
 * --external KEY: this file is not carried, dump half. Keys are those of CRIU:
 *
 *	file[MNT_ID:INODE]  pipe[INODE]  socket[INODE]  unix[INODE]  tty[RDEV:DEV]
 *
 * numbers as /proc shows them, the last two in hexadecimal. With or without a colon
 * before the bracket, as in /proc/PID/fd.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "dump/dump.h"
#include "lib/log.h"
#include "proto/external.pb-c.h"

/* The key of F; "": it has none. */
const char *file_key(const struct file *f)
{
	static char key[64];
	mode_t type = f->st.st_mode & S_IFMT;

	*key = '\0';
	if (f->fd < 0)
		return key;
	if (type == S_IFIFO && !strncmp(f->link, "pipe:", 5))
		snprintf(key, sizeof(key), "pipe[%" PRIu64 "]", (uint64_t)f->st.st_ino);
	else if (type == S_IFSOCK && !strncmp(f->link, "socket:", 7))
		snprintf(key, sizeof(key), "socket[%" PRIu64 "]", (uint64_t)f->st.st_ino);
	else if (type == S_IFCHR)
		snprintf(key, sizeof(key), "tty[%" PRIx64 ":%" PRIx64 "]", (uint64_t)f->st.st_rdev,
		         (uint64_t)f->st.st_dev);
	else if (f->link[0] == '/')
		snprintf(key, sizeof(key), "file[%" PRIu32 ":%" PRIu64 "]", f->mnt_id,
		         (uint64_t)f->st.st_ino);
	return key;
}

/* WORD is KEY, but for a colon before the bracket, and "unix" for "socket". */
static bool word_is(const char *word, const char *key)
{
	size_t len = strcspn(word, ":["), want = strcspn(key, "[");

	if (len == 4 && !strncmp(word, "unix", 4) && !strncmp(key, "socket[", 7))
		len = want;
	else if (len != want || strncmp(word, key, len) != 0)
		return false;
	word += strcspn(word, ":[");
	return !strcmp(word + (*word == ':'), key + want);
}

int external_parse(const struct words *externals)
{
	static const char *const types[] = { "file", "pipe", "socket", "unix", "tty" };

	array_each (word, externals) {
		size_t len = strcspn(*word, ":["), i = 0;

		while (i < ARRAY_SIZE(types) &&
		       (strlen(types[i]) != len || strncmp(types[i], *word, len) != 0))
			i++;
		len += (*word)[len] == ':';
		if (i == ARRAY_SIZE(types) || (*word)[len] != '[' || !strchr(*word + len, ']'))
			return fail(-EINVAL,
			            "--external %s: is none of file[MNT_ID:INODE], pipe[INODE], "
			            "socket[INODE], unix[INODE], tty[RDEV:DEV]",
			            *word);
	}
	return 0;
}

bool external_listed(const struct dump *d, const struct file *f)
{
	const char *key = d->opt->external.n ? file_key(f) : "";

	array_each (word, &d->opt->external)
		if (*key && word_is(*word, key))
			return true;
	return false;
}

static bool external_owns(const struct file *f)
{
	return f->policy == FD_EXTERNAL;
}

static int external_dump(struct dump *d, const struct file *f)
{
	Img__External msg = IMG__EXTERNAL__INIT;

	msg.key = (char *)(uintptr_t)file_key(f);
	if (f->link[0] == '/' && f->st.st_nlink)
		msg.path = f->link;
	return image_put(d->out, KIND_external, f->id, &msg.base);
}

const struct dump_kind dump_external = {
	.owns = external_owns,
	.dump = external_dump,
};
