/* lib/procfs.h: the parsers on texts, the readers on ourselves. */
#include "lib/procfs.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "unit.h"

static ssize_t parse(const char *text, struct map_line *ret)
{
	return map_parse(text, strlen(text), true, ret);
}

static bool named(const struct map_line *m, const char *name)
{
	return m->len == strlen(name) && !memcmp(m->name, name, m->len);
}

TEST(a_file_mapping_is_parsed)
{
	static const char text[] = "7fcc90efe000-7fcc90f24000 r-xs 00026000 fe:01 332835"
				   "                     /usr/lib/a b (deleted)\n";
	struct map_line m;

	check(parse(text, &m) == sizeof(text) - 1);
	check(m.start == 0x7fcc90efe000 && m.end == 0x7fcc90f24000 && m.offset == 0x26000);
	check(m.prot == (PROT_READ | PROT_EXEC) && m.shared);
	check(m.dev == makedev(0xfe, 1) && m.ino == 332835);
	check(named(&m, "/usr/lib/a b (deleted)"));
}

TEST(anonymous_and_special_mappings_are_parsed)
{
	struct map_line m;

	check(parse("1000-2000 ---p 00000000 00:00 0 \n", &m) > 0);
	check(m.prot == 0 && !m.shared && m.len == 0 && m.ino == 0);
	check(parse("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0"
	            "                  [vsyscall]\n",
	            &m) > 0);
	check(m.end == 0xffffffffff601000 && named(&m, "[vsyscall]"));
	check(parse("1000-2000 rw-p 00000000 00:00 0    [anon:a b]\n", &m) > 0);
	check(named(&m, "[anon:a b]"));
}

TEST(smaps_gives_flags_and_key)
{
	static const char text[] = "1000-2000 rw-p 00000000 00:00 0                  [stack]\n"
				   "Size:                  4 kB\n"
				   "LazyFree:             12 kB\n"
				   "ProtectionKey:         3\n"
				   "VmFlags: rd wr mr mw me gd ac zz ?? \n"
				   "2000-3000 r--p 00000000 00:00 0 \n"
				   "VmFlags: rd sl \n";
	struct map_line m;
	ssize_t n = parse(text, &m);

	check(n > 0 && m.start == 0x1000 && m.pkey == 3 && named(&m, "[stack]"));
	check(m.flags == (VMF(rd) | VMF(wr) | VMF(mr) | VMF(mw) | VMF(me) | VMF(gd) | VMF(ac) |
	                  VMF_UNKNOWN | VMF_UNNAMED));
	check(parse(text + n, &m) == (ssize_t)(strlen(text) - n));
	check(m.start == 0x2000 && m.pkey == 0 && m.flags == (VMF(rd) | VMF(sl)));
}

TEST(a_mapping_that_is_not_whole_asks_for_more)
{
	static const char text[] = "1000-2000 rw-p 00000000 00:00 0 \nVmFlags: rd \n3000-";
	struct map_line m;

	for (size_t n = 0; n < sizeof(text) - 5; n++)
		check(map_parse(text, n, false, &m) == 0);
	check(map_parse(text, sizeof(text) - 5, false, &m) == 46);
	check(map_parse("", 0, true, &m) == 0);
}

TEST(bad_mappings_are_refused)
{
	static const char *const bad[] = {
		"1000-2000 rw-p 00000000 00:00 0",
		"2000-1000 rw-p 00000000 00:00 0 \n",
		"1000-1000 rw-p 00000000 00:00 0 \n",
		"1000 2000 rw-p 00000000 00:00 0 \n",
		"1000-2000 rwzp 00000000 00:00 0 \n",
		"1000-2000 rw-p\n",
		"10000000000000000-20000000000000000 rw-p 00000000 00:00 0 \n",
		"\n",
		"Size: 4 kB\n",
	};
	struct map_line m;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		check(parse(bad[i], &m) == -EPROTO);
}

struct seen {
	uint64_t wanted, last;
	unsigned n;
	struct map_line found;
};

static int see(const struct map_line *m, void *arg)
{
	struct seen *s = arg;

	check(m->start >= s->last);
	s->last = m->end;
	s->n++;
	if (m->start == s->wanted)
		s->found = *m;
	return s->n == 3 && !s->wanted ? -ECANCELED : 0;
}

TEST(our_own_mappings_are_read)
{
	int proc = open("/proc/self", O_PATH | O_CLOEXEC);
	char *p = mmap(NULL, 8192 * 3000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct seen s = { .wanted = (uintptr_t)p }, some = {};

	for (int i = 0; i < 3000; i++)
		check(!mprotect(p + 8192 * i, 4096, PROT_READ | PROT_WRITE));
	check(!madvise(p, 4096, MADV_DONTFORK));
	check(!maps_each(proc, see, &s));
	check(s.n > 6000 && s.found.end == s.wanted + 4096);
	check(s.found.prot == (PROT_READ | PROT_WRITE) && !s.found.flags);
	s.n = 0, s.last = 0;
	check(!smaps_each(proc, see, &s));
	check(s.n > 6000 && (s.found.flags & VMF(dc)) && (s.found.flags & VMF(rd)));
	check(maps_each(proc, see, &some) == -ECANCELED && some.n == 3);
	close(proc);
}

/* ---- key: value ---- */

static const char status[] = "Name:\ta: b\n"
			     "Seccomp:\t2\n"
			     "SigBlk:\tffffffffffffffff\n"
			     "Big:\t18446744073709551616\n"
			     "VmPeak:\t    1234 kB\n"
			     "Pid:\t-1\n"
			     "Empty:\n"
			     "flags:\t0100002\n"
			     "mask: 0x2a \n";

TEST(values_are_found_by_their_whole_key)
{
	uint64_t v = 7;

	check(status_u64(status, "Seccomp", 10, &v) && v == 2);
	check(status_u64(status, "SigBlk", 16, &v) && v == UINT64_MAX);
	check(status_u64(status, "VmPeak", 10, &v) && v == 1234);
	check(fdinfo_u64(status, "flags", 8, &v) && v == 0100002);
	check(fdinfo_u64(status, "mask", 16, &v) && v == 0x2a);
	check(!fdinfo_u64(status, "Sec", 10, &v) && !fdinfo_u64(status, "comp", 10, &v));
	check(v == 0x2a);
}

TEST(what_is_no_number_is_refused)
{
	static const char *const keys[] = { "Big", "Pid", "Empty", "Name", "none" };
	uint64_t v = 7;

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		check(!status_u64(status, keys[i], 10, &v) && v == 7);
}

TEST(texts_are_found_without_blanks)
{
	size_t len;
	const char *v = key_value(status, "Name", &len);

	check(v && len == 4 && !memcmp(v, "a: b", 4));
	check(key_value(status, "Empty", &len) && len == 0);
	check(!key_value("", "Name", &len));
}

/* ---- stat ---- */

TEST(stat_fields_are_those_of_proc_5)
{
	struct proc_stat st;

	check(!stat_parse(
		"41 (a) b (c) S 1 2 3 34816 -1 4194304 7 8 9 10 11 12 13 14 20 -5 2 0 100 "
		"4096 1 18446744073709551615 22 23 24 25 26 27 28 29 30 31 32 33 17 1\n",
		&st));
	check(st.pid == 41 && !strcmp(st.comm, "a) b (c") && st.state == 'S');
	check(st.field[STAT_PPID] == 1 && st.field[STAT_PGRP] == 2 && st.field[STAT_SESSION] == 3);
	check((int64_t)st.field[STAT_TPGID] == -1 && (int64_t)st.field[STAT_NICE] == -5);
	check(st.field[STAT_STARTTIME] == 100 && st.field[25] == UINT64_MAX);
	check(st.field[STAT_EXIT_SIGNAL] == 17 && st.field[STAT_PROCESSOR] == 1);
	check(st.field[STAT_EXIT_CODE] == 0);
}

TEST(bad_stat_is_refused)
{
	static const char *const bad[] = { "",        "41",        "41 (a",      "41 a) S 1",
		                           "41 (a) ", "41 (a)S 1", "41 (a) S x", "41 (a) S 1 - 2" };
	struct proc_stat st;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		check(stat_parse(bad[i], &st) == -EPROTO);
}

TEST(our_own_stat_is_read)
{
	int proc = open("/proc/self", O_PATH | O_CLOEXEC);
	struct proc_stat st;

	check(!stat_read(proc, "stat", &st));
	check(st.pid == getpid() && st.state == 'R' && st.field[STAT_PPID] == (uint64_t)getppid());
	check(st.field[STAT_EXIT_SIGNAL] == 17 &&
	      st.field[STAT_ENV_END] > st.field[STAT_ENV_START]);
	check(stat_read(proc, "nothing", &st) == -ENOENT);
	close(proc);
}
