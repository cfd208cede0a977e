/*
 * BPF maps, dump half: the simple types, which are keys and values. A program
 * that uses the map from elsewhere goes on with the old one: maps that have a name for
 * others to find them by, and programs, are of another room (bpf_pin.c).
 *
 * Two descriptors may be of one map without being duplicates: by its number.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/bpf_map.pb-c.h"

static bool bpf_map_owns(const struct file *f)
{
	return !strcmp(f->link, "anon_inode:bpf-map");
}

static long bpf(int command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : r;
}

/* A descriptor of the map that may be read, whatever F may, and what the kernel tells of it. */
static int map_open(const struct file *f, struct bpf_map_info *ret)
{
	union bpf_attr id = {}, info = {};
	uint64_t number;
	auto_close int fd = -1;
	int r;

	if (!fdinfo_u64(f->fdinfo, "map_id", 10, &number))
		return -EPROTO;
	id.map_id = (uint32_t)number;
	fd = (int)bpf(BPF_MAP_GET_FD_BY_ID, &id);
	if (fd < 0)
		return fd;
	*ret = (struct bpf_map_info){};
	info.info.bpf_fd = (uint32_t)fd;
	info.info.info_len = sizeof(*ret);
	info.info.info = (uint64_t)ret;
	r = (int)bpf(BPF_OBJ_GET_INFO_BY_FD, &info);
	return r < 0 ? r : take_fd(&fd);
}

static int bpf_map_check(struct dump *d, const struct file *f)
{
	static const uint32_t types[] = { BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY,
		                          BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_LPM_TRIE };
	struct bpf_map_info info;
	auto_close int fd = map_open(f, &info);

	if (fd < 0)
		return fail(fd, "%s: what map it is", file_name(f));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (info.type == types[i] && !info.btf_id && !info.ifindex)
			return 0;
	return fail(-ENOTSUP,
	            "%s: a BPF map of type %u%s: not supported by this version; "
	            "--on-unknown-fd=null or =close lets it go",
	            file_name(f), info.type, info.btf_id ? " with BTF" : "");
}

/* A file before F of the same map; 0: none. */
static uint32_t same_map(const struct dump *d, const struct file *f)
{
	uint64_t id = 0, other;

	fdinfo_u64(f->fdinfo, "map_id", 10, &id);
	for (const struct file *g = d->files.v; g < f; g++)
		if (g->room == f->room && fdinfo_u64(g->fdinfo, "map_id", 10, &other) &&
		    other == id)
			return g->id;
	return 0;
}

/* Room for N entries, and the next one is read. -ENOENT: there is none. */
static int entry_read(int fd, Img__BpfMap *msg, size_t n, const void *last)
{
	uint8_t *key = msg->keys.data + n * msg->key_size;
	union bpf_attr attr = {};
	int r;

	attr.map_fd = (uint32_t)fd;
	attr.key = (uint64_t)last;
	attr.next_key = (uint64_t)key;
	r = (int)bpf(BPF_MAP_GET_NEXT_KEY, &attr);
	if (r < 0)
		return r;
	attr = (union bpf_attr){};
	attr.map_fd = (uint32_t)fd;
	attr.key = (uint64_t)key;
	attr.value = (uint64_t)(msg->values.data + n * msg->value_size);
	return (int)bpf(BPF_MAP_LOOKUP_ELEM, &attr);
}

/* The last entry cannot come before all are read: nobody but programs of the kernel changes it now. */
static int content_read(int fd, Img__BpfMap *msg)
{
	size_t n = 0;
	int r = 0;

	msg->keys.data = malloc((size_t)msg->max_entries * msg->key_size + 1);
	msg->values.data = malloc((size_t)msg->max_entries * msg->value_size + 1);
	if (!msg->keys.data || !msg->values.data)
		return -ENOMEM;
	for (; r == 0 && n < msg->max_entries; n += r == 0)
		r = entry_read(fd, msg, n, n ? msg->keys.data + (n - 1) * msg->key_size : NULL);
	msg->keys.len = n * msg->key_size;
	msg->values.len = n * msg->value_size;
	return r == -ENOENT ? 0 : r;
}

static int map_put(struct dump *d, const struct file *f, int fd, const struct bpf_map_info *info)
{
	Img__BpfMap msg = IMG__BPF_MAP__INIT;
	char name[sizeof(info->name) + 1] = "";
	uint64_t frozen = 0;
	int r;

	memcpy(name, info->name, sizeof(info->name));
	fdinfo_u64(f->fdinfo, "frozen", 10, &frozen);
	msg.type = info->type;
	msg.key_size = info->key_size;
	msg.value_size = info->value_size;
	msg.max_entries = info->max_entries;
	msg.flags = info->map_flags;
	msg.name = name;
	msg.frozen = frozen;
	r = content_read(fd, &msg);
	r = r < 0 ? fail(r, "%s: read the map", file_name(f))
	          : image_put(d->out, KIND_bpf_map, f->id, &msg.base);
	free(msg.keys.data);
	free(msg.values.data);
	return r;
}

static int bpf_map_dump(struct dump *d, const struct file *f)
{
	Img__BpfMap msg = IMG__BPF_MAP__INIT;
	struct bpf_map_info info;
	auto_close int fd = -1;

	msg.same = same_map(d, f);
	if (msg.same)
		return image_put(d->out, KIND_bpf_map, f->id, &msg.base);
	fd = map_open(f, &info);
	return fd < 0 ? fail(fd, "%s: what map it is", file_name(f)) : map_put(d, f, fd, &info);
}

const struct dump_kind dump_bpf_map = {
	.owns = bpf_map_owns,
	.check = bpf_map_check,
	.dump = bpf_map_dump,
};
