/* Signed checkpoints: what is not as it was written is refused, checksums or not. */
#include <sys/mman.h>

#include "keys.h"

static void file_sums(const struct place *p, const struct image_keys *k, Img__Manifest__File *f,
                      bool digests)
{
	struct file_hash hash;
	uint8_t *content;

	f->size = load(p, f->name, &content);
	check(!file_hash_init(&hash, k->crypto));
	file_hash_update(&hash, content, f->size);
	f->hash = file_hash_digest(&hash);
	if (digests)
		check(!file_hash_sha256(&hash, f->digest.data));
	file_hash_done(&hash);
	free(content);
}

/* As a forger would do it who has no key: the manifest says of each file what is in it now. */
static void sums_forge(const struct place *p, const struct image_keys *k, bool digests)
{
	struct manifest_header h = { .magic = MANIFEST_MAGIC, .version = FORMAT_VERSION };
	struct images *im;
	uint8_t *data, *whole;
	size_t size = load(p, MANIFEST_FILE, &data);
	Img__Manifest *m = img__manifest__unpack(NULL, size - sizeof(h), data + sizeof(h));

	check(m);
	for (size_t i = 0; i < m->n_files; i++)
		file_sums(p, k, m->files[i], digests);
	h.size = (uint32_t)img__manifest__get_packed_size(m);
	whole = malloc(sizeof(h) + h.size);
	img__manifest__pack(m, whole + sizeof(h));
	h.hash = XXH3_64bits(whole + sizeof(h), h.size);
	memcpy(whole, &h, sizeof(h));
	store(p, MANIFEST_FILE, whole, sizeof(h) + h.size);
	check(!images_read(p->dir, PAGES_USED, NULL, &im)); /* who has no key believes it */
	images_free(im);
	img__manifest__free_unpacked(m, NULL);
	free(whole);
	free(data);
}

TEST(a_forger_without_the_key_is_found_out)
{
	static const char *const files[] = { "state.img", "pages-0.img" };
	struct image_keys k = keys_of(SIGN);

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct place p = place_new();
		uint8_t *data, *name;
		size_t size;

		write_with(&p, &k, CONTENT);
		size = load(&p, files[i], &data);
		name = memmem(data, size, i ? "plaintext" : "redis", 5);
		check(name);
		name[4] ^= 7;
		store(&p, files[i], data, size);
		check(refused_with(&p, &k, "wrong checksum"));
		sums_forge(&p, &k, true);
		check(refused_with(&p, &k, "manifest.sig: is not by the key of --verify"));
		place_free(&p);
		free(data);
	}
}

/* Signature and checksums are right, but checksums are 64 bits: the digest decides. */
TEST(a_file_of_the_same_checksum_but_another_digest_is_refused)
{
	static const char *const files[] = { "state.img", "pages-0.img" };
	struct image_keys k = keys_of(SIGN);

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct place p = place_new();
		uint8_t *data, *name, signature[CRYPTO_SIGNATURE];
		size_t size;

		write_with(&p, &k, CONTENT);
		size = load(&p, files[i], &data);
		name = memmem(data, size, i ? "plaintext" : "redis", 5);
		check(name);
		name[4] ^= 7;
		store(&p, files[i], data, size);
		free(data);
		sums_forge(&p, &k, false);
		size = load(&p, MANIFEST_FILE, &data);
		check(!crypto_sign(k.crypto, k.sign, data, size, signature));
		store(&p, SIGNATURE_FILE, signature, sizeof(signature));
		check(refused_with(&p, &k, files[i]));
		check(refused_with(&p, &k, "was changed since the checkpoint was signed"));
		free(data);
		place_free(&p);
	}
}

TEST(no_signature_a_short_one_or_another_key)
{
	struct image_keys k = keys_of(SIGN), other = keys_of(SIGN), none = keys_of(0);
	struct place p = place_new();
	uint8_t *data;

	write_with(&p, &k, 4096);
	other.verify[3] ^= 1;
	check(refused_with(&p, &other, "is not by the key of --verify"));
	check(load(&p, SIGNATURE_FILE, &data) == CRYPTO_SIGNATURE);
	for (size_t bit = 0; bit < CRYPTO_SIGNATURE * 8; bit += 5) {
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		store(&p, SIGNATURE_FILE, data, CRYPTO_SIGNATURE);
		check(refused_with(&p, &k, "is not by the key of --verify"));
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	store(&p, SIGNATURE_FILE, data, CRYPTO_SIGNATURE - 1);
	check(refused_with(&p, &k, "manifest.sig: 63 bytes instead of 64"));
	free(data);
	check(!unlinkat(p.fd, SIGNATURE_FILE, 0));
	check(refused_with(&p, &k, "manifest.sig is missing; it was not signed"));
	place_free(&p);
	p = place_new();
	write_with(&p, &none, 4096);
	check(refused_with(&p, &k, "manifest.sig is missing; it was not signed"));
	place_free(&p);
}

/* A manifest that was signed without digests binds no files. */
TEST(a_signature_without_digests_is_refused)
{
	struct image_keys k = keys_of(SIGN), none = keys_of(0);
	struct place p = place_new();
	uint8_t *data, signature[CRYPTO_SIGNATURE];
	size_t size;

	write_with(&p, &none, 4096);
	size = load(&p, MANIFEST_FILE, &data);
	check(!crypto_sign(k.crypto, k.sign, data, size, signature));
	store(&p, SIGNATURE_FILE, signature, sizeof(signature));
	check(refused_with(&p, &k, "the digest of state.img has 0 bytes"));
	free(data);
	place_free(&p);
}

/* What was verified is what is used, though somebody writes to the files. */
TEST(what_is_read_is_what_was_verified)
{
	for (int which = SIGN; which <= (SIGN | CRYPT); which++) {
		struct image_keys k = keys_of(which);
		struct place p = place_new();
		char *want = malloc(CONTENT), *got = malloc(CONTENT);
		struct images *im;
		uint8_t *data;
		size_t size;

		write_with(&p, &k, CONTENT);
		page_content(want, CONTENT, 0);
		check(!images_read(p.dir, PAGES_USED, &k, &im));
		size = load(&p, "pages-0.img", &data);
		memset(data, 'x', size);
		store(&p, "pages-0.img", data, size);
		check(pread(im->pages[0], got, CONTENT, 0) == CONTENT);
		check(!memcmp(got, want, CONTENT));
		check(pwrite(im->pages[0], got, 1, 0) < 0 && ftruncate(im->pages[0], 0) < 0);
		check(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, im->pages[0], 0) ==
		      MAP_FAILED);
		images_free(im);
		place_free(&p);
		free(data);
		free(want);
		free(got);
	}
}
