/* Checkpoints with keys, for the tests of signing and encrypting. */
#pragma once

#include <errno.h>

#include "images/crypt.h"
#include "images/format.h"
#include "images/hash.h"

#include "checkpoint.h"

#define SECRET "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define PUBLIC "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

static inline void unhex(const char *hex, uint8_t *ret)
{
	for (; *hex; hex += 2) {
		unsigned byte;

		check(sscanf(hex, "%2x", &byte) == 1);
		*ret++ = (uint8_t)byte;
	}
}

enum { SIGN = 1, CRYPT = 2 };

/* Of who writes and of who reads. */
static inline struct image_keys keys_of(int which)
{
	static struct crypto *crypto; /* of all */
	struct image_keys k = { .has_sign = which & SIGN,
		                .has_verify = which & SIGN,
		                .has_crypt = which & CRYPT };

	if (!crypto && crypto_load(&crypto) < 0)
		skip("no libcrypto.so.3");
	k.crypto = crypto;
	unhex(SECRET, k.sign);
	unhex(PUBLIC, k.verify);
	memset(k.crypt, 7, sizeof(k.crypt));
	return k;
}

/* ---- checkpoints ---- */

#define CONTENT (3 * CRYPT_CHUNK)

static inline void page_content(char *buf, size_t size, char seed)
{
	for (size_t i = 0; i < size; i++)
		buf[i] = (char)(i / 4096 + i + (size_t)seed);
	memcpy(buf, "plaintext", size < 9 ? size : 9);
}

/* A task with SIZE bytes of pages, all of which a record refers to. */
static inline void write_with(const struct place *p, const struct image_keys *k, size_t size)
{
	uint64_t start = 0x10, count = size / 4096;
	char *buf = malloc(size + 1);
	Img__Pages pages = IMG__PAGES__INIT;
	struct image_writer *w;
	struct pages_file *file;

	page_content(buf, size, 0);
	check(!image_writer_new(p->fd, 0600, k, &w));
	put_task(w, 1);
	check(!image_add_pages(w, &file));
	for (size_t at = 0, n = 100; at < size; at += n, n *= 3) {
		n = size - at < n ? size - at : n;
		check(!pages_file_write(file, buf + at, n));
	}
	check(pages_file_size(file) == size);
	pages.start = &start;
	pages.count = &count;
	pages.n_start = pages.n_count = count != 0;
	check(!image_put(w, KIND_pages, 1, &pages.base));
	check(!seal(w, true));
	image_writer_free(w);
	free(buf);
}

static inline bool refused_with(const struct place *p, const struct image_keys *k, const char *text)
{
	struct images *im;
	int e = images_read(p->dir, PAGES_USED, k, &im);
	bool told = log_failure() && strstr(log_failure(), text);

	if (e == 0)
		images_free(im);
	if (e != -EBADMSG || !told)
		printf("# %d: %s\n", e, log_failure() ? log_failure() : "no message");
	log_forget();
	return e == -EBADMSG && told;
}

/* All of a file; its size. */
static inline size_t load(const struct place *p, const char *name, uint8_t **ret)
{
	int fd = openat(p->fd, name, O_RDONLY);
	off_t size = lseek(fd, 0, SEEK_END);

	check(fd >= 0);
	*ret = malloc((size_t)size + 1);
	check(pread(fd, *ret, (size_t)size, 0) == size);
	close(fd);
	return (size_t)size;
}

static inline void store(const struct place *p, const char *name, const uint8_t *data, size_t size)
{
	int fd = openat(p->fd, name, O_WRONLY | O_TRUNC | O_CREAT, 0600);

	check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
}
