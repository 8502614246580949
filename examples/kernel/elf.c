/* SPDX-License-Identifier: MIT */
/*
 * elf.c - loads a static program (System V gABI chapters 4 and 5): each segment at its own permission, its
 * pages shared with the file's object until they are written.
 *
 *	| file pages, private, from the object | zero pages |
 *
 * Where memsz is larger than filesz the tail of the last file page is cleared.
 *
 * E1. Nothing in the file is trusted: every number is checked before it is used, and the space refuses what
 *     lies outside of it.
 * E2. ET_EXEC goes where it says; ET_DYN (static-pie) goes to two thirds of where programs are put, and
 *     relocates itself.
 */
#include <vmem/copy.h>

#include "kernel.h"

#define SEGMENTS_MAX 16u

enum { ET_EXEC = 2, ET_DYN = 3, PT_LOAD = 1, PT_INTERP = 3, PT_PHDR = 6, PF_X = 1, PF_W = 2, PF_R = 4 };

struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

static bool refuse(const struct archive_entry *file, const char *why)
{
	kernel_say("%s: not run: %s", file->name, why);
	return false;
}

/* A program that names an interpreter wants a dynamic linker. */
static bool refuse_interpreter(const struct archive_entry *file, const struct elf_segment *segment)
{
	char name[128];
	const uint64_t length = segment->filesz < sizeof(name) - 1 ? segment->filesz : sizeof(name) - 1;

	memcpy(name, file->data + segment->offset, length);
	name[length] = '\0';
	kernel_say("%s: not run: it is dynamic and wants the interpreter %s; only static programs run here",
	    file->name, name);
	return false;
}

static bool header_check(const struct archive_entry *file, const struct elf_header *h)
{
	static const uint8_t ident[7] = {
	    0x7f, 'E', 'L', 'F', 2, 1, 1}; /* 64 bits, little endian, version 1 */

	if (memcmp(h->ident, ident, sizeof(ident)) != 0) {
		return refuse(file, "not a 64-bit ELF file");
	}
	if (h->machine != PORT_ELF_MACHINE) {
		return refuse(file, "made for another machine than " PORT_MACHINE);
	}
	if (h->type != ET_EXEC && h->type != ET_DYN) {
		return refuse(file, "not an executable file");
	}
	if (h->entry >= vmem_aspace_user_size()) {
		return refuse(file, "its entry lies outside of the user half");
	}
	if (h->phentsize != sizeof(struct elf_segment) || h->phnum == 0 || h->phnum > SEGMENTS_MAX ||
	    h->phoff > file->size || file->size - h->phoff < h->phnum * sizeof(struct elf_segment)) {
		return refuse(file, "bad program headers");
	}
	return true;
}

static bool segment_check(const struct archive_entry *file, const struct elf_segment *s)
{
	if (s->offset > file->size || file->size - s->offset < s->filesz) {
		return refuse(file, "a segment lies beyond the end of the file");
	}
	if (s->type != PT_LOAD) {
		return true;
	}
	if (s->filesz > s->memsz || !vmem_range_ok(s->vaddr, s->memsz) ||
	    s->vaddr + s->memsz > vmem_aspace_user_size() || ((s->vaddr ^ s->offset) & VMEM_PAGE_MASK) != 0) {
		return refuse(file, "bad segment");
	}
	return true;
}

static unsigned segment_permission(const struct elf_segment *s)
{
	return ((s->flags & PF_R) != 0 ? VMEM_READ : 0u) | ((s->flags & PF_W) != 0 ? VMEM_WRITE : 0u) |
	       ((s->flags & PF_X) != 0 ? VMEM_EXEC : 0u);
}

static vmem_status_t map_part(struct process *process, uint64_t start, uint64_t length, unsigned permission,
    struct vmem_object *object, uint64_t offset)
{
	const struct vmem_map map = {
	    .length = length,
	    .permission = permission,
	    .maximum = VMEM_RWX,
	    .place = VMEM_PLACE_REPLACE,
	    .address = start,
	    .object = object,
	    .offset = offset,
	};
	vmem_vaddr_t ignored;

	return vmem_vmar_map(vmem_aspace_root(process->aspace), &map, &ignored);
}

/* Maps one segment, `bias` above its address. */
static vmem_status_t map_segment(
    struct process *process, struct archive_entry *file, const struct elf_segment *s, uint64_t bias)
{
	const uint64_t start = bias + s->vaddr;
	const uint64_t file_end = start + s->filesz;
	const uint64_t first = vmem_page_floor(start);
	const uint64_t zero = s->filesz != 0 ? vmem_page_ceil(file_end) : first;
	const uint64_t end = vmem_page_ceil(start + s->memsz);
	const unsigned permission = segment_permission(s);
	const bool tail = s->memsz > s->filesz && file_end < zero;
	vmem_status_t status = VMEM_OK;
	struct vmem_object *object;

	if (s->filesz != 0) {
		status = archive_object(file, &object);
		if (status == VMEM_OK) {
			status = map_part(process, first, zero - first,
			    tail ? VMEM_READ | VMEM_WRITE : permission, object, vmem_page_floor(s->offset));
		}
		if (status == VMEM_OK && tail) {
			if (vmem_clear_user(process->aspace, file_end, zero - file_end) != zero - file_end) {
				return VMEM_ERR_NO_MEMORY;
			}
			status = vmem_vmar_protect(
			    vmem_aspace_root(process->aspace), first, zero - first, permission);
		}
	}
	if (status == VMEM_OK && end > zero) {
		status = map_part(process, zero, end - zero, permission, NULL, 0);
	}
	return status;
}

bool elf_load(struct process *process, struct archive_entry *file, struct program *out)
{
	struct elf_header header;
	struct elf_segment segments[SEGMENTS_MAX];
	uint64_t bias = 0;

	if (file->size < sizeof(header)) {
		return refuse(file, "not an ELF file");
	}
	memcpy(&header, file->data, sizeof(header));
	if (!header_check(file, &header)) {
		return false;
	}
	memcpy(segments, file->data + header.phoff, header.phnum * sizeof(segments[0]));
	if (header.type == ET_DYN) {
		bias = kernel_user_top() / 3 * 2 & ~UINT64_C(0x1fffff);
	}
	*out = (struct program){.entry = bias + header.entry, .header_count = header.phnum};
	for (unsigned i = 0; i < header.phnum; i++) {
		const struct elf_segment *s = &segments[i];

		if (!segment_check(file, s)) {
			return false;
		}
		if (s->type == PT_INTERP) {
			return refuse_interpreter(file, s);
		}
	}
	for (unsigned i = 0; i < header.phnum; i++) {
		const struct elf_segment *s = &segments[i];
		vmem_status_t status;

		if (s->type != PT_LOAD || s->memsz == 0) {
			continue;
		}
		status = map_segment(process, file, s, bias);
		if (status != VMEM_OK) {
			kernel_say("%s: not run: segment at %lx, %s: %s", file->name, bias + s->vaddr,
			    kernel_permission(segment_permission(s)), vmem_status_name(status));
			return false;
		}
		if (s->offset <= header.phoff && header.phoff - s->offset < s->filesz) {
			out->headers = bias + s->vaddr + (header.phoff - s->offset);
		}
		if (out->end < vmem_page_ceil(bias + s->vaddr + s->memsz)) {
			out->end = vmem_page_ceil(bias + s->vaddr + s->memsz);
		}
	}
	return true;
}
