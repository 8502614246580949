/* SPDX-License-Identifier: MIT */
/*
 * symbols.c - names of this program's own functions and variables, for reports: read from the symbol table of
 * its file. static ones have names there too.
 */
#define _DEFAULT_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime.h"

static const uint8_t *file;
static const Elf64_Shdr *table;

static void open_file(void)
{
	struct stat stat;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &stat) != 0) {
		return;
	}
	void *p = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED) {
		return;
	}
	file = p;
	const Elf64_Ehdr *head = p;
	const Elf64_Shdr *sections = (const void *)(file + head->e_shoff);
	for (unsigned i = 0; i < head->e_shnum; i++) {
		if (sections[i].sh_type == SHT_SYMTAB) {
			table = &sections[i];
		}
	}
}

/* How far this program lies from where it was linked: by a symbol that is known in both places. */
static uintptr_t slide(void)
{
	const Elf64_Sym *symbol = (const void *)(file + table->sh_offset);
	const Elf64_Shdr *sections = (const void *)(file + ((const Elf64_Ehdr *)(const void *)file)->e_shoff);
	const char *names = (const char *)file + sections[table->sh_link].sh_offset;
	for (uint64_t i = 0; i < table->sh_size / sizeof(*symbol); i++) {
		if (strcmp(names + symbol[i].st_name, "symbol_name") == 0) {
			return (uintptr_t)symbol_name - symbol[i].st_value;
		}
	}
	return 0;
}

const char *symbol_name(uintptr_t address)
{
	char *text = rt->texts[rt->texts_used++ % TEXTS]; /* so that a line can have several */
	const Elf64_Sym *best = NULL;
	if (file == NULL) {
		open_file();
	}
	(void)snprintf(text, sizeof(rt->texts[0]), "%#llx", (unsigned long long)address);
	if (table == NULL) {
		return text;
	}
	uintptr_t at = address - slide();
	const Elf64_Sym *symbol = (const void *)(file + table->sh_offset);
	const Elf64_Shdr *sections = (const void *)(file + ((const Elf64_Ehdr *)(const void *)file)->e_shoff);
	const char *names = (const char *)file + sections[table->sh_link].sh_offset;
	for (uint64_t i = 0; i < table->sh_size / sizeof(*symbol); i++) {
		unsigned type = ELF64_ST_TYPE(symbol[i].st_info);
		if ((type == STT_FUNC || type == STT_OBJECT) && at - symbol[i].st_value < symbol[i].st_size) {
			best = &symbol[i];
		}
	}
	if (best != NULL) {
		(void)snprintf(text, sizeof(rt->texts[0]), "%s+%#llx", names + best->st_name,
		    (unsigned long long)(at - best->st_value));
	}
	return text;
}

void symbol_find(const char *name, uintptr_t *base, size_t *length)
{
	*base = *length = 0;
	(void)symbol_name(0); /* the file is open then */
	if (table == NULL) {
		return;
	}
	const Elf64_Sym *symbol = (const void *)(file + table->sh_offset);
	const Elf64_Shdr *sections = (const void *)(file + ((const Elf64_Ehdr *)(const void *)file)->e_shoff);
	const char *names = (const char *)file + sections[table->sh_link].sh_offset;
	for (uint64_t i = 0; i < table->sh_size / sizeof(*symbol); i++) {
		if (ELF64_ST_TYPE(symbol[i].st_info) == STT_OBJECT &&
		    strcmp(names + symbol[i].st_name, name) == 0) {
			*base = (uintptr_t)symbol[i].st_value + slide();
			*length = symbol[i].st_size;
		}
	}
}
