/* Has what a checkpoint can be forged of: a file with a name, one without, and the right to run. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zdtm.h"

int main(void)
{
	struct stat st;
	int named = open("named", O_RDWR), gone = open("gone", O_RDWR | O_CREAT, 0600);

	check(named >= 0 && gone >= 0 && unlink("gone") == 0);

	zdtm_park();

	check(fstat(named, &st) == 0 && S_ISREG(st.st_mode));
	check(fstat(gone, &st) == 0 && st.st_nlink == 0);
	return zdtm_pass();
}
