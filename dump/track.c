#include "dump/track.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "dump/guard.h"
#include "dump/memory_map.h"
#include "dump/pagemap.h"
#include "dump/soft_dirty.h"
#include "dump/task.h"
#include "dump/track_arm.h"
#include "dump/tracker.h"
#include "dump/uffd.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/log.h"
#include "lib/procfs.h"

#define PAGE UINT64_C(4096)

struct track {
	struct trackers trackers;
	ARRAY(struct tracked) mms;
	struct soft_dirty soft;
	pid_t asked; /* track_sees(): of this one ... */
	bool sees;   /* ... the answer */
};

static bool wanted(const struct dump *d)
{
	return d->opt->track || d->parent;
}

static struct tracked *tracked_of(const struct dump *d, const struct task *t)
{
	if (d->track)
		array_each (m, &d->track->mms)
			if (m->slot.pid == t->pid)
				return m;
	return NULL;
}

static int find_trackers(struct dump *d)
{
	int r;

	if (d->track)
		return 0;
	d->track = calloc(1, sizeof(*d->track));
	if (!d->track)
		return -ENOMEM;
	r = trackers_find(&d->track->trackers);
	return r < 0 ? fail(r, "look for trackers of memory") : 0;
}

int track_begin(struct dump *d)
{
	int r = 0;

	if (getrandom(d->id, sizeof(d->id), 0) != sizeof(d->id))
		return fail(-errno, "choose an id for the checkpoint");
	if (d->opt->prev)
		r = parent_open(d);
	else if (d->opt->chain && *d->opt->chain)
		r = parent_take(d);
	return r == 0 && wanted(d) ? find_trackers(d) : r;
}

/* ---- who is tracked already ---- */

static int start_of(const struct task *t, uint64_t *ret)
{
	struct proc_stat st;
	int r = stat_read(t->proc, "stat", &st);

	if (r == 0)
		*ret = st.field[STAT_STARTTIME];
	return r;
}

/* Of several that say so, the one that knows the parent, or one that nobody has taken over. */
static bool find_slot(const struct dump *d, const struct task *t, uint64_t start,
                      const struct tracker **ret, size_t *ret_at)
{
	bool found = false;

	array_each (tracker, &d->track->trackers.all) {
		array_each (slot, &tracker->slots) {
			bool right = d->parent &&
			             !memcmp(slot->id, d->parent->manifest->id.data, CHAIN_ID);

			if (slot->pid != t->pid || slot->starttime != start ||
			    (found && !right && slot->taken))
				continue;
			*ret = tracker;
			*ret_at = (size_t)(slot - tracker->slots.v);
			found = true;
		}
	}
	return found;
}

static bool is_tracked(const struct dump *d, const struct task *t)
{
	const struct tracker *by;
	uint64_t start;
	size_t at;

	return start_of(t, &start) == 0 && find_slot(d, t, start, &by, &at);
}

/* Of those who share memory the tracker knows one. */
static bool is_tracked_with(const struct dump *d, const struct task *t)
{
	array_each (other, &d->tasks)
		if (other != t && other->state != TASK_ZOMBIE && is_tracked(d, other) &&
		    syscall(SYS_kcmp, t->pid, other->pid, KCMP_VM, 0, 0) == 0)
			return true;
	return false;
}

bool track_sees(struct dump *d, const struct task *t)
{
	if (find_trackers(d) < 0)
		return false;
	if (d->track->asked != t->pid)
		d->track->sees = is_tracked(d, t) || is_tracked_with(d, t);
	d->track->asked = t->pid;
	return d->track->sees;
}

/* ---- its userfaultfd ---- */

/* Does UFFD concern the memory that T has now? It registers a page of the arena, which shows there or not. */
static bool is_uffd_of(int uffd, const struct task *t)
{
	auto_close int pagemap = openat(t->proc, "pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t at = t->arena.base, end = at + PAGE;
	struct page_region region;
	int n;

	if (pagemap < 0 || uffd_track(uffd, at, PAGE) < 0)
		return false;
	n = pagemap_find(pagemap, PAGEMAP_TRACKED, &at, end, &region, 1);
	uffd_untrack(uffd, t->arena.base, PAGE);
	return n == 1;
}

/* Some garbage collectors go by the marks of their own memory: those are theirs to clear. */
static bool looks_at_marks(const struct dump *d, const struct task *t)
{
	array_each (fd, &t->fds) {
		const char *link = d->files.v[fd->file].link, *name = strrchr(link, '/');

		if (!strncmp(link, "/proc/", 6) && name &&
		    (!strcmp(name, "/pagemap") || !strcmp(name, "/clear_refs")))
			return true;
	}
	return false;
}

static bool use_soft(const struct dump *d, const struct task *t, struct tracked *m)
{
	m->slot.soft = !looks_at_marks(d, t) && soft_dirty_works(&d->track->soft);
	return m->slot.soft;
}

/* Memory that T has now and had not when it was tracked has all marks. */
static bool take_over_soft(const struct dump *d, const struct task *t, struct tracked *m)
{
	return m->by->slots.v[m->at].soft && use_soft(d, t, m);
}

static bool take_over_uffd(const struct task *t, struct tracked *m)
{
	if (m->by->slots.v[m->at].soft)
		return false;
	m->uffd = tracker_uffd(m->by, m->at);
	if (m->uffd >= 0 && is_uffd_of(m->uffd, t))
		return true;
	closep(&m->uffd);
	m->uffd = -1;
	return false;
}

static bool take_over(const struct dump *d, const struct task *t, struct tracked *m)
{
	bool found = find_slot(d, t, m->slot.starttime, &m->by, &m->at);

	if (found && (take_over_soft(d, t, m) || take_over_uffd(t, m))) {
		memcpy(m->slot.id, m->by->slots.v[m->at].id, CHAIN_ID);
		return true;
	}
	m->by = NULL;
	return false;
}

/* What the process has made for us, under number FD; it closes it at once. */
static int make_uffd(struct dump *d, struct task *t, struct tracked *m)
{
	struct parasite *p = &t->parasite;
	int64_t fd, closed;
	int r = guard_note_uffd(d, t);

	if (r == 0)
		r = parasite_move(p, &t->threads.v[0].tracee);
	if (r == 0)
		r = parasite_call(p, SYS_userfaultfd, (const uint64_t[6]){ UFFD_FLAGS }, &fd);
	if (r < 0)
		return r;
	if (fd < 0) {
		warn("%s: its memory is not tracked: userfaultfd: %s", task_name(t),
		     strerror((int)-fd));
		return 0;
	}
	r = task_pidfd(t);
	m->uffd = r < 0 ? r : (int)syscall(SYS_pidfd_getfd, r, (int)fd, 0);
	if (r >= 0)
		r = m->uffd < 0 ? -errno : uffd_begin(m->uffd);
	if (r < 0 && !use_soft(d, t, m))
		warn("%s: its memory is not tracked: this kernel cannot tell what is written to "
		     "(userfaultfd WP_ASYNC, Linux 6.7, or soft-dirty marks that nobody else "
		     "clears): %s",
		     task_name(t), strerror(-r));
	if (r < 0) {
		closep(&m->uffd);
		m->uffd = -1;
	}
	r = parasite_call(p, SYS_close, (const uint64_t[6]){ (uint64_t)fd }, &closed);
	return r < 0 ? r : (int)closed;
}

/* Is anything pinned, maybe, that was pinned before it is armed? */
static bool has_pins(const struct dump *d, const struct task *t)
{
	array_each (v, &t->vmas)
		if (vma_class(v) == VMA_AIO || vma_class(v) == VMA_RING)
			return true;
	array_each (fd, &t->fds)
		if (!strcmp(d->files.v[fd->file].link, "anon_inode:[io_uring]"))
			return true;
	return false;
}

int track_ask(struct dump *d, struct task *t)
{
	struct tracked *m;
	int r;

	if (!d->track || mm_of(t) != t)
		return 0;
	m = array_add(&d->track->mms);
	if (!m)
		return -ENOMEM;
	m->uffd = -1;
	m->slot.pid = t->pid;
	m->pinned = has_pins(d, t);
	if (m->pinned && wanted(d))
		warn("%s: its memory is stored whole: io_uring and AIO write to it where that "
		     "cannot be seen",
		     task_name(t));
	r = start_of(t, &m->slot.starttime);
	if (r == 0 && !take_over(d, t, m) && d->opt->track && !m->pinned)
		r = make_uffd(d, t, m);
	return r < 0 ? fail(r, "%s: prepare to track its memory", task_name(t)) : 0;
}

/* ---- arming ---- */

int track_arm(struct dump *d)
{
	uint64_t begun = clock_ns();

	if (!d->track)
		return 0;
	array_each (t, &d->tasks) {
		int r = t->state != TASK_ZOMBIE && mm_of(t) == t
		                ? tracked_arm(d, t, tracked_of(d, t))
		                : 0;

		if (r < 0)
			return r;
	}
	log_fact("track_us", (clock_ns() - begun) / 1000);
	return 0;
}

const struct spans *track_unwritten(const struct dump *d, const struct task *t)
{
	const struct tracked *m = tracked_of(d, t);

	return m && m->relative && m->unwritten.n ? &m->unwritten : NULL;
}

/* ---- handing over ---- */

int track_leave(struct dump *d)
{
	auto_free struct tracker_slot *slots = NULL;
	auto_free int *uffds = NULL, *pidfds = NULL;
	size_t n = 0;
	int r;

	if (!d->track || !d->opt->track || (!d->opt->leave_running && !d->opt->leave_stopped))
		return 0;
	slots = calloc(d->track->mms.n + 1, sizeof(*slots));
	uffds = calloc(d->track->mms.n + 1, sizeof(*uffds));
	pidfds = calloc(d->track->mms.n + 1, sizeof(*pidfds));
	if (!slots || !uffds || !pidfds)
		return -ENOMEM;
	array_each (m, &d->track->mms) {
		if (!m->armed)
			continue;
		slots[n] = m->slot;
		memcpy(slots[n].id, d->id, CHAIN_ID);
		r = task_pidfd(task_find(d, m->slot.pid));
		if (r < 0)
			return fail(r, "task %d: pidfd_open", m->slot.pid);
		pidfds[n] = r;
		uffds[n++] = m->slot.soft ? r : m->uffd; /* any: nobody asks for that */
	}
	r = n ? tracker_start(slots, uffds, pidfds, n) : 0;
	if (r < 0) {
		warn("its memory is not tracked from here on: start a tracker: %s", strerror(-r));
		return 0;
	}
	array_each (m, &d->track->mms) {
		if (!m->armed || !m->by)
			continue;
		m->by->slots.v[m->at].taken = 1;
		tracker_update(m->by, m->at);
	}
	return 0;
}

void track_done(struct dump *d)
{
	images_free(d->parent);
	free(d->parent_path);
	d->parent = NULL;
	d->parent_path = NULL;
	if (!d->track)
		return;
	array_each (m, &d->track->mms) {
		closep(&m->uffd);
		array_done(&m->unwritten);
	}
	array_done(&d->track->mms);
	trackers_done(&d->track->trackers);
	free(d->track);
	d->track = NULL;
}
