/*
 * Preloaded into crtool, what an older kernel lacks: fdinfo does not tell whether an eventfd is a semaphore
 * (Linux 6.5), nobody can choose the ids of POSIX timers (6.15), smaps has no name for MLOCK_ONFAULT.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define REAL(name)  ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define RESTORE_IDS 77 /* PR_TIMER_CREATE_RESTORE_IDS */

static void replace(char *text, size_t size, const char *what, const char *with)
{
	char *at = text;

	while ((at = memmem(at, size - (size_t)(at - text), what, strlen(what))))
		memcpy(at, with, strlen(with));
}

ssize_t read(int fd, void *buf, size_t size)
{
	ssize_t n = REAL(read)(fd, buf, size);

	if (n <= 0)
		return n;
	replace(buf, (size_t)n, "eventfd-semaphore: ", "other");
	if (memmem(buf, (size_t)n, "VmFlags: ", strlen("VmFlags: ")))
		replace(buf, (size_t)n, " lf ", " ?? ");
	return n;
}

int prctl(int option, ...)
{
	unsigned long args[4];
	va_list list;

	va_start(list, option);
	for (int i = 0; i < 4; i++)
		args[i] = va_arg(list, unsigned long);
	va_end(list);
	if (option == RESTORE_IDS) {
		errno = EINVAL;
		return -1;
	}
	return REAL(prctl)(option, args[0], args[1], args[2], args[3]);
}
