/*
 * arch_prctl(2) and modify_ldt(2). Faulting of cpuid belongs to a thread; the permission for
 * large register state (AMX) to a process, can only be asked for, never given
 * back, and is refused while any thread has too small an alternate stack.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "parasite/compile.h"
#include "parasite/arch/x86_64/arch.h"

/* arch/x86/include/uapi/asm/prctl.h */
#define ARCH_GET_CPUID      0x1011
#define ARCH_SET_CPUID      0x1012
#define ARCH_GET_XCOMP_SUPP 0x1021
#define ARCH_GET_XCOMP_PERM 0x1022
#define ARCH_REQ_XCOMP_PERM 0x1023

#define XFEATURE_TILE 17 /* the first that has to be asked for: arch/x86/include/asm/fpu/types.h */

size_t arch_cpuid_ask(struct script *s)
{
	return script_ask(s, SYS_arch_prctl, ARCH_GET_CPUID, 0);
}

void arch_cpuid_forbid(struct script *s)
{
	script_call(s, SYS_arch_prctl, ARCH_SET_CPUID, 0);
}

/* func 0: read. Two entries are enough to see whether there are any. */
size_t arch_ldt_ask(struct script *s, uint64_t scratch)
{
	return script_ask(s, SYS_modify_ldt, 0, scratch, 16);
}

void arch_xcomp_ask(struct script *s, uint64_t at)
{
	script_ask(s, SYS_arch_prctl, ARCH_GET_XCOMP_PERM, at);
}

uint64_t arch_xcomp_own(void)
{
	uint64_t own = 0;

	syscall(SYS_arch_prctl, ARCH_GET_XCOMP_PERM, &own);
	return own;
}

bool arch_xcomp_varies(void)
{
	uint64_t supported = 0;

	syscall(SYS_arch_prctl, ARCH_GET_XCOMP_SUPP, &supported);
	return supported >> XFEATURE_TILE;
}

void arch_xcomp_permit(struct script *s, uint64_t want)
{
	for (uint64_t rest = want & ~arch_xcomp_own(); rest; rest &= rest - 1)
		script_call(s, SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, __builtin_ctzll(rest));
}
