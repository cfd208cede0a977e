/*
 * Scripts as text, like strace prints them: names, strings where the call
 * takes one, small numbers decimal and addresses in hex.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "parasite/compile.h"
#include "parasite/mover.h"

static const char *const names[] = {
#include "syscalls.inc"
};

const char *syscall_name(uint32_t nr)
{
	return nr < ARRAY_SIZE(names) ? names[nr] : NULL;
}

/*
 * How the arguments of a call are printed, a letter each:
 *
 *	d decimal   x hexadecimal   s string   f descriptor, AT_FDCWD
 *	p PROT_     m MAP_          a MADV_    o PR_    g signal   c ARCH_
 *
 * Calls that are not here show all arguments up to the last that is not zero.
 */
static const struct signature {
	uint32_t nr;
	const char *args;
} signatures[] = {
	{ SYS_mmap, "xxpmfx" },
	{ SYS_munmap, "xx" },
	{ SYS_mprotect, "xxp" },
	{ SYS_openat, "fsxd" },
	{ SYS_chdir, "s" },
	{ SYS_chroot, "s" },
	{ SYS_fchdir, "f" },
	{ SYS_umask, "x" },
	{ SYS_dup3, "ffx" },
	{ SYS_close_range, "ddx" },
	{ SYS_close, "f" },
	{ SYS_rt_sigaction, "gxxd" },
	{ SYS_prctl, "oxxxx" },
	{ SYS_clone3, "xd" },
	{ SYS_set_tid_address, "x" },
	{ SYS_rseq, "xdxx" },
	{ SYS_set_robust_list, "xd" },
	{ SYS_sigaltstack, "xx" },
	{ SYS_madvise, "xxa" },
	{ SYS_memfd_create, "sx" },
	{ SYS_pread64, "fxdx" },
	{ SYS_preadv, "fxdx" },
	{ SYS_arch_prctl, "cx" },
	{ SYS_fcntl, "fdx" },
	{ SYS_setsid, "" },
	{ SYS_getpid, "" },
	{ SYS_setpgid, "dd" },
	{ SYS_brk, "x" },
	{ SYS_lseek, "fdd" },
	{ SYS_mremap, "xxxxx" },
	{ SYS_exit, "d" },
	{ SYS_exit_group, "d" },
	{ SYS_kill, "dg" },
	{ SYS_wait4, "dxxx" },
	{ SYS_rt_sigprocmask, "dxxd" },
	{ SYS_setgroups, "dx" },
	{ SYS_setresuid, "ddd" },
	{ SYS_setresgid, "ddd" },
	{ SYS_capset, "xx" },
	{ SYS_setitimer, "dxx" },
	{ SYS_timer_settime, "ddxx" },
	{ SYS_timer_create, "dxx" },
	{ SYS_mlock, "xx" },
	{ SYS_mlock2, "xxx" },
	{ SYS_seccomp, "dxx" },
	{ SYS_setpriority, "ddd" },
	{ SYS_sched_setaffinity, "ddx" },
};

struct flag {
	uint64_t value;
	const char *name;
};

#define FLAG(x)       \
	{             \
		x, #x \
	}

static const struct flag prots[] = { FLAG(PROT_READ), FLAG(PROT_WRITE), FLAG(PROT_EXEC) };
static const struct flag maps[] = {
	FLAG(MAP_SHARED),    FLAG(MAP_PRIVATE),         FLAG(MAP_FIXED),     FLAG(MAP_ANONYMOUS),
	FLAG(MAP_GROWSDOWN), FLAG(MAP_LOCKED),          FLAG(MAP_NORESERVE), FLAG(MAP_HUGETLB),
	FLAG(MAP_STACK),     FLAG(MAP_FIXED_NOREPLACE),
};
static const struct flag advices[] = {
	FLAG(MADV_NORMAL),
	FLAG(MADV_RANDOM),
	FLAG(MADV_SEQUENTIAL),
	FLAG(MADV_DONTNEED),
	FLAG(MADV_DONTFORK),
	FLAG(MADV_MERGEABLE),
	FLAG(MADV_HUGEPAGE),
	FLAG(MADV_NOHUGEPAGE),
	FLAG(MADV_DONTDUMP),
	FLAG(MADV_WIPEONFORK),
	{ 22, "MADV_POPULATE_READ" },
	{ 23, "MADV_POPULATE_WRITE" },
	{ 102, "MADV_GUARD_INSTALL" },
};
static const struct flag prctls[] = {
	FLAG(PR_SET_PDEATHSIG),
	FLAG(PR_SET_DUMPABLE),
	FLAG(PR_SET_KEEPCAPS),
	FLAG(PR_SET_NAME),
	FLAG(PR_SET_SECCOMP),
	FLAG(PR_CAPBSET_DROP),
	FLAG(PR_SET_TSC),
	FLAG(PR_SET_SECUREBITS),
	FLAG(PR_SET_TIMERSLACK),
	FLAG(PR_SET_MM),
	FLAG(PR_SET_CHILD_SUBREAPER),
	FLAG(PR_SET_NO_NEW_PRIVS),
	FLAG(PR_SET_THP_DISABLE),
	FLAG(PR_CAP_AMBIENT),
	FLAG(PR_SET_SPECULATION_CTRL),
	FLAG(PR_SET_IO_FLUSHER),
	{ 65, "PR_SET_MDWE" },
	{ 67, "PR_SET_MEMORY_MERGE" },
	{ 77, "PR_TIMER_CREATE_RESTORE_IDS" },
};
static const struct flag archs[] = {
	{ 0x1012, "ARCH_SET_CPUID" },
	{ 0x1023, "ARCH_REQ_XCOMP_PERM" },
	{ 0x2003, "ARCH_MAP_VDSO_64" },
};

static const char *signature_of(uint32_t nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(signatures); i++)
		if (signatures[i].nr == nr)
			return signatures[i].args;
	return NULL;
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

static void add_number(struct text *t, uint64_t value)
{
	if ((int64_t)value < 0 && (int64_t)value > -4096)
		text_add(t, "%" PRId64, (int64_t)value);
	else if (value < 4096)
		text_add(t, "%" PRIu64, value);
	else
		text_add(t, "%#" PRIx64, value);
}

/* A bit set by the names of its bits. */
static void add_bits(struct text *t, uint64_t value, const struct flag *flags, size_t n)
{
	const char *bar = "";

	for (size_t i = 0; i < n; i++) {
		if (!flags[i].value || (value & flags[i].value) != flags[i].value)
			continue;
		text_add(t, "%s%s", bar, flags[i].name);
		value &= ~flags[i].value;
		bar = "|";
	}
	if (value || !*bar)
		text_add(t, "%s%#" PRIx64, bar, value);
}

/* One of several values by its name. */
static void add_one(struct text *t, uint64_t value, const struct flag *flags, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (flags[i].value == value) {
			text_add(t, "%s", flags[i].name);
			return;
		}
	}
	add_number(t, value);
}

static void add_arg(struct text *t, char how, uint64_t value, const struct script *s)
{
	const char *string = how == 's' ? script_at(s, value) : NULL;
	const char *signal = how == 'g' && value < NSIG ? sigabbrev_np((int)value) : NULL;

	if (string)
		text_add(t, "\"%s\"", string);
	else if (signal)
		text_add(t, "SIG%s", signal);
	else if (how == 'f' && (int)value == AT_FDCWD)
		text_add(t, "AT_FDCWD");
	else if (how == 'p')
		value ? add_bits(t, value, prots, ARRAY_SIZE(prots)) : text_add(t, "PROT_NONE");
	else if (how == 'm')
		add_bits(t, value, maps, ARRAY_SIZE(maps));
	else if (how == 'a')
		add_one(t, value, advices, ARRAY_SIZE(advices));
	else if (how == 'o')
		add_one(t, value, prctls, ARRAY_SIZE(prctls));
	else if (how == 'c')
		add_one(t, value, archs, ARRAY_SIZE(archs));
	else if (how == 'd')
		text_add(t, "%d", (int)value);
	else
		add_number(t, value);
}

/* The functions of the mover that scripts call: args[0] of the op is where it lies. */
static const struct mover_function {
	unsigned offset;
	const char *name, *args;
} movers[] = {
	{ MOVER_SUM, "mover_sum", "xxx" },
	{ MOVER_READ, "mover_read", "xdxxx" },
};

static const struct mover_function *mover_of(const struct op *op)
{
	for (size_t i = 0; i < ARRAY_SIZE(movers); i++)
		if (movers[i].offset == (op->args[0] - ARENA_BLOB) % ARENA_BLOB)
			return &movers[i];
	return &movers[0];
}

/* How the arguments of OP are printed; BUF is where the letters of an unknown call go. */
static const char *args_of(const struct op *op, char buf[static 7])
{
	const char *args = signature_of(op->nr);
	int n = 6;

	if (op->code == OP_STOP)
		return "";
	if (op->code == OP_CLONE || op->code == OP_BARRIER || op->code == OP_TOUCH)
		return "x";
	if (op->code == OP_FETCH)
		return "xdd";
	if (op->code == OP_RESULT)
		return "ddd";
	if (op->code == OP_COPY)
		return "xx";
	if (op->code == OP_REPEAT)
		return "dd";
	if (op->code == OP_MOVER)
		return mover_of(op)->args;
	if (args && op->nr != SYS_prctl)
		return args;
	while (n > 1 && !op->args[n - 1])
		n--;
	snprintf(buf, 7, "%.*s", n, args ? "oxxxxx" : "xxxxxx");
	return buf;
}

void op_format(const struct op *op, const struct script *s, char *buf, size_t size)
{
	static const char *const own[] = {
		[OP_CLONE] = "clone",   [OP_BARRIER] = "barrier", [OP_TOUCH] = "touch_xstate",
		[OP_FETCH] = "fetch",   [OP_RESULT] = "result",   [OP_COPY] = "copy",
		[OP_REPEAT] = "repeat", [OP_STOP] = "stop"
	};
	struct text t = { .buf = buf, .size = size };
	const uint64_t *values = op->code == OP_MOVER ? op->args + 1 : op->args;
	const char *name = op->code == OP_MOVER                          ? mover_of(op)->name
	                   : op->code < ARRAY_SIZE(own) && own[op->code] ? own[op->code]
	                                                                 : syscall_name(op->nr);
	char letters[7];
	const char *args = args_of(op, letters);

	if (name)
		text_add(&t, "%s(", name);
	else
		text_add(&t, "syscall_%u(", op->nr);
	for (unsigned i = 0; args[i]; i++) {
		if (i)
			text_add(&t, ", ");
		add_arg(&t, args[i], values[i], s);
	}
	text_add(&t, ")");
	if (op->expect == EXPECT_VALUE) {
		text_add(&t, " = ");
		op->code == OP_CLONE ? text_add(&t, "%d", (int)op->want)
				     : add_number(&t, (uint64_t)op->want);
	}
}

void script_print(const struct script *s, FILE *out)
{
	for (size_t i = 0; i < s->ops.n; i++) {
		char text[4500];

		op_format(&s->ops.v[i], s, text, sizeof(text));
		fprintf(out, "%5zu  %-12s %s\n", i, s->rooms.v[i] ? s->rooms.v[i] : "", text);
	}
}
