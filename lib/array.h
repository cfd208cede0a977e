/*
 * Growing arrays: struct { T *v; size_t n, cap; }, zero-initialised.
 *
 *	ARRAY(struct vma) vmas = {};
 *	struct vma *vma = array_add(&vmas);	zeroed new element, or NULL (ENOMEM)
 *	array_room(&vmas, 5)			true: room for five more, behind the last; who fills it adds to n
 *	array_done(&vmas);
 *
 * Pointers into an array are valid until the next array_add().
 */
#pragma once

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define ARRAY(type)            \
	struct {               \
		type *v;       \
		size_t n, cap; \
	}

static inline bool array_room_(void **v, size_t n, size_t *cap, size_t more, size_t size)
{
	size_t want = *cap * 2 > n + more ? *cap * 2 : n + more;
	void *p = n + more > *cap ? reallocarray(*v, want, size) : *v;

	if (!p)
		return false;
	*v = p;
	*cap = n + more > *cap ? want : *cap;
	return true;
}

#define array_room(a, more) array_room_((void **)&(a)->v, (a)->n, &(a)->cap, more, sizeof(*(a)->v))

static inline void *array_grow_(void **v, size_t *n, size_t *cap, size_t size)
{
	if (*n == *cap) {
		size_t more = *cap ? *cap * 2 : 16;
		void *p = reallocarray(*v, more, size);

		if (!p)
			return NULL;
		*v = p;
		*cap = more;
	}
	return memset((char *)*v + (*n)++ * size, 0, size);
}

#define array_add(a) \
	((__typeof__(*(a)->v) *)array_grow_((void **)&(a)->v, &(a)->n, &(a)->cap, sizeof(*(a)->v)))

#define array_done(a)                                 \
	do {                                          \
		free((a)->v);                         \
		(a)->v = NULL, (a)->n = (a)->cap = 0; \
	} while (0)

/* for (each element pointer). The array must not grow in the loop. */
#define array_each(p, a) for (__typeof__(*(a)->v) *p = (a)->v; (p) < (a)->v + (a)->n; (p)++)

/* The values of an option that may be given more than once; the texts belong to the caller's argv. */
struct words {
	const char **v;
	size_t n, cap;
};
