/* The permission to use AMX, and the alternate stack that is large enough for it. */
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

#define ARCH_GET_XCOMP_PERM 0x1022
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XTILEDATA           18

static char stack[65536];

int main(int argc, char **argv)
{
	const stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	uint64_t before = 0, after = 0;
	bool have = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;

	if (argc > 1) /* only asked whether there is AMX */
		return !have;
	check(have && sigaltstack(&ss, NULL) == 0);
	check(syscall(SYS_arch_prctl, ARCH_GET_XCOMP_PERM, &before) == 0);
	zdtm_park();
	check(syscall(SYS_arch_prctl, ARCH_GET_XCOMP_PERM, &after) == 0);
	check(after == before && after & 1ul << XTILEDATA);
	return zdtm_pass();
}
