/* The parts of the aspect memory, restore half. */
#pragma once

#include "images/pages.h"
#include "proto/memory.pb-c.h"
#include "restore/restore.h"

/* Marks of a mapping. */
enum vma_mark {
	MARK_FILLED = 1,  /* pages of the checkpoint go into it */
	MARK_GUARDED = 2, /* it has guard regions */
};

/* Refuse hostile content (memory_check.c). */
int memory_check(struct restore *r, uint32_t owner, const ProtobufCMessage *msg);

/* memory_probe.c: report what of M this kernel cannot do, which changes nothing that the memory holds. */
void memory_probe(uint32_t pid, const Img__Memory *m);

/* The marks of all mappings of PID, checked on the way; freed by the caller (memory_check.c). */
int memory_marks(struct restore *r, uint32_t pid, const Img__Memory *m, uint8_t **ret);

/* Must it be writable at first: to be filled, or for memory to be reserved for it? */
static inline bool vma_needs_write(const Img__Vma *v, uint8_t mark)
{
	return (mark & MARK_FILLED || v->traits & IMG__VMA__TRAIT__ACCOUNTED) && (v->prot & 3) != 3;
}

/* All mappings, ready to be filled (memory_map.c). */
int memory_map(struct restore *r, const Img__Memory *m, const uint8_t *marks, struct script *s);
/* Protection, advice, locks, once they are full. */
void memory_settle(const Img__Memory *m, const uint8_t *marks, struct script *s);

/* The vDSO of a task (memory_vdso.c). */
struct vdso_plan {
	uint64_t map;  /* where the kernel shall map its own: data first; 0: the task has none */
	uint64_t code; /* where the code of that will be */
	bool foreign;  /* the task's is another one, and stays as data that leads there */
};

/* The mappings of the vDSO are in order, with code that can be had. Explained. */
int vdso_check(struct restore *r, uint32_t pid, const Img__Memory *m);
int vdso_plan(struct restore *r, const Img__Memory *m, struct vdso_plan *ret);
/* First of all mappings: the kernel's own. */
void vdso_map(const struct vdso_plan *plan, struct script *s);
/* Last of them: what is left of a foreign one. */
int vdso_settle(struct restore *r, uint32_t pid, const Img__Memory *m, const struct vdso_plan *plan,
                struct script *s);

/* Its pages into its mappings (memory_fill.c). */
int memory_fill(struct restore *r, struct rtask *t, struct script *s);

/* What is done from outside when all tasks stand at the end of their scripts (memory.c). Explained. */
int memory_commit(struct restore *r);
