/*
 * Memory protection keys: which are held, which mappings have them, and what each thread may do with them.
 *
 *	memory_keys [probe]     77 where there are none
 *	memory_keys denied      a thread that keeps itself from all memory without a key, and turns for ever
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#define PAGE     4096UL
#define SIZE     (4 * PAGE)
#define KEYS     16
#define CODE_KEY 4 /* the kernel's choice, made when three are held */

static struct maps before, after;
static char *hidden, *fixed, *orphaned;
static volatile bool go_on;

static unsigned rights(void)
{
	unsigned eax, edx;

	__asm__ volatile("rdpkru" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

static void set_rights(unsigned all)
{
	__asm__ volatile("wrpkru" : : "a"(all), "c"(0), "d"(0) : "memory");
}

static char *map(int key)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED);
	check(mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	memset(p, 'a' + key, SIZE);
	check(pkey_mprotect(p, SIZE, PROT_READ | PROT_WRITE, key) == 0);
	return p;
}

/* The kernel obeys the rights of its caller. */
static bool may_read(const char *p)
{
	int fds[2];
	bool may;

	check(pipe(fds) == 0);
	may = write(fds[1], p, 1) == 1;
	check(may || errno == EFAULT);
	close(fds[0]);
	close(fds[1]);
	return may;
}

static bool may_write(char *p)
{
	int fds[2];
	char c = *p;
	bool may;

	check(pipe(fds) == 0);
	check(write(fds[1], &c, 1) == 1);
	may = read(fds[0], p, 1) == 1;
	check(may || errno == EFAULT);
	close(fds[0]);
	close(fds[1]);
	return may;
}

/* It may do the contrary of what the first may. */
static void *other(void *arg)
{
	unsigned mine;

	(void)arg;
	check(pkey_set(pkey_alloc(0, 0), PKEY_DISABLE_WRITE) == 0); /* the fifth */
	check(pkey_set(1, 0) == 0 && pkey_set(3, PKEY_DISABLE_ACCESS) == 0);
	mine = rights();
	__atomic_store_n(&go_on, true, __ATOMIC_SEQ_CST);
	while (!zdtm_released())
		zdtm_nap();
	check(rights() == mine);
	check(may_read(hidden) && may_write(hidden) && !may_read(fixed));
	return NULL;
}

/* Keys are taken from the lowest on: all that are not held come in this order, but that of code to execute only. */
static void check_held(unsigned held)
{
	for (int key = 1; key < KEYS; key++)
		if (!(held & 1u << key) && key != CODE_KEY)
			check(pkey_alloc(0, 0) == key);
	check(pkey_alloc(0, 0) < 0 && errno == ENOSPC);
}

/* A child has other keys than its parent. */
static pid_t start_child(void)
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid)
		return pid;
	check(pkey_alloc(0, 0) == 2 && pkey_alloc(0, 0) == 6 && pkey_free(5) == 0);
	check(pkey_mprotect(hidden, SIZE, PROT_READ, 6) == 0);
	check(pkey_mprotect(fixed, SIZE, PROT_READ, 0) == 0);
	maps_take(&before);
	while (!zdtm_released())
		zdtm_nap();
	maps_take(&after);
	check(maps_same(&before, &after));
	check_held(1u << 1 | 1u << 2 | 1u << 3 | 1u << 6);
	_exit(0);
}

static void *deny(void *arg)
{
	(void)arg;
	__asm__ volatile("wrpkru\n\t"
	                 "1: jmp 1b"
	                 :
	                 : "a"(1), "c"(0), "d"(0));
	return NULL;
}

int main(int argc, char **argv)
{
	int key = pkey_alloc(0, PKEY_DISABLE_ACCESS), status;
	pthread_t thread;
	unsigned mine;
	char *code;
	pid_t child;

	if (key < 0)
		return 77;
	if (argc > 1 && !strcmp(argv[1], "probe"))
		return 0;
	check(key == 1 && pkey_alloc(0, 0) == 2 && pkey_alloc(0, PKEY_DISABLE_WRITE) == 3);
	hidden = map(0);
	check(pkey_mprotect(hidden, SIZE, PROT_READ | PROT_WRITE, 1) == 0);
	orphaned = map(2);
	fixed = map(0);
	check(pkey_mprotect(fixed, SIZE, PROT_READ | PROT_WRITE, 3) == 0);
	if (argc > 1 && !strcmp(argv[1], "denied")) {
		check(pthread_create(&thread, NULL, deny, NULL) == 0);
		zdtm_park();
		return zdtm_pass();
	}
	code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(code != MAP_FAILED);
	memcpy(code, "\xb8\x07\x00\x00\x00\xc3", 6); /* mov eax, 7; ret */
	check(mprotect(code, PAGE, PROT_EXEC) == 0);
	check(pthread_create(&thread, NULL, other, NULL) == 0);
	while (!__atomic_load_n(&go_on, __ATOMIC_SEQ_CST))
		zdtm_nap();
	check(pkey_free(2) == 0);
	child = start_child();
	mine = rights();
	maps_take(&before);

	zdtm_park();

	maps_take(&after);
	check(maps_same(&before, &after));
	check(rights() == mine);
	check(!may_read(hidden) && may_read(fixed) && !may_write(fixed) && *fixed == 'a');
	check(!may_read(code) && ((int (*)(void))code)() == 7);
	check(pkey_set(1, 0) == 0 && *hidden == 'a' && may_write(hidden));
	check(*orphaned == 'c');
	set_rights(mine);
	check(pthread_join(thread, NULL) == 0);
	check(waitpid(child, &status, 0) == child && status == 0);
	check_held(1u << 1 | 1u << 3 | 1u << 5);
	return zdtm_pass();
}
