/* SPDX-License-Identifier: MIT */
/*
 * init.c - starting the library: every global state begins here, so that starting again (a test's new
 * machine) forgets everything.
 */
#include <vmem/init.h>

#include "cpu.h"
#include "frame.h"
#include "commit_i.h"
#include "kernel_i.h"
#include "panic.h"
#include "slab.h"

struct vmem_mmu vmem_mmu;
uint32_t vmem_flush_pages;
struct vmem_page *vmem_zero_page;
vmem_paddr_t vmem_zero_frame;
uint64_t vmem_library_seed;

/* What CPUs write at the same time is in no line with another of its kind. */
#define LINE 64

const struct slab_spec vmem_slab_specs[SLAB_COUNT] = {
    [SLAB_REGION] = {sizeof(struct region), LINE},
    [SLAB_VMAR] = {sizeof(struct vmem_vmar), LINE},
    [SLAB_INDEX_NODE] = {sizeof(struct index_node), LINE},
    [SLAB_STORE] = {sizeof(struct store), LINE},
    [SLAB_OBJECT] = {sizeof(struct vmem_object), LINE},
    [SLAB_LINEAGE] = {sizeof(struct lineage), LINE},
    [SLAB_ASPACE] = {sizeof(struct vmem_aspace), LINE},
};

_Static_assert(sizeof(struct region) <= VMEM_PAGE_SIZE && sizeof(struct vmem_vmar) <= VMEM_PAGE_SIZE &&
		   sizeof(struct index_node) <= VMEM_PAGE_SIZE && sizeof(struct store) <= VMEM_PAGE_SIZE &&
		   sizeof(struct vmem_object) <= VMEM_PAGE_SIZE && sizeof(struct lineage) <= VMEM_PAGE_SIZE &&
		   sizeof(struct vmem_aspace) <= VMEM_PAGE_SIZE,
    "a small object fits into a frame");

static vmem_status_t check_config(const struct vmem_config *config)
{
	if (config->ram_count == 0 || config->ram_count > PAGE_RANGES_MAX ||
	    !vmem_page_aligned(config->direct_map) || !vmem_page_aligned(config->kernel_start) ||
	    !vmem_page_aligned(config->kernel_length)) {
		return VMEM_ERR_INVALID;
	}
	for (unsigned i = 0; i < config->ram_count; i++) {
		const struct vmem_ram *a = &config->ram[i];
		if (!vmem_range_ok(a->start, a->length)) {
			return VMEM_ERR_INVALID;
		}
		for (unsigned k = 0; k < i; k++) {
			const struct vmem_ram *b = &config->ram[k];
			if (a->start < b->start + b->length && b->start < a->start + a->length) {
				return VMEM_ERR_INVALID;
			}
		}
	}
	/* Never up to the last page of the address type: ends of ranges do not wrap. */
	if (config->kernel_length &&
	    config->kernel_length >= UINT64_MAX - config->kernel_start - VMEM_PAGE_SIZE) {
		return VMEM_ERR_INVALID;
	}
	return VMEM_OK;
}

vmem_status_t vmem_library_init(const struct vmem_config *config)
{
	vmem_status_t status = check_config(config);
	if (status != VMEM_OK) {
		return status;
	}
	vmem_direct_map = config->direct_map;
	vmem_library_seed = config->seed;
	vmem_pause = config->pause;
#if VMEM_MANY_CPUS
	vmem_company.alone = config->cpus == 1;
#endif
	VMEM_CHECK(!RUNS_ALONE || cpu_number() == 0, "the only CPU is not number 0");
	vmem_cpus_init();
	vmem_arch_probe(&vmem_mmu, config->isa_features);
	vmem_flush_pages = config->flush_pages != 0 ? config->flush_pages : ARCH_FLUSH_PAGES;
	vmem_arch_cpu_init();
	vmem_tlb_init();
	vmem_aspaces_init();
	vmem_stores_init();
	status = vmem_frames_init(config->ram, config->ram_count);
	if (status != VMEM_OK) {
		return status;
	}
	vmem_slabs_init();
	vmem_commit_init();
	vmem_zero_page = vmem_frame_take(PAGE_ZERO);
	if (!vmem_zero_page) {
		return VMEM_ERR_NO_MEMORY;
	}
	vmem_zero_frame = page_to_pa(vmem_zero_page);
	vmem_arch_page_clear(phys_to_virt(vmem_zero_frame));
	return vmem_kernel_init(config->kernel_start, config->kernel_length);
}

void vmem_library_trim(void)
{
	(void)vmem_slab_trim();
	vmem_frame_drain();
}

void vmem_library_init_cpu(void)
{
	VMEM_CHECK(!RUNS_ALONE, "a CPU comes on that vmem_library_init() was told would not (A1)");
	vmem_cpu_on();
	vmem_tlb_cpu_on();
	vmem_arch_cpu_init();
}
