/* SPDX-License-Identifier: MIT */
/*
 * apply_process.c - Linux's calls on a space that is a process's: mmap of anonymous memory, mlock and its
 * kin, limits, and the mode of overcommit. mremap is in apply_remap.c.
 *
 * What is wrong is a set of errors, as for the core, of which the call answers one; which of them Linux
 * would is tested by examples (tests/unit, tests/conform) and against Linux itself (tests/differ).
 */
#include "process.h"

#include "region.h"

static const int numbers[E_KINDS] = {
    0, VMEM_EPERM, VMEM_EAGAIN, VMEM_ENOMEM, VMEM_EACCES, VMEM_EFAULT, VMEM_EEXIST, VMEM_EINVAL};

void judged_errno(const struct op *op, int answer, uint32_t wrong)
{
	unsigned kind = 0;
	while (kind < E_KINDS && numbers[kind] != -answer) {
		kind++;
	}
	if (kind == E_KINDS || !((wrong ? wrong : BIT(E_OK)) >> kind & 1)) {
		model_fail(__FILE__, __LINE__, "%s answers %d, expected is one of the set %#x",
		    op_names[op->kind], answer, wrong);
	}
	counters->answers[op->kind][kind]++;
}

uint32_t errors_of(uint32_t statuses)
{
	static const uint8_t kinds[VMEM_STATUS_COUNT] = {[VMEM_ERR_LIMIT] = E_NOMEM,
	    [VMEM_ERR_NO_MEMORY] = E_NOMEM,
	    [VMEM_ERR_NO_SPACE] = E_NOMEM,
	    [VMEM_ERR_SEALED] = E_PERM,
	    [VMEM_ERR_INVALID] = E_INVAL,
	    [VMEM_ERR_EXISTS] = E_EXIST};
	uint32_t errors = 0;
	for (unsigned status = 0; status < VMEM_STATUS_COUNT; status++) {
		errors |= statuses >> status & 1 ? BIT(kinds[status]) : 0;
	}
	return errors;
}

uint32_t lock_wrong(unsigned space, uint64_t more, unsigned attributes)
{
	return attributes & VMEM_REGION_LOCKED && locked_pages(space) + more > world.nature[space].max_locked
		   ? BIT(E_AGAIN)
		   : 0;
}

/* Where the region that has the page ends, as the library has it: what is one mapping may be several. */
static unsigned region_end(unsigned space, unsigned p)
{
	struct vmem_region_info r;
	EXPECT(vmem_region_next(world.space[space], page_va(p), &r) && r.start <= page_va(p));
	return (unsigned)((r.start + r.length - SPACE_START) / PAGE);
}

/* A page that cannot be had ends it for its region. */
bool populate_locked(unsigned space, unsigned first, unsigned end)
{
	bool whole = true;
	for (unsigned p = first, until; p < end; p = until) {
		struct page *page = &world.page[space][p];
		until = p + 1;
		if (!page->mapped || page->vmar != 0 || (page->attributes & LOCKS) != VMEM_REGION_LOCKED) {
			continue;
		}
		const bool writes = page->permission & VMEM_WRITE && !(page->flags & VMEM_MAP_SHARED);
		const unsigned may = page->permission;
		const unsigned access = writes		  ? VMEM_WRITE
					: may & VMEM_READ ? VMEM_READ
					: may & VMEM_EXEC ? VMEM_EXEC
							  : VMEM_WRITE;
		until = region_end(space, p);
		until = until < end ? until : end;
		for (; p < until && page->permission && page_expect(page, access) == VMEM_FAULT_RESOLVED;
		     p++, page++) {
			if (writes) {
				page_store(page, page_value(page));
			}
		}
		whole &= p == until;
	}
	return whole;
}

/* mmap */

static const int kinds_of_memory[] = {VMEM_MMAP_PRIVATE, VMEM_MMAP_PRIVATE, VMEM_MMAP_SHARED,
    VMEM_MMAP_PRIVATE | VMEM_MMAP_GROWSDOWN, VMEM_MMAP_PRIVATE | VMEM_MMAP_NORESERVE,
    VMEM_MMAP_SHARED | VMEM_MMAP_NORESERVE, VMEM_MMAP_PRIVATE | VMEM_MMAP_LOCKED,
    VMEM_MMAP_SHARED | VMEM_MMAP_LOCKED};

/* The pages of a mapping to be, before it has an object. */
static struct page page_of(unsigned space, int prot, int flags)
{
	struct page page = {.permission = (uint8_t)prot,
	    .maximum = VMEM_RWX,
	    .flags = flags & VMEM_MMAP_SHARED ? VMEM_MAP_SHARED : 0,
	    .object = -1};
	const bool strict = world.overcommit == VMEM_OVERCOMMIT_NEVER;
	page.attributes = (uint16_t)((flags & VMEM_MMAP_GROWSDOWN ? VMEM_REGION_GROWS_DOWN : 0) |
				     (flags & VMEM_MMAP_LOCKED ? VMEM_REGION_LOCKED : 0) |
				     (flags & VMEM_MMAP_NORESERVE && !strict ? VMEM_REGION_NO_RESERVE : 0) |
				     world.nature[space].future);
	page.attributes |= needs_promise(space, &page) ? VMEM_REGION_ACCOUNT : 0;
	return page;
}

/* What the place is refused for; at->first is set where one is found. */
static uint32_t place_wrong(struct where *at, int flags)
{
	const struct room room = {
	    .space = at->space, .vmar = 0, .pages = at->pages, .align = 1, .low = 0, .high = PAGES};
	if (flags & (VMEM_MMAP_FIXED | VMEM_MMAP_FIXED_NOREPLACE)) {
		uint32_t wrong = where_wrong(at, VMEM_ERR_EXISTS);
		if (wrong & BIT(VMEM_ERR_RANGE)) {
			return BIT(E_NOMEM);
		}
		if (flags & VMEM_MMAP_FIXED_NOREPLACE && !is_free(at->space, 0, at->first, at->pages)) {
			wrong |= BIT(VMEM_ERR_EXISTS);
		}
		wrong |= !(flags & VMEM_MMAP_FIXED_NOREPLACE) && is_sealed(at) ? BIT(VMEM_ERR_SEALED) : 0;
		return errors_of(wrong);
	}
	if (!room_fits(&room, at->first)) {
		at->first = room_find(&room, true);
	}
	return at->first == PAGES ? BIT(E_NOMEM) : 0;
}

/* What the memory is refused for, where so much goes first. */
static uint32_t memory_wrong(const struct where *at, const struct page *page, int flags)
{
	const bool replaces = (flags & (VMEM_MMAP_FIXED | VMEM_MMAP_FIXED_NOREPLACE)) == VMEM_MMAP_FIXED;
	const unsigned gone = replaces ? where_mapped(at) : 0;
	unsigned promised = 0;
	for (unsigned p = at->first; replaces && p < at->first + at->pages && p < PAGES; p++) {
		promised += (world.page[at->space][p].attributes & VMEM_REGION_ACCOUNT) != 0;
	}
	uint32_t wrong = pages_wrong(at->space, at->pages, gone);
	wrong |= is_data(page) ? data_wrong(at->space, at->pages - gone) : 0;
	if (page->attributes & VMEM_REGION_ACCOUNT) {
		wrong |= promise_wrong(at->space, at->pages - promised);
	}
	if (page->flags & VMEM_MAP_SHARED && !(page->attributes & VMEM_REGION_NO_RESERVE)) {
		wrong |= promise_wrong(at->space, at->pages);
	}
	return errors_of(wrong);
}

/* The object that shared memory got, of which the test has no reference. */
static void note_object(struct object *o, const struct where *at, struct page *page)
{
	struct vmem_region_info r;
	EXPECT(vmem_region_next(world.space[at->space], page_va(at->first), &r) && r.object);
	object_fill(o, r.object, at->pages, false);
	o->held = false;
	o->promised = page->attributes & VMEM_REGION_NO_RESERVE ? 0 : at->pages;
	page->object = (int8_t)(o - world.object);
}

static bool map_memory(const struct op *op, unsigned space)
{
	static const int places[] = {0, 0, VMEM_MMAP_FIXED, VMEM_MMAP_FIXED_NOREPLACE};
	struct where at = {.space = space, .first = op->r[2] % PAGES, .pages = 1 + op->r[3] % 16};
	const int prot = permission_pick(op->r[4]), kind = kinds_of_memory[op->r[6] % 8];
	const bool low = kind & VMEM_MMAP_GROWSDOWN && op->r[5] >> 2 & 3; /* where it has not much below it */
	const int flags = VMEM_MMAP_ANONYMOUS | kind | (low ? VMEM_MMAP_FIXED : places[op->r[5] % 4]) |
			  ((op->r[6] >> 4) % 8 == 0 ? VMEM_MMAP_POPULATE : 0);
	struct page page = page_of(space, prot, flags);
	struct object *o = flags & VMEM_MMAP_SHARED ? object_slot() : NULL;
	uint64_t length = at.pages * PAGE - op->r[3] / 16 % PAGE;
	vmem_vaddr_t start;
	at.first %= low ? 96 : PAGES;
	if ((flags & VMEM_MMAP_SHARED && !o) || near_limit(space, 3)) {
		return false;
	}
	const vmem_vaddr_t address = page_va(at.first);
	uint32_t wrong = place_wrong(&at, flags);
	wrong |= memory_wrong(&at, &page, flags) | lock_wrong(space, at.pages, page.attributes);
	wrong |= flags & VMEM_MMAP_LOCKED && world.nature[space].max_locked == 0 ? BIT(E_PERM) : 0;
	wrong |= is_wx(space, page.permission) ? BIT(E_ACCES) : 0;
	int error = vmem_posix_mmap(&world.nature[space].posix, address, length, prot, flags, &start);
	judged_errno(op, error, wrong);
	if (error) {
		return false;
	}
	if (start != page_va(at.first)) {
		model_fail(__FILE__, __LINE__, "mapped at %llx, expected is page %u",
		    (unsigned long long)start, at.first);
	}
	if (o) {
		note_object(o, &at, &page);
	}
	where_unmap(&at);
	strips_insert(&at, 0, 0);
	for (unsigned p = at.first; p < at.first + at.pages; p++) {
		page_map(space, p, &page);
		page.offset += page.object >= 0;
	}
	if (flags & VMEM_MMAP_POPULATE && !(page.attributes & VMEM_REGION_LOCK_ON_FAULT)) {
		populate(&at);
	} else {
		(void)populate_locked(space, at.first, at.first + at.pages);
	}
	object_drop_unused();
	world.recent[space] = at.first;
	return true;
}

/* mlock */

/* Page by page; false: a hole. Frames that were made with their object are never locked. */
static bool lock_pages(unsigned space, unsigned first, unsigned pages, unsigned bits)
{
	for (unsigned p = first; p < first + pages; p++) {
		struct page *page = &world.page[space][p];
		if (p == PAGES || !page->mapped || page->vmar != 0) {
			return false;
		}
		if (page->object < 0 || world.object[page->object].store == ANONYMOUS) {
			page->attributes = (uint16_t)((page->attributes & ~LOCKS) | bits);
		}
	}
	return true;
}

static uint32_t lock_range(unsigned space, unsigned first, unsigned pages, unsigned bits)
{
	const uint64_t most = world.nature[space].max_locked;
	uint64_t after = locked_pages(space) + pages;
	if (most == 0) {
		return BIT(E_PERM);
	}
	for (unsigned p = first; p < first + pages && p < PAGES; p++) {
		const struct page *page = &world.page[space][p];
		after -= page->mapped && page->vmar == 0 && page->attributes & VMEM_REGION_LOCKED;
	}
	if (after > most || !lock_pages(space, first, pages, bits)) {
		return BIT(E_NOMEM);
	}
	return populate_locked(space, first, first + pages) ? 0 : BIT(E_NOMEM);
}

/* mlockall, munlockall: everything of the process, and what it will have. */
static bool lock_all(const struct op *op, unsigned space)
{
	struct nature *n = &world.nature[space];
	const unsigned bits = VMEM_REGION_LOCKED | (op->r[5] & 1 ? VMEM_REGION_LOCK_ON_FAULT : 0u);
	const bool now = op->r[5] & 2, later = !now || op->r[5] & 4, undo = op->r[5] & 24;
	uint32_t wrong = 0;
	if (!undo && n->max_locked == 0) {
		wrong = BIT(E_PERM);
	} else if (!undo && now && world.mapped[space] > n->max_locked) {
		wrong = BIT(E_NOMEM);
	}
	int error = undo ? vmem_posix_munlockall(&n->posix)
			 : vmem_posix_mlockall(&n->posix, (now ? VMEM_MCL_CURRENT : 0) |
							      (later ? VMEM_MCL_FUTURE : 0) |
							      (op->r[5] & 1 ? VMEM_MCL_ONFAULT : 0));
	judged_errno(op, error, wrong);
	if (error) {
		return false;
	}
	n->future = undo || !later ? 0 : (uint16_t)bits;
	for (unsigned p = 0; (undo || now) && p < PAGES; p++) {
		if (world.page[space][p].mapped && world.page[space][p].vmar == 0) {
			(void)lock_pages(space, p, 1, undo ? 0 : bits);
		}
	}
	if (!undo && now) {
		(void)populate_locked(space, 0, PAGES);
	}
	return true;
}

static bool lock(const struct op *op, unsigned space)
{
	struct vmem_posix *posix = &world.nature[space].posix;
	struct where at = {.space = space, .first = op->r[2] % PAGES, .pages = 1 + op->r[4] % 24};
	on_mapped(op, &at);
	const vmem_vaddr_t start = page_va(at.first) + op->r[5] / 64 % PAGE;
	const uint64_t length = at.pages * PAGE - op->r[5] / 64 % PAGE;
	uint32_t wrong;
	int error;
	if (near_limit(space, at.pages + 3)) {
		return false;
	}
	world.recent[space] = at.first;
	if (op->r[6] % 8 == 0) {
		return lock_all(op, space);
	}
	if (op->r[6] % 8 < 4) {
		wrong = lock_pages(space, at.first, at.pages, 0) ? 0 : BIT(E_NOMEM);
		error = vmem_posix_munlock(posix, start, length);
	} else {
		const bool on_fault = op->r[6] % 8 == 4;
		error = vmem_posix_mlock2(posix, start, length, on_fault ? VMEM_MLOCK_ONFAULT : 0);
		wrong = lock_range(space, at.first, at.pages, on_fault ? LOCKS : VMEM_REGION_LOCKED);
	}
	judged_errno(op, error, wrong);
	return true;
}

/* Limits: three of four settings lift one. */
static bool limit(const struct op *op, unsigned space)
{
	struct nature *n = &world.nature[space];
	const bool lifts = op->r[4] % 4 != 0;
	const uint64_t pages = world.mapped[space] + op->r[5] % 48;
	switch (op->r[3] % 4) {
	case 0:
		n->max_pages = lifts ? NO_LIMIT : op->r[6] % 16 ? pages : 0;
		vmem_posix_set_limit(&n->posix, VMEM_RLIMIT_AS, lifts ? NO_LIMIT : n->max_pages * PAGE + 5);
		break;
	case 1:
		n->max_data = lifts ? NO_LIMIT : pages / 2;
		vmem_posix_set_limit(&n->posix, VMEM_RLIMIT_DATA, lifts ? NO_LIMIT : n->max_data * PAGE + 5);
		break;
	case 2:
		n->max_stack = op->r[4] % 4 == 0 ? PAGES : op->r[5] % 24;
		vmem_posix_set_limit(&n->posix, VMEM_RLIMIT_STACK, n->max_stack * PAGE);
		break;
	default:
		n->max_locked = lifts ? PAGES : op->r[6] & 1 ? op->r[5] % 24 : 0;
		vmem_posix_set_limit(
		    &n->posix, VMEM_RLIMIT_MEMLOCK, n->max_locked ? n->max_locked * PAGE + 5 : 0);
		break;
	}
	judged_errno(op, 0, 0);
	return true;
}

static bool overcommit(const struct op *op)
{
	static const enum vmem_overcommit modes[] = {
	    VMEM_OVERCOMMIT_GUESS, VMEM_OVERCOMMIT_ALWAYS, VMEM_OVERCOMMIT_NEVER, VMEM_OVERCOMMIT_NEVER};
	world.overcommit = modes[op->r[1] % 4];
	world.commit_limit = promised_now() + op->r[2] % 128;
	world.commit_limit += world.commit_limit == 0; /* which would be half of the memory */
	vmem_commit_set(world.overcommit, world.commit_limit * PAGE);
	judged_errno(op, 0, 0);
	return true;
}

bool apply_process(const struct op *op)
{
	unsigned space = op->r[0] % SPACES;
	for (unsigned i = 0; i < SPACES && !world.nature[space].accounts; i++) {
		space = (space + 1) % SPACES;
	}
	if (op->kind == OP_OVERCOMMIT) {
		return overcommit(op);
	}
	if (!world.nature[space].accounts) {
		counters->idle++;
		return false;
	}
	return op->kind == OP_MMAP     ? map_memory(op, space)
	       : op->kind == OP_MREMAP ? apply_remap(op, space)
	       : op->kind == OP_MLOCK  ? lock(op, space)
				       : limit(op, space);
}
