#include "parasite/mover.h"

extern const char mover_plain[], mover_plain_end[], mover_fast[], mover_fast_end[];

/* XXH3 with AVX2 is nearly twice as fast as with SSE2. */
static int is_fast(void)
{
#ifdef __x86_64__
	return __builtin_cpu_supports("avx2");
#else
	return 0;
#endif
}

const char *mover_code(size_t *ret_size)
{
	*ret_size = is_fast() ? (size_t)(mover_fast_end - mover_fast)
	                      : (size_t)(mover_plain_end - mover_plain);
	return is_fast() ? mover_fast : mover_plain;
}
