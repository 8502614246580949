/* SPDX-License-Identifier: MIT */
/*
 * library.c - the side of the library: a space for each process on one software machine, the calls through
 * posix.h, accesses through the MMU.
 *
 * What the library can do is one line each in `calls`: a kind of step that is not there is never made.
 */
#include "differ.h"

#include <stddef.h>
#include <string.h>

#include <vmem/aspace.h>
#include <vmem/init.h>
#include <vmem/object.h>
#include <vmem/posix.h>

#include "machine.h"
#include "user.h"

/* RAM: as little as serves, because the check of the library looks at every frame. */
#define RAM_LOW (UINT64_C(6) << 20)
#define RAM_HIGH (UINT64_C(2) << 20)

struct process {
	struct vmem_aspace *aspace;
	struct vmem_posix posix;
};

static struct process processes[PROCESSES];
static struct facts facts;

/* The files: the last one is the first, and not to be written to. */
static struct vmem_object *objects[FILES - 1];
static uint64_t sizes[FILES - 1]; /* bytes */

static struct vmem_posix_file file_of(const struct step *s)
{
	bool last = s->file == FILES;
	return (struct vmem_posix_file){
	    .object = objects[last ? 0 : s->file - 1],
	    .offset = s->offset,
	    .maximum = VMEM_READ | VMEM_EXEC | (last ? 0u : (unsigned)VMEM_WRITE),
	};
}

/* Beyond all that is looked at: a page for mincore to write to, in memory that is more than may be locked, as
 * there is on the other side. */
#define SCRATCH (HEAP_END + UINT64_C(0x100000))
#define SCRATCH_LENGTH (4 * LOCK_LIMIT)

static int64_t call_mmap(struct process *p, const struct step *s)
{
	uint64_t at = 0;
	int error;
	if (s->file) {
		const struct vmem_posix_file file = file_of(s);
		error =
		    vmem_posix_mmap_object(&p->posix, s->address, s->length, s->prot, s->flags, &file, &at);
	} else {
		error = vmem_posix_mmap(&p->posix, s->address, s->length, s->prot, s->flags, &at);
	}
	if (error) {
		return error;
	}
	if (is_seen(at)) {
		return (int64_t)at;
	}
	error = vmem_posix_munmap(&p->posix, at, s->length);
	if (error) {
		differ_fail("what was mapped elsewhere cannot be unmapped: %d", error);
	}
	return ELSEWHERE;
}

static int64_t call_munmap(struct process *p, const struct step *s)
{
	return vmem_posix_munmap(&p->posix, s->address, s->length);
}

static int64_t call_mprotect(struct process *p, const struct step *s)
{
	return vmem_posix_mprotect(&p->posix, s->address, s->length, s->prot);
}

/* What moved out of the window comes back to the target, as on the other side. */
static int64_t call_mremap(struct process *p, const struct step *s)
{
	uint64_t at = 0, target = s->target & ~(PAGE - 1);
	int error =
	    vmem_posix_mremap(&p->posix, s->address, s->length, s->new_length, s->flags, s->target, &at);
	if (error || is_seen(at)) {
		return error ? error : (int64_t)at;
	}
	uint64_t length = s->new_length, again;
	error = vmem_posix_mremap(
	    &p->posix, at, length, length, VMEM_MREMAP_MAYMOVE | VMEM_MREMAP_FIXED, target, &again);
	if (error && vmem_posix_munmap(&p->posix, at, length) != 0) {
		differ_fail("what moved elsewhere cannot be unmapped");
	}
	return ELSEWHERE;
}

static int64_t call_madvise(struct process *p, const struct step *s)
{
	int error = vmem_posix_madvise(&p->posix, s->address, s->length, s->flags);
	if (s->flags == VMEM_MADV_FREE) { /* as on the other side */
		(void)vmem_posix_madvise(&p->posix, s->address, s->length, VMEM_MADV_DONTNEED);
	}
	return error;
}

static int64_t call_mlock(struct process *p, const struct step *s)
{
	return vmem_posix_mlock2(&p->posix, s->address, s->length, s->flags);
}

static int64_t call_munlock(struct process *p, const struct step *s)
{
	return vmem_posix_munlock(&p->posix, s->address, s->length);
}

static int64_t call_msync(struct process *p, const struct step *s)
{
	return vmem_posix_msync(&p->posix, s->address, s->length, s->flags);
}

static int64_t call_mincore(struct process *p, const struct step *s)
{
	uint8_t vector[64];
	int64_t result =
	    vmem_posix_mincore(&p->posix, s->address, s->length, s->target ? s->target : SCRATCH);
	if (result == 0 && s->length > 0 &&
	    user_read(p->aspace, SCRATCH, vector, sizeof(vector)) != VMEM_FAULT_RESOLVED) {
		differ_fail("mincore's vector is gone");
	}
	for (unsigned i = 0; result >= 0 && i < sizeof(vector) - 1 && i * PAGE < s->length; i++) {
		result |= (int64_t)(vector[i] & 1) << i;
	}
	return result;
}

static int64_t call_mlockall(struct process *p, const struct step *s)
{
	return vmem_posix_mlockall(&p->posix, s->flags);
}

static int64_t call_munlockall(struct process *p, const struct step *s)
{
	(void)s;
	return vmem_posix_munlockall(&p->posix);
}

static int64_t call_mseal(struct process *p, const struct step *s)
{
	return vmem_posix_mseal(&p->posix, s->address, s->length, (uint64_t)s->flags);
}

static int64_t call_brk(struct process *p, const struct step *s)
{
	return (int64_t)vmem_posix_brk(&p->posix, s->address);
}

/* What a host does (examples/kernel/memfile.c): behind the last byte the last page is zero whenever the file
 * begins to show it. */
static int64_t call_ftruncate(struct process *p, const struct step *s)
{
	(void)p;
	if ((int64_t)s->offset < 0 || s->file == FILES) {
		return -VMEM_EINVAL;
	}
	struct vmem_object *object = objects[s->file - 1];
	uint64_t *size = &sizes[s->file - 1], tail = s->offset < *size ? s->offset : *size;
	vmem_status_t status = vmem_object_zero(object, tail, vmem_page_ceil(tail) - tail);
	*size = s->offset;
	return status == VMEM_OK ? -vmem_posix_errno(vmem_object_resize(object, vmem_page_ceil(s->offset)))
				 : -vmem_posix_errno(status);
}

static int64_t signal_of(enum vmem_fault_result result)
{
	switch (result) {
	case VMEM_FAULT_RESOLVED:
		return 0;
	case VMEM_FAULT_NO_REGION:
	case VMEM_FAULT_GUARD: /* guard pages of Linux are holes to look at */
		return -SIGNAL_MAPERR;
	case VMEM_FAULT_PERMISSION:
		return -SIGNAL_ACCERR;
	case VMEM_FAULT_BEYOND_END:
		return -SIGNAL_ADRERR;
	default:
		return -SIGNAL_OTHER;
	}
}

static int64_t load(struct process *p, uint64_t address)
{
	uint64_t value = 0;
	int64_t wrong = signal_of(user_load(p->aspace, address, &value));
	return wrong ? wrong : (int64_t)value;
}

static int64_t call_read(struct process *p, const struct step *s)
{
	return load(p, s->address);
}

static int64_t call_write(struct process *p, const struct step *s)
{
	return signal_of(user_store(p->aspace, s->address, s->value));
}

static const struct {
	enum kind kind;
	int64_t (*call)(struct process *p, const struct step *s);
} calls[] = {
    {STEP_MMAP, call_mmap},
    {STEP_MUNMAP, call_munmap},
    {STEP_MPROTECT, call_mprotect},
    {STEP_MREMAP, call_mremap},
    {STEP_MADVISE, call_madvise},
    {STEP_MLOCK, call_mlock},
    {STEP_MUNLOCK, call_munlock},
    {STEP_MSYNC, call_msync},
    {STEP_MINCORE, call_mincore},
    {STEP_MLOCKALL, call_mlockall},
    {STEP_MUNLOCKALL, call_munlockall},
    {STEP_MSEAL, call_mseal},
    {STEP_BRK, call_brk},
    {STEP_FTRUNCATE, call_ftruncate},
    {STEP_READ, call_read},
    {STEP_WRITE, call_write},
};

uint32_t library_kinds(void)
{
	uint32_t kinds = 1u << STEP_FORK;
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		kinds |= 1u << calls[i].kind;
	}
	return kinds;
}

static void make_process(struct process *p, struct vmem_aspace *aspace)
{
	p->aspace = aspace;
	struct vmem_posix_policy policy = vmem_posix_linux;
	policy.mmap_min = facts.mmap_min;
	policy.lock_limit = facts.lock_limit;
	vmem_posix_init(&p->posix, aspace, &policy, HEAP - PAGE);
	vmem_posix_set_limit(&p->posix, VMEM_RLIMIT_STACK, facts.stack_limit);
}

/* The files, empty; the scratch memory, which all processes share; and the page below the heap. */
static void make_rest(struct process *p)
{
	const int flags = VMEM_MMAP_SHARED | VMEM_MMAP_ANONYMOUS | VMEM_MMAP_FIXED;
	uint64_t at;
	for (unsigned i = 0; i < FILES - 1; i++) {
		if (vmem_object_create_anonymous(PAGE, VMEM_OBJECT_RESIZABLE, &objects[i]) != VMEM_OK ||
		    vmem_object_resize(objects[i], 0) != VMEM_OK) {
			differ_fail("no object");
		}
	}
	if (vmem_posix_mmap(
		&p->posix, SCRATCH, SCRATCH_LENGTH, VMEM_PROT_READ | VMEM_PROT_WRITE, flags, &at) != 0) {
		differ_fail("no memory beside");
	}
	if (vmem_posix_brk(&p->posix, HEAP) != HEAP) {
		differ_fail("no heap");
	}
}

void library_start(const struct facts *some)
{
	facts = *some;
	struct machine_config config = host_default();
	const struct vmem_aspace_config plain = {0};
	struct vmem_aspace *aspace;
	config.ram[0].length = RAM_LOW;
	config.ram[1].length = RAM_HIGH;
	host_start(&config);
	if (vmem_aspace_create(&plain, &aspace) != VMEM_OK) {
		differ_fail("no space");
	}
	make_process(&processes[0], aspace);
	make_rest(&processes[0]);
}

void library_step(unsigned process, const struct step *step, struct report *out)
{
	machine_operation();
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].kind == step->kind) {
			out->result = calls[i].call(&processes[process], step);
		}
	}
}

void library_resync(unsigned process, const struct step *step)
{
	uint64_t start, length;
	for (unsigned i = 0; i < 3; i++) {
		if (resync_range(step, i, &start, &length)) {
			(void)vmem_posix_munmap(&processes[process].posix, start, length);
		}
	}
}

int64_t library_fork(unsigned parent, unsigned child)
{
	struct vmem_aspace *aspace;
	machine_operation();
	vmem_status_t status = vmem_aspace_fork(processes[parent].aspace, &aspace);
	if (status == VMEM_OK) {
		make_process(&processes[child], aspace);
		processes[child].posix.brk_end = processes[parent].posix.brk_end;
	}
	return -vmem_posix_errno(status);
}

void library_exit(unsigned process)
{
	machine_operation();
	vmem_aspace_activate(NULL);
	vmem_aspace_destroy(processes[process].aspace);
	processes[process].aspace = NULL;
}

void library_look(unsigned process, struct report *out)
{
	struct process *p = &processes[process];
	struct vmem_region_info region;
	out->regions = 0;
	for (uint64_t at = WINDOW; vmem_region_next(p->aspace, at, &region) && region.start < HEAP_END;
	     at = region.start + region.length) {
		uint64_t end = region.start + region.length;
		end = end > HEAP_END ? HEAP_END : end;
		uint64_t start = end > HEAP && region.start < HEAP ? HEAP : region.start;
		if (is_seen(start)) {
			report_region(
			    out, start, end, region.permission, (region.flags & VMEM_MAP_SHARED) != 0);
		}
	}
	for (unsigned i = 0; i < SEEN; i++) {
		if (out->pages[i]) {
			out->word[i][0] = load(p, page_address(i));
			out->word[i][1] = load(p, page_address(i) + PAGE - 8);
		}
	}
}

void library_check(void)
{
	vmem_check();
	machine_check();
}

void library_stop(void)
{
	for (unsigned i = 0; i < FILES - 1; i++) {
		vmem_object_release(objects[i]);
	}
	host_stop();
}
