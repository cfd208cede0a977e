/* The harness itself: a victim that has nothing to lose. With an argument it fails. */
#include "zdtm.h"

int main(int argc, char **argv)
{
	zdtm_park();
	check(argc == 1);
	return zdtm_pass();
}
