/* SPDX-License-Identifier: MIT */
/*
 * main.c - the smallest complete host of libvmem: one CPU, one address space, no user mode; it touches user
 * memory itself.
 *
 * What a host must do is all here: give RAM, call vmem_library_init(), pass page faults to vmem_fault(), and
 * have one function to panic in. The rest maps, faults, protects and unmaps, and prints the map.
 */
#include "minimal.h"

#include <vmem/aspace.h>
#include <vmem/fault.h>
#include <vmem/host.h>
#include <vmem/trap.h>

void *memset(void *to, int c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		((volatile unsigned char *)to)[i] = (unsigned char)c;
	}
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	volatile unsigned char *t = to;
	const volatile unsigned char *f = from;

	for (size_t i = 0; i < n; i++) {
		size_t at = t <= f ? i : n - 1 - i;

		t[at] = f[at];
	}
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	return memmove(to, from, n);
}

int memcmp(const void *a, const void *b, size_t n)
{
	const volatile unsigned char *x = a, *y = b;

	for (size_t i = 0; i < n; i++) {
		if (x[i] != y[i]) {
			return x[i] < y[i] ? -1 : 1;
		}
	}
	return 0;
}

static void print(const char *text)
{
	for (; *text != '\0'; text++) {
		isa_put(*text);
	}
}

static void print_hex(uint64_t value)
{
	print("0x");
	for (int shift = 60; shift >= 0; shift -= 4) {
		isa_put("0123456789abcdef"[value >> shift & 15]);
	}
}

/* The one host function of a library built for one CPU. */
_Noreturn void vmem_host_panic(const char *rule)
{
	print("end: panic ");
	print(rule);
	print("\n");
	isa_end();
}

static void must(bool good, const char *what)
{
	if (!good) {
		vmem_host_panic(what);
	}
}

static struct vmem_aspace *space;
static volatile bool expected;	       /* a refusal is no bug of ours now */
static enum vmem_fault_result refusal; /* why the last access was refused; 0 if it was not */
extern const char access_resume[];     /* where access() goes on after a refusal */

uint64_t trap(uint64_t cause, uint64_t detail, uint64_t address, uint64_t pc)
{
	struct vmem_trap decoded = vmem_trap_decode(cause, detail);

	must(decoded.is_page_fault && !decoded.malformed, "an exception that is no page fault");
	refusal = vmem_fault(space, address, decoded.access);
	if (refusal == VMEM_FAULT_RESOLVED) {
		return pc;
	}
	must(expected, vmem_fault_name(refusal));
	return (uint64_t)(uintptr_t)access_resume;
}

/* From <isa>.S: loads (write false) or stores a word at a user address; a refused access returns 0. */
uint64_t access(uint64_t address, bool write, uint64_t value);

static uint64_t try(uint64_t address, bool write, uint64_t value)
{
	expected = true;
	refusal = VMEM_FAULT_RESOLVED;
	value = access(address, write, value);
	expected = false;
	return value;
}

static void print_map(void)
{
	struct vmem_region_info region;
	uint64_t resident, shared;

	for (uint64_t at = 0; vmem_region_next(space, at, &region); at = region.start + region.length) {
		vmem_region_residence(space, &region, &resident, &shared);
		print_hex(region.start);
		print(" ");
		print_hex(region.length);
		print((region.permission & VMEM_READ) != 0 ? " r" : " -");
		print((region.permission & VMEM_WRITE) != 0 ? "w" : "-");
		print((region.permission & VMEM_EXEC) != 0 ? "x" : "-");
		print(" pages resident: ");
		print_hex(resident);
		print("\n");
	}
}

_Noreturn void main(void)
{
	const struct vmem_config config = {.ram = &isa_ram, .ram_count = 1, .direct_map = isa_direct_map};
	const struct vmem_aspace_config whole = {.wx = true};
	const struct vmem_map map = {.length = 4 * VMEM_PAGE_SIZE,
	    .permission = VMEM_READ | VMEM_WRITE,
	    .maximum = VMEM_READ | VMEM_WRITE};
	struct vmem_vmar *root;
	vmem_vaddr_t at;

	isa_start();
	print("minimal: starting libvmem\n");
	must(vmem_library_init(&config) == VMEM_OK, "vmem_library_init");
	must(vmem_aspace_create(&whole, &space) == VMEM_OK, "vmem_aspace_create");
	vmem_aspace_activate(space);
	root = vmem_aspace_root(space);

	must(vmem_vmar_map(root, &map, &at) == VMEM_OK, "vmem_vmar_map");
	must(try(at, false, 0) == 0 && refusal == 0, "fresh memory is not zero");
	try(at, true, 0x600d);
	try(at + 2 * VMEM_PAGE_SIZE, true, 0x900d);
	must(try(at, false, 0) == 0x600d && try(at + 2 * VMEM_PAGE_SIZE, false, 0) == 0x900d,
	    "memory does not hold what was stored");
	print("minimal: mapped and faulted in\n");
	print_map();

	must(vmem_vmar_protect(root, at, VMEM_PAGE_SIZE, VMEM_READ) == VMEM_OK, "vmem_vmar_protect");
	try(at, true, 1);
	must(
	    refusal == VMEM_FAULT_PERMISSION && try(at, false, 0) == 0x600d, "a store passed the protection");
	must(vmem_vmar_protect(root, at, VMEM_PAGE_SIZE, VMEM_READ | VMEM_EXEC) == VMEM_ERR_DENIED,
	    "a permission beyond the maximum");
	print("minimal: protected\n");
	print_map();

	must(vmem_vmar_unmap(root, at + 2 * VMEM_PAGE_SIZE, VMEM_PAGE_SIZE) == VMEM_OK, "vmem_vmar_unmap");
	try(at + 2 * VMEM_PAGE_SIZE, false, 0);
	must(refusal == VMEM_FAULT_NO_REGION, "unmapped memory was read");
	print("minimal: unmapped\n");
	print_map();

	vmem_check();
	vmem_aspace_activate(NULL);
	vmem_aspace_destroy(space);
	print("end: exit 0\n");
	isa_end();
}
