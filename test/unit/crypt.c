/* Encrypted checkpoints: what is not as it was written is refused. */
#include "keys.h"

static void read_back(const struct place *p, const struct image_keys *k, size_t size)
{
	char *want = malloc(size + 1), *got = malloc(size + 1);
	struct images *im;

	page_content(want, size, 0);
	check(!images_read(p->dir, PAGES_USED, k, &im));
	check(images_pages_size(im, 0) == size);
	check(pread(im->pages[0], got, size + 1, 0) == (ssize_t)size);
	check(!memcmp(got, want, size));
	images_free(im);
	check(!images_read(p->dir, PAGES_VERIFIED, k, &im));
	images_free(im);
	free(want);
	free(got);
}

TEST(what_was_signed_or_encrypted_comes_back)
{
	static const size_t sizes[] = { 0,
		                        4096,
		                        CRYPT_PLAIN - 1,
		                        CRYPT_PLAIN,
		                        CRYPT_PLAIN + 1,
		                        2 * CRYPT_PLAIN,
		                        CONTENT,
		                        HASH_PIECE + 4096 };

	for (int which = 0; which <= (SIGN | CRYPT); which++) {
		struct image_keys k = keys_of(which);

		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct place p = place_new();

			write_with(&p, &k, sizes[i]);
			read_back(&p, &k, sizes[i]);
			place_free(&p);
		}
	}
}

TEST(no_file_shows_what_is_in_it)
{
	static const char *const files[] = { "state.img", "pages-0.img", "manifest.img" };
	struct image_keys k = keys_of(CRYPT);
	struct place p = place_new();

	write_with(&p, &k, CONTENT);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		uint8_t *data;
		size_t size = load(&p, files[i], &data);

		check(!memmem(data, size, "plaintext", 9));
		check(!memmem(data, size, "redis", 5));
		check(!memmem(data, size, "state.img", 9));
		free(data);
	}
	place_free(&p);
}

TEST(no_key_another_key_and_a_key_too_many)
{
	struct image_keys k = keys_of(CRYPT), other = keys_of(CRYPT), none = keys_of(0);
	struct place p = place_new();

	write_with(&p, &k, 4096);
	other.crypt[31] ^= 1;
	check(refused_with(&p, &other, "is encrypted with another key"));
	check(refused_with(&p, &none, "is encrypted; give its key (--decrypt)"));
	check(refused_with(&p, NULL, "is encrypted; give its key (--decrypt)"));
	place_free(&p);
	p = place_new();
	write_with(&p, &none, 4096);
	check(refused_with(&p, &k, "is not encrypted, but --decrypt was given"));
	place_free(&p);
}

TEST(every_flipped_byte_of_an_encrypted_manifest_is_found)
{
	struct image_keys k = keys_of(CRYPT);
	struct place p = place_new();
	uint8_t *data;
	size_t size;

	write_with(&p, &k, 4096);
	size = load(&p, MANIFEST_FILE, &data);
	for (size_t at = 0; at < size; at += at < 64 ? 1 : 7) {
		data[at] ^= (uint8_t)(1u << at % 8);
		store(&p, MANIFEST_FILE, data, size);
		check(refused_with(&p, &k, "checkpoint"));
		data[at] ^= (uint8_t)(1u << at % 8);
	}
	for (size_t cut = 0; cut < size; cut += 11) {
		store(&p, MANIFEST_FILE, data, cut);
		check(refused_with(&p, &k, "checkpoint"));
	}
	free(data);
	place_free(&p);
}

struct memory {
	struct sink sink;
	uint8_t data[8 * CRYPT_CHUNK];
	size_t size;
};

static int memory_write(struct sink *s, const void *data, size_t size)
{
	struct memory *m = (struct memory *)s;

	check(m->size + size <= sizeof(m->data));
	memcpy(m->data + m->size, data, size);
	m->size += size;
	return 0;
}

static int memory_end(struct sink *s)
{
	return 0;
}

/* SIZE zeros as the chunks of the file NAME. */
static struct memory *sealed(const struct image_keys *k, const struct crypt_header *h,
                             const char *name, size_t size)
{
	struct memory *m = calloc(1, sizeof(*m));
	uint8_t *content = calloc(1, size + 1);
	struct sink *s;

	m->sink = (struct sink){ memory_write, memory_end, NULL, NULL };
	check(!crypt_sink_new(crypt_aead(k, h, name), &m->sink, &s));
	check(!s->write(s, content, size) && !s->end(s));
	s->free(s);
	free(content);
	return m;
}

/* Do SIZE bytes of DATA open as the file NAME of H? They are not changed. */
static bool opens(const struct image_keys *k, const struct crypt_header *h, const char *name,
                  const uint8_t *data, uint64_t size)
{
	struct aead *aead = crypt_aead(k, h, name);
	uint8_t *copy = malloc(size + 1);
	uint64_t plain;
	int r;

	memcpy(copy, data, size);
	r = crypt_plain_size(size, &plain);
	if (r == 0)
		r = crypt_open_all(aead, copy, size);
	check(r == 0 || r == -EBADMSG);
	aead_free(aead);
	free(copy);
	return r == 0;
}

TEST(chunks_that_are_cut_off_moved_or_foreign_do_not_open)
{
	struct image_keys k = keys_of(CRYPT);
	struct crypt_header h, other;
	struct memory *m, *n;
	const uint64_t size = 3 * CRYPT_CHUNK;
	uint8_t *aside = malloc(CRYPT_CHUNK);

	check(!crypt_header_new(&k, &h) && !crypt_header_new(&k, &other));
	m = sealed(&k, &h, "a", 3 * CRYPT_PLAIN);
	check(m->size == size && opens(&k, &h, "a", m->data, size));
	/* another name, another checkpoint */
	check(!opens(&k, &h, "b", m->data, size));
	check(!opens(&k, &other, "a", m->data, size));
	/* cut off at the border of a chunk, and elsewhere */
	check(!opens(&k, &h, "a", m->data, 2 * CRYPT_CHUNK));
	check(!opens(&k, &h, "a", m->data, CRYPT_CHUNK));
	check(!opens(&k, &h, "a", m->data, 0));
	check(!opens(&k, &h, "a", m->data, size - 1));
	check(!opens(&k, &h, "a", m->data, 2 * CRYPT_CHUNK + CRYPTO_TAG));
	/* without its first chunk; with its last one twice */
	check(!opens(&k, &h, "a", m->data + CRYPT_CHUNK, 2 * CRYPT_CHUNK));
	memcpy(m->data + size, m->data + size - CRYPT_CHUNK, CRYPT_CHUNK);
	check(!opens(&k, &h, "a", m->data, size + CRYPT_CHUNK));
	/* two chunks that have changed places, and back */
	memcpy(aside, m->data, CRYPT_CHUNK);
	memcpy(m->data, m->data + CRYPT_CHUNK, CRYPT_CHUNK);
	memcpy(m->data + CRYPT_CHUNK, aside, CRYPT_CHUNK);
	check(!opens(&k, &h, "a", m->data, size));
	memcpy(m->data + CRYPT_CHUNK, m->data, CRYPT_CHUNK);
	memcpy(m->data, aside, CRYPT_CHUNK);
	check(opens(&k, &h, "a", m->data, size));
	/* one of the same place and content in another checkpoint */
	n = sealed(&k, &other, "a", 3 * CRYPT_PLAIN);
	memcpy(m->data + CRYPT_CHUNK, n->data + CRYPT_CHUNK, CRYPT_CHUNK);
	check(!opens(&k, &h, "a", m->data, size));
	free(aside);
	free(m);
	free(n);
}

/* With the same key: each file is of its own checkpoint only. */
TEST(files_of_two_checkpoints_do_not_mix)
{
	static const char *const files[] = { "state.img", "pages-0.img", "manifest.img" };
	struct image_keys k = keys_of(CRYPT);

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct place p = place_new(), q = place_new();
		uint8_t *data;
		size_t size;

		write_with(&p, &k, CONTENT);
		write_with(&q, &k, CONTENT);
		size = load(&q, files[i], &data);
		store(&p, files[i], data, size);
		check(refused_with(&p, &k, "wrong checksum"));
		free(data);
		place_free(&p);
		place_free(&q);
	}
}
