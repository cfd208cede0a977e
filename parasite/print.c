/*
 * Scripts as text, like strace prints them: names, strings where the call
 * takes one, small numbers decimal and addresses in hex.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

#include "parasite/compile.h"

static const char *const names[] = {
#include "syscalls.inc"
};

const char *syscall_name(uint32_t nr)
{
	return nr < ARRAY_SIZE(names) ? names[nr] : NULL;
}

/* Calls with paths: how many arguments are printed, and which of them are strings. */
static const struct signature {
	uint32_t nr;
	uint8_t args, strings;
} signatures[] = {
	{ SYS_mmap, 6, 0 },
	{ SYS_munmap, 2, 0 },
	{ SYS_mprotect, 3, 0 },
	{ SYS_openat, 4, 1 << 1 },
	{ SYS_chdir, 1, 1 },
	{ SYS_chroot, 1, 1 },
	{ SYS_fchdir, 1, 0 },
	{ SYS_umask, 1, 0 },
	{ SYS_dup3, 3, 0 },
	{ SYS_close_range, 3, 0 },
	{ SYS_close, 1, 0 },
	{ SYS_rt_sigaction, 4, 0 },
	{ SYS_prctl, 5, 0 },
	{ SYS_clone3, 2, 0 },
	{ SYS_set_tid_address, 1, 0 },
	{ SYS_set_robust_list, 2, 0 },
	{ SYS_rseq, 4, 0 },
	{ SYS_sigaltstack, 2, 0 },
	{ SYS_madvise, 3, 0 },
	{ SYS_memfd_create, 2, 1 },
	{ SYS_pread64, 4, 0 },
	{ SYS_preadv, 4, 0 },
	{ SYS_arch_prctl, 2, 0 },
	{ SYS_fcntl, 3, 0 },
	{ SYS_setsid, 0, 0 },
	{ SYS_setpgid, 2, 0 },
	{ SYS_brk, 1, 0 },
	{ SYS_lseek, 3, 0 },
	{ SYS_mremap, 5, 0 },
	{ SYS_exit, 1, 0 },
};

static struct signature signature_of(uint32_t nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(signatures); i++)
		if (signatures[i].nr == nr)
			return signatures[i];
	return (struct signature){ .nr = nr, .args = 6 };
}

/* snprintf that remembers where it is; output beyond the end is cut. */
struct text {
	char *buf;
	size_t size, used;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *t, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(t->buf + t->used, t->size - t->used, format, ap);
	va_end(ap);
	if (n > 0)
		t->used += (size_t)n < t->size - t->used ? (size_t)n : t->size - t->used - 1;
}

static void add_arg(struct text *t, uint64_t value, bool string, const struct script *s)
{
	const char *p = string ? script_at(s, value) : NULL;

	if (p)
		text_add(t, "\"%s\"", p);
	else if ((int64_t)value < 0 && (int64_t)value > -4096)
		text_add(t, "%" PRId64, (int64_t)value);
	else if (value < 4096)
		text_add(t, "%" PRIu64, value);
	else
		text_add(t, "%#" PRIx64, value);
}

void op_format(const struct op *op, const struct script *s, char *buf, size_t size)
{
	static const char *const own[] = { [OP_CLONE] = "clone",
		                           [OP_BARRIER] = "barrier",
		                           [OP_TOUCH] = "touch_xstate",
		                           [OP_STOP] = "stop" };
	struct signature sig = signature_of(op->nr);
	struct text t = { .buf = buf, .size = size };
	const char *name = syscall_name(op->nr);
	unsigned args = sig.args;

	if (op->code < ARRAY_SIZE(own) && own[op->code]) {
		name = own[op->code];
		args = op->code == OP_STOP ? 0 : 1;
	}
	if (name)
		text_add(&t, "%s(", name);
	else
		text_add(&t, "syscall_%u(", op->nr);
	while (sig.args == 6 && op->nr != SYS_mmap && args && !op->args[args - 1])
		args--; /* of unknown calls, trailing zeros are most likely no arguments */
	for (unsigned i = 0; i < args; i++) {
		if (i)
			text_add(&t, ", ");
		add_arg(&t, op->args[i], sig.strings >> i & 1, s);
	}
	text_add(&t, ")");
	if (op->expect == EXPECT_VALUE)
		text_add(&t, " = %" PRId64, op->want);
}

void script_print(const struct script *s, FILE *out)
{
	for (size_t i = 0; i < s->ops.n; i++) {
		char text[4500];

		op_format(&s->ops.v[i], s, text, sizeof(text));
		fprintf(out, "%5zu  %-12s %s\n", i, s->rooms.v[i] ? s->rooms.v[i] : "", text);
	}
}
