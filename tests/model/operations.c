/* SPDX-License-Identifier: MIT */
/*
 * operations.c - the operations of an epoch, by number. Phases make states that an even mix would not reach:
 * one fills spaces with many small regions, one works on objects and snapshots, one on
 * VMARs and strips, one mostly touches memory.
 */
#include "model.h"

#include <stdio.h>

const char *const op_names[OP_KINDS] = {
    [OP_MAP] = "map",
    [OP_MAP_STRIPS] = "map-strips",
    [OP_REPLACE] = "map-replace",
    [OP_MAP_LARGE] = "map-large",
    [OP_UNMAP] = "unmap",
    [OP_PROTECT] = "protect",
    [OP_DECOMMIT] = "decommit",
    [OP_ATTRIBUTES] = "attributes",
    [OP_GUARD] = "guard",
    [OP_UNGUARD] = "unguard",
    [OP_RESIDENT] = "resident",
    [OP_VMAR] = "vmar",
    [OP_VMAR_DESTROY] = "vmar-destroy",
    [OP_RECREATE] = "recreate",
    [OP_FORK] = "fork",
    [OP_MOVE] = "move",
    [OP_EXTEND] = "extend",
    [OP_MMAP] = "mmap",
    [OP_MREMAP] = "mremap",
    [OP_MLOCK] = "mlock",
    [OP_LIMIT] = "limit",
    [OP_OVERCOMMIT] = "overcommit",
    [OP_READ] = "read",
    [OP_WRITE] = "write",
    [OP_EXEC] = "exec",
    [OP_COPY_TO] = "copy-to",
    [OP_COPY_FROM] = "copy-from",
    [OP_SWITCH] = "switch",
    [OP_CREATE] = "object-create",
    [OP_CONTIGUOUS] = "contiguous",
    [OP_PHYSICAL] = "physical",
    [OP_SNAPSHOT] = "snapshot",
    [OP_WINDOW] = "snapshot-window",
    [OP_SLICE] = "slice",
    [OP_RESIZE] = "resize",
    [OP_COMMIT] = "commit",
    [OP_OBJECT_DECOMMIT] = "object-decommit",
    [OP_ZERO] = "object-zero",
    [OP_OBJECT_WRITE] = "object-write",
    [OP_OBJECT_READ] = "object-read",
    [OP_RELEASE] = "release",
};

const char *const event_names[EVENTS] = {
    [EVENT_SEVERAL_REPLACED] = "replaced several regions",
    [EVENT_STRIP_CUT] = "replaced on a strip",
    [EVENT_STRIP_IN_WAY] = "refused for a strip",
    [EVENT_IN_CHILD] = "mapped in a child VMAR",
    [EVENT_NESTED] = "child of a child",
    [EVENT_SUBTREE] = "VMAR destroyed with children and regions",
    [EVENT_BYTES_LIMIT] = "refused for the quota of bytes",
    [EVENT_CONTIGUOUS_USED] = "contiguous object accessed",
    [EVENT_HOST_USED] = "physical RAM accessed",
    [EVENT_DEVICE_USED] = "device accessed",
    [EVENT_ODD_CACHE_USED] = "RAM accessed with an odd attribute",
    [EVENT_COPY_STOPPED] = "copy stopped by memory without an address",
    [EVENT_RUN_MAPPED] = "aligned run of frames mapped",
    [EVENT_LARGE_PRIVATE] = "private large leaf used",
    [EVENT_LARGE_DEVICE] = "large leaf of a device used",
    [EVENT_SLICE_SHOWN] = "page shared through another view",
    [EVENT_FORK_OF_FORK] = "fork of a fork",
    [EVENT_PARENT_FIRST] = "parent destroyed before its child",
    [EVENT_WIPED] = "emptied by a fork",
    [EVENT_KEPT] = "left out by a fork",
    [EVENT_MOVED_OWN] = "private pages moved",
    [EVENT_KEPT_SOURCE] = "moved with the source kept",
    [EVENT_GREW_DOWN] = "grown downwards",
    [EVENT_GAP_IN_WAY] = "growth refused for a neighbour",
    [EVENT_PROMISE] = "refused for want of a promise",
    [EVENT_DATA_LIMIT] = "refused for the limit of data",
    [EVENT_STACK_LIMIT] = "refused for the limit of the stack",
};

#define PHASES 5u
static const uint8_t weights[PHASES][OP_KINDS] = {
    /* an even mix */
    {[OP_MAP] = 30,
	[OP_MAP_STRIPS] = 8,
	[OP_REPLACE] = 6,
	[OP_VMAR] = 4,
	[OP_VMAR_DESTROY] = 2,
	[OP_CONTIGUOUS] = 2,
	[OP_PHYSICAL] = 2,
	[OP_UNMAP] = 20,
	[OP_PROTECT] = 20,
	[OP_READ] = 14,
	[OP_WRITE] = 40,
	[OP_EXEC] = 5,
	[OP_COPY_TO] = 10,
	[OP_COPY_FROM] = 5,
	[OP_FORK] = 2,
	[OP_MOVE] = 8,
	[OP_EXTEND] = 3,
	[OP_MMAP] = 8,
	[OP_MREMAP] = 14,
	[OP_MLOCK] = 4,
	[OP_LIMIT] = 6,
	[OP_OVERCOMMIT] = 2,
	[OP_DECOMMIT] = 8,
	[OP_ATTRIBUTES] = 8,
	[OP_GUARD] = 5,
	[OP_UNGUARD] = 4,
	[OP_RESIDENT] = 2,
	[OP_SWITCH] = 6,
	[OP_RECREATE] = 1,
	[OP_MAP_LARGE] = 1,
	[OP_CREATE] = 8,
	[OP_SNAPSHOT] = 4,
	[OP_WINDOW] = 4,
	[OP_SLICE] = 2,
	[OP_RESIZE] = 4,
	[OP_COMMIT] = 3,
	[OP_OBJECT_DECOMMIT] = 4,
	[OP_ZERO] = 4,
	[OP_OBJECT_WRITE] = 10,
	[OP_OBJECT_READ] = 5,
	[OP_RELEASE] = 8},
    /* objects */
    {[OP_MAP] = 15,
	[OP_MAP_STRIPS] = 2,
	[OP_REPLACE] = 4,
	[OP_MAP_LARGE] = 1,
	[OP_CONTIGUOUS] = 4,
	[OP_PHYSICAL] = 6,
	[OP_UNMAP] = 10,
	[OP_PROTECT] = 4,
	[OP_READ] = 12,
	[OP_WRITE] = 40,
	[OP_EXEC] = 2,
	[OP_COPY_TO] = 8,
	[OP_COPY_FROM] = 4,
	[OP_FORK] = 2,
	[OP_MOVE] = 5,
	[OP_EXTEND] = 2,
	[OP_MMAP] = 4,
	[OP_MREMAP] = 6,
	[OP_MLOCK] = 2,
	[OP_DECOMMIT] = 4,
	[OP_SWITCH] = 4,
	[OP_CREATE] = 8,
	[OP_ATTRIBUTES] = 4,
	[OP_GUARD] = 3,
	[OP_UNGUARD] = 2,
	[OP_RESIDENT] = 1,
	[OP_SNAPSHOT] = 12,
	[OP_WINDOW] = 12,
	[OP_SLICE] = 4,
	[OP_RESIZE] = 8,
	[OP_COMMIT] = 4,
	[OP_OBJECT_DECOMMIT] = 8,
	[OP_ZERO] = 8,
	[OP_OBJECT_WRITE] = 20,
	[OP_OBJECT_READ] = 6,
	[OP_RELEASE] = 20},
    /* many regions: small maps and holes, protects that split */
    {[OP_MAP] = 90,
	[OP_MAP_STRIPS] = 4,
	[OP_REPLACE] = 2,
	[OP_UNMAP] = 8,
	[OP_PROTECT] = 70,
	[OP_READ] = 8,
	[OP_WRITE] = 15,
	[OP_COPY_TO] = 4,
	[OP_MOVE] = 2,
	[OP_EXTEND] = 1,
	[OP_MMAP] = 1,
	[OP_MREMAP] = 1,
	[OP_DECOMMIT] = 4,
	[OP_SWITCH] = 2,
	[OP_OBJECT_WRITE] = 2},
    /* VMARs, strips and replacements */
    {[OP_MAP] = 20,
	[OP_MAP_STRIPS] = 40,
	[OP_REPLACE] = 25,
	[OP_UNMAP] = 20,
	[OP_PROTECT] = 15,
	[OP_FORK] = 2,
	[OP_MOVE] = 8,
	[OP_EXTEND] = 4,
	[OP_MMAP] = 8,
	[OP_MREMAP] = 16,
	[OP_MLOCK] = 3,
	[OP_LIMIT] = 6,
	[OP_OVERCOMMIT] = 1,
	[OP_DECOMMIT] = 5,
	[OP_ATTRIBUTES] = 6,
	[OP_GUARD] = 3,
	[OP_UNGUARD] = 2,
	[OP_RESIDENT] = 1,
	[OP_VMAR] = 24,
	[OP_VMAR_DESTROY] = 6,
	[OP_READ] = 10,
	[OP_WRITE] = 40,
	[OP_COPY_TO] = 8,
	[OP_SWITCH] = 4,
	[OP_CREATE] = 2,
	[OP_CONTIGUOUS] = 2,
	[OP_PHYSICAL] = 2,
	[OP_SLICE] = 2,
	[OP_RELEASE] = 4},
    /* touching */
    {[OP_MAP] = 8,
	[OP_UNMAP] = 4,
	[OP_PROTECT] = 10,
	[OP_READ] = 30,
	[OP_WRITE] = 70,
	[OP_EXEC] = 8,
	[OP_COPY_TO] = 15,
	[OP_COPY_FROM] = 8,
	[OP_FORK] = 3,
	[OP_MOVE] = 6,
	[OP_MMAP] = 5,
	[OP_MREMAP] = 10,
	[OP_MLOCK] = 2,
	[OP_DECOMMIT] = 15,
	[OP_ATTRIBUTES] = 4,
	[OP_GUARD] = 6,
	[OP_UNGUARD] = 4,
	[OP_RESIDENT] = 1,
	[OP_SWITCH] = 10,
	[OP_SNAPSHOT] = 3,
	[OP_OBJECT_DECOMMIT] = 4,
	[OP_RELEASE] = 3},
};

static uint64_t scramble(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

struct op op_make(uint64_t seed, uint64_t epoch, unsigned number)
{
	uint64_t state = scramble(scramble(seed) + epoch * UINT64_C(0x9e3779b97f4a7c15)) +
			 number * UINT64_C(0xd1342543de82ef95);
	const uint8_t *weight = weights[number * (2 * PHASES) / EPOCH % PHASES];
	struct op op;
	unsigned sum = 0, kind = 0;
	for (unsigned i = 0; i < NUMBERS; i++) {
		op.r[i] = (uint32_t)(scramble(state += UINT64_C(0x9e3779b97f4a7c15)) >> 16);
	}
	for (unsigned i = 0; i < OP_KINDS; i++) {
		sum += weight[i];
	}
	for (sum = (unsigned)(scramble(state ^ number) % sum); sum >= weight[kind]; kind++) {
		sum -= weight[kind];
	}
	op.kind = (enum kind)kind;
	if (weight == weights[2]) { /* one space, small windows */
		op.r[0] = epoch % SPACES;
		op.r[3] |= 1u << 16;
		op.r[1] |= 4 | 1u << 16;
		op.r[6] &= number % 2 ? ~(3u << 21) : UINT32_MAX; /* kept apart */
	}
	return op;
}

void op_print(const struct op *op)
{
	printf("%-16s", op_names[op->kind]);
	if (op->kind < OP_CREATE) {
		printf(" space %u page %u", op->r[0] % SPACES, op->r[2] % PAGES);
	}
	for (unsigned i = 0; i < NUMBERS; i++) {
		printf(" %x", op->r[i]);
	}
	printf("\n");
}
