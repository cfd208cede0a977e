/*
 * Extended CPU state: each thread holds values of its own in all vector
 * registers (and tiles) that this CPU has, in a loop without any system call,
 * so that they are nowhere but in the registers when it is stopped.
 */
#include <cpuid.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

#define THREADS             4
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_TILE       18

static int done;
static int ready;

#define HOLD(load, store)                                                 \
	__asm__ volatile(load "\n"                                        \
	                      "lock incl %[ready]\n"                      \
	                      "1: cmpl $0, %[done]\n"                     \
	                      "pause\n"                                   \
	                      "je 1b\n" store                             \
	                 : [ready] "+m"(ready)                            \
	                 : [in] "r"(in), [out] "r"(out), [done] "m"(done) \
	                 : "memory", "cc")

static void hold_sse(const char *in, char *out)
{
	HOLD("movups (%[in]), %%xmm0; movups 16(%[in]), %%xmm7; movups 32(%[in]), %%xmm15",
	     "movups %%xmm0, (%[out]); movups %%xmm7, 16(%[out]); movups %%xmm15, 32(%[out])");
}

__attribute__((target("avx"))) static void hold_avx(const char *in, char *out)
{
	HOLD("vmovups (%[in]), %%ymm1; vmovups 32(%[in]), %%ymm14",
	     "vmovups %%ymm1, (%[out]); vmovups %%ymm14, 32(%[out]); vzeroupper");
}

__attribute__((target("avx512f"))) static void hold_avx512(const char *in, char *out)
{
	HOLD("vmovups (%[in]), %%zmm2; vmovups 64(%[in]), %%zmm31; kmovw 128(%[in]), %%k3",
	     "vmovups %%zmm2, (%[out]); vmovups %%zmm31, 64(%[out]); kmovw %%k3, 128(%[out]); "
	     "vzeroupper");
}

static void hold_amx(const char *in, char *out)
{
	uint8_t config[64] __attribute__((aligned(64))) = { 1 };

	config[16] = 64; /* tmm0: 16 rows of 64 bytes */
	config[48] = 16;
	__asm__ volatile("ldtilecfg (%0)" : : "r"(config) : "memory");
	__asm__ volatile("tileloadd (%0,%1,1), %%tmm0" : : "r"(in), "r"(64L) : "memory");
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&done, __ATOMIC_SEQ_CST))
		__asm__ volatile("pause");
	__asm__ volatile("tilestored %%tmm0, (%0,%1,1)" : : "r"(out), "r"(64L) : "memory");
	__asm__ volatile("tilerelease");
}

static void hold_x87(const char *in, char *out)
{
	HOLD("fninit; fldl (%[in]); fldl 8(%[in])", "fstpl 8(%[out]); fstpl (%[out])");
}

static const struct kind {
	const char *name;
	void (*hold)(const char *in, char *out);
	size_t size; /* bytes that come back */
} kinds[] = {
	{ "x87", hold_x87, 16 },        { "sse", hold_sse, 48 },   { "avx", hold_avx, 64 },
	{ "avx512", hold_avx512, 130 }, { "amx", hold_amx, 1024 },
};

static const struct kind *kind = kinds;

/* AVX-512 and AMX are not everywhere; exit code 77 says so. */
static int supported(void)
{
	if (!strcmp(kind->name, "avx512"))
		return __builtin_cpu_supports("avx512f");
	if (!strcmp(kind->name, "avx"))
		return __builtin_cpu_supports("avx");
	if (!strcmp(kind->name, "amx"))
		return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILE) == 0;
	return 1;
}

static void *holder(void *arg)
{
	char in[1024], out[1024] = {};

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)(i * 7 + (size_t)arg * 13 + 1);
	if (kind->hold == hold_x87)
		for (size_t i = 0; i < 2; i++)
			((double *)(void *)in)[i] = (double)((size_t)arg * 2 + i) + 0.5;
	kind->hold(in, out);
	check(!memcmp(in, out, kind->size));
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	check(argc >= 2);
	while (strcmp(kind->name, argv[1]))
		check(++kind < kinds + sizeof(kinds) / sizeof(kinds[0]));
	if (!supported())
		return 77;
	if (argc == 3)
		return 0; /* it was only a question */
	for (size_t i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], NULL, holder, (void *)i) == 0);
	while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < THREADS)
		zdtm_nap();
	zdtm_park();
	__atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
	for (size_t i = 0; i < THREADS; i++)
		check(pthread_join(threads[i], NULL) == 0);
	return zdtm_pass();
}
