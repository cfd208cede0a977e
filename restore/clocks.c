/*
 * A process can only be born into a time namespace. Only the root is forked by crtool, all others by
 * each other; crtool itself stays where it is. The vDSO of the tree reads the namespace's clocks by itself, for
 * the kernel shows it other data.
 */
#include "restore/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "restore/passed.h"

#define LONG_TIME (INT64_C(1) << 60) /* ns: 36 years */

int monotonic_parse(const char *name, enum monotonic_policy *ret)
{
	*ret = !name ? MONOTONIC_AUTO : !strcmp(name, "keep") ? MONOTONIC_KEEP : MONOTONIC_HOST;
	if (name && *ret == MONOTONIC_HOST && strcmp(name, "host") != 0)
		return fail(-EINVAL, "--monotonic %s: is none of keep, host", name);
	return 0;
}

static int64_t now(clockid_t id)
{
	struct timespec ts = {};

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static bool sane(int64_t ns)
{
	return ns > -LONG_TIME && ns < LONG_TIME;
}

/* The kernel takes no offset that makes a clock negative. */
static int check_manifest(const Img__Manifest *m)
{
	if (m->monotonic < LONG_TIME && m->boottime < LONG_TIME && sane(m->timens_monotonic) &&
	    sane(m->timens_boottime) && (int64_t)m->monotonic >= m->timens_monotonic &&
	    (int64_t)m->boottime >= m->timens_boottime)
		return 0;
	return fail(-EBADMSG, "the checkpoint has clocks that no machine has");
}

/* 1, 0, or -errno. */
static int text_is(const char *path, const char *want)
{
	auto_free char *text = NULL;
	ssize_t r = file_read(AT_FDCWD, path, &text);

	if (r < 0)
		return error_passes((int)r) ? fail((int)r, "read %s", path) : 0;
	text[strcspn(text, "\n")] = '\0';
	return want && !strcmp(text, want);
}

int clocks_plan(struct restore *r)
{
	const Img__Manifest *m = r->images->manifest;
	struct timens *ours = &r->clocks.ours, *want = &r->clocks.offsets;
	bool as_it_was;
	int64_t passed;
	int ret = check_manifest(m);

	if (ret == 0)
		ret = text_is("/proc/sys/kernel/random/boot_id", m->boot_id);
	if (ret < 0)
		return ret;
	r->clocks.same_boot = ret;
	as_it_was = r->opt->monotonic == MONOTONIC_AUTO && r->clocks.same_boot;
	ret = timens_read(AT_FDCWD, ours);
	if (ret < 0)
		return fail(ret, "read /proc/self/timens_offsets");
	if (r->opt->monotonic == MONOTONIC_HOST)
		return 0;
	passed = (int64_t)time_passed(r);
	if (as_it_was)
		*want = (struct timens){ m->timens_monotonic, m->timens_boottime };
	else
		*want = (struct timens){
			ours->monotonic + (int64_t)m->monotonic + passed - now(CLOCK_MONOTONIC),
			ours->boottime + (int64_t)m->boottime + passed - now(CLOCK_BOOTTIME),
		};
	r->clocks.own = want->monotonic != ours->monotonic || want->boottime != ours->boottime;
	r->clocks.ahead.monotonic = want->monotonic - ours->monotonic;
	r->clocks.ahead.boottime = want->boottime - ours->boottime;
	return 0;
}

int clocks_enter(const struct restore *r)
{
	int ret = r->clocks.own ? timens_unshare(&r->clocks.offsets) : 0;

	if (ret == -EPERM || ret == -EACCES)
		return fail(
			-EPERM,
			"the clocks of the tree go on in a time namespace, which needs "
			"CAP_SYS_ADMIN and CAP_SYS_TIME; --monotonic host gives it those of this "
			"machine");
	if (ret == -EINVAL)
		return fail(-ENOTSUP,
		            "the clocks of the tree go on in a time namespace, which this kernel "
		            "does not have; --monotonic host gives it those of this machine");
	return ret < 0 ? fail(ret, "make a time namespace") : 0;
}

static int64_t offset_of(const struct timens *offsets, clockid_t id)
{
	switch (id) {
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
		return offsets->monotonic;
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		return offsets->boottime;
	default:
		return 0;
	}
}

int64_t clocks_ahead(const struct restore *r, clockid_t id)
{
	return offset_of(&r->clocks.ahead, id);
}

int64_t clocks_ours(const struct restore *r, clockid_t id)
{
	return offset_of(&r->clocks.ours, id);
}
