/* parasite/arch/x86_64/cpu.c: what the C library has asked this CPU is what it says */
#include "parasite/arch/arch.h"

#include <cpuid.h>

#include "unit.h"

#define WORDS 8

static const struct {
	uint32_t leaf, subleaf, reg;
	bool whole; /* no bit of it is left out */
} words[WORDS] = {
	{ 1, 0, 2, false },         { 1, 0, 3, false },         { 7, 0, 1, true },
	{ 7, 0, 2, true },          { 7, 0, 3, false },         { 7, 1, 0, true },
	{ 0x80000001, 0, 2, true }, { 0x80000001, 0, 3, true },
};

TEST(the_words_are_those_of_cpuid)
{
	uint32_t have[WORDS + 1];

	check(arch_cpu_features(have, WORDS + 1) == WORDS);
	for (size_t i = 0; i < WORDS; i++) {
		uint32_t r[4] = {};

		__get_cpuid_count(words[i].leaf, words[i].subleaf, &r[0], &r[1], &r[2], &r[3]);
		check((have[i] & ~r[words[i].reg]) == 0);
		check(!words[i].whole || have[i] == r[words[i].reg]);
	}
	check(have[0] && have[1]); /* sse3, and what x86-64 has at least */
}

TEST(the_state_that_xsave_saves_is_known)
{
	uint32_t r[4] = {};

	__get_cpuid_count(0xd, 0, &r[0], &r[1], &r[2], &r[3]);
	check((arch_xfeatures() & 3) == 3);
	check(!r[0] || (arch_xfeatures() & ~((uint64_t)r[3] << 32 | r[0])) == 0);
}
