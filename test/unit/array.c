/* lib/array.h */
#include "lib/array.h"

#include "unit.h"

TEST(elements_are_zeroed_and_kept)
{
	ARRAY(unsigned long) a = {};

	for (unsigned long i = 0; i < 1000; i++) {
		unsigned long *p = array_add(&a);

		check(p && *p == 0);
		*p = i;
	}
	for (unsigned long i = 0; i < 1000; i++)
		check(a.v[i] == i);
	array_done(&a);
}

TEST(each_visits_all_in_order)
{
	ARRAY(int) a = {};
	int sum = 0;

	array_each (p, &a)
		sum += 1000;
	*array_add(&a) = 1;
	*array_add(&a) = 2;
	array_each (p, &a)
		sum = sum * 10 + *p;
	check(sum == 12);
	array_done(&a);
}

TEST(done_leaves_an_empty_array)
{
	ARRAY(int) a = {};

	check(array_add(&a));
	array_done(&a);
	check(!a.v && !a.n && !a.cap);
}
