/*
 * BPF programs, maps and links that are pinned, dump half. They have a name in a bpf file
 * system and stay in the kernel, with all that they hold: the name is kept. Programs and links without
 * one cannot be carried, the kernel does not give away what they were made of; maps can (bpf_map.c).
 */
#include <errno.h>
#include <string.h>

#include "dump/dump.h"
#include "lib/bpf.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/bpf_pin.pb-c.h"

static bool is_map(const struct file *f)
{
	return !strcmp(f->link, "anon_inode:bpf-map");
}

/* A map only if it has a name. */
static bool bpf_pin_owns(const struct file *f)
{
	auto_free char *path = NULL;

	if (is_map(f))
		return bpf_find_pin(f->fdinfo, &path) == 0;
	return !strcmp(f->link, "anon_inode:bpf-prog") || !strcmp(f->link, "anon_inode:bpf_link");
}

static int find(const struct file *f, char **ret)
{
	int r = bpf_find_pin(f->fdinfo, ret);

	if (r == -ENOENT)
		return fail(-ENOTSUP,
		            "%s: is not pinned in a bpf file system that crtool sees, and what it "
		            "was made of is not known; pin it, or --on-unknown-fd=null or =close "
		            "lets it go",
		            file_name(f));
	return r < 0 ? fail(r, "%s: find where it is pinned", file_name(f)) : 0;
}

static int bpf_pin_check(struct dump *d, const struct file *f)
{
	auto_free char *path = NULL;

	return find(f, &path);
}

static int bpf_pin_dump(struct dump *d, const struct file *f)
{
	Img__BpfPin msg = IMG__BPF_PIN__INIT;
	auto_free char *path = NULL;
	char facts[BPF_FACTS];
	int r = find(f, &path);

	if (r < 0)
		return r;
	bpf_facts(f->fdinfo, facts);
	msg.path = path;
	msg.facts = facts;
	return image_put(d->out, KIND_bpf_pin, f->id, &msg.base);
}

const struct dump_kind dump_bpf_pin = {
	.owns = bpf_pin_owns,
	.check = bpf_pin_check,
	.dump = bpf_pin_dump,
};
