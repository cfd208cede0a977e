/*
 * Names. What is bound is a text, which leads to a file from a root or working
 * directory: a thread that has a directory of its own binds it there, as these belong
 * to threads (unshare(2) CLONE_FS). A name that leads nowhere any more is bound
 * in a file system that is mounted nowhere.
 *
 * Sockets are found by their file, so that must be a new one: the one that the
 * dumped process left is removed, if nobody listens at it. Connections go
 * through SIOCUNIXFILE, by which a socket tells its file wherever it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "restore/hidden_tmpfs.h"
#include "restore/sk_unix.h"

#define SIOCUNIXFILE 0x89E0 /* linux/un.h */

#define HEAD offsetof(struct sockaddr_un, sun_path)

bool unix_name_valid(const ProtobufCBinaryData *a)
{
	if (!a->len || a->len > sizeof(((struct sockaddr_un *)0)->sun_path))
		return false;
	return !a->data[0] || !memchr(a->data, '\0', a->len);
}

const char *unix_name_text(const ProtobufCBinaryData *a)
{
	static char text[sizeof(((struct sockaddr_un *)0)->sun_path) + 2];
	bool hidden = a->len && !a->data[0];

	snprintf(text, sizeof(text), "%s%.*s", hidden ? "@" : "", (int)a->len - hidden,
	         (const char *)a->data + hidden);
	return text;
}

bool unix_makes_file(const struct restore *r, const char *path)
{
	size_t n, len = strlen(path);
	const struct record *rec = images_kind(r->images, KIND_sk_unix, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__SkUnix__Name *name = ((const Img__SkUnix *)rec[i].msg)->name;
		const ProtobufCBinaryData *a = name ? &name->address : NULL;
		size_t end = a ? strnlen((const char *)a->data, a->len) : 0;

		/* whatever directory it starts from */
		if (end && end <= len && !memcmp(path + len - end, a->data, end) &&
		    (end == len || a->data[0] == '/' || path[len - end - 1] == '/'))
			return true;
	}
	return false;
}

static socklen_t address_fill(struct sockaddr_un *un, const ProtobufCBinaryData *a)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, a->data, a->len);
	return (socklen_t)(HEAD + a->len);
}

/* ---- binding in a directory ---- */

struct bind_job {
	int fd, dir;
	const Img__SkUnix__Name *name;
	bool hidden;
	int result;
};

/* A socket that nobody holds any more goes; a datagram socket disturbs nobody by trying. */
static int dead_remove(const struct sockaddr_un *un, socklen_t len)
{
	auto_close int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct stat st;

	if (lstat(un->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (probe < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || connect(probe, (const struct sockaddr *)un, len) == 0 ||
	    errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(un->sun_path) < 0 ? -errno : 0;
}

static int parents_make(const char *path)
{
	char part[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];

	for (const char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int bind_here(const struct bind_job *j)
{
	const Img__SkUnix__Name *name = j->name;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1] = "";
	struct sockaddr_un un;
	socklen_t len = address_fill(&un, &name->address);
	int e;

	memcpy(path, name->address.data, name->address.len);
	e = j->hidden ? parents_make(path) : dead_remove(&un, len);
	if (e == 0 && bind(j->fd, (struct sockaddr *)&un, len) < 0)
		e = -errno;
	if (e < 0 || j->hidden)
		return e;
	if (lchown(path, name->uid, name->gid) < 0 || chmod(path, name->mode) < 0)
		return -errno;
	return 0;
}

static void *bind_run(void *arg)
{
	struct bind_job *j = arg;

	if (unshare(CLONE_FS) < 0 || fchdir(j->dir) < 0 ||
	    ((j->hidden || j->name->root) && chroot(".") < 0))
		j->result = -errno;
	else
		j->result = bind_here(j);
	return NULL;
}

int unix_bind(int fd, const Img__SkUnix__Name *name, bool hidden)
{
	struct bind_job job = { fd, -1, name, hidden || !*name->dir, 0 };
	auto_close int dir = -1;
	struct sockaddr_un un;
	pthread_t thread;
	int e;

	if (!name->address.data[0])
		return bind(fd, (struct sockaddr *)&un, address_fill(&un, &name->address)) < 0
		               ? -errno
		               : 0;
	if (!job.hidden && name->root && !strcmp(name->dir, "/"))
		return bind_here(&job);
	dir = job.hidden ? hidden_tmpfs() : open(name->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return job.hidden ? dir : -errno;
	job.dir = dir;
	e = pthread_create(&thread, NULL, bind_run, &job);
	if (e == 0)
		pthread_join(thread, NULL);
	return e ? -e : job.result;
}

/* ---- connecting ---- */

int unix_connect_name(int fd, const ProtobufCBinaryData *address)
{
	struct sockaddr_un un;
	socklen_t len = address_fill(&un, address);

	return connect(fd, (struct sockaddr *)&un, len) < 0 ? -errno : 0;
}

/* An address that leads to TARGET, as long as *RET_FILE is open. */
static int address_of(int target, struct sockaddr_un *un, socklen_t *len, int *ret_file)
{
	memset(un, 0, sizeof(*un));
	*len = sizeof(*un);
	*ret_file = -1;
	if (getsockname(target, (struct sockaddr *)un, len) < 0)
		return -errno;
	if (*len <= HEAD || !un->sun_path[0])
		return 0;
	*ret_file = ioctl(target, SIOCUNIXFILE);
	if (*ret_file < 0)
		return -errno;
	snprintf(un->sun_path, sizeof(un->sun_path), "/proc/self/fd/%d", *ret_file);
	*len = sizeof(*un);
	return 0;
}

int unix_connect(int fd, int target)
{
	auto_close int file = -1;
	struct sockaddr_un un;
	socklen_t len;
	int e = address_of(target, &un, &len, &file);

	if (e == 0 && connect(fd, (struct sockaddr *)&un, len) < 0)
		e = -errno;
	return e;
}

ssize_t unix_send_to(int fd, int target, struct msghdr *msg)
{
	auto_close int file = -1;
	struct sockaddr_un un;
	ssize_t n = target < 0 ? 0 : address_of(target, &un, &msg->msg_namelen, &file);

	if (target >= 0)
		msg->msg_name = &un;
	if (n == 0)
		n = sendmsg(fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	msg->msg_name = NULL;
	return n < 0 ? -errno : n;
}
