/* lib/vma_facts.h: what the kernel tells of mappings is what smaps and numa_maps tell */
#include "lib/vma_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/procfs.h"
#include "lib/cleanup.h"
#include "unit.h"

#define PAGE 4096UL
#define MANY 3000

static struct vma_asks asks;

static void ask(void)
{
	auto_(btf_done) struct btf b = {};
	int r = btf_open(&b);

	if (r == 0)
		r = vma_asks_open(&b, &asks);
	if (r == -EPERM || r == -EACCES || r == -ENOENT || r == -EOPNOTSUPP || r == -EINVAL)
		skip("the kernel does not tell us");
	check(r == 0);
}

struct lines {
	struct vma_fact v[2 * MANY];
	size_t n;
};

static int note(const struct map_line *line, void *arg)
{
	struct lines *l = arg;

	check(l->n < 2 * MANY);
	l->v[l->n++] = (struct vma_fact){ line->start, line->end, line->flags, 0 };
	return 0;
}

/* Memory is had before, so that the list is what smaps shows. */
static void compare(void)
{
	static struct lines lines;
	int proc = open("/proc/self", O_RDONLY | O_DIRECTORY);
	struct vma_fact *facts;
	size_t at = 0, same = 0;
	ssize_t n = vma_facts_read(&asks, getpid(), &facts);

	lines.n = 0;
	check(n > 0);
	check(smaps_each(proc, note, &lines) == 0);
	for (ssize_t i = 0; i < n; i++) {
		while (at < lines.n && lines.v[at].start < facts[i].start)
			at++;
		if (at == lines.n || lines.v[at].start != facts[i].start)
			continue;
		same += lines.v[at].end == facts[i].end;
		check(lines.v[at].end != facts[i].end || lines.v[at].flags == facts[i].flags);
	}
	/* But for what malloc(3) has mapped between. */
	check(same + 4 > (size_t)n && same + 4 > lines.n);
	check(facts[n - 1].start == lines.v[lines.n - 1].start);
	free(facts);
	close(proc);
}

TEST(flags_are_those_of_smaps)
{
	static const int advice[] = { MADV_DONTFORK, MADV_DONTDUMP,   MADV_NOHUGEPAGE,
		                      MADV_RANDOM,   MADV_SEQUENTIAL, MADV_WIPEONFORK };
	char *p;

	ask();
	compare();
	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < sizeof(advice) / sizeof(*advice); i++)
		check(madvise(p + 2 * i * PAGE, PAGE, advice[i]) == 0);
	check(mprotect(p + 13 * PAGE, PAGE, PROT_NONE) == 0);
	check(mprotect(p + 14 * PAGE, PAGE, PROT_WRITE) == 0);
	mlock(p + 15 * PAGE, PAGE);
	compare();
	munmap(p, 16 * PAGE);
	vma_asks_done(&asks);
}

TEST(more_mappings_than_a_buffer_holds)
{
	char *p = mmap(NULL, MANY * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < MANY; i += 2)
		check(mprotect(p + i * PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
	ask();
	compare();
	munmap(p, MANY * PAGE);
	vma_asks_done(&asks);
}

TEST(a_policy_of_its_own)
{
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long nodes = 1;
	struct vma_fact *facts;
	size_t bound = 0;
	ssize_t n;

	ask();
	if (syscall(SYS_mbind, p, PAGE, 2 /* MPOL_BIND */, &nodes, 64, 0) < 0)
		skip("no policies");
	n = vma_facts_read(&asks, getpid(), &facts);
	check(n > 0);
	for (ssize_t i = 0; i < n; i++) {
		bound += facts[i].policy != 0;
		check(!facts[i].policy || facts[i].start == (uintptr_t)p);
	}
	check(bound == 1);
	free(facts);
	munmap(p, PAGE);
	vma_asks_done(&asks);
}

/* Sealed mappings of ours cannot be unmapped, so that they are not learned: who has one is not told of. */
TEST(a_flag_that_is_not_known)
{
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vma_fact *facts;

	ask();
	if (syscall(462 /* mseal(2) */, p, PAGE, 0) < 0)
		skip("no mseal(2)");
	if (vma_facts_read(&asks, getpid(), &facts) >= 0)
		compare();
	else
		check(vma_facts_read(&asks, getpid(), &facts) == -EOPNOTSUPP);
	vma_asks_done(&asks);
}

TEST(nobody_there)
{
	struct vma_fact *facts = NULL;

	ask();
	check(vma_facts_read(&asks, 0x3ffffff, &facts) <= 0);
	free(facts);
	vma_asks_done(&asks);
	vma_asks_done(&asks);
}
