/*
 * Preloaded into crtool: it is killed when it has set registers of a thread for the Nth time, counted from 0 by
 * REGS_KILL=N, and has not come to the mask that belongs to them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>

long ptrace(enum __ptrace_request request, ...)
{
	long (*real)(enum __ptrace_request request, ...) =
		(__typeof__(real))dlsym(RTLD_NEXT, "ptrace");
	static long made;
	void *addr, *data;
	va_list ap;
	pid_t tid;
	long r;

	va_start(ap, request);
	tid = va_arg(ap, pid_t);
	addr = va_arg(ap, void *);
	data = va_arg(ap, void *);
	va_end(ap);
	r = real(request, tid, addr, data);
	if ((request == PTRACE_SETREGS || request == PTRACE_SETREGSET) &&
	    made++ == atol(getenv("REGS_KILL") ?: "-1"))
		kill(getpid(), SIGKILL);
	return r;
}
