/*
 * What a program may have found out about this CPU and chosen its code by:
 * cpuid words in a fixed order. A checkpoint restores where every bit of its
 * words is set too; the names are those of the Intel SDM, vol. 2A, CPUID.
 */
#include "parasite/arch/x86_64/arch.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#if __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#endif

#include "lib/array.h"

/* Bits that say nothing about instructions (debug features, hypervisor) are masked out. */
static const struct cpu_word {
	uint32_t leaf, subleaf, reg, mask;
	const char *name;
} cpu_words[] = {
	{ 1, 0, 2, 0x76dafff7, "1.ecx" },
	{ 1, 0, 3, 0xefffffff, "1.edx" },
	{ 7, 0, 1, 0xffffffff, "7.ebx" },
	{ 7, 0, 2, 0xffffffff, "7.ecx" },
	{ 7, 0, 3, 0x03c0010c, "7.edx" },
	{ 7, 1, 0, 0xffffffff, "7.1.eax" },
	{ 0x80000001, 0, 2, 0xffffffff, "80000001.ecx" },
	{ 0x80000001, 0, 3, 0xffffffff, "80000001.edx" },
};

/* The bits that users know by name. */
static const struct {
	uint32_t word, bit;
	const char *name;
} cpu_names[] = {
	{ 0, 0, "sse3" },      { 0, 9, "ssse3" },      { 0, 12, "fma" },
	{ 0, 19, "sse4_1" },   { 0, 20, "sse4_2" },    { 0, 22, "movbe" },
	{ 0, 23, "popcnt" },   { 0, 25, "aes" },       { 0, 26, "xsave" },
	{ 0, 28, "avx" },      { 0, 29, "f16c" },      { 0, 30, "rdrand" },
	{ 2, 3, "bmi1" },      { 2, 5, "avx2" },       { 2, 8, "bmi2" },
	{ 2, 9, "erms" },      { 2, 11, "rtm" },       { 2, 16, "avx512f" },
	{ 2, 17, "avx512dq" }, { 2, 18, "rdseed" },    { 2, 19, "adx" },
	{ 2, 28, "avx512cd" }, { 2, 29, "sha_ni" },    { 2, 30, "avx512bw" },
	{ 2, 31, "avx512vl" }, { 3, 1, "avx512vbmi" }, { 3, 3, "pku" },
	{ 3, 8, "gfni" },      { 3, 9, "vaes" },       { 3, 11, "avx512_vnni" },
	{ 4, 22, "amx_bf16" }, { 4, 24, "amx_tile" },  { 4, 25, "amx_int8" },
};

/* What the C library has asked at its start is not asked again: in a virtual machine each takes 10 us and more. */
static bool cpuid_known(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
#ifdef _SYS_PLATFORM_X86_H
	static const struct {
		uint32_t leaf, subleaf;
		unsigned index;
	} known[] = { { 1, 0, CPUID_INDEX_1 },
		      { 7, 0, CPUID_INDEX_7 },
		      { 7, 1, CPUID_INDEX_7_ECX_1 },
		      { 0x80000001, 0, CPUID_INDEX_80000001 } };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].leaf == leaf && known[i].subleaf == subleaf) {
			memcpy(r, __x86_get_cpuid_feature_leaf(known[i].index)->cpuid_array,
			       4 * sizeof(*r));
			return true;
		}
#endif
	return false;
}

/* All 0 where this CPU has no such leaf. */
static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
	memset(r, 0, 4 * sizeof(*r));
	if (!cpuid_known(leaf, subleaf, r))
		__get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]);
}

uint64_t arch_xfeatures(void)
{
	uint32_t r[4], a = 0, d = 0;

	cpuid(1, 0, r);
	if (!(r[2] & (1u << 27))) /* OSXSAVE */
		return 3;
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return (uint64_t)d << 32 | a;
}

/* OSPKE: the kernel has switched them on. */
unsigned arch_pkeys(void)
{
	uint32_t r[4];

	cpuid(7, 0, r);
	return r[2] & 1u << 4 ? 16 : 0;
}

size_t arch_cpu_features(uint32_t *words, size_t max)
{
	size_t n = max < ARRAY_SIZE(cpu_words) ? max : ARRAY_SIZE(cpu_words);
	uint32_t r[4];

	for (size_t i = 0; i < n; i++) {
		cpuid(cpu_words[i].leaf, cpu_words[i].subleaf, r);
		words[i] = r[cpu_words[i].reg] & cpu_words[i].mask;
	}
	return n;
}

static const char *feature_name(uint32_t word, uint32_t bit)
{
	static char other[32];

	for (size_t i = 0; i < ARRAY_SIZE(cpu_names); i++)
		if (cpu_names[i].word == word && cpu_names[i].bit == bit)
			return cpu_names[i].name;
	snprintf(other, sizeof(other), "cpuid %s bit %u", cpu_words[word].name, bit);
	return other;
}

const char *arch_cpu_feature_missing(const uint32_t *want, const uint32_t *have, size_t n)
{
	for (uint32_t i = 0; i < n && i < ARRAY_SIZE(cpu_words); i++)
		if (want[i] & ~have[i])
			return feature_name(i, (uint32_t)__builtin_ctz(want[i] & ~have[i]));
	return NULL;
}
