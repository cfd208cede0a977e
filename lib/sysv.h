/*
 * SysV IPC: what dump and restore both need to know of the objects of an ipc
 * namespace. None of it belongs to a process, and none has a descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* --sysv: what to do about an object that others use, or that is there already. */
enum sysv_policy {
	SYSV_OWN,      /* it is the tree's alone, or the dump is refused */
	SYSV_KEEP,     /* leave it as it is in the kernel, use it again by its id */
	SYSV_RECREATE, /* its content goes into the image, and it is made anew */
};

enum sysv_type { SYSV_SHM, SYSV_SEM, SYSV_MSG };

/* "semaphore set 5 (key 0x1234)", for messages; one static buffer. */
const char *sysv_name(enum sysv_type type, int id, unsigned key);

/* -EINVAL, explained. NULL: SYSV_OWN. */
int sysv_policy(const char *name, enum sysv_policy *ret);

/* A process, not one of the N at SKIP, that has the segment SHMID attached: its pid and name; 0: none seen. */
pid_t sysv_attached(int shmid, const pid_t *skip, size_t n, char *name, size_t size);

/*
 * A process, not one of the N at SKIP, of which a thread is in a system call of
 * number NR or OTHER on the object ID; 0: none seen.
 */
pid_t sysv_waiting(int id, long nr, long other, const pid_t *skip, size_t n);

/* The name of a process, "?" when it is gone. */
void sysv_comm(pid_t pid, char *name, size_t size);
