/* The vDSO: the kernel maps all of its parts with one call. */
#include "parasite/arch/x86_64/arch.h"

#include <string.h>
#include <sys/syscall.h>

#define ARCH_MAP_VDSO_64 0x2003

uint32_t arch_vdso_call(uint64_t at, uint64_t ret_args[6])
{
	const uint64_t args[6] = { ARCH_MAP_VDSO_64, at };

	memcpy(ret_args, args, sizeof(args));
	return SYS_arch_prctl;
}

/* movabs $to, %rax; jmp *%rax */
void arch_put_jump(void *at, uint64_t to)
{
	unsigned char code[ARCH_JUMP_SIZE] = { 0x48, 0xb8, [10] = 0xff, [11] = 0xe0 };

	memcpy(code + 2, &to, sizeof(to));
	memcpy(at, code, sizeof(code));
}
