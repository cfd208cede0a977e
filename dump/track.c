#include "dump/track.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "dump/guard.h"
#include "dump/memory_map.h"
#include "dump/pagemap.h"
#include "dump/tracker.h"
#include "dump/uffd.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/log.h"
#include "lib/procfs.h"

#define REGIONS 2048
#define PAGE    UINT64_C(4096)

/* An address space that is, or is to be tracked. */
struct tracked {
	struct tracker_slot slot;
	const struct tracker *by; /* who has it by now: its slot AT; NULL: nobody */
	size_t at;
	int uffd;               /* -1: it cannot be */
	bool pinned;            /* the kernel may hold pages of it */
	struct spans unwritten; /* since it was armed, ... */
	bool relative;          /* ... which was when the parent was made */
	bool armed;
};

struct track {
	struct trackers trackers;
	ARRAY(struct tracked) mms;
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

/* ---- the parent ---- */

/* PATH as it is seen from DIR; both are absolute, without links. */
static char *relative_path(const char *dir, const char *path)
{
	size_t same = 0, up = 0;
	char *ret, *end;

	for (size_t i = 0; dir[i] == path[i]; i++) {
		if (dir[i] == '/')
			same = i;
		if (!dir[i])
			return strdup(".");
	}
	for (const char *at = dir + same; *at; at++)
		up += *at == '/' && at[1];
	ret = malloc(3 * up + strlen(path + same) + 1);
	if (!ret)
		return NULL;
	end = ret;
	while (up--)
		end = stpcpy(end, "../");
	strcpy(end, path + same + 1);
	return ret;
}

/* What the manifest says of it: directories that are moved together stay together. */
static int note_parent(struct dump *d, const char *dir)
{
	auto_free char *own = realpath(d->opt->dir, NULL), *other = realpath(dir, NULL);
	size_t depth = 1;

	if (!own || !other)
		return fail(-errno, "%s: find its place beside %s", dir, d->opt->dir);
	for (const struct images *im = d->parent; im; im = im->parent)
		depth++;
	if (depth > CHAIN_MAX + 1)
		return fail(-ENOTSUP, "%s: is an increment of %u others; fold them (crtool squash)",
		            dir, CHAIN_MAX);
	img__manifest__parent__init(&d->parent_msg);
	d->parent_path = relative_path(own, other);
	if (!d->parent_path)
		return -ENOMEM;
	d->parent_msg.path = d->parent_path;
	d->parent_msg.id = d->parent->manifest->id;
	d->manifest->parent = &d->parent_msg;
	return 0;
}

/* Pages that are encrypted here are so there, with the same key; who signed it is the restore's matter. */
static int open_parent(struct dump *d)
{
	auto_free char *dir = NULL;
	struct image_keys keys = {};
	bool crypt = d->opt->keys && d->opt->keys->has_crypt;
	const char *prev = d->opt->prev;
	int r;

	if (*prev == '/')
		dir = strdup(prev);
	else if (asprintf(&dir, "%s/%s", d->opt->dir, prev) < 0)
		dir = NULL;
	if (!dir)
		return -ENOMEM;
	if (crypt) {
		keys = *d->opt->keys;
		keys.has_sign = keys.has_verify = false;
	}
	r = images_read(dir, PAGES_FOUND, crypt ? &keys : NULL, &d->parent);
	crypto_wipe(&keys, sizeof(keys));
	if (r < 0)
		return r;
	if (d->parent->manifest->id.len != CHAIN_ID)
		return fail(-ENOTSUP,
		            "%s: was made by a crtool that knew no increments; dump "
		            "without --prev-images-dir",
		            dir);
	return note_parent(d, dir);
}

int track_begin(struct dump *d)
{
	int r = 0;

	if (getrandom(d->id, sizeof(d->id), 0) != sizeof(d->id))
		return fail(-errno, "choose an id for the checkpoint");
	if (d->opt->prev)
		r = open_parent(d);
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

bool track_sees(struct dump *d, const struct task *t)
{
	const struct tracker *by;
	uint64_t start;
	size_t at;

	if (find_trackers(d) < 0)
		return false;
	if (d->track->asked != t->pid)
		d->track->sees = start_of(t, &start) == 0 && find_slot(d, t, start, &by, &at);
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

static bool take_over(const struct dump *d, const struct task *t, struct tracked *m)
{
	m->uffd = find_slot(d, t, m->slot.starttime, &m->by, &m->at) ? tracker_uffd(m->by, m->at)
	                                                             : -1;
	if (m->uffd >= 0 && is_uffd_of(m->uffd, t)) {
		memcpy(m->slot.id, m->by->slots.v[m->at].id, CHAIN_ID);
		return true;
	}
	closep(&m->uffd);
	m->uffd = -1;
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
	m->uffd = (int)syscall(SYS_pidfd_getfd, t->pidfd, (int)fd, 0);
	r = m->uffd < 0 ? -errno : uffd_begin(m->uffd);
	if (r < 0) {
		warn("%s: its memory is not tracked: this kernel cannot tell what is written to "
		     "(userfaultfd WP_ASYNC, Linux 6.7): %s",
		     task_name(t), strerror(-r));
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

/* ---- looking and arming ---- */

/*
 * Memory that is tracked: what the checkpoint will hold, of this process alone. Not private
 * mappings of files: where their pages are dropped, the kernel leaves markers of the
 * protection behind, and madvise(MADV_GUARD_INSTALL) would wait for ever for these to go
 * (mm/madvise.c, seen on 6.18).
 */
static bool is_tracked(const struct dump *d, const struct vma *v)
{
	if (d->opt->wipe_dontdump && (v->flags & VMF(dd)))
		return false;
	return vma_has_pages(v) && vma_class(v) == VMA_ANON && !(v->flags & (VMF(ht) | VMF(dp)));
}

/* Neighbouring mappings from *I on, as [*ret_first, *I). */
static bool next_group(const struct dump *d, const struct task *t, size_t *i, size_t *ret_first)
{
	while (*i < t->vmas.n && !is_tracked(d, &t->vmas.v[*i]))
		(*i)++;
	*ret_first = *i;
	while (*i < t->vmas.n && is_tracked(d, &t->vmas.v[*i]))
		(*i)++;
	return *i > *ret_first;
}

/* What QUERY finds. */
static int find_all(const struct dump *d, const struct task *t, enum pagemap_query query,
                    struct spans *ret)
{
	auto_free struct page_region *regions = calloc(REGIONS, sizeof(*regions));
	auto_close int pagemap = openat(t->proc, "pagemap", O_RDONLY | O_CLOEXEC);

	if (!regions || pagemap < 0)
		return regions ? -errno : -ENOMEM;
	for (size_t i = 0, first; next_group(d, t, &i, &first);) {
		uint64_t at = t->vmas.v[first].start, end = t->vmas.v[i - 1].end;

		while (at < end) {
			int n = pagemap_find(pagemap, query, &at, end, regions, REGIONS);

			if (n < 0)
				return n;
			for (int k = 0; k < n; k++) {
				struct span *s = array_add(ret);

				if (!s)
					return -ENOMEM;
				*s = (struct span){ regions[k].start, regions[k].end };
			}
		}
	}
	return 0;
}

/* V is registered with somebody else's userfaultfd. */
static int refuse_foreign(const struct task *t, const struct vma *v)
{
	return fail(-ENOTSUP,
	            "%s: mapping %" PRIx64 "-%" PRIx64
	            " (%s): it is registered with userfaultfd, not supported by this version",
	            task_name(t), v->start, v->end, *v->name ? v->name : "anonymous");
}

/* One by one, what can be: the rest is stored whole every time. */
static int register_each(const struct task *t, const struct tracked *m, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++) {
		const struct vma *v = &t->vmas.v[i];
		int r = uffd_track(m->uffd, v->start, v->end - v->start);

		if (r == -EBUSY && v->flags & VMF(uw))
			return refuse_foreign(t, v);
		if (r == -ENOMEM || r == -ESRCH)
			return fail(r, "%s: track its memory", task_name(t));
	}
	return 0;
}

static int register_all(const struct dump *d, const struct task *t, const struct tracked *m)
{
	int r = 0;

	for (size_t i = 0, first; r == 0 && next_group(d, t, &i, &first);) {
		uint64_t start = t->vmas.v[first].start;

		if (uffd_track(m->uffd, start, t->vmas.v[i - 1].end - start) < 0)
			r = register_each(t, m, first, i);
	}
	return r;
}

/* Is everything that bears the mark ours? Nobody's program is let go without its userfaultfd. */
static int check_foreign(const struct dump *d, const struct task *t, const struct tracked *m)
{
	array_each (v, &t->vmas) {
		bool marked = v->flags & VMF(uw);

		if (marked && (!m || m->uffd < 0 || !is_tracked(d, v) ||
		               uffd_track(m->uffd, v->start, v->end - v->start) < 0))
			return refuse_foreign(t, v);
	}
	return 0;
}

/* Take B out of A; both by address. */
static int subtract(struct spans *a, const struct spans *b)
{
	struct spans out = {};
	size_t k = 0;

	for (size_t i = 0; i < a->n; i++) {
		uint64_t at = a->v[i].start, end = a->v[i].end;

		while (at < end) {
			struct span *s;
			uint64_t to;

			while (k < b->n && b->v[k].end <= at)
				k++;
			if (k < b->n && b->v[k].start <= at) {
				at = b->v[k].end;
				continue;
			}
			to = k < b->n && b->v[k].start < end ? b->v[k].start : end;
			s = array_add(&out);
			if (!s) {
				array_done(&out);
				return -ENOMEM;
			}
			*s = (struct span){ at, to };
			at = to;
		}
	}
	array_done(a);
	*a = out;
	return 0;
}

/* From here on the tracking is relative to nothing, until the checkpoint is whole. */
static int forget_id(struct tracked *m)
{
	memset(m->slot.id, 0, CHAIN_ID);
	if (!m->by)
		return 0;
	memset(m->by->slots.v[m->at].id, 0, CHAIN_ID);
	return tracker_update(m->by, m->at);
}

/*
 * Where a mapping is moved to beside one that is tracked, the kernel makes them one and
 * forgets to track both (mremap_userfaultfd_prep(), seen on 6.18), but leaves the mark of the
 * protection in pages that may be written to from then on. Tracked again, they would be
 * taken for unwritten for ever: what was not KNOWN to be so before loses the mark.
 */
static int disarm_stale(const struct dump *d, const struct task *t, struct tracked *m,
                        const struct spans *known)
{
	struct spans stale = {};
	int r = find_all(d, t, PAGEMAP_UNWRITTEN, &stale);

	if (r == 0)
		r = subtract(&stale, known);
	for (size_t i = 0; r == 0 && i < stale.n; i++)
		r = uffd_disarm(m->uffd, stale.v[i].start, stale.v[i].end - stale.v[i].start);
	array_done(&stale);
	return r;
}

static int arm(const struct dump *d, const struct task *t, struct tracked *m)
{
	struct spans written = {};
	int r = forget_id(m);

	if (r == 0)
		r = register_all(d, t, m);
	if (r == 0)
		r = disarm_stale(d, t, m, &m->unwritten);
	if (r == 0)
		r = find_all(d, t, PAGEMAP_ARM, &written);
	/* Whoever wrote between the two looks is seen here. */
	if (r == 0)
		r = subtract(&m->unwritten, &written);
	m->armed = r == 0;
	array_done(&written);
	return r;
}

static int arm_task(struct dump *d, const struct task *t)
{
	struct tracked *m = tracked_of(d, t);
	int r = check_foreign(d, t, m);

	if (r < 0 || !m || m->uffd < 0)
		return r;
	if (m->pinned)
		return d->opt->track ? forget_id(m) : 0;
	m->relative = d->parent && !memcmp(m->slot.id, d->parent->manifest->id.data, CHAIN_ID);
	r = find_all(d, t, PAGEMAP_UNWRITTEN, &m->unwritten);
	if (r == 0 && d->opt->track)
		r = arm(d, t, m);
	return r < 0 ? fail(r, "%s: look for what was written to", task_name(t)) : 0;
}

int track_arm(struct dump *d)
{
	uint64_t begun = clock_ns();

	if (!d->track)
		return 0;
	array_each (t, &d->tasks) {
		int r = t->state != TASK_ZOMBIE && mm_of(t) == t ? arm_task(d, t) : 0;

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
		pidfds[n] = task_find(d, m->slot.pid)->pidfd;
		uffds[n++] = m->uffd;
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
