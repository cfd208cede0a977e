/* without WHAT COMMAND [args]: run it as on a kernel that is too old for it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIELD(name) ((unsigned)offsetof(struct seccomp_data, name))

/* A system call with this argument. */
static const struct {
	const char *name;
	unsigned nr, arg, value, error;
} kinds[] = {
	{ "PAGEMAP_SCAN", SYS_ioctl, FIELD(args[1]), 0xc0606610u, ENOTTY },       /* 6.7 */
	{ "GET_REGISTRATIONS", SYS_membarrier, FIELD(args[0]), 1u << 9, EINVAL }, /* 6.3 */
	{ "PIDFD_THREAD", SYS_pidfd_open, FIELD(args[1]), O_EXCL, EINVAL },       /* 6.9 */
	{ "GET_DISPATCH", SYS_ptrace, FIELD(args[0]), 0x4211, EIO },              /* 6.4 */
};

static int forbid(size_t kind)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kinds[kind].nr, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kinds[kind].arg),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kinds[kind].value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | kinds[kind].error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(insns) / sizeof(*insns), insns };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv)
{
	size_t n = sizeof(kinds) / sizeof(*kinds), kind = 0;

	while (argc > 1 && kind < n && strcmp(kinds[kind].name, argv[1]) != 0)
		kind++;
	if (argc < 3 || kind == n)
		return 2;
	if (forbid(kind) < 0) {
		perror("seccomp");
		return 1;
	}
	execvp(argv[2], argv + 2);
	return 127;
}
