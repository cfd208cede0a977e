/*
 * One function per ability of the kernel. Each does once, on itself or on a
 * child of its own, what dump or restore would do; versions are never asked,
 * because distributions carry patches and containers filter system calls.
 */
#include "cli/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/kcmp.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/array.h"
#include "lib/child.h"
#include "lib/cleanup.h"

/* Newer than the headers of Debian 12. */
#ifndef PAGEMAP_SCAN
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS     77
#define PR_TIMER_CREATE_RESTORE_IDS_GET 2
#endif
#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif
#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif
#ifndef __NR_mseal
#define __NR_mseal 462
#endif

static int answer(long r)
{
	return r < 0 ? -errno : 0;
}

/* A child that does nothing until it is killed. */
static void child_cleanup(pid_t *pid)
{
	if (*pid > 0)
		child_end(*pid);
}

static pid_t child_start(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid < 0 ? -errno : pid;
}

#define auto_child auto_(child_cleanup)

/* A pid above ours that is free; should somebody take it just now, EEXIST is an answer, too. */
static int try_set_tid(void)
{
	pid_t want = getpid() + 100;
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&want,
		.set_tid_size = 1,
	};
	auto_child pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(0);
	return pid < 0 && errno == EEXIST ? 0 : answer(pid);
}

/* What a restore does that has not the privilege for it (restore/pidns.c). */
static int try_own_namespaces(void)
{
	struct clone_args args = { .flags = CLONE_NEWUSER | CLONE_NEWPID, .exit_signal = SIGCHLD };
	auto_child pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(0);
	return answer(pid);
}

static int try_pids(void)
{
	int r = try_set_tid();

	return r == -EPERM ? try_own_namespaces() : r;
}

/* Seize a child, stop it, and ask REQUEST of it. */
static int traced(long request, void *addr, void *data)
{
	auto_child pid_t pid = child_start();
	int status;

	if (pid < 0)
		return pid;
	if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 ||
	    waitpid(pid, &status, __WALL) < 0)
		return -errno;
	if (!WIFSTOPPED(status) || status >> 16 != PTRACE_EVENT_STOP)
		return -EPROTO;
	return request ? answer(syscall(SYS_ptrace, request, pid, addr, data)) : 0;
}

static int try_seize(void)
{
	return traced(0, NULL, NULL);
}

static int try_suspend_seccomp(void)
{
	return traced(PTRACE_SETOPTIONS, NULL, (void *)(uintptr_t)PTRACE_O_SUSPEND_SECCOMP);
}

static int try_rseq(void)
{
	char configuration[64];

	return traced(PTRACE_GET_RSEQ_CONFIGURATION, (void *)24, configuration);
}

static int try_dispatch(void)
{
	char configuration[64];

	return traced(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, (void *)32, configuration);
}

static int try_peeksiginfo(void)
{
	struct __ptrace_peeksiginfo_args args = { .nr = 1 };
	siginfo_t info;

	return traced(PTRACE_PEEKSIGINFO, &args, &info);
}

static int try_pidfd_getfd(void)
{
	auto_close int zero = open("/dev/null", O_RDONLY | O_CLOEXEC);
	auto_child pid_t pid = child_start();
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	auto_close int fd = -1;

	if (zero < 0 || pidfd < 0)
		return -errno;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, zero, 0);
	return answer(fd);
}

static int try_vm_readv(void)
{
	auto_child pid_t pid = child_start();
	pid_t there = 0;
	struct iovec local = { .iov_base = &there, .iov_len = sizeof(there) };
	struct iovec remote = { .iov_base = &pid, .iov_len = sizeof(pid) };

	return answer(process_vm_readv(pid, &local, 1, &remote, 1, 0));
}

static int try_pagemap_scan(void)
{
	auto_close int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct pm_scan_arg arg = { .size = sizeof(arg) };

	return fd < 0 ? -errno : answer(ioctl(fd, PAGEMAP_SCAN, &arg));
}

static int try_pagemap(void)
{
	auto_close int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;
	off_t at = (off_t)((uintptr_t)&entry / (uintptr_t)getpagesize() * sizeof(entry));

	if (fd < 0 || pread(fd, &entry, sizeof(entry), at) < 0)
		return -errno;
	return entry & ((1ull << 55) - 1) ? 0 : -EPERM; /* the frame number is hidden */
}

static int try_mm_map(void)
{
	struct prctl_mm_map map;
	unsigned size = 0;

	if (prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) < 0)
		return -errno;
	return size == sizeof(map) ? 0 : -EPROTO;
}

static int try_memfd(void)
{
	auto_close int fd = memfd_create("crtool-check", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return answer(fd);
}

static int try_userfaultfd(void)
{
	auto_close int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	return answer(fd);
}

static int try_kcmp(void)
{
	return answer(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, 2, 2));
}

/* What a mapping shows, even when its file is deleted or hidden by a mount. */
static int try_map_files(void)
{
	auto_file FILE *maps = fopen("/proc/self/maps", "re");
	auto_close int fd = -1;
	unsigned long start, end;
	char path[64];

	if (!maps)
		return -errno;
	if (fscanf(maps, "%lx-%lx", &start, &end) != 2)
		return -EPROTO;
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", start, end);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return answer(fd);
}

static int try_timer_ids(void)
{
	return answer(prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0));
}

/* Of no memory at all: it only says whether the call is there. */
static int try_mseal(void)
{
	return answer(syscall(__NR_mseal, 0, 0, 0));
}

const struct probe probes[] = {
	{ "pids by choice", try_pids, true, "restore cannot give pids back" },
	{ "clone3 set_tid", try_set_tid, false,
	  "restore does it in a user and pid namespace of its own" },
	{ "ptrace seize", try_seize, true, "dump cannot stop a program" },
	{ "process_vm_readv", try_vm_readv, true, "dump cannot read memory" },
	{ "prctl PR_SET_MM_MAP", try_mm_map, true, "restore cannot set the layout of memory" },
	{ "memfd", try_memfd, true, "restore has no place for its scripts" },
	{ "pagemap", try_pagemap, false, "untouched file pages are stored, too" },
	{ "PAGEMAP_SCAN", try_pagemap_scan, false, "finding the pages of sparse memory is slow" },
	{ "pidfd_getfd", try_pidfd_getfd, true, "dump cannot look into pipes, sockets, timers" },
	{ "kcmp", try_kcmp, true, "dump cannot tell shared from duplicated descriptors" },
	{ "map_files", try_map_files, false, "mapped files that were deleted are refused" },
	{ "ptrace suspend seccomp", try_suspend_seccomp, false,
	  "programs under seccomp are refused" },
	{ "ptrace peek siginfo", try_peeksiginfo, true, "pending signals cannot be saved" },
	{ "ptrace rseq", try_rseq, false,
	  "restartable sequences of glibc 2.35 and later are refused" },
	{ "ptrace syscall dispatch", try_dispatch, false, "programs like Wine are refused" },
	{ "timer ids by prctl", try_timer_ids, false, "restoring POSIX timers takes longer" },
	{ "mseal", try_mseal, false, "sealed memory cannot be restored" },
	{ "userfaultfd", try_userfaultfd, false, "memory cannot be loaded on demand" },
};
const size_t nprobes = ARRAY_SIZE(probes);
