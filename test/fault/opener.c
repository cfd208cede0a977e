/* A program with a file open that its test may change. */
#include <fcntl.h>
#include <unistd.h>

#include "zdtm.h"

int main(void)
{
	int fd = open("file", O_RDWR | O_CREAT, 0644);

	check(fd >= 0);
	check(write(fd, "text\n", 5) == 5);
	zdtm_park();
	check(lseek(fd, 0, SEEK_CUR) == 5);
	return zdtm_pass();
}
