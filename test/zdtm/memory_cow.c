/*
 * A tree of processes that fork with memory in all states, and go their own ways
 * from there: every page of each is what it was, and nobody sees what another
 * writes. The argument is the seed of what happens.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define PAGE  4096UL
#define PAGES 1536UL
#define BASE  ((char *)0x100000000000UL)
#define MOST  10 /* processes */

enum state { NONE, RW, RO, CLOSED };

static struct common {
	unsigned born, ready, checked, written;
} * common;
static struct page {
	unsigned char state, dontfork;
} pages[PAGES];
static uint64_t sums[PAGES], x;
static pid_t children[MOST];
static unsigned nchildren, depth;
static int file;

static unsigned long dice(unsigned long n)
{
	x ^= x << 13, x ^= x >> 7, x ^= x << 17;
	return (x >> 20) % n;
}

static char *at(size_t i)
{
	return BASE + i * PAGE;
}

static void add(unsigned *count)
{
	__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
}

static void meet(const unsigned *count)
{
	while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < common->born)
		zdtm_nap();
}

static int prot_of(size_t i)
{
	return pages[i].state == RW ? PROT_READ | PROT_WRITE : pages[i].state == RO ? PROT_READ : 0;
}

static void map_range(size_t first, size_t n, bool anonymous)
{
	int flags = MAP_PRIVATE | MAP_FIXED | (anonymous ? MAP_ANONYMOUS : 0);
	char *p = mmap(at(first), n * PAGE, PROT_READ | PROT_WRITE, flags, anonymous ? -1 : file,
	               anonymous ? 0 : (off_t)(first * PAGE));

	check(p == at(first));
	for (size_t i = first; i < first + n; i++)
		pages[i] = (struct page){ RW, 0 };
}

static void write_page(size_t i)
{
	uint64_t *p = (uint64_t *)at(i);

	if (pages[i].state != RW)
		return;
	if (dice(8) == 0) {
		memset(p, 0, PAGE); /* zeros that were written are stored for a file only */
		return;
	}
	p[dice(512)] = x;
	p[0] = x * (i + 1);
}

/* Only what is mapped can be advised and protected: page by page. */
static void each_mapped(size_t first, size_t n, int what)
{
	unsigned char state = (unsigned char)(1 + dice(3));

	for (size_t i = first; i < first + n; i++) {
		if (pages[i].state == NONE)
			continue;
		if (what == 0) {
			pages[i].state = state;
			check(mprotect(at(i), PAGE, prot_of(i)) == 0);
		} else if (what == 1) {
			madvise(at(i), PAGE, MADV_DONTNEED);
		} else if (what == 2) {
			check(madvise(at(i), PAGE, MADV_DONTFORK) == 0);
			pages[i].dontfork = 1;
		} else {
			write_page(i);
		}
	}
}

static void move_page(size_t from, size_t to)
{
	if (from == to || pages[from].state == NONE)
		return;
	check(mremap(at(from), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(to)) == at(to));
	pages[to] = pages[from];
	pages[from] = (struct page){};
}

static void live(void);

static void give_birth(void)
{
	pid_t pid;

	if (depth == 4 || nchildren == MOST)
		return;
	if (__atomic_add_fetch(&common->born, 1, __ATOMIC_SEQ_CST) > MOST) {
		__atomic_sub_fetch(&common->born, 1, __ATOMIC_SEQ_CST);
		return;
	}
	pid = fork();
	check(pid >= 0);
	if (pid) {
		children[nchildren++] = pid;
		x ^= 0x9e3779b97f4a7c15u;
		return;
	}
	nchildren = 0;
	depth++;
	for (size_t i = 0; i < PAGES; i++)
		if (pages[i].dontfork)
			pages[i] = (struct page){};
	live();
}

static void happen(void)
{
	size_t first = dice(PAGES), n = 1 + dice(dice(3) ? 16 : 400);

	n = n > PAGES - first ? PAGES - first : n;
	switch (dice(12)) {
	case 0:
		map_range(first, n, dice(3) != 0);
		break;
	case 1:
		check(munmap(at(first), n * PAGE) == 0);
		memset(&pages[first], 0, n * sizeof(*pages));
		break;
	case 2:
	case 3:
		each_mapped(first, n, (int)dice(3));
		break;
	case 4:
		move_page(first, dice(PAGES));
		break;
	case 5:
	case 6:
		give_birth();
		break;
	case 7:
		mlock(at(first), n * PAGE / 8);
		break;
	default:
		each_mapped(first, n, 3);
	}
}

static uint64_t sum(size_t i)
{
	const uint64_t *p = (const uint64_t *)at(i);
	uint64_t s = 1;

	if (pages[i].state == NONE)
		return 0;
	if (pages[i].state == CLOSED)
		check(mprotect(at(i), PAGE, PROT_READ) == 0);
	for (size_t k = 0; k < PAGE / 8; k++)
		s = (s ^ p[k]) * 0x100000001b3u;
	if (pages[i].state == CLOSED)
		check(mprotect(at(i), PAGE, 0) == 0);
	return s;
}

/* What is closed to others now is nobody's business. */
static void verify(void)
{
	for (size_t i = 0; i < PAGES; i++)
		check(sum(i) == sums[i]);
	add(&common->checked);
	meet(&common->checked);
	for (size_t i = 0; i < PAGES; i++) {
		if (pages[i].state == NONE)
			continue;
		check(mprotect(at(i), PAGE, PROT_READ | PROT_WRITE) == 0);
		*(volatile pid_t *)at(i) = getpid();
	}
	add(&common->written);
	meet(&common->written);
	for (size_t i = 0; i < PAGES; i++)
		check(pages[i].state == NONE || *(volatile pid_t *)at(i) == getpid());
}

static void live(void)
{
	int status;

	for (int i = 0; i < 40; i++)
		happen();
	for (size_t i = 0; i < PAGES; i++)
		sums[i] = sum(i);
	add(&common->ready);
	if (depth == 0) {
		meet(&common->ready);
		zdtm_parked();
	}
	while (!zdtm_released())
		zdtm_nap();
	verify();
	for (unsigned i = 0; i < nchildren; i++)
		check(waitpid(children[i], &status, 0) == children[i] && status == 0);
	if (depth)
		_exit(0);
}

static void make_file(void)
{
	char page[PAGE];

	file = open("data", O_RDWR | O_CREAT | O_TRUNC, 0600);
	check(file >= 0);
	for (size_t i = 0; i < PAGES; i++) {
		memset(page, (int)(i % 251) + 1, PAGE);
		check(write(file, page, PAGE) == (ssize_t)PAGE);
	}
}

int main(int argc, char **argv)
{
	x = 88172645463325252u * (argc > 1 ? strtoul(argv[1], NULL, 10) * 2 + 1 : 1);
	make_file();
	common = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(common != MAP_FAILED);
	common->born = 1;
	map_range(0, PAGES / 2, true);
	each_mapped(0, PAGES / 2, 3);
	live();
	return zdtm_pass();
}
