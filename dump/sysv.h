/*
 * SysV IPC objects of the tree, dump half. They belong to the ipc namespace and
 * no descriptor leads to them; which of them the tree uses is told in dump/sysv.c.
 */
#pragma once

#include <sys/ipc.h>
#include <sys/sem.h>

#include "dump/dump.h"
#include "dump/shmem.h"
#include "proto/sysv.pb-c.h"

/* The last argument of semctl(2), which callers declare. */
union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
	struct seminfo *info;
};

/* A semaphore set. */
struct sem_set {
	int index, semid; /* the first for SEM_STAT */
	struct semid_ds ds;
	unsigned short *value; /* NULL: see sysv_sem_values() */
	pid_t *pid;            /* of the last operation on each; 0: none */
	uint32_t id;           /* of its record; 0: it is none of the tree's */
	bool kept;
};

/* What a process adds to a semaphore when it ends. */
struct sem_undo {
	struct task *task;
	int semid;
	unsigned num;
	int adjust;
};

/* What the tree has attached, by id. */
struct sysv_segments {
	ARRAY(struct sysv_segment {
		int shmid;
		uint64_t mappings;
		pid_t pid;        /* who has it ... */
		const char *name; /* ... and what his mapping is called; of the last look alone */
	})
	list;
	bool listed;
	uint64_t state; /* of the tree, when it was made */
};

struct sysv {
	struct sysv_segments segments;
	ARRAY(struct sem_set) sets; /* all of the namespace */
	time_t sets_read;           /* when that was begun */
	ARRAY(struct sem_undo) undos;
};

/* Is V an attached segment? */
bool vma_is_sysv(const struct vma *v);

/* Is that one of the processes of the tree? */
bool sysv_ours(const struct dump *d, pid_t pid);

/*
 * Others, WHO, use OBJECT of T, too: with --sysv 0, and whether it is kept, else -ENOTSUP, explained.
 */
int sysv_shared(const struct dump *d, const char *t, const char *object, const char *who,
                bool *ret_kept);

/* PERM of the object ID into MSG. */
void sysv_perm(int id, const struct ipc_perm *perm, time_t ctime, bool kept, Img__SysvPerm *msg);

/* May every segment of the tree be saved? Before the freeze. */
int sysv_shm_look(struct dump *d);
/* The same of one, whose mappings are called NAME: do others use it, and is it kept (--sysv)? */
int sysv_shm_others(struct dump *d, int shmid, const char *name, bool *ret_kept);
/* Those that nobody has attached become objects of d->shmems: their number, or -errno explained. */
int sysv_shm_take(struct dump *d);
/* The record beside that of the object M. */
int sysv_shm_put(struct dump *d, const struct shmem *m);

/* From here on there is d->sysv. */
int sysv_begin(struct dump *d);
/* Forget everything. */
void sysv_done(struct dump *d);

/* sysv_sem.c: fill v->sets with all sets of the namespace; what was in it is used if it still holds. */
int sysv_sem_list(struct sysv *v);
/* Fill set->value. */
int sysv_sem_values(struct sem_set *set);
void sysv_sem_forget(struct sysv *v);
int sysv_sem_look(struct dump *d);
/* The records of those that the tree uses: their number, or -errno explained. */
int sysv_sem_take(struct dump *d);

/* sysv_msg.c: likewise for message queues. */
int sysv_msg_look(struct dump *d);
int sysv_msg_take(struct dump *d);

/*
 * sysv_undo.c: before the scripts of T run: may it have something to undo? Then there is
 * room in its memory at *RET_AT for asking, once they have run: into d->sysv->undos.
 */
int sysv_undo_ask(struct dump *d, struct task *t, struct script *s, uint64_t *ret_at);
int sysv_undo_talk(struct dump *d, struct task *t, uint64_t at);
