/*
 * SysV IPC objects, restore half: made by the coordinator under the ids that
 * they had, before anything is forked, and removed again if the restore fails.
 */
#pragma once

#include "proto/memory.pb-c.h"
#include "proto/shmem.pb-c.h"
#include "proto/sysv.pb-c.h"
#include "proto/sysv_sem.pb-c.h"
#include "proto/sysv_shm.pb-c.h"
#include "restore/restore.h"

/* Its name for messages (lib/sysv.h). */
const char *sysv_perm_name(enum sysv_type type, const Img__SysvPerm *perm);

/* Refuse what no kernel has. */
int sysv_check_perm(enum sysv_type type, const Img__SysvPerm *perm);

/* ---- by whom (sysv_as.c) ---- */

/* To be done in a process of number PID, as far as that can be had (0: any): what it does shall bear that number. */
struct sysv_job {
	pid_t pid;
	int (*fn)(const void *arg); /* answers >= 0 or -errno */
	const void *arg;
	int ret;
};

/*
 * All of them in their order, those that follow each other and are of the same number in one process. After a
 * failure, which is the answer, what comes behind is not done: it is answered -ECANCELED.
 */
int sysv_as_all(struct sysv_job *jobs, size_t n);
/* The same of one. */
int sysv_as(pid_t pid, int (*fn)(const void *arg), const void *arg);

/* An object of PERM, to be made by MAKE(ARG), one of shmget(2), semget(2), msgget(2), in a process of number PID. */
struct sysv_wish {
	const Img__SysvPerm *perm;
	pid_t pid;
	int (*make)(const void *arg); /* answers an id or -errno */
	const void *arg;
};

/*
 * Make all of WISHES, which are put in order, as the users that had made them: each gets the id of its PERM. They are
 * removed if the restore fails. 0 or -errno, explained.
 */
int sysv_make(struct restore *r, enum sysv_type type, struct sysv_wish *wishes, size_t n);

/* The mapping at AT stays until the end of the restore. */
int sysv_attachment(struct restore *r, void *at);

/* Objects that were made go, unless KEEP. */
void sysv_release(struct restore *r, bool keep);

/* ---- shared memory (sysv_shm.c) ---- */

/* The record beside that of the object with that id; NULL: it is no segment. */
const Img__SysvShm *sysv_shm_record(const struct restore *r, uint32_t shmem_id);
int sysv_shm_check(struct restore *r, const Img__Shmem *m);
/* The segment: a descriptor of its content, and whether that is to be filled. Explained. */
int sysv_shm_make(struct restore *r, const Img__Shmem *m, bool *ret_fill);
/*
 * Attach the segment that the mapping number I of M shows, and all mappings
 * behind it that belong to the same attachment: their number, or -errno explained.
 */
int sysv_shm_map(struct restore *r, const Img__Memory *m, size_t i, struct script *s);
/* Those that nobody in the tree has attached are made, too. */
int sysv_shm_make_detached(struct restore *r);

/* ---- message queues (sysv_msg.c) ---- */

int sysv_msg_check(struct restore *r);
/* All queues with their messages. Explained. */
int sysv_msg_make(struct restore *r);

/* ---- semaphores (sysv_sem.c) ---- */

/* All sets, and what the process OWNER has of them. */
int sysv_sem_check(struct restore *r, uint32_t owner, const Img__Sysv *msg);
/* All sets with their values. Explained. */
int sysv_sem_make(struct restore *r);
/* In the process: what it undoes at its end; later, what it was the last to operate on. */
void sysv_sem_undo(struct restore *r, const Img__Sysv *msg, struct script *s);
void sysv_sem_last(struct restore *r, const Img__Sysv *msg, struct script *s);
