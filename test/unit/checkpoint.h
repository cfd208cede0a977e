/* A small checkpoint in a fresh directory, for the tests of images/. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "images/images.h"
#include "lib/log.h"
#include "proto/pages.pb-c.h"
#include "proto/task.pb-c.h"

#include "unit.h"

struct place {
	char dir[64];
	int fd;
};

static inline struct place place_new(void)
{
	struct place p = { .dir = "/tmp/crtool-unit-XXXXXX" };

	check(mkdtemp(p.dir));
	p.fd = open(p.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(p.fd >= 0);
	return p;
}

/* Remove what is in it; returns how many entries there were. */
static inline unsigned place_empty(const struct place *p)
{
	DIR *dir = opendir(p->dir);
	struct dirent *e;
	unsigned n = 0;

	check(dir);
	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			n += !unlinkat(p->fd, e->d_name, 0);
	closedir(dir);
	return n;
}

static inline void place_free(struct place *p)
{
	place_empty(p);
	check(!rmdir(p->dir));
	close(p->fd);
}

static inline void put_task(struct image_writer *w, uint32_t pid)
{
	char comm[] = "redis \"x\"";
	Img__Task task = IMG__TASK__INIT;

	task.pid = pid;
	task.comm = comm;
	task.tids = &pid;
	task.n_tids = 1;
	check(!image_put(w, KIND_task, pid, &task.base));
}

/* Page 0x10, and 0x20 to 0x21, of task 1. */
static inline void put_pages(struct image_writer *w, uint32_t file)
{
	uint64_t start[] = { 0x10, 0xf }, count[] = { 1, 2 };
	Img__Pages pages = IMG__PAGES__INIT;

	pages.file = file;
	pages.start = start;
	pages.count = count;
	pages.n_start = pages.n_count = 2;
	check(!image_put(w, KIND_pages, 1, &pages.base));
}

static inline int seal(struct image_writer *w, bool sync)
{
	char version[] = "0.1";
	Img__Manifest m = IMG__MANIFEST__INIT;

	m.crtool = version;
	m.page_size = 4096;
	return image_seal(w, &m, sync);
}

/* Two tasks and three pages of the first one. */
static inline void checkpoint_write(const struct place *p)
{
	static const char pages[3 * 4096] = "pages";
	struct image_writer *w;
	struct pages_file *file;

	check(!image_writer_new(p->fd, 0600, NULL, &w));
	put_task(w, 2);
	put_task(w, 1);
	check(!image_add_pages(w, &file));
	check(!pages_file_write(file, pages, sizeof(pages)));
	put_pages(w, pages_file_index(file));
	check(!seal(w, false));
	image_writer_free(w);
}

/* Reading it fails with R and a message that holds TEXT. */
static inline bool refused(const char *dir, int r, const char *text)
{
	struct images *im;
	int e = images_read(dir, PAGES_USED, NULL, &im);
	bool told = log_failure() && strstr(log_failure(), text);

	if (e == 0)
		images_free(im);
	if (e != r || !told)
		printf("# %d: %s\n", e, log_failure() ? log_failure() : "no message");
	log_forget();
	return e == r && told;
}
