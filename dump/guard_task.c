/*
 * What is undone in one task: it stands, and none of its threads is in the way.
 *
 * The program ran on for a moment when crtool had died. Who was forked in that moment has inherited what was
 * there of ours, and is no task that anything was noted of: so it is looked for in all that are younger than the note.
 */
#include "dump/guard_undo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/task.h"
#include "lib/cleanup.h"
#include "lib/fd.h"

static const char zeros[ARENA_BLOB];

static bool is_inside(const struct note *note, uint64_t ip)
{
	return ip - note->base < note->size || (note->door && ip - note->door < ARCH_DOOR_SIZE);
}

static bool comes_back(const struct tracee *t, const struct note *note)
{
	return tracee_comes_back(t, note->base, note->size) ||
	       (note->door && tracee_comes_back(t, note->door, ARCH_DOOR_SIZE));
}

bool note_has_left(const struct task *t, const struct note *note)
{
	array_each (th, &t->threads)
		if (is_inside(note, arch_ip(&th->tracee.regs)) ||
		    (note_may_have(t, note) && comes_back(&th->tracee, note)))
			return false;
	return true;
}

/* Is it one that was forked meanwhile? */
static bool is_younger(const struct task *t, const struct note *note)
{
	return t->state != TASK_ZOMBIE && t->stat.field[STAT_STARTTIME] >= note->start &&
	       note_has_left(t, note);
}

/* ---- the arena and its door ---- */

/* Is the arena still there, and is it ours? Nothing merges with it, see vmas_gap(). */
static bool is_mapped(const struct task *t, const struct note *note)
{
	uint64_t sum = 0;

	array_each (v, &t->vmas)
		if (v->start >= note->base && v->end <= note->base + note->size && !v->ino)
			sum += v->end - v->start;
	return sum == note->size;
}

/* The code in it, or it was not written yet. */
static bool has_blob(const struct task *t, const struct note *note)
{
	char page[ARENA_BLOB];
	const size_t size = (size_t)(blob_end - blob_start);

	return pread_full(t->mem, page, sizeof(page), (off_t)note->base) == 0 &&
	       (!memcmp(page, blob_start, size) || !memcmp(page, zeros, sizeof(page)));
}

static void unmap(struct task *t, const struct note *note)
{
	struct tracee *host = &t->threads.v[0].tracee;
	int64_t result;

	if (task_find_syscall(t) == 0 &&
	    tracee_syscall(host, t->syscall_insn, SYS_munmap,
	                   (const uint64_t[6]){ note->base, note->size }, &result) == 0)
		tracee_put_back(host);
}

static void close_door(const struct task *t, const struct note *note)
{
	if (note->door)
		pwrite_full(t->mem, zeros, ARCH_DOOR_SIZE, (off_t)note->door);
}

static void undo_arena(struct task *t, const struct note *note)
{
	if (vmas_read(t) == 0 && is_mapped(t, note))
		unmap(t, note);
	close_door(t, note);
}

/* It has one in its vDSO: a page that nobody has written to stays the kernel's. */
static bool has_door(struct task *t, const struct note *note)
{
	char door[ARCH_DOOR_SIZE];

	return note->door && task_find_syscall(t) == 0 && t->door == note->door &&
	       pread_full(t->mem, door, sizeof(door), (off_t)note->door) == 0 &&
	       memcmp(door, zeros, sizeof(door)) != 0;
}

bool note_may_have(const struct task *t, const struct note *note)
{
	return t->pid == note->pid || t->stat.field[STAT_STARTTIME] >= note->start;
}

bool note_is_there(struct task *t, const struct note *note)
{
	return task_open_mem(t) == 0 &&
	       ((is_mapped(t, note) && has_blob(t, note)) || has_door(t, note));
}

static void undo_inherited(struct task *t, const struct note *note)
{
	if (task_open_mem(t) < 0)
		return;
	if (vmas_read(t) == 0 && is_mapped(t, note) && has_blob(t, note))
		unmap(t, note);
	if (has_door(t, note))
		close_door(t, note);
}

/* ---- the rest ---- */

static void undo_dispatch(struct task *t, const struct note *note)
{
	array_each (th, &t->threads)
		if (th->tid == note->tid)
			tracee_set_dispatch(&th->tracee, &note->dispatch);
}

/* The next userfaultfd of those that DIR lists; -1: no more. */
static int next_uffd(DIR *dir)
{
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		auto_free char *link = NULL;

		if (link_read(dirfd(dir), entry->d_name, &link) == 0 &&
		    !strcmp(link, "anon_inode:[userfaultfd]"))
			return atoi(entry->d_name);
	}
	return -1;
}

static DIR *open_fds(const struct task *t)
{
	int fd = openat(t->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

static void close_in(struct task *t, int fd)
{
	struct tracee *host = &t->threads.v[0].tracee;
	int64_t result;

	if (vmas_read(t) == 0 && task_find_syscall(t) == 0 &&
	    tracee_syscall(host, t->syscall_insn, SYS_close, (const uint64_t[6]){ (uint64_t)fd },
	                   &result) == 0)
		tracee_put_back(host);
}

/* Those of T that are number FD of OWNER. */
static void close_inherited(struct task *t, const struct task *owner, int fd)
{
	auto_dir DIR *dir = open_fds(t);

	for (int own; (own = next_uffd(dir)) >= 0;)
		if (syscall(SYS_kcmp, owner->pid, t->pid, KCMP_FILE, fd, own) == 0)
			close_in(t, own);
}

static void close_everywhere(struct dump *g, struct task *owner, int fd, const struct note *note)
{
	array_each (other, &g->tasks)
		if (other != owner && is_younger(other, note))
			close_inherited(other, owner, fd);
}

void note_undo_inherited(struct dump *g, struct task *owner, const struct note *note)
{
	auto_dir DIR *dir = open_fds(owner);

	for (int fd; (fd = next_uffd(dir)) >= 0;)
		close_everywhere(g, owner, fd, note);
}

static void undo_uffd(struct dump *g, struct task *t, const struct note *note)
{
	auto_dir DIR *dir = open_fds(t);

	for (int fd; (fd = next_uffd(dir)) >= 0;) {
		close_everywhere(g, t, fd, note);
		close_in(t, fd);
	}
}

void note_undo(struct dump *g, struct task *t, const struct note *note)
{
	if (note->what == NOTE_ARENA) {
		array_each (other, &g->tasks)
			if (other != t && is_younger(other, note))
				undo_inherited(other, note);
	}
	if (!t || task_open_mem(t) < 0)
		return;
	if (note->what == NOTE_DISPATCH)
		undo_dispatch(t, note);
	else if (note->what == NOTE_UFFD)
		undo_uffd(g, t, note);
	else
		undo_arena(t, note);
}
