/*
 * dispatch [block]: prctl(2), PR_SET_SYSCALL_USER_DISPATCH: system calls from most of the program raise SIGSYS.
 * "block": all that libc does not make do so, while it waits, too.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON           1
#endif

#define ALLOW 0
#define BLOCK 1

static char selector = ALLOW;
static volatile int caught;

static void on_sys(int sig, siginfo_t *si, void *context)
{
	selector = ALLOW;
	caught = si->si_syscall;
}

struct range {
	uintptr_t start, size;
};

/* The code that getppid(2) is called from. */
static int find_libc(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct range *ret = arg;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD ||
		    (uintptr_t)dlsym(RTLD_DEFAULT, "getppid") - start >= ph->p_memsz)
			continue;
		*ret = (struct range){ start, ph->p_memsz };
		return 1;
	}
	return 0;
}

static void call(long nr)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(nr) : "rcx", "r11", "memory");
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO };
	struct range allowed = {};

	if (argc > 1) {
		check(dl_iterate_phdr(find_libc, &allowed) == 1);
		selector = BLOCK;
	}
	check(sigaction(SIGSYS, &sa, NULL) == 0);
	check(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, allowed.start, allowed.size,
	            &selector) == 0);
	zdtm_park();
	check(caught == 0);
	selector = BLOCK;
	call(SYS_getppid);
	check(caught == SYS_getppid);
	return zdtm_pass();
}
