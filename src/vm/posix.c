/* SPDX-License-Identifier: MIT */
/*
 * posix.c - Linux's mmap, munmap, mprotect and brk over the core. Arguments and statuses are translated
 * here; nothing is decided. The order of the checks is Linux's, because programs see which error wins.
 *
 * Locks: each call takes the space's for all it looks at and does, struct vmem_posix included.
 */
#include "commit_i.h"
#include "posix_i.h"

#define PROT_SEM 0x8
#define PROT_GROWSDOWN 0x01000000
#define PROT_GROWSUP 0x02000000
#define MMAP_TYPE 0x0f
#define MMAP_HUGETLB 0x40000 /* unknown, as to a Linux without huge pages */
/* What mmap knew before MAP_SHARED_VALIDATE came, and so lets pass there: all but SYNC, FIXED_NOREPLACE and
 * what nobody knows. */
#define LEGACY_FLAGS                                                                                         \
	(MMAP_TYPE | VMEM_MMAP_FIXED | VMEM_MMAP_ANONYMOUS | VMEM_MMAP_32BIT | VMEM_MMAP_ABOVE4G |           \
	    VMEM_MMAP_GROWSDOWN | VMEM_MMAP_DENYWRITE | VMEM_MMAP_EXECUTABLE | VMEM_MMAP_LOCKED |            \
	    VMEM_MMAP_NORESERVE | VMEM_MMAP_POPULATE | VMEM_MMAP_NONBLOCK | VMEM_MMAP_STACK | 0x4000000 |    \
	    21 << 26 | 30 << 26)
#define GIB (UINT64_C(1) << 30)
#define LOW_LIMIT ((UINT64_C(1) << 47) - VMEM_PAGE_SIZE) /* as x86-64; above only for those who name it */

const struct vmem_posix_policy vmem_posix_linux = {
    .max_regions = 65530, .mmap_min = 65536, .lock_limit = UINT64_C(8) << 20};

void vmem_posix_init(struct vmem_posix *posix, struct vmem_aspace *aspace,
    const struct vmem_posix_policy *policy, vmem_vaddr_t brk_start)
{
	*posix = (struct vmem_posix){.aspace = aspace,
	    .policy = *policy,
	    .brk_start = brk_start,
	    .brk_end = brk_start};
	aspace->max_regions = policy->max_regions ? policy->max_regions + 1 : UINT64_MAX;
	aspace->split_slack =
	    policy->max_regions ? 1 : 0; /* mmap may pass the limit by one, a split may not */
	aspace->max_stack = UINT64_C(8) << 20;
	aspace->max_locked = policy->lock_limit;
	aspace->min_growth = policy->mmap_min > aspace->min_growth ? policy->mmap_min : aspace->min_growth;
	aspace->accounts = true;
}

void vmem_posix_set_limit(struct vmem_posix *posix, enum vmem_posix_limit which, uint64_t bytes)
{
	struct vmem_aspace *aspace = posix->aspace;
	aspace_lock(aspace);
	switch (which) {
	case VMEM_RLIMIT_DATA:
		aspace->max_data = bytes;
		break;
	case VMEM_RLIMIT_STACK:
		aspace->max_stack = bytes;
		break;
	case VMEM_RLIMIT_MEMLOCK:
		aspace->max_locked = bytes;
		break;
	case VMEM_RLIMIT_AS:
		aspace->max_bytes = bytes;
		break;
	}
	aspace_unlock(aspace);
}

int vmem_posix_errno(vmem_status_t status)
{
	static const uint8_t table[VMEM_STATUS_COUNT] = {
	    [VMEM_OK] = 0,
	    [VMEM_ERR_INVALID] = VMEM_EINVAL,
	    [VMEM_ERR_RANGE] = VMEM_ENOMEM,
	    [VMEM_ERR_NO_MEMORY] = VMEM_ENOMEM,
	    [VMEM_ERR_NO_SPACE] = VMEM_ENOMEM,
	    [VMEM_ERR_EXISTS] = VMEM_EEXIST,
	    [VMEM_ERR_NOT_FOUND] = VMEM_ENOMEM,
	    [VMEM_ERR_DENIED] = VMEM_EACCES,
	    [VMEM_ERR_WX] = VMEM_EACCES,
	    [VMEM_ERR_LIMIT] = VMEM_ENOMEM,
	    [VMEM_ERR_STATE] = VMEM_EINVAL,
	    [VMEM_ERR_UNSUPPORTED] = VMEM_EOPNOTSUPP,
	    [VMEM_ERR_FAULT] = VMEM_EFAULT,
	    [VMEM_ERR_CONFLICT] = VMEM_EBUSY,
	    [VMEM_ERR_SEALED] = VMEM_EPERM,
	};
	return (unsigned)status < VMEM_STATUS_COUNT ? table[status] : VMEM_EINVAL;
}

int vmem_posix_check_fixed(const struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length)
{
	const struct vmem_vmar *root = &posix->aspace->root;
	vmem_vaddr_t end = root->tree.base + root->tree.length;
	if (address > end - length) { /* the length fits: the caller has looked */
		return -VMEM_ENOMEM;
	}
	if (!vmem_page_aligned(address)) {
		return -VMEM_EINVAL;
	}
	return address < posix->policy.mmap_min || address < root->tree.base ? -VMEM_EPERM : 0;
}

/* The second GiB, upwards, or what is above the fourth; a hint counts below that, too. */
static void place_in_part(int flags, struct vmem_map *map)
{
	vmem_vaddr_t from = flags & VMEM_MMAP_32BIT ? GIB : 4 * GIB;
	map->minimum = map->address && map->address < from ? map->address : from;
	if (flags & VMEM_MMAP_32BIT) {
		map->flags &= ~(unsigned)VMEM_MAP_FROM_TOP;
		map->limit = 2 * GIB;
		map->below = 0;
	}
}

void vmem_posix_place(const struct vmem_posix *posix, vmem_vaddr_t address, int flags, struct vmem_map *map)
{
	map->address = address;
	if (flags & (VMEM_MMAP_FIXED | VMEM_MMAP_FIXED_NOREPLACE)) {
		map->place = flags & VMEM_MMAP_FIXED_NOREPLACE ? VMEM_PLACE_FIXED : VMEM_PLACE_REPLACE;
		return;
	}
	map->address = vmem_page_floor(address);
	if (map->address != 0 && map->address < posix->policy.mmap_min) {
		map->address = vmem_page_ceil(posix->policy.mmap_min);
	}
	map->place = map->address ? VMEM_PLACE_HINT : VMEM_PLACE_ANY;
	map->flags |= VMEM_MAP_FROM_TOP; /* as Linux: the heap keeps its room to grow */
	map->minimum = posix->policy.mmap_min;
	map->limit = map->address < LOW_LIMIT ? LOW_LIMIT : 0;
	if (map->limit && map->place == VMEM_PLACE_HINT && map->address > LOW_LIMIT - map->length) {
		map->limit = 0;
	}
	map->below = map->limit ? posix->mmap_top : 0; /* and so does the stack */
	if (flags & (VMEM_MMAP_32BIT | VMEM_MMAP_ABOVE4G)) {
		place_in_part(flags, map);
	}
}

/* How much of a file a descriptor lets be mapped, and how. */
static int check_file(const struct vmem_posix_file *file, int flags, struct vmem_map *map)
{
	int type = flags & MMAP_TYPE;
	if (file->offset >> VMEM_PAGE_SHIFT > ((uint64_t)INT64_MAX - map->length) >> VMEM_PAGE_SHIFT) {
		return -VMEM_EOVERFLOW;
	}
	if (type == VMEM_MMAP_SHARED_VALIDATE && flags & ~LEGACY_FLAGS) {
		return -VMEM_EOPNOTSUPP;
	}
	if (type == VMEM_MMAP_SHARED || type == VMEM_MMAP_SHARED_VALIDATE) {
		if (map->permission & ~file->maximum & VMEM_WRITE) {
			return -VMEM_EACCES;
		}
		map->flags |= VMEM_MAP_SHARED;
		map->maximum &= file->maximum | VMEM_READ | VMEM_EXEC;
	} else if (type != VMEM_MMAP_PRIVATE) {
		return -VMEM_EINVAL;
	}
	if (!(file->maximum & VMEM_READ)) {
		return -VMEM_EACCES;
	}
	if (map->permission & ~file->maximum & VMEM_EXEC) {
		return -VMEM_EPERM;
	}
	map->maximum &= file->maximum | VMEM_READ | VMEM_WRITE;
	if (!file->object) {
		return -VMEM_ENODEV;
	}
	map->object = file->object;
	map->offset = file->offset;
	return flags & VMEM_MMAP_GROWSDOWN ? -VMEM_EINVAL : 0;
}

static bool is_taken(const struct vmem_posix *posix, const struct vmem_map *map, int flags)
{
	return (flags & VMEM_MMAP_FIXED_NOREPLACE) &&
	       !vmem_span_range_free(&posix->aspace->root.tree, map->address, map->length, 0, 0);
}

/* The last part of mmap, under the lock. */
static int map_file(struct vmem_posix *posix, struct vmem_map *map, int flags,
    const struct vmem_posix_file *file, vmem_vaddr_t *out)
{
	int error = is_taken(posix, map, flags) ? -VMEM_EEXIST : 0;
	if (error == 0) {
		error = vmem_posix_lock_new(posix, flags & VMEM_MMAP_LOCKED, map->length, &map->attributes);
	}
	error = error ? error : check_file(file, flags, map);
	return error ? error : -vmem_posix_errno(vmem_vmar_map_locked(&posix->aspace->root, map, out));
}

/* The object of shared memory without a file, promised as a whole. */
static vmem_status_t make_shared(struct vmem_posix *posix, struct vmem_map *map)
{
	uint64_t promised = map->attributes & VMEM_REGION_NO_RESERVE ? 0 : map->length;
	if (!vmem_commit_take(posix->aspace, promised)) {
		return VMEM_ERR_NO_MEMORY;
	}
	vmem_status_t status = vmem_object_create_anonymous(map->length, 0, &map->object);
	if (status == VMEM_OK) {
		map->object->store->promised = promised;
	} else {
		vmem_commit_give(promised);
	}
	return status;
}

static int map_anonymous(struct vmem_posix *posix, struct vmem_map *map, int flags, vmem_vaddr_t *out)
{
	vmem_status_t status = VMEM_OK;
	int type = flags & MMAP_TYPE;
	if (is_taken(posix, map, flags)) {
		return -VMEM_EEXIST;
	}
	int error = vmem_posix_lock_new(posix, flags & VMEM_MMAP_LOCKED, map->length, &map->attributes);
	if (error) {
		return error;
	}
	if (type == VMEM_MMAP_DROPPABLE) {
		if (flags & (VMEM_MMAP_LOCKED | VMEM_MMAP_GROWSDOWN)) {
			return -VMEM_EINVAL;
		}
		map->attributes |= VMEM_REGION_DROPPABLE | VMEM_REGION_NO_RESERVE | VMEM_REGION_WIPE_ON_FORK |
				   VMEM_REGION_NO_DUMP;
		type = VMEM_MMAP_PRIVATE;
	}
	if (type != VMEM_MMAP_PRIVATE && (type != VMEM_MMAP_SHARED || flags & VMEM_MMAP_GROWSDOWN)) {
		return -VMEM_EINVAL;
	}
	map->attributes |= flags & VMEM_MMAP_GROWSDOWN ? (uint32_t)VMEM_REGION_GROWS_DOWN : 0;
	if (type == VMEM_MMAP_SHARED) {
		map->flags |= VMEM_MAP_SHARED;
		status = make_shared(posix, map);
	}
	status = status == VMEM_OK ? vmem_vmar_map_locked(&posix->aspace->root, map, out) : status;
	if (map->object) {
		vmem_object_release(map->object); /* the region holds its own reference */
	}
	return -vmem_posix_errno(status);
}

/* mmap of a file, or (file NULL) of memory. */
static int map_any(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int prot, int flags,
    const struct vmem_posix_file *file, vmem_vaddr_t *out_address)
{
	bool fixed = flags & (VMEM_MMAP_FIXED | VMEM_MMAP_FIXED_NOREPLACE);
	struct vmem_map map = {.permission = (unsigned)prot & VMEM_RWX, .maximum = VMEM_RWX};
	if (length == 0 || flags & MMAP_HUGETLB) {
		return -VMEM_EINVAL;
	}
	map.length = vmem_page_ceil(length);
	if (map.length == 0 || map.length > posix->aspace->root.tree.length) {
		return -VMEM_ENOMEM;
	}
	aspace_lock(posix->aspace);
	bool full = posix->policy.max_regions && posix->aspace->regions > posix->policy.max_regions;
	int error = full ? -VMEM_ENOMEM : fixed ? vmem_posix_check_fixed(posix, address, map.length) : 0;
	if (error) {
		aspace_unlock(posix->aspace);
		return error;
	}
	vmem_posix_place(posix, address, flags, &map);
	if (flags & VMEM_MMAP_NORESERVE && !vmem_commit_is_strict()) {
		map.attributes |= VMEM_REGION_NO_RESERVE;
	}
	error = file ? map_file(posix, &map, flags, file, out_address)
		     : map_anonymous(posix, &map, flags, out_address);
	aspace_unlock(posix->aspace);
	vmem_slab_settle();
	if (error == 0 && flags & VMEM_MMAP_POPULATE && !(flags & VMEM_MMAP_NONBLOCK) &&
	    !(map.attributes & VMEM_REGION_LOCK_ON_FAULT)) {
		vmem_vmar_populate(posix->aspace, *out_address, map.length, map.permission);
	} else if (error == 0 && map.attributes & VMEM_REGION_LOCKED) {
		(void)vmem_posix_lock_populate(posix, *out_address, *out_address + map.length, true);
	}
	return error;
}

int vmem_posix_mmap(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int prot, int flags,
    vmem_vaddr_t *out_address)
{
	if (!(flags & VMEM_MMAP_ANONYMOUS)) {
		return -VMEM_ENODEV;
	}
	return map_any(posix, address, length, prot, flags, NULL, out_address);
}

int vmem_posix_mmap_object(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int prot,
    int flags, const struct vmem_posix_file *file, vmem_vaddr_t *out_address)
{
	if (!vmem_page_aligned(file->offset) || flags & VMEM_MMAP_ANONYMOUS) {
		return -VMEM_EINVAL;
	}
	return map_any(posix, address, length, prot, flags, file, out_address);
}

/* The part of [address, address + length) that lies in the root VMAR; false if none. */
static bool clip(const struct vmem_posix *posix, vmem_vaddr_t *address, uint64_t *length)
{
	vmem_vaddr_t base = posix->aspace->root.tree.base, end = base + posix->aspace->root.tree.length;
	vmem_vaddr_t to = *address + *length;
	vmem_vaddr_t low = *address < base ? base : *address, high = to > end ? end : to;
	*address = low;
	*length = high - low;
	return low < high;
}

int vmem_posix_munmap_locked(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length)
{
	uint64_t size = vmem_aspace_user_size();
	if (!vmem_page_aligned(address) || address > size || length > size - address || length == 0) {
		return -VMEM_EINVAL;
	}
	length = vmem_page_ceil(length);
	if (!clip(posix, &address, &length)) {
		return 0;
	}
	return -vmem_posix_errno(vmem_vmar_unmap_locked(&posix->aspace->root, address, length));
}

int vmem_posix_munmap(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length)
{
	aspace_lock(posix->aspace);
	int error = vmem_posix_munmap_locked(posix, address, length);
	aspace_unlock(posix->aspace);
	vmem_slab_settle();
	return error;
}

/* Region by region, under the lock: what comes before the one that fails stays changed. By policy all at
 * once. */
static int protect_regions(
    struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, unsigned permission, int grows)
{
	struct vmem_vmar *root = &posix->aspace->root;
	while (length > 0) {
		struct span *span = vmem_span_find_from(&root->tree, address);
		if (!span || span->start > (grows == PROT_GROWSDOWN ? address + length - 1 : address)) {
			return -VMEM_ENOMEM;
		}
		if (grows) {
			if (grows != PROT_GROWSDOWN || span->kind != SPAN_REGION ||
			    !(region_of(span)->attributes & VMEM_REGION_GROWS_DOWN)) {
				return -VMEM_EINVAL; /* no region grows upwards */
			}
			length += address - span->start; /* from its start, wherever that is by now */
			address = span->start;
			grows = 0;
		}
		uint64_t part = span->start + span->length - address;
		part = posix->policy.atomic_protect || part > length ? length : part;
		vmem_status_t status = vmem_vmar_protect_locked(root, address, part, permission);
		if (status != VMEM_OK) {
			return -vmem_posix_errno(status);
		}
		address += part;
		length -= part;
	}
	return 0;
}

int vmem_posix_mprotect(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int prot)
{
	int grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
	prot &= ~(PROT_GROWSDOWN | PROT_GROWSUP);
	if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || !vmem_page_aligned(address)) {
		return -VMEM_EINVAL;
	}
	if (length == 0) {
		return 0;
	}
	length = vmem_page_ceil(length);
	if (length == 0 || address + length <= address) {
		return -VMEM_ENOMEM;
	}
	if (prot & ~(VMEM_PROT_READ | VMEM_PROT_WRITE | VMEM_PROT_EXEC | PROT_SEM)) {
		return -VMEM_EINVAL;
	}
	aspace_lock(posix->aspace);
	int error = protect_regions(posix, address, length, (unsigned)prot & VMEM_RWX, grows);
	bool locked = posix->aspace->locked != 0;
	aspace_unlock(posix->aspace);
	if (locked && prot & VMEM_PROT_WRITE) { /* private pages that may be written now are copied at once */
		(void)vmem_posix_lock_populate(posix, address, address + length, true);
	}
	return error;
}

/* Takes or gives back whole pages; false: it cannot be. */
static bool move_break(struct vmem_posix *posix, vmem_vaddr_t old_end, vmem_vaddr_t new_end)
{
	struct vmem_vmar *root = &posix->aspace->root;
	vmem_vaddr_t start;
	if (new_end < old_end) { /* Linux wants something to be there that goes */
		return !vmem_span_range_free(&root->tree, new_end, old_end - new_end, 0, 0) &&
		       vmem_vmar_unmap_locked(root, new_end, old_end - new_end) == VMEM_OK;
	}
	struct vmem_map map = {
	    .length = new_end - old_end,
	    .permission = VMEM_READ | VMEM_WRITE,
	    .maximum = VMEM_RWX,
	    .place = VMEM_PLACE_FIXED,
	    .address = old_end,
	};
	/* Linux keeps a page between the heap and what is mapped above it, or its gap. */
	return map.length == 0 || (vmem_span_range_free(&root->tree, old_end, map.length, 0, 1) &&
				      !vmem_region_in_gap(vmem_span_find_from(&root->tree, new_end),
					  new_end + VMEM_PAGE_SIZE) &&
				      vmem_posix_lock_new(posix, false, map.length, &map.attributes) == 0 &&
				      vmem_vmar_map_locked(root, &map, &start) == VMEM_OK);
}

static vmem_vaddr_t brk_locked(struct vmem_posix *posix, vmem_vaddr_t address)
{
	vmem_vaddr_t old_end = vmem_page_ceil(posix->brk_end), new_end = vmem_page_ceil(address);
	if (posix->brk_start == 0 || address < posix->brk_start || new_end < address ||
	    address - posix->brk_start > posix->aspace->max_data || !move_break(posix, old_end, new_end)) {
		return posix->brk_end;
	}
	posix->brk_end = address;
	return address;
}

vmem_vaddr_t vmem_posix_brk(struct vmem_posix *posix, vmem_vaddr_t address)
{
	aspace_lock(posix->aspace);
	vmem_vaddr_t old = posix->brk_end, now = brk_locked(posix, address);
	bool locked = posix->future != 0;
	aspace_unlock(posix->aspace);
	if (locked && now > old) {
		(void)vmem_posix_lock_populate(posix, vmem_page_ceil(old), vmem_page_ceil(now), true);
	}
	return now;
}
