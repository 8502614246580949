/* SPDX-License-Identifier: MIT */
/*
 * user.c - the smallest host: it starts the library as a kernel would and turns the machine's faults into
 * calls of vmem_fault().
 *
 * U1  Only what a host's trap handler has is used: the ISA's cause and detail, through vmem_trap_decode().
 * U2  A resolved fault is followed by the same access again; so one that does not help repeats, and is
 *     found.
 */
#include "user.h"

#include <string.h>

#include <vmem/init.h>
#include <vmem/trap.h>

#include "glue.h"

#define FAULTS_MAX                                                                                           \
	8u /* of one access: an absence that was cached, the page, accessed, dirty, a copy; and some */

struct machine_config host_default(void)
{
	return machine_default(glue_isa);
}

void host_start_linear(const struct machine_config *config, unsigned linear_level)
{
	struct machine_config usual = host_default();
	struct machine_range kernel = machine_kernel_area();
	struct vmem_ram ram[MACHINE_RANGES];
	machine_create(config != NULL ? config : &usual);
	machine_boot(linear_level);
	for (unsigned i = 0; i < machine_config()->ram_count; i++) {
		struct machine_range left = machine_ram_left(i);
		ram[i] = (struct vmem_ram){left.start, left.length};
	}
	const struct vmem_config library = {
	    .ram = ram,
	    .ram_count = machine_config()->ram_count,
	    .direct_map = machine_direct_map(),
	    .kernel_start = kernel.start,
	    .kernel_length = kernel.length,
	    .isa_features = machine_isa_features(),
	    .seed = 1,
	};
	vmem_status_t status = vmem_library_init(&library);
	if (status != VMEM_OK) {
		machine_violation(MACHINE_MISUSE, "the library does not start: %s", vmem_status_name(status));
	}
	for (unsigned i = 1; i < machine_config()->cpus; i++) {
		machine_cpu_set(i);
		vmem_library_init_cpu();
	}
	machine_cpu_set(0);
	machine_counters = (struct machine_counters){0};
}

void host_start(const struct machine_config *config)
{
	host_start_linear(config, 1);
}

void host_stop(void)
{
	machine_operation();
	machine_check();
	machine_destroy();
}

static enum vmem_fault_result resolve(
    struct vmem_aspace *aspace, const struct machine_result *r, enum machine_access_kind kind)
{
	static const unsigned wanted[] = {
	    [MACHINE_READ] = VMEM_READ, [MACHINE_WRITE] = VMEM_WRITE, [MACHINE_EXEC] = VMEM_EXEC};
	struct vmem_trap trap = vmem_trap_decode(r->cause, r->detail);
	if (!trap.is_page_fault) {
		return VMEM_FAULT_NO_REGION; /* x86-64: no canonical address */
	}
	if (!trap.is_user || trap.access != wanted[kind] || trap.malformed) {
		machine_violation(MACHINE_MISUSE,
		    "access %u by user mode, cause %#llx detail %#llx, is decoded as access %u%s%s",
		    (unsigned)kind, (unsigned long long)r->cause, (unsigned long long)r->detail, trap.access,
		    trap.is_user ? "" : " by the kernel", trap.malformed ? ", malformed" : "");
	}
	machine_operation();
	enum vmem_fault_result result = vmem_fault(aspace, r->va, trap.access);
	machine_operation();
	return result;
}

static enum vmem_fault_result access_bytes(
    struct vmem_aspace *aspace, vmem_vaddr_t va, enum machine_access_kind kind, void *buffer, size_t length)
{
	for (unsigned faults = 0; faults < FAULTS_MAX; faults++) {
		struct machine_result r =
		    machine_access(machine_cpu(), va, kind, MACHINE_USER, buffer, length);
		if (r.ok) {
			return VMEM_FAULT_RESOLVED;
		}
		enum vmem_fault_result result = resolve(aspace, &r, kind);
		if (result != VMEM_FAULT_RESOLVED) {
			return result;
		}
	}
	machine_violation(MACHINE_MISUSE, "the fault at %#llx, access %u, comes again and again",
	    (unsigned long long)va, (unsigned)kind);
	return VMEM_FAULT_NO_MEMORY;
}

static enum vmem_fault_result run(struct vmem_aspace *aspace, vmem_vaddr_t va, enum machine_access_kind kind,
    uint8_t *buffer, size_t length)
{
	vmem_aspace_activate(aspace);
	machine_operation();
	while (length != 0) {
		uint64_t word;
		size_t part = 8 - (va & 7) < length ? 8 - (size_t)(va & 7) : length;
		if (kind == MACHINE_WRITE) {
			memcpy(&word, buffer, part);
		}
		enum vmem_fault_result result = access_bytes(aspace, va, kind, &word, part);
		if (result != VMEM_FAULT_RESOLVED) {
			return result;
		}
		if (kind == MACHINE_READ) {
			memcpy(buffer, &word, part);
		}
		va += part;
		buffer += kind == MACHINE_EXEC ? 0 : part;
		length -= part;
	}
	return VMEM_FAULT_RESOLVED;
}

enum vmem_fault_result user_read(struct vmem_aspace *aspace, vmem_vaddr_t va, void *buffer, size_t length)
{
	return run(aspace, va, MACHINE_READ, buffer, length);
}

enum vmem_fault_result user_write(
    struct vmem_aspace *aspace, vmem_vaddr_t va, const void *buffer, size_t length)
{
	return run(aspace, va, MACHINE_WRITE, (uint8_t *)(uintptr_t)buffer, length); /* only read from */
}

enum vmem_fault_result user_exec(struct vmem_aspace *aspace, vmem_vaddr_t va, size_t length)
{
	uint8_t none;
	return run(aspace, va, MACHINE_EXEC, &none, length);
}

enum vmem_fault_result user_load(struct vmem_aspace *aspace, vmem_vaddr_t va, uint64_t *value)
{
	return user_read(aspace, va, value, sizeof(*value));
}

enum vmem_fault_result user_store(struct vmem_aspace *aspace, vmem_vaddr_t va, uint64_t value)
{
	return user_write(aspace, va, &value, sizeof(value));
}

bool user_peek(unsigned cpu, vmem_vaddr_t va, uint64_t *value)
{
	return machine_access(cpu, va, MACHINE_READ, MACHINE_USER, value, sizeof(*value)).ok;
}

bool kernel_load(const void *address, uint64_t *value)
{
	return machine_access(
	    machine_cpu(), (uint64_t)(uintptr_t)address, MACHINE_READ, MACHINE_SUPERVISOR, value, 8)
	    .ok;
}

bool kernel_store(void *address, uint64_t value)
{
	return machine_access(
	    machine_cpu(), (uint64_t)(uintptr_t)address, MACHINE_WRITE, MACHINE_SUPERVISOR, &value, 8)
	    .ok;
}
