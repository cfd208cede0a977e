/*
 * Nothing tells which protection keys a process has allocated. pkey_mprotect(2) looks at the key before it looks for
 * the memory (mm/mprotect.c): where nothing can be mapped it fails with ENOMEM for a key that is held, with EINVAL
 * for another, and changes nothing.
 */
#include "dump/memory_keys.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "parasite/arch/arch.h"

#define NOWHERE ARCH_USER_END /* the last page of the lower half is nobody's */
#define PAGE    4096

void memory_keys_ask(struct script *s)
{
	for (unsigned key = 1; key < arch_pkeys(); key++)
		script_ask(s, SYS_pkey_mprotect, NOWHERE, PAGE, PROT_NONE, key);
}

uint32_t memory_keys_take(const struct script *s, size_t first, Img__Vma **vmas, size_t n)
{
	uint32_t held = 0;

	for (unsigned key = 1; key < arch_pkeys(); key++)
		if (script_result(s, first + key - 1) == -ENOMEM)
			held |= 1u << key;
	for (size_t i = 0; i < n; i++)
		if (vmas[i]->prot == PROT_EXEC && !(held & 1u << vmas[i]->pkey))
			vmas[i]->pkey = 0;
	return held;
}
