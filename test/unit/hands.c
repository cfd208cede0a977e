/* lib/hands.h: all of them work, and no error of one is lost. */
#include "lib/hands.h"

#include <errno.h>
#include <stddef.h>

#include "unit.h"

#define HANDS 3

struct work {
	unsigned done[HANDS];
	unsigned failing; /* hand; HANDS: none */
};

static int work(void *arg, unsigned hand)
{
	struct work *w = arg;

	w->done[hand]++;
	return hand == w->failing ? -EIO : 0;
}

TEST(each_works_once)
{
	struct work w = { .failing = HANDS };
	struct hands *h;

	check(hands_begin(HANDS, &h) == 0 && hands_count(h) == HANDS);
	for (unsigned i = 1; i < 100; i++) {
		check(hands_all(h, work, &w) == 0);
		for (int k = 0; k < HANDS; k++)
			check(w.done[k] == i);
	}
	hands_end(h);
}

TEST(the_error_of_any_is_told_once)
{
	struct hands *h;

	check(hands_begin(HANDS, &h) == 0);
	for (unsigned i = 0; i <= HANDS; i++) {
		struct work w = { .failing = i };

		check(hands_all(h, work, &w) == (i < HANDS ? -EIO : 0));
	}
	hands_end(h);
}

TEST(what_is_given_in_between_hides_no_error)
{
	struct work bad = { .failing = 1 }, good = { .failing = HANDS };
	struct hands *h;

	check(hands_begin(HANDS, &h) == 0);
	hands_give(h, work, &bad);
	hands_give(h, work, &good);
	check(hands_await(h) == -EIO && bad.done[1] == 1 && good.done[1] == 1);
	check(hands_await(h) == 0);
	hands_end(h);
}

TEST(nobody_is_the_caller_alone)
{
	struct work w = { .failing = HANDS };

	check(hands_count(NULL) == 1 && hands_all(NULL, work, &w) == 0 && w.done[0] == 1);
	hands_give(NULL, work, &w);
	check(hands_await(NULL) == 0 && w.done[0] == 1);
	hands_end(NULL);
}
