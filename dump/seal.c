/* The manifest: on which machine and when this was, written last. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "dump/dump.h"
#include "dump/stages.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/timens.h"
#include "lib/version.h"

#define CPU_WORDS 32
#define BOOT_ID   "/proc/sys/kernel/random/boot_id"

static uint64_t clock_of(clockid_t id)
{
	struct timespec ts = {};

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Of a namespace with a process in it, the offsets are what they are. 0: there are no such namespaces. */
static ino_t timens_of(const struct dump *d)
{
	struct stat st;

	return fstatat(d->tasks.v[0].proc, "ns/time", &st, 0) < 0 ? 0 : st.st_ino;
}

int clocks_prepare(struct dump *d)
{
	int r = timens_read(AT_FDCWD, &d->clocks.ours);

	d->clocks.ino = timens_of(d);
	if (r == 0)
		r = timens_read(d->tasks.v[0].proc, &d->clocks.theirs);
	return r < 0 ? fail(r, "%s: read timens_offsets", task_name(d->tasks.v)) : 0;
}

/* Those of the tree, which may have a time namespace of its own. */
int note_clocks(struct dump *d)
{
	struct timens ours = d->clocks.ours, theirs = d->clocks.theirs;
	int r = 0;

	d->manifest->time = clock_of(CLOCK_REALTIME);
	if (timens_of(d) != d->clocks.ino)
		r = timens_read(d->tasks.v[0].proc, &theirs);
	if (r < 0)
		return fail(r, "%s: read timens_offsets", task_name(d->tasks.v));
	d->manifest->monotonic =
		clock_of(CLOCK_MONOTONIC) + (uint64_t)(theirs.monotonic - ours.monotonic);
	d->manifest->boottime =
		clock_of(CLOCK_BOOTTIME) + (uint64_t)(theirs.boottime - ours.boottime);
	d->manifest->timens_monotonic = theirs.monotonic;
	d->manifest->timens_boottime = theirs.boottime;
	return 0;
}

int seal_images(struct dump *d)
{
	Img__Manifest *m = d->manifest;
	auto_free char *boot_id = NULL;
	uint32_t words[CPU_WORDS];
	struct utsname uts;
	const char *const *losses;
	int r;

	if (uname(&uts) < 0)
		return fail(-errno, "ask what machine this is");
	r = (int)file_read(AT_FDCWD, BOOT_ID, &boot_id);
	if (r < 0 && error_passes(r))
		return fail(r, "read " BOOT_ID);
	if (r > 0)
		boot_id[strcspn(boot_id, "\n")] = '\0';
	m->crtool = (char *)CRTOOL_VERSION;
	m->kernel = uts.release;
	m->machine = uts.machine;
	m->hostname = uts.nodename;
	m->shell_job = d->opt->shell_job;
	m->boot_id = boot_id ? boot_id : (char *)"";
	m->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	m->xfeatures = arch_xfeatures();
	m->cpu_features.data = (uint8_t *)words;
	m->cpu_features.len = arch_cpu_features(words, CPU_WORDS) * sizeof(*words);
	m->root_pid = (uint64_t)d->opt->tree;
	m->id = (ProtobufCBinaryData){ sizeof(d->id), d->id };
	m->memory_only = d->opt->memory_only;
	m->n_losses = log_losses(&losses);
	m->losses = (char **)losses;
	r = image_seal(d->out, m, d->opt->sync);
	if (r < 0)
		return fail(r, "%s: write the checkpoint", d->opt->dir);
	if (d->opt->figures)
		d->opt->figures->bytes = image_size(d->out);
	if (d->opt->chain)
		r = image_kept(d->out, d->parent, d->opt->chain);
	if (r < 0)
		return fail(r, "keep what was sent");
	if (d->opt->chain)
		d->parent = NULL;
	d->sealed = true;
	return 0;
}
