/*
 * Preloaded into crtool, what an older kernel lacks: fdinfo does not tell whether an eventfd is a semaphore
 * (Linux 6.5), nobody can choose the ids of POSIX timers (6.15), smaps has no name for MLOCK_ONFAULT; the handles
 * of what is watched on overlayfs are numbers of inodes, and nobody gives them (6.6).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define REAL(name)  ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define RESTORE_IDS 77 /* PR_TIMER_CREATE_RESTORE_IDS */
#define HANDLE_FID  0x200
#define OVERLAY     " fhandle-type:f8 f_handle:" /* OVL_FILEID_V1 */
#define BYTES       " fhandle-bytes:24"
#define NUMBER      " fhandle-bytes:8  fhandle-type:1  f_handle:"

static void replace(char *text, size_t size, const char *what, const char *with)
{
	char *at = text;

	while ((at = memmem(at, size - (size_t)(at - text), what, strlen(what))))
		memcpy(at, with, strlen(with));
}

/* In TEXT, which ends with a zero. */
static void number_handles(char *text)
{
	for (char *at = text, *handle; (at = strstr(at, "ino:")); at++) {
		char digits[17];
		uint32_t ino;

		handle = strstr(at, OVERLAY);
		if (!handle || memchr(at, '\n', (size_t)(handle - at)) ||
		    sscanf(at, "ino:%x", &ino) != 1)
			continue;
		snprintf(digits, sizeof(digits), "%08x%08x", __builtin_bswap32(ino), 0);
		handle -= strlen(BYTES);
		memcpy(handle, NUMBER, strlen(NUMBER));
		memcpy(handle + strlen(NUMBER), digits, 16);
	}
}

int name_to_handle_at(int dir, const char *path, struct file_handle *handle, int *mount, int flags)
{
	if (flags & HANDLE_FID) {
		errno = EINVAL;
		return -1;
	}
	return REAL(name_to_handle_at)(dir, path, handle, mount, flags);
}

ssize_t read(int fd, void *buf, size_t size)
{
	ssize_t n = REAL(read)(fd, buf, size);

	if (n <= 0)
		return n;
	replace(buf, (size_t)n, "eventfd-semaphore: ", "other");
	if (memmem(buf, (size_t)n, "VmFlags: ", strlen("VmFlags: ")))
		replace(buf, (size_t)n, " lf ", " ?? ");
	if (memmem(buf, (size_t)n, OVERLAY, strlen(OVERLAY)) && (size_t)n < size) {
		((char *)buf)[n] = '\0';
		number_handles(buf);
	}
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
