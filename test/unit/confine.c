/* Who is confined can do what images need, and not what they never do. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/socket.h>

#include "lib/confine.h"
#include "lib/kernel.h"
#include "lib/landlock.h"
#include "unit.h"

/* Can a file be made there? */
static bool makes(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return false;
	close(fd);
	return unlinkat(dirfd, name, 0) == 0;
}

static int confined(const char *dir, int in, int out)
{
	char *const argv[] = { (char *)"true", NULL };

	if (confine(dir) < 0)
		return 1;
	if (makes(in, "a") != (dir != NULL) && has_landlock())
		return 2;
	if (makes(out, "a") && has_landlock())
		return 3;
	if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EPERM)
		return 4;
	if (execv("/bin/true", argv) >= 0 || errno != EPERM)
		return 5;
	if (own_capability(CAP_SYS_ADMIN) || own_capability(CAP_SYS_PTRACE))
		return 6;
	return open("/proc/self/status", O_RDONLY | O_CLOEXEC) < 0 ? 7 : 0;
}

static int in_child(const char *dir, int in, int out)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(confined(dir, in, out));
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(what_is_below_a_directory_may_be_written_to_and_nothing_else)
{
	char in[] = "/tmp/crtool-in-XXXXXX", out[] = "/tmp/crtool-out-XXXXXX";
	int infd, outfd;

	check(mkdtemp(in) && mkdtemp(out));
	infd = open(in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	outfd = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(infd >= 0 && outfd >= 0);
	check(makes(infd, "a") && makes(outfd, "a"));
	check(in_child(in, infd, outfd) == 0);
	check(in_child(NULL, infd, outfd) == 0);
	check(makes(outfd, "a"));
	rmdir(in);
	rmdir(out);
}
