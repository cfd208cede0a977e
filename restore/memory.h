/* The parts of the aspect memory, restore half. */
#pragma once

#include "images/pages.h"
#include "proto/memory.pb-c.h"
#include "restore/restore.h"

/* Marks of a mapping. */
enum vma_mark {
	MARK_FILLED = 1,  /* pages of the checkpoint go into it */
	MARK_GUARDED = 2, /* it has guard regions */
	MARK_KEPT = 4,    /* some of it is inherited, writable */
	MARK_LATER = 8,   /* all of what it holds comes later (lazy.h) */
};

/* Pages of an address space, and where the checkpoint has them. */
struct source {
	uint64_t start, size, offset;
	uint32_t file;
};
struct sources {
	struct source *v;
	size_t n, cap;
};

struct range {
	uint64_t start, end;
};

/* What becomes in a task of what it has inherited (memory_keep.c). */
struct keep {
	ARRAY(struct range) ranges; /* kept, by address, each within one mapping of the task */
	ARRAY(struct range) drops;  /* pages in them that the task does not have */
	struct sources reads;       /* what is left to be read */
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
	if (mark & MARK_KEPT)
		return v->prot != 3;
	return (mark & MARK_FILLED || v->traits & IMG__VMA__TRAIT__ACCOUNTED) && (v->prot & 3) != 3;
}

/* Unmap what is there, but the arena and what is kept; KEEP may be NULL (memory.c). */
void memory_clear(struct restore *r, const struct keep *keep, struct script *s);

/* The same before anything is mapped, range by range: EACH may be munmap(2) or its contrary (memory.c). */
void memory_free_ranges(struct restore *r, const struct keep *keep,
                        void (*each)(uint64_t start, uint64_t end, void *arg), void *arg);
/* Mappings of rings, before all others (memory_ring.c). */
int rings_map(struct restore *r, const Img__Memory *m, const struct keep *keep, struct script *s);

/* All mappings, ready to be filled (memory_map.c). */
int memory_map(struct restore *r, const Img__Memory *m, const uint8_t *marks,
               const struct keep *keep, struct script *s);
/* One from START to END, as V would be there. */
int memory_map_part(struct restore *r, const Img__Vma *v, uint64_t start, uint64_t end,
                    uint32_t prot, struct script *s);
/*
 * Protection keys (memory_keys.c). Refuse hostile ones, and any where there are none; take those that M holds or its
 * mappings have before the first mapping, give back what M does not hold behind the last.
 */
int keys_check(uint32_t pid, const Img__Memory *m);
void keys_take(const Img__Memory *m, struct script *s);
void keys_settle(const Img__Memory *m, struct script *s);

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

#define FILLERS 4 /* threads that fill the memory of one task, at most */

struct place; /* memory_place.h */

/* All its pages into its mappings (memory_fill.c). */
int memory_fill(struct restore *r, struct rtask *t, const struct place *place, struct script *s);
/* May threads of T help? Their numbers are the kernel's choice. */
bool memory_may_share(const struct restore *r, const struct rtask *t);
/* Those of LIST; THREADS may help. PLACE may be NULL. */
int memory_read(struct restore *r, struct rtask *t, const struct sources *list,
                const struct place *place, bool threads, struct script *s);

/* What is done from outside when all tasks stand at the end of their scripts (memory.c). Explained. */
int memory_commit(struct restore *r);
