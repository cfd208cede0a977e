/* So many pages that the kernel takes its time to copy their tables. */
#include <stddef.h>
#include <sys/mman.h>

#include "zdtm.h"

#define SIZE (512UL << 20)

int main(void)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED);
	check(madvise(p, SIZE, MADV_NOHUGEPAGE) == 0);
	for (unsigned long i = 0; i < SIZE; i += 4096)
		p[i] = 1;
	zdtm_parked();
	while (!zdtm_released())
		zdtm_nap();
	return zdtm_pass();
}
