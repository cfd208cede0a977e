/* lib/procstate.h */
#include "lib/procstate.h"

#include <signal.h>
#include <sys/resource.h>

#include "unit.h"

TEST(timers_are_parsed_one_by_one)
{
	const char *text =
		"ID: 3\nsignal: 14/0000000000000000\nnotify: signal/pid.4711\nClockID: 0\n"
		"ID: 2147483647\nsignal: 34/00007ffc01020304\nnotify: signal/tid.12\n"
		"ClockID: -6\n"
		"ID: 0\nsignal: 0/00000000deadbeef\nnotify: none/pid.4711\nClockID: 7\n";
	struct timer_text t;

	check(timer_parse(&text, &t) == 1);
	check(t.id == 3 && t.signal == 14 && t.value == 0 && t.notify == SIGEV_SIGNAL);
	check(t.target == 4711 && t.clock == 0);
	check(timer_parse(&text, &t) == 1);
	check(t.id == 2147483647 && t.signal == 34 && t.value == 0x7ffc01020304);
	check(t.notify == (SIGEV_SIGNAL | SIGEV_THREAD_ID) && t.target == 12 && t.clock == -6);
	check(timer_parse(&text, &t) == 1);
	check(t.id == 0 && t.notify == SIGEV_NONE && t.clock == 7);
	check(timer_parse(&text, &t) == 0);
}

TEST(no_timers_are_no_error)
{
	const char *text = "";
	struct timer_text t;

	check(timer_parse(&text, &t) == 0);
}

TEST(strange_timers_are_refused)
{
	static const char *const strange[] = {
		"hello\n",
		"ID: 3\nsignal: 14/00\nnotify: signal/pid.4711\n",
		"ID: 3\nsignal: 14/00\nnotify: pigeon/pid.4711\nClockID: 0\n",
		"ID: 3\nsignal: x/00\nnotify: signal/pid.4711\nClockID: 0\n",
	};

	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		const char *text = strange[i];
		struct timer_text t;

		check(timer_parse(&text, &t) == -EPROTO);
	}
}

static char limits_text[4096];

static const char *own_limits(void)
{
	FILE *f = fopen("/proc/self/limits", "r");

	check(f);
	limits_text[fread(limits_text, 1, sizeof(limits_text) - 1, f)] = '\0';
	fclose(f);
	return limits_text;
}

TEST(limits_are_those_of_getrlimit)
{
	struct limit_text limits[LIMITS];
	struct rlimit want;

	check(limits_parse(own_limits(), limits) == 0);
	for (unsigned i = 0; i < LIMITS; i++) {
		check(getrlimit((int)i, &want) == 0);
		check(limits[i].soft == want.rlim_cur && limits[i].hard == want.rlim_max);
	}
	check(strcmp(limits[RLIMIT_NOFILE].name, "Max open files") == 0);
	check(strcmp(limit_name(RLIMIT_RTTIME), "Max realtime timeout") == 0);
}

TEST(a_missing_limit_is_refused)
{
	struct limit_text limits[LIMITS];
	char *line = strstr(own_limits(), "Max locked memory");

	memcpy(line, "Min", 3);
	check(limits_parse(limits_text, limits) == -EPROTO);
	check(limits_parse("", limits) == -EPROTO);
}

static const char status[] =
	"Name:\tUid: 7\nUmask:\t0022\nUid:\t1\t2\t3\t4294967294\nGid:\t5\t6\t7\t8\n"
	"FDSize:\t64\nGroups:\t4 24 100 \nNStgid:\t1\nSigQ:\t0/96\n"
	"CapInh:\t0000000000000001\nCapPrm:\t0000000000000002\n"
	"CapEff:\t0000000000000003\nCapBnd:\t000001fffeffffff\n"
	"CapAmb:\t0000000000000004\nNoNewPrivs:\t1\nSeccomp:\t2\n"
	"Seccomp_filters:\t5\nSpeculation_Store_Bypass:\tthread vulnerable\n";

TEST(rights_are_parsed)
{
	struct cred_text c;
	uint32_t group = 0;

	check(cred_parse(status, &c) == 0);
	check(c.uid[0] == 1 && c.uid[1] == 2 && c.uid[2] == 3 && c.uid[3] == 4294967294);
	check(c.gid[0] == 5 && c.gid[3] == 8);
	check(c.inheritable == 1 && c.permitted == 2 && c.effective == 3 && c.ambient == 4);
	check(c.bounding == 0x1fffeffffff && c.no_new_privs);
	check(c.seccomp == 2 && c.seccomp_filters == 5);
	check(group_next(&c.groups, &group) && group == 4);
	check(group_next(&c.groups, &group) && group == 24);
	check(group_next(&c.groups, &group) && group == 100);
	check(!group_next(&c.groups, &group));
}

TEST(missing_rights_are_refused)
{
	struct cred_text c;
	char text[sizeof(status)];

	memcpy(text, status, sizeof(text));
	memcpy(strstr(text, "CapBnd"), "CapXyz", 6);
	check(cred_parse(text, &c) == -EPROTO);
	check(cred_parse("", &c) == -EPROTO);
}
