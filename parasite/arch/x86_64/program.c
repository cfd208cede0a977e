/* The smallest program: one segment with the headers and three instructions. */
#include <elf.h>
#include <string.h>

#include "parasite/arch/x86_64/arch.h"

#define BASE 0x400000

struct program {
	Elf64_Ehdr head;
	Elf64_Phdr segment;
	unsigned char code[16];
};

_Static_assert(sizeof(struct program) == ARCH_PROGRAM_SIZE, "the header knows the size");

void arch_program_build(char buf[ARCH_PROGRAM_SIZE])
{
	const struct program program = {
		.head = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
		                       EV_CURRENT },
		          .e_type = ET_EXEC,
		          .e_machine = EM_X86_64,
		          .e_version = EV_CURRENT,
		          .e_entry = BASE + offsetof(struct program, code),
		          .e_phoff = offsetof(struct program, segment),
		          .e_ehsize = sizeof(Elf64_Ehdr),
		          .e_phentsize = sizeof(Elf64_Phdr),
		          .e_phnum = 1 },
		.segment = { .p_type = PT_LOAD,
		             .p_flags = PF_R | PF_X,
		             .p_vaddr = BASE,
		             .p_filesz = sizeof(struct program),
		             .p_memsz = sizeof(struct program),
		             .p_align = 4096 },
		.code = { 0x31, 0xff,               /* xorl %edi, %edi */
		          0xb8, 0x3c, 0, 0, 0,      /* movl $60, %eax: exit */
		          0x0f, 0x05, 0x0f, 0x0b }, /* syscall; ud2 */
	};

	memcpy(buf, &program, sizeof(program));
}
