/* lib/cgroup.h: what is taken for a cgroup, and what is not */
#include "lib/cgroup.h"

#include "unit.h"

TEST(lines_have_a_hierarchy_and_a_group)
{
	const char *at = "4:cpu,cpuacct:/a:b/c\n0::/\n";
	struct cgroup_line line = {};

	check(cgroup_line_next(&at, &line) == 1);
	check(!strcmp(line.hierarchy, "cpu,cpuacct") && !strcmp(line.group, "/a:b/c"));
	check(cgroup_line_next(&at, &line) == 1);
	check(!strcmp(line.hierarchy, "") && !strcmp(line.group, "/"));
	check(cgroup_line_next(&at, &line) == 0 && !line.group);
	at = "4:cpu\n0::/\n";
	check(cgroup_line_next(&at, &line) == -EPROTO);
}

TEST(a_group_starts_at_the_root_and_does_not_go_up)
{
	static const char *const good[] = { "/", "/a", "/a/b", "/...", "/.a" };
	static const char *const bad[] = { "",      "a",     "//",      "/a/", "/a//b", "/..",
		                           "/a/..", "/../a", "/a/../b", "/.",  "/a/./b" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check(cgroup_group_valid(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check(!cgroup_group_valid(bad[i]));
}

TEST(only_settings_are_written)
{
	check(cgroup_is_setting("cpu.max") && cgroup_is_setting("hugetlb.2MB.max"));
	check(!cgroup_is_setting("cgroup.procs") && !cgroup_is_setting("cgroup.kill"));
	check(!cgroup_is_setting("release_agent") && !cgroup_is_setting("hugetlb/../x.max"));
}
