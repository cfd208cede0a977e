/*
 * BPF maps: a hash with content, an array, a frozen one, one that may only be
 * read, and two descriptions of one map. "queue": a type that is not carried.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int create(uint32_t type, uint32_t key_size, uint32_t flags)
{
	union bpf_attr attr = {
		.map_type = type, .key_size = key_size, .value_size = 8, .max_entries = 1000
	};
	int fd;

	attr.map_flags = flags;
	strcpy(attr.map_name, "crtool_test");
	fd = bpf(BPF_MAP_CREATE, &attr);
	check(fd >= 0);
	return fd;
}

static int entry(int command, int fd, uint32_t key, uint64_t *value)
{
	union bpf_attr attr = {};

	attr.map_fd = (uint32_t)fd;
	attr.key = (uint64_t)&key;
	attr.value = (uint64_t)value;
	return bpf(command, &attr);
}

static void put(int fd, uint32_t key, uint64_t value)
{
	check(entry(BPF_MAP_UPDATE_ELEM, fd, key, &value) == 0);
}

static bool has(int fd, uint32_t key, uint64_t value)
{
	uint64_t have;

	return entry(BPF_MAP_LOOKUP_ELEM, fd, key, &have) == 0 && have == value;
}

static int again(int fd, uint32_t flags)
{
	struct bpf_map_info info = {};
	union bpf_attr attr = {};

	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uint64_t)&info;
	check(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0);
	attr = (union bpf_attr){ .map_id = info.id, .open_flags = flags };
	return bpf(BPF_MAP_GET_FD_BY_ID, &attr);
}

int main(int argc, char **argv)
{
	int hash, array, frozen, only, other;
	union bpf_attr attr = {};
	uint64_t v = 1;

	if (argc > 1) {
		create(BPF_MAP_TYPE_QUEUE, 0, 0);
		zdtm_park();
		return zdtm_pass();
	}
	hash = create(BPF_MAP_TYPE_HASH, 4, 0);
	array = create(BPF_MAP_TYPE_ARRAY, 4, 0);
	frozen = create(BPF_MAP_TYPE_HASH, 4, BPF_F_NO_PREALLOC);
	for (uint32_t i = 0; i < 900; i++)
		put(hash, i * 77, i);
	put(array, 999, 42);
	put(frozen, 5, 6);
	attr.map_fd = (uint32_t)frozen;
	check(bpf(BPF_MAP_FREEZE, &attr) == 0);
	only = again(array, BPF_F_RDONLY);
	other = again(hash, 0);
	check(only >= 0 && other >= 0);

	zdtm_park();

	for (uint32_t i = 0; i < 900; i++)
		check(has(hash, i * 77, i));
	check(!has(hash, 1, 0) && has(array, 999, 42) && has(array, 0, 0));
	check(has(frozen, 5, 6) && entry(BPF_MAP_UPDATE_ELEM, frozen, 5, &v) < 0 && errno == EPERM);
	check(entry(BPF_MAP_UPDATE_ELEM, only, 1, &v) < 0 && errno == EPERM);
	put(array, 7, 8);
	check(has(only, 7, 8));
	put(other, 3, 4);
	check(has(hash, 3, 4) && !has(array, 3, 4));
	return zdtm_pass();
}
