/* Preloaded into crtool: fdinfo does not tell whether an eventfd is a semaphore, as before Linux 6.5. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#define LINE "eventfd-semaphore: "

ssize_t read(int fd, void *buf, size_t size)
{
	ssize_t n = ((__typeof__(&read))dlsym(RTLD_NEXT, "read"))(fd, buf, size);
	char *line = n > 0 ? memmem(buf, (size_t)n, LINE, strlen(LINE)) : NULL;

	if (line)
		memcpy(line, "other", strlen("other"));
	return n;
}
