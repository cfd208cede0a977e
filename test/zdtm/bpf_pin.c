/*
 * A BPF program and a map with names in the bpf file system at the path of the first argument; without one
 * the program is pinned nowhere.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* A socket filter that lets N bytes pass. */
static int load(int n)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = n },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2 };
	int fd;

	attr.insns = (uint64_t)code;
	attr.license = (uint64_t) "GPL";
	fd = bpf(BPF_PROG_LOAD, &attr);
	check(fd >= 0);
	return fd;
}

static int map_create(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 4
	};
	int fd = bpf(BPF_MAP_CREATE, &attr);

	check(fd >= 0);
	return fd;
}

static int map_call(int command, int fd, uint64_t *value)
{
	union bpf_attr attr = {};
	uint32_t key = 2;

	attr.map_fd = (uint32_t)fd;
	attr.key = (uint64_t)&key;
	attr.value = (uint64_t)value;
	return bpf(command, &attr);
}

static void pin(int fd, const char *dir, const char *name)
{
	union bpf_attr attr = {};
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	attr.pathname = (uint64_t)path;
	attr.bpf_fd = (uint32_t)fd;
	check(bpf(BPF_OBJ_PIN, &attr) == 0);
}

int main(int argc, char **argv)
{
	int other = load(1), prog = load(4), map = map_create(), sv[2];
	uint64_t value = 42;
	char buf[8];

	check(map_call(BPF_MAP_UPDATE_ELEM, map, &value) == 0);
	if (argc > 1) {
		pin(other, argv[1], "other");
		pin(prog, argv[1], "prog");
		pin(map, argv[1], "map");
	}

	zdtm_park();

	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv) == 0);
	check(setsockopt(sv[0], SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)) == 0);
	check(write(sv[1], "12345678", 8) == 8 && read(sv[0], buf, 8) == 4);
	check(map_call(BPF_MAP_LOOKUP_ELEM, map, &value) == 0);
	check(value == 42);
	return zdtm_pass();
}
