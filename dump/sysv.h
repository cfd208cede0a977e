/*
 * SysV IPC objects of the tree, dump half. They belong to the ipc namespace and
 * no descriptor leads to them; which of them the tree uses is told in dump/sysv.c.
 */
#pragma once

#include <sys/ipc.h>

#include "dump/dump.h"
#include "dump/shmem.h"
#include "proto/sysv.pb-c.h"

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
