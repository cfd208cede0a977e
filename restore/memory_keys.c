/*
 * pkey_alloc(2) gives the lowest key that is free: all are taken, and those that nobody wants are given back. A key
 * may be free and still be that of a mapping (pkeys(7)). Rights to keys are extended CPU state of each thread.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/log.h"
#include "parasite/arch/arch.h"
#include "restore/memory.h"

#define NOWHERE ARCH_USER_END /* where nothing is mapped: pkey_mprotect(2) looks at the key first */
#define PAGE    4096
#define KEYS    16u

static uint32_t keys_of_mappings(const Img__Memory *m)
{
	uint32_t keys = 0;

	for (size_t i = 0; i < m->n_vmas; i++)
		if (m->vmas[i]->pkey)
			keys |= 1u << m->vmas[i]->pkey;
	return keys;
}

int keys_check(uint32_t pid, const Img__Memory *m)
{
	for (size_t i = 0; i < m->n_vmas; i++)
		if (m->vmas[i]->pkey >= KEYS)
			return fail(-EBADMSG, "task %u: a mapping with protection key %u", pid,
			            m->vmas[i]->pkey);
	if (m->pkeys & 1 || m->pkeys >> KEYS)
		return fail(-EBADMSG, "task %u: holds protection keys %#x", pid, m->pkeys);
	if ((m->pkeys | keys_of_mappings(m)) && !arch_pkeys())
		return fail(-ENOTSUP,
		            "task %u: has memory protection keys, which this machine has not; "
		            "restore where /proc/cpuinfo names ospke",
		            pid);
	return 0;
}

void keys_take(const Img__Memory *m, struct script *s)
{
	uint32_t want = m->pkeys | keys_of_mappings(m);

	for (uint32_t key = 1; want && key < arch_pkeys(); key++)
		script_ask(s, SYS_pkey_alloc, 0, PKEY_DISABLE_ACCESS);
	for (uint32_t key = 1; want && key < arch_pkeys(); key++)
		if (want & 1u << key)
			script_want(s, -ENOMEM, SYS_pkey_mprotect, NOWHERE, PAGE, PROT_NONE, key);
		else
			script_ask(s, SYS_pkey_free, key);
}

void keys_settle(const Img__Memory *m, struct script *s)
{
	uint32_t only_used = keys_of_mappings(m) & ~m->pkeys;

	for (uint32_t key = 1; key < KEYS; key++)
		if (only_used & 1u << key)
			script_call(s, SYS_pkey_free, key);
}
