/* Mappings that are bound to nodes by mbind(2), one in the middle of memory that is not. */
#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

#define PAGE  4096UL
#define NODES 1024

static unsigned long node0[NODES / 64] = { 1 };

static void bind_to(char *p, size_t size, int mode)
{
	check(syscall(SYS_mbind, p, size, mode, mode == MPOL_LOCAL ? NULL : node0,
	              mode == MPOL_LOCAL ? 0 : NODES + 1, 0) == 0);
}

static void is_bound(char *p, int mode)
{
	unsigned long nodes[NODES / 64] = {};
	int got = -1;

	check(syscall(SYS_get_mempolicy, &got, nodes, NODES + 1, p, MPOL_F_ADDR) == 0);
	check(got == mode);
	check(nodes[0] == (mode == MPOL_DEFAULT || mode == MPOL_LOCAL ? 0 : 1));
}

static char *map(size_t size, int flags)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);

	check(p != MAP_FAILED);
	memset(p, 'x', size);
	return p;
}

/* More mappings than are asked for one by one. */
static void map_many(void)
{
	char *p = map(30000 * PAGE, MAP_PRIVATE);

	for (size_t i = 0; i < 30000; i += 2)
		check(mprotect(p + i * PAGE, PAGE, PROT_READ) == 0);
}

int main(int argc, char **argv)
{
	char *p = map(32 * PAGE, MAP_PRIVATE), *shared = map(8 * PAGE, MAP_SHARED);
	int mode;

	if (syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) < 0 && errno == ENOSYS)
		return 77;
	if (argc > 1 && !strcmp(argv[1], "have"))
		return 0;
	if (argc > 1 && !strcmp(argv[1], "many"))
		map_many();
	bind_to(p + 4 * PAGE, 4 * PAGE, MPOL_BIND);
	bind_to(p + 8 * PAGE, 4 * PAGE, MPOL_INTERLEAVE | MPOL_F_STATIC_NODES);
	bind_to(p + 16 * PAGE, 4 * PAGE, MPOL_PREFERRED);
	bind_to(p + 24 * PAGE, 4 * PAGE, MPOL_LOCAL);
	bind_to(shared, 4 * PAGE, MPOL_BIND);

	zdtm_park();

	is_bound(p, MPOL_DEFAULT);
	is_bound(p + 4 * PAGE, MPOL_BIND);
	is_bound(p + 11 * PAGE, MPOL_INTERLEAVE | MPOL_F_STATIC_NODES);
	is_bound(p + 12 * PAGE, MPOL_DEFAULT);
	is_bound(p + 16 * PAGE, MPOL_PREFERRED);
	is_bound(p + 24 * PAGE, MPOL_LOCAL);
	is_bound(p + 28 * PAGE, MPOL_DEFAULT);
	is_bound(shared, MPOL_BIND);
	is_bound(shared + 4 * PAGE, MPOL_DEFAULT);
	for (size_t i = 0; i < 32 * PAGE; i++)
		check(p[i] == 'x');
	return zdtm_pass();
}
