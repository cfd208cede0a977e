/* BPF maps, restore half: made, filled, frozen; then a description with the access that it had. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/bpf_map.pb-c.h"
#include "restore/restore.h"

static long bpf(int command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : r;
}

static const Img__BpfMap *map_record(const struct restore *r, uint32_t file_id)
{
	return (const Img__BpfMap *)images_one(r->images, KIND_bpf_map, file_id);
}

static int bpf_map_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__BpfMap *msg = (const Img__BpfMap *)base, *other;
	uint64_t n;

	if (msg->same) {
		other = map_record(r, msg->same);
		return other && !other->same
		               ? 0
		               : fail(-EBADMSG, "file %u: there is no map %u", file->id, msg->same);
	}
	n = msg->key_size ? msg->keys.len / msg->key_size : 0;
	if (!msg->key_size || !msg->value_size || n > msg->max_entries ||
	    msg->keys.len != n * msg->key_size || msg->values.len != n * msg->value_size ||
	    strlen(msg->name) >= BPF_OBJ_NAME_LEN)
		return fail(-EBADMSG, "file %u: a BPF map that makes no sense", file->id);
	return 0;
}

static int map_create(const Img__BpfMap *msg)
{
	union bpf_attr attr = {};

	attr.map_type = msg->type;
	attr.key_size = msg->key_size;
	attr.value_size = msg->value_size;
	attr.max_entries = msg->max_entries;
	attr.map_flags = msg->flags;
	memcpy(attr.map_name, msg->name, strlen(msg->name));
	return (int)bpf(BPF_MAP_CREATE, &attr);
}

static int map_fill(int fd, const Img__BpfMap *msg)
{
	union bpf_attr attr = {};
	long r = 0;

	attr.map_fd = (uint32_t)fd;
	attr.key = (uint64_t)msg->keys.data;
	attr.value = (uint64_t)msg->values.data;
	for (size_t i = 0; r == 0 && i < msg->keys.len / msg->key_size; i++) {
		r = bpf(BPF_MAP_UPDATE_ELEM, &attr);
		attr.key += msg->key_size;
		attr.value += msg->value_size;
	}
	attr = (union bpf_attr){};
	attr.map_fd = (uint32_t)fd;
	return (int)(r == 0 && msg->frozen ? bpf(BPF_MAP_FREEZE, &attr) : r);
}

/* Another description of the map that FD has. */
static int map_open(int fd, uint32_t flags)
{
	struct bpf_map_info info = {};
	union bpf_attr attr = {};
	long r;

	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uint64_t)&info;
	r = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
	if (r < 0)
		return (int)r;
	attr = (union bpf_attr){};
	attr.map_id = info.id;
	attr.open_flags = (flags & O_ACCMODE) == O_RDONLY   ? BPF_F_RDONLY
	                  : (flags & O_ACCMODE) == O_WRONLY ? BPF_F_WRONLY
	                                                    : 0;
	return (int)bpf(BPF_MAP_GET_FD_BY_ID, &attr);
}

static int bpf_map_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__BpfMap *msg = (const Img__BpfMap *)base;
	auto_close int made = msg->same ? -1 : map_create(msg);
	int e = msg->same ? 0 : made < 0 ? made : map_fill(made, msg);
	int from = msg->same ? pool_file(r, msg->same) : made;

	if (e == 0 && from < 0)
		return from;
	if (e == 0)
		e = map_open(from, file->flags);
	return e < 0 ? fail(e, "file %u: BPF map %s", file->id, msg->name) : e;
}

const struct restore_kind restore_bpf_map = {
	.check = bpf_map_check,
	.open = bpf_map_open,
};
