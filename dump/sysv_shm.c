/*
 * SysV shared memory, dump half. An attached segment is a mapping of the
 * kernel's own tmpfs, named /SYSVkey, with the segment's id as its inode: the
 * content is read like that of all shared memory (dump/shmem.h). Its size, mode
 * and owner tells IPC_STAT, which changes nothing.
 *
 * nattch counts mappings: more of them than the tree has are of others.
 *
 * A segment that a process of the tree has made and nobody has attached is
 * attached by crtool for as long as it is read; its lpid and times show that.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

#include "dump/memory_map.h"
#include "dump/sysv.h"
#include "dump/task.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/sysv.h"
#include "proto/sysv_shm.pb-c.h"

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

bool vma_is_sysv(const struct vma *v)
{
	return !strncmp(v->name, "/SYSV", strlen("/SYSV")) && vma_class(v) == VMA_SHMEM;
}

static const char *segment_name(int shmid, key_t key)
{
	return sysv_name(SYSV_SHM, shmid, (unsigned)key);
}

/* ---- what the tree has attached ---- */

static int segment_compare(const void *a, const void *b)
{
	const struct sysv_segment *x = a, *y = b;

	return x->shmid < y->shmid ? -1 : x->shmid > y->shmid;
}

static int list_mappings(struct dump *d, struct sysv_segments *all)
{
	array_each (t, &d->tasks) {
		array_each (v, &t->vmas) {
			struct sysv_segment *s = vma_is_sysv(v) ? array_add(&all->list) : NULL;

			if (!s && vma_is_sysv(v))
				return -ENOMEM;
			if (s)
				*s = (struct sysv_segment){
					(int)v->ino,
					t->copy.tracee.tid && !(v->flags & VMF(dc)) ? 2 : 1, t->pid,
					v->name
				};
		}
	}
	return 0;
}

/* What it was made of is as it was: who is there, whether they stand still, their mappings and copies. */
static uint64_t state_of(const struct dump *d)
{
	uint64_t state = d->frozen;

	array_each (t, &d->tasks)
		state = state * 31 + t->vmas.n * 2 + (t->copy.tracee.tid != 0);
	return state;
}

/* By id, one for each, in d->sysv. */
static int segments_list(struct dump *d)
{
	struct sysv_segments *all = &d->sysv->segments;
	uint64_t state = state_of(d);
	size_t n = 0;

	if (all->listed && all->state == state)
		return 0;
	all->list.n = 0;
	if (list_mappings(d, all) < 0)
		return -ENOMEM;
	if (all->list.n)
		qsort(all->list.v, all->list.n, sizeof(*all->list.v), segment_compare);
	array_each (s, &all->list) {
		if (n && all->list.v[n - 1].shmid == s->shmid)
			all->list.v[n - 1].mappings += s->mappings;
		else
			all->list.v[n++] = *s;
	}
	all->list.n = n;
	all->listed = true, all->state = state;
	return 0;
}

/* How many mappings the tree has of SHMID, with those of its copies (dump/snapshot.h), and one who has it. */
static int mappings_of(struct dump *d, int shmid, uint64_t *ret, const struct task **ret_task)
{
	const struct sysv_segment key = { .shmid = shmid }, *s = NULL;
	int r = sysv_begin(d);

	if (r == 0)
		r = segments_list(d);
	if (r == 0 && d->sysv->segments.list.n)
		s = bsearch(&key, d->sysv->segments.list.v, d->sysv->segments.list.n, sizeof(key),
		            segment_compare);
	*ret = s ? s->mappings : 0;
	*ret_task = s ? task_find(d, s->pid) : d->tasks.v;
	return r;
}

static void others_name(const struct dump *d, int shmid, char *who, size_t size)
{
	auto_free pid_t *ours = calloc(d->tasks.n, sizeof(*ours));
	char comm[32];
	pid_t pid;

	snprintf(who, size, "somebody who cannot be seen");
	if (!ours)
		return;
	for (size_t i = 0; i < d->tasks.n; i++)
		ours[i] = d->tasks.v[i].pid;
	pid = sysv_attached(shmid, ours, d->tasks.n, comm, sizeof(comm));
	if (pid)
		snprintf(who, size, "task %d (%s)", pid, comm);
}

int sysv_shm_others(struct dump *d, int shmid, const char *name, bool *ret_kept)
{
	const struct task *t;
	struct shmid_ds ds;
	unsigned key = 0;
	uint64_t ours;
	char who[64];
	int r = mappings_of(d, shmid, &ours, &t);

	*ret_kept = false;
	if (r < 0)
		return r;
	sscanf(name, "/SYSV%x", &key);
	/* One that is marked for destruction has lost its key. */
	if (shmctl(shmid, IPC_STAT, &ds) < 0 ||
	    (ds.shm_perm.__key != (key_t)key && !(ds.shm_perm.mode & SHM_DEST)))
		return fail(-ENOTSUP,
		            "%s: %s: is of another ipc namespace than crtool's, not supported by "
		            "this version",
		            task_name(t), segment_name(shmid, (key_t)key));
	if (ds.shm_nattch <= ours)
		return 0;
	others_name(d, shmid, who, sizeof(who));
	return sysv_shared(d, task_name(t), segment_name(shmid, (key_t)key), who, ret_kept);
}

static bool any_segment(void)
{
	struct shm_info info;

	return shmctl(0, SHM_INFO, (struct shmid_ds *)&info) >= 0 && info.used_ids;
}

/* Mappings of the same segment are counted together: all must be known. */
static int read_mappings(struct dump *d)
{
	array_each (t, &d->tasks) {
		int r = t->vmas.n || t->state == TASK_ZOMBIE ? 0 : vmas_read(t);

		if (r < 0 && !task_has_ended(t))
			return fail(r, "%s: read its mappings", task_name(t));
	}
	return 0;
}

int sysv_shm_look(struct dump *d)
{
	int r = any_segment() ? read_mappings(d) : 0;

	d->sysv->segments.listed = false;
	if (r == 0)
		r = segments_list(d);
	for (size_t i = 0; r == 0 && i < d->sysv->segments.list.n; i++) {
		const struct sysv_segment s = d->sysv->segments.list.v[i];
		bool kept;

		r = dump_obstacle(d, sysv_shm_others(d, s.shmid, s.name, &kept));
	}
	return r;
}

/* ---- segments that nobody has attached ---- */

/* A descriptor of the content of SHMID, attached for a moment. */
static int detached_open(int shmid, size_t size)
{
	char *at = shmat(shmid, NULL, SHM_RDONLY);
	char path[64];
	int fd;

	if (at == (void *)-1)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (uintptr_t)at,
	         (uintptr_t)at + ((size + 4095) & ~UINT64_C(4095)));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	shmdt(at);
	return fd;
}

static int detached_take(struct dump *d, int shmid, const struct shmid_ds *ds)
{
	int fd = detached_open(shmid, ds->shm_segsz);

	if (fd == -ENOENT) /* huge pages: its end is elsewhere */
		return fail(-ENOTSUP,
		            "%s: of huge pages, and nobody has it attached: not supported by this "
		            "version; remove it (ipcrm -m %d) or have it attached",
		            segment_name(shmid, ds->shm_perm.__key), shmid);
	if (fd < 0)
		return fail(fd, "%s: attach it", segment_name(shmid, ds->shm_perm.__key));
	return shmem_of_segment(d, shmid, fd, ds->shm_perm.__key);
}

int sysv_shm_take(struct dump *d)
{
	struct shm_info info;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)&info), r = 0, n = 0;

	for (int i = 0; r == 0 && i <= last; i++) {
		struct shmid_ds ds;
		int shmid = shmctl(i, SHM_STAT_ANY, &ds);

		if (shmid < 0 || ds.shm_nattch || !sysv_ours(d, ds.shm_cpid))
			continue;
		r = detached_take(d, shmid, &ds);
		n++;
	}
	return r < 0 ? r : n;
}

/* ---- the record ---- */

int sysv_shm_put(struct dump *d, const struct shmem *m)
{
	Img__SysvShm msg = IMG__SYSV_SHM__INIT;
	Img__SysvPerm perm = IMG__SYSV_PERM__INIT;
	struct shmid_ds ds;

	if (shmctl((int)m->ino, IPC_STAT, &ds) < 0)
		return fail(-errno, "%s: IPC_STAT", segment_name((int)m->ino, m->key));
	sysv_perm((int)m->ino, &ds.shm_perm, ds.shm_ctime, m->kept, &perm);
	perm.key = (uint32_t)m->key;
	msg.id = m->id;
	msg.perm = &perm;
	msg.size = ds.shm_segsz;
	msg.cpid = (uint32_t)ds.shm_cpid;
	msg.lpid = (uint32_t)ds.shm_lpid;
	msg.detached = !ds.shm_nattch;
	return image_put(d->out, KIND_sysv_shm, m->id, &msg.base);
}
