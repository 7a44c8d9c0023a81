/* SPDX-License-Identifier: Apache-2.0 */
/* An object file around a block of bytes: how --embed puts weights into libfoo.a.
 *
 *     header | contents | symbols | names | names of sections | section headers
 *
 * Layout: ELF-64 Object File Format, version 1.5.
 */
#include <elf.h>
#include <string.h>

#include "codegen/bundle.h"

enum { SECTION_NULL, SECTION_RODATA, SECTION_SYMTAB, SECTION_STRTAB, SECTION_SHSTRTAB,
       SECTION_STACK, N_SECTIONS };

/* Offsets of the names: 1, 9, 17, 25, 35. */
static const char section_names[] =
    "\0.rodata\0.symtab\0.strtab\0.shstrtab\0.note.GNU-stack";

static uint64_t round_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) / align * align;
}

static Elf64_Half machine_of(const char *triple)
{
    return strncmp(triple, "aarch64", 7) == 0 ? EM_AARCH64 : EM_X86_64;
}

static Elf64_Ehdr file_header(const char *triple, uint64_t sections_at)
{
    return (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                    EV_CURRENT},
        .e_type = ET_REL,
        .e_machine = machine_of(triple),
        .e_version = EV_CURRENT,
        .e_shoff = sections_at,
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = N_SECTIONS,
        .e_shstrndx = SECTION_SHSTRTAB,
    };
}

struct bytes elf_blob(struct arena *a, const char *triple, const char *symbol,
                      struct bytes contents)
{
    char *strings = arena_alloc(a, strlen(symbol) + 2); /* begins with a NUL */
    const uint64_t strings_len = strlen(symbol) + 2;
    const uint64_t data_at = 64, symbols_at = round_up(data_at + contents.len, 8);
    const Elf64_Sym symbols[2] = {
        {0},
        {.st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
         .st_shndx = SECTION_RODATA, .st_size = contents.len},
    };
    const uint64_t strings_at = symbols_at + sizeof symbols;
    const uint64_t names_at = strings_at + strings_len;
    const uint64_t sections_at = round_up(names_at + sizeof section_names, 8);
    const Elf64_Shdr sections[N_SECTIONS] = {
        [SECTION_RODATA] = {.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC,
                            .sh_offset = data_at, .sh_size = contents.len,
                            .sh_addralign = 64},
        [SECTION_SYMTAB] = {.sh_name = 9, .sh_type = SHT_SYMTAB, .sh_offset = symbols_at,
                            .sh_size = sizeof symbols, .sh_link = SECTION_STRTAB,
                            .sh_info = 1, .sh_addralign = 8, .sh_entsize = sizeof symbols[0]},
        [SECTION_STRTAB] = {.sh_name = 17, .sh_type = SHT_STRTAB, .sh_offset = strings_at,
                            .sh_size = strings_len, .sh_addralign = 1},
        [SECTION_SHSTRTAB] = {.sh_name = 25, .sh_type = SHT_STRTAB, .sh_offset = names_at,
                              .sh_size = sizeof section_names, .sh_addralign = 1},
        [SECTION_STACK] = {.sh_name = 35, .sh_type = SHT_PROGBITS, .sh_offset = names_at,
                           .sh_addralign = 1},
    };
    const Elf64_Ehdr header = file_header(triple, sections_at);
    const size_t len = sections_at + sizeof sections;
    uint8_t *out = arena_alloc(a, len);

    memcpy(strings + 1, symbol, strlen(symbol));
    memcpy(out, &header, sizeof header);
    memcpy(out + data_at, contents.at, contents.len);
    memcpy(out + symbols_at, symbols, sizeof symbols);
    memcpy(out + strings_at, strings, strings_len);
    memcpy(out + names_at, section_names, sizeof section_names);
    memcpy(out + sections_at, sections, sizeof sections);
    return (struct bytes){.at = out, .len = len};
}
