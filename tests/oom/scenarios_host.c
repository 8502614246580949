/* SPDX-License-Identifier: MIT */
/*
 * scenarios_host.c - what a host kernel asks for itself: the library's start, frames, and the kernel's half.
 */
#include "sweep.h"

#include <vmem/init.h>

static enum answer init(struct sweep *s)
{
	struct vmem_ram ram[MACHINE_RANGES];
	const struct machine_config *config = machine_config();
	(void)s;
	for (unsigned i = 0; i < config->ram_count; i++) {
		struct machine_range range = machine_ram_left(i);
		ram[i] = (struct vmem_ram){range.start, range.length};
	}
	struct machine_range kernel = machine_kernel_area();
	const struct vmem_config library = {
	    .ram = ram,
	    .ram_count = config->ram_count,
	    .direct_map = machine_direct_map(),
	    .kernel_start = kernel.start,
	    .kernel_length = kernel.length,
	    .isa_features = machine_isa_features(),
	    .seed = 1,
	};
	return answer(vmem_library_init(&library));
}

static enum answer init_cpu(struct sweep *s)
{
	(void)s;
	machine_cpu_set(1);
	vmem_library_init_cpu();
	machine_cpu_set(0);
	return ANSWER_OK;
}

static enum answer trim(struct sweep *s)
{
	(void)s;
	vmem_library_trim();
	return ANSWER_OK;
}

static enum answer frame_one(struct sweep *s)
{
	const struct vmem_frame_request request = {.zeroed = true};
	s->order = 0;
	return answer(vmem_frame_alloc(&request, &s->frame));
}

static enum answer frame_block(struct sweep *s)
{
	const struct vmem_frame_request request = {.order = 5, .limit = UINT64_C(1) << 40};
	s->order = 5;
	return answer(vmem_frame_alloc(&request, &s->frame));
}

static enum answer frame_run(struct sweep *s)
{
	s->frames = 37;
	return answer(vmem_frame_alloc_run(s->frames, 8 * PAGE, 0, &s->frame));
}

static void one_frame(struct sweep *s)
{
	OK(vmem_frame_alloc(&(struct vmem_frame_request){.order = 3}, &s->frame));
}

static enum answer frame_free(struct sweep *s)
{
	vmem_frame_free(s->frame, 3);
	s->frame = 0;
	return ANSWER_OK;
}

static void run_of_frames(struct sweep *s)
{
	OK(vmem_frame_alloc_run(37, PAGE, 0, &s->frame));
}

static enum answer frame_free_run(struct sweep *s)
{
	vmem_frame_free_run(s->frame, 37);
	s->frame = 0;
	return ANSWER_OK;
}

static enum answer frame_stats(struct sweep *s)
{
	struct vmem_frame_stats stats;
	(void)s;
	vmem_frame_stats(&stats);
	return ANSWER_OK;
}

static void two_stacks(struct sweep *s)
{
	OK(vmem_kernel_stack_alloc(4 * PAGE, &s->kernel[0]));
	OK(vmem_kernel_alloc(5 * PAGE, &s->kernel[1]));
}

static enum answer kernel_alloc(struct sweep *s)
{
	return answer(vmem_kernel_alloc(20 * PAGE + 1, &s->kernel[2]));
}

static enum answer kernel_alloc_wide(struct sweep *s)
{
	return answer(vmem_kernel_alloc(80 * PAGE, &s->kernel[2])); /* more than one leaf of the index */
}

static enum answer kernel_stack(struct sweep *s)
{
	return answer(vmem_kernel_stack_alloc(4 * PAGE, &s->kernel[2]));
}

static enum answer kernel_map_device(struct sweep *s)
{
	const struct machine_range *device = &machine_config()->device;
	return answer(vmem_kernel_map(
	    device->start + 16, 2 * PAGE, VMEM_READ | VMEM_WRITE, VMEM_UNCACHED, &s->kernel[2]));
}

static void frames_to_map(struct sweep *s)
{
	s->frames = 600;
	OK(vmem_frame_alloc_run(s->frames, PAGE, 0, &s->frame));
}

static enum answer kernel_map_ram(struct sweep *s)
{
	return answer(vmem_kernel_map(s->frame, 600 * PAGE, VMEM_READ, VMEM_WRITE_BACK, &s->kernel[2]));
}

static enum answer kernel_map_odd(struct sweep *s)
{
	vmem_status_t status = vmem_kernel_map(
	    s->frame, 600 * PAGE, VMEM_READ | VMEM_WRITE, VMEM_WRITE_COMBINING, &s->kernel[2]);
	if (status == VMEM_OK) { /* the machine learns only from us what the linear map has there, and a check
				    follows at once */
		vmem_kernel_free(s->kernel[2]);
		s->kernel[2] = NULL;
	}
	return answer(status);
}

/* The tables of a split of the direct map stay (direct_map.c, D2): here it has been split before. */
static void frames_once_odd(struct sweep *s)
{
	void *once;
	frames_to_map(s);
	OK(vmem_kernel_map(s->frame, 600 * PAGE, VMEM_READ | VMEM_WRITE, VMEM_WRITE_COMBINING, &once));
	vmem_kernel_free(once);
}

static enum answer kernel_protect(struct sweep *s)
{
	return answer(vmem_kernel_protect(s->kernel[1], 2 * PAGE, VMEM_READ));
}

static enum answer kernel_free(struct sweep *s)
{
	vmem_kernel_free(s->kernel[0]);
	s->kernel[0] = NULL;
	return ANSWER_OK;
}

static enum answer kernel_look(struct sweep *s)
{
	struct vmem_region_info region;
	assert_true(vmem_kernel_is_guard((char *)s->kernel[0] - 1));
	assert_true(vmem_region_next(vmem_kernel_aspace(), 0, &region));
	return ANSWER_OK;
}

const struct scenario scenarios_host[] = {
    {"vmem_library_init", "on a machine just started", NULL, init, .effect = EFFECT_NONE, .bare = true},
    {"vmem_library_init_cpu", "a second CPU", NULL, init_cpu, .effect = EFFECT_NEVER},
    {"vmem_library_trim", "with empty frames of small objects", two_stacks, trim, .effect = EFFECT_NEVER},
    {"vmem_frame_alloc", "one, zeroed", NULL, frame_one, .effect = EFFECT_NONE},
    {"vmem_frame_alloc", "a block below a limit", NULL, frame_block, .effect = EFFECT_NONE},
    {"vmem_frame_alloc_run", "37 frames", NULL, frame_run, .effect = EFFECT_NONE},
    {"vmem_frame_free", "a block", one_frame, frame_free, .effect = EFFECT_NEVER},
    {"vmem_frame_free_run", "37 frames", run_of_frames, frame_free_run, .effect = EFFECT_NEVER},
    {"vmem_frame_stats", "looking", NULL, frame_stats, .effect = EFFECT_NEVER},
    {"vmem_kernel_alloc", "the first mapping", NULL, kernel_alloc, .effect = EFFECT_NONE},
    {"vmem_kernel_alloc", "beside others", two_stacks, kernel_alloc_wide, .effect = EFFECT_NONE},
    {"vmem_kernel_stack_alloc", "the first mapping", NULL, kernel_stack, .effect = EFFECT_NONE},
    {"vmem_kernel_stack_alloc", "beside others", two_stacks, kernel_stack, .effect = EFFECT_NONE},
    {"vmem_kernel_map", "a device", two_stacks, kernel_map_device, .effect = EFFECT_NONE},
    {"vmem_kernel_map", "RAM, write-back", frames_to_map, kernel_map_ram, .effect = EFFECT_NONE},
    {"vmem_kernel_map", "RAM, leaving the direct map", frames_once_odd, kernel_map_odd,
	.effect = EFFECT_NONE},
    {"vmem_kernel_protect", "a part", two_stacks, kernel_protect, .effect = EFFECT_NEVER},
    {"vmem_kernel_free", "a stack", two_stacks, kernel_free, .effect = EFFECT_NEVER},
    {"vmem_kernel_is_guard", "looking", two_stacks, kernel_look, .effect = EFFECT_NEVER},
    {"vmem_kernel_aspace", "looking", two_stacks, kernel_look, .effect = EFFECT_NEVER},
    {.function = NULL},
};
