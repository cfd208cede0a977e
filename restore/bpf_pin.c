/* BPF programs, maps and links that are pinned, restore half: what the name leads to, if it is of the same kind. */
#include <errno.h>
#include <string.h>

#include "lib/bpf.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/bpf_pin.pb-c.h"
#include "restore/restore.h"

static int bpf_pin_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__BpfPin *msg = (const Img__BpfPin *)base;

	return msg->path[0] == '/'
	               ? 0
	               : fail(-EBADMSG, "file %u: BPF object: path '%s' is not absolute", file->id,
	                      msg->path);
}

static int bpf_pin_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__BpfPin *msg = (const Img__BpfPin *)base;
	char facts[BPF_FACTS] = "";
	auto_close int fd = bpf_open_pin(msg->path, file->flags, facts);

	if (fd == -ENOENT || fd == -ENOTDIR)
		return fail(-ENOTSUP, "BPF object %s: is gone since the dump; pin it again",
		            msg->path);
	if (fd < 0)
		return fail(fd, "BPF object %s", msg->path);
	if (strcmp(facts, msg->facts) != 0)
		return fail(-ENOTSUP, "BPF object %s: is another one since the dump", msg->path);
	return take_fd(&fd);
}

const struct restore_kind restore_bpf_pin = {
	.check = bpf_pin_check,
	.open = bpf_pin_open,
};
