/*
 * What a program may have found out about this CPU and chosen its code by:
 * cpuid words in a fixed order. A checkpoint restores where every bit of its
 * words is set too; the names are those of the Intel SDM, vol. 2A, CPUID.
 */
#include "parasite/arch/x86_64/arch.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>

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

uint64_t arch_xfeatures(void)
{
	uint32_t a = 0, b = 0, c = 0, d = 0;

	__get_cpuid(1, &a, &b, &c, &d);
	if (!(c & (1u << 27))) /* OSXSAVE */
		return 3;
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return (uint64_t)d << 32 | a;
}

/* OSPKE: the kernel has switched them on. */
unsigned arch_pkeys(void)
{
	static int known = -1;
	uint32_t a = 0, b = 0, c = 0, d = 0;

	if (known < 0) {
		__get_cpuid_count(7, 0, &a, &b, &c, &d);
		known = c & 1u << 4 ? 16 : 0;
	}
	return (unsigned)known;
}

/* Each question is an exit to the hypervisor, where there is one: what is known is not asked again. */
size_t arch_cpu_features(uint32_t *words, size_t max)
{
	size_t n = max < ARRAY_SIZE(cpu_words) ? max : ARRAY_SIZE(cpu_words);
	const struct cpu_word *last = NULL;
	uint32_t r[4] = {};

	for (size_t i = 0; i < n; i++) {
		const struct cpu_word *w = &cpu_words[i];

		if (!last || w->leaf != last->leaf || w->subleaf != last->subleaf) {
			memset(r, 0, sizeof(r));
			__get_cpuid_count(w->leaf, w->subleaf, &r[0], &r[1], &r[2], &r[3]);
		}
		last = w;
		words[i] = r[w->reg] & w->mask;
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
