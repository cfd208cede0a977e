/*
 * Symbols are found by the section headers, which a vDSO has: unlike the
 * dynamic section they tell how many there are.
 */
#include "lib/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "lib/fd.h"

/* SIZE bytes at OFFSET of the image, or NULL. */
static const void *piece(const void *image, size_t size, uint64_t offset, uint64_t want)
{
	if (offset > size || want > size - offset || offset % 8)
		return NULL;
	return (const char *)image + offset;
}

static const Elf64_Shdr *sections(const void *image, size_t size, size_t *ret_n)
{
	const Elf64_Ehdr *head = piece(image, size, 0, sizeof(*head));

	if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
	    head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_shentsize != sizeof(Elf64_Shdr))
		return NULL;
	*ret_n = head->e_shnum;
	return piece(image, size, head->e_shoff, *ret_n * sizeof(Elf64_Shdr));
}

/* The terminated string at AT of the string table. */
static const char *string(const void *image, size_t size, const Elf64_Shdr *table, uint64_t at)
{
	const char *text = image;

	if (table->sh_offset > size || table->sh_size > size - table->sh_offset ||
	    at >= table->sh_size)
		return NULL;
	text += table->sh_offset + at;
	return memchr(text, '\0', table->sh_size - at) ? text : NULL;
}

bool elf_symbol(const void *image, size_t size, size_t i, struct elf_symbol *ret)
{
	size_t n = 0;
	const Elf64_Shdr *s = sections(image, size, &n), *dynsym = s;
	const Elf64_Sym *symbols;

	while (s && dynsym < s + n && dynsym->sh_type != SHT_DYNSYM)
		dynsym++;
	if (!s || dynsym == s + n || dynsym->sh_link >= n)
		return false;
	symbols = piece(image, size, dynsym->sh_offset, dynsym->sh_size);
	for (size_t at = 0; symbols && at < dynsym->sh_size / sizeof(*symbols); at++) {
		if (symbols[at].st_shndx == SHN_UNDEF || symbols[at].st_shndx >= SHN_LORESERVE)
			continue;
		if (i--)
			continue;
		*ret = (struct elf_symbol){ string(image, size, &s[dynsym->sh_link],
			                           symbols[at].st_name),
			                    symbols[at].st_value, symbols[at].st_size };
		return ret->name != NULL;
	}
	return false;
}

bool elf_find(const void *image, size_t size, const char *name, struct elf_symbol *ret)
{
	for (size_t i = 0; elf_symbol(image, size, i, ret); i++)
		if (!strcmp(ret->name, name))
			return true;
	return false;
}

#define NOTES_MAX 4096
#define HEADS_MAX 64

/* In the SIZE bytes of notes at TEXT, aligned to 4. */
static size_t find_build_id(const char *text, size_t size, uint8_t *buf, size_t max)
{
	Elf64_Nhdr note;

	for (size_t at = 0; size - at >= sizeof(note);) {
		size_t name, value;

		memcpy(&note, text + at, sizeof(note));
		name = at + sizeof(note);
		if (note.n_namesz > size - name)
			return 0;
		value = name + ((note.n_namesz + 3u) & ~3u);
		if (value > size || note.n_descsz > size - value)
			return 0;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    !memcmp(text + name, "GNU", 4) && note.n_descsz <= max) {
			memcpy(buf, text + value, note.n_descsz);
			return note.n_descsz;
		}
		at = value + ((note.n_descsz + 3u) & ~3u);
		if (at > size)
			return 0;
	}
	return 0;
}

size_t elf_build_id_by(int (*read)(void *arg, void *buf, size_t size, uint64_t at), void *arg,
                       uint8_t *buf, size_t size)
{
	Elf64_Ehdr head;
	Elf64_Phdr heads[HEADS_MAX];
	char notes[NOTES_MAX];

	if (read(arg, &head, sizeof(head), 0) < 0 || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
	    head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof(Elf64_Phdr) ||
	    head.e_phnum > HEADS_MAX ||
	    read(arg, heads, head.e_phnum * sizeof(*heads), head.e_phoff) < 0)
		return 0;
	for (size_t i = 0; i < head.e_phnum; i++) {
		size_t n;

		if (heads[i].p_type != PT_NOTE || heads[i].p_filesz > sizeof(notes) ||
		    read(arg, notes, heads[i].p_filesz, heads[i].p_offset) < 0)
			continue;
		n = find_build_id(notes, heads[i].p_filesz, buf, size);
		if (n > 0)
			return n;
	}
	return 0;
}

static int read_fd(void *arg, void *buf, size_t size, uint64_t at)
{
	const int *fd = arg;

	return at > INT64_MAX ? -EINVAL : pread_full(*fd, buf, size, (off_t)at);
}

size_t elf_build_id(int fd, uint8_t *buf, size_t size)
{
	return elf_build_id_by(read_fd, &fd, buf, size);
}
