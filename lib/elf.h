/*
 * What crtool reads of ELF64 files: build ids, and the dynamic symbols of an
 * image that lies in memory, such as a vDSO. Untrusted: every offset is checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct elf_symbol {
	const char *name;
	uint64_t value; /* address relative to the start of the image */
	uint64_t size;
};

/* Symbol number I (from 0) that is defined in the image. False: there are fewer, or this is no such image. */
bool elf_symbol(const void *image, size_t size, size_t i, struct elf_symbol *ret);

/* The symbol NAME. */
bool elf_find(const void *image, size_t size, const char *name, struct elf_symbol *ret);

/*
 * The build id of a file (NT_GNU_BUILD_ID), which is read by READ: SIZE bytes at AT, or -errno. Its length; 0: it
 * has none, or is no such file.
 */
#define ELF_BUILD_ID_MAX 64
size_t elf_build_id_by(int (*read)(void *arg, void *buf, size_t size, uint64_t at), void *arg,
                       uint8_t *buf, size_t size);
/* The same of the file FD. */
size_t elf_build_id(int fd, uint8_t *buf, size_t size);
