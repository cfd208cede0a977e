/* Working directory and umask; with "root", a root directory of its own. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zdtm.h"

static bool same(const char *a, const struct stat *b)
{
	struct stat st;

	return stat(a, &st) == 0 && st.st_dev == b->st_dev && st.st_ino == b->st_ino;
}

/*
 * Our own directory becomes the root. The harness talks through absolute paths:
 * inside, they lead back to the root by a link.
 */
static void new_root(void)
{
	check(system("mkdir -p .${PWD%/*} && ln -s / .$PWD") == 0);
	check(chroot(".") == 0);
}

int main(int argc, char **argv)
{
	struct stat cwd, root;

	check(mkdir("a directory", 0755) == 0);
	if (argc > 1)
		new_root();
	check(chdir("a directory") == 0);
	check(stat(".", &cwd) == 0 && stat("/", &root) == 0);
	umask(0137);

	zdtm_park();

	check(same(".", &cwd) && same("/", &root));
	check(umask(022) == 0137);
	return zdtm_pass();
}
