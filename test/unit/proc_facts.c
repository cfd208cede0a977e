/* lib/proc_facts.h: what the kernel tells of all is what /proc and others tell of one */
#include "lib/proc_facts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "lib/cleanup.h"
#include "unit.h"

static struct proc_asks asks;

static void ask(void)
{
	auto_(btf_done) struct btf b = {};
	int r = btf_open(&b);

	if (r == 0)
		r = proc_asks_open(&b, &asks, true);
	if (r == -EPERM || r == -EACCES || r == -ENOENT || r == -EOPNOTSUPP || r == -EINVAL)
		skip("the kernel does not tell us");
	check(r == 0);
}

static struct proc_facts own(void)
{
	struct proc_facts *all, found = {};
	ssize_t n = proc_facts_read(&asks, &all);
	int times = 0;

	for (ssize_t i = 0; i < n; i++)
		if (all[i].v[PROC_PID] == (uint64_t)getpid())
			found = all[i], times++;
	check(times == 1);
	free(all);
	return found;
}

TEST(one_process_alone)
{
	struct proc_facts all, alone;

	ask();
	all = own();
	check(proc_facts_of(&asks, getpid(), &alone) == 0);
	all.v[PROC_MM_SEQ] = alone.v[PROC_MM_SEQ]; /* the list of all has come and gone */
	check(!memcmp(&all, &alone, sizeof(all)));
	check(proc_facts_of(&asks, 0x3ffffff, &alone) == -ESRCH);
	proc_asks_done(&asks);
}

TEST(auxv_is_that_of_proc)
{
	uint64_t words[PROC_AUXV_N] = {};
	int fd = open("/proc/self/auxv", O_RDONLY);
	struct proc_facts facts;

	ask();
	facts = own();
	check(read(fd, words, sizeof(words)) > 16);
	check(!memcmp(&facts.v[PROC_AUXV], words, sizeof(words)));
	check(facts.v[PROC_PID] == (uint64_t)getpid());
	close(fd);
	proc_asks_done(&asks);
}

/* Of FD, or NULL. */
static const struct open_fact *open_of(int fd, size_t *ret_n)
{
	static struct open_fact *all;
	const struct open_fact *found = NULL;
	ssize_t n;

	free(all);
	n = open_facts_read(&asks, &all);
	check(n > 0);
	*ret_n = 0;
	for (ssize_t i = 0; i < n; i++) {
		if (all[i].pid != (uint64_t)getpid())
			continue;
		if (all[i].fd == (uint64_t)fd)
			found = &all[i];
		++*ret_n;
	}
	return found;
}

static struct open_fact fact_of(int fd)
{
	size_t n;
	const struct open_fact *f = open_of(fd, &n);

	check(f);
	return *f;
}

/* Our heap has grown already. */
static void settle(void)
{
	own();
	own();
}

TEST(mappings_that_stay_are_told_so)
{
	struct proc_facts a, b;
	volatile char *page;

	ask();
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	settle();
	a = own();
	page[0] = 1;
	b = own();
	check(a.v[PROC_MM] == b.v[PROC_MM] && a.v[PROC_EXECS] == b.v[PROC_EXECS]);
	a = own();
	check(mprotect((void *)page, 4096, PROT_READ) == 0);
	b = own();
	check(!proc_same_maps(&a, &b));
	check(proc_same_maps(&a, &a));
}

static size_t listed(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	for (struct dirent *de; (de = readdir(dir));)
		n += de->d_name[0] != '.' && atoi(de->d_name) != dirfd(dir);
	closedir(dir);
	return n;
}

TEST(all_descriptors_are_told_of)
{
	size_t n;
	int path, high;

	ask();
	path = open("/", O_PATH | O_CLOEXEC);
	high = fcntl(path, F_DUPFD, 200);
	check(path >= 0 && high >= 200);
	check(open_of(path, &n) && open_of(high, &n) && !open_of(199, &n));
	/* and the one by which we read */
	check(n == listed() + 1 || n == listed());
	check(fact_of(path).file == fact_of(high).file);
	check(fact_of(path).cloexec == 1 && fact_of(high).cloexec == 0);
	check(fact_of(path).file != fact_of(0).file);
}

TEST(locks_are_told_of)
{
	FILE *f;
	int fd;

	ask();
	f = tmpfile();
	check(f);
	fd = fileno(f);
	check(!fact_of(fd).locks);
	check(flock(fd, LOCK_EX) == 0 && fact_of(fd).locks);
	check(flock(fd, LOCK_UN) == 0 && !fact_of(fd).locks);
	check(lockf(fd, F_LOCK, 1) == 0 && fact_of(fd).locks);
	check(lockf(fd, F_ULOCK, 1) == 0 && !fact_of(fd).locks);
}
