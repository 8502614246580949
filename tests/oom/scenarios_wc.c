/* SPDX-License-Identifier: MIT */
/*
 * scenarios_wc.c - the calls of document 002: anonymous memory, a window of a file, a device.
 */
#include "sweep.h"

#include <vmem/wc.h>

#define RW (VMEM_READ | VMEM_WRITE)

enum { INODE, DEVICE };

static bool find(void *context, const struct vmem_wc_request *request, struct vmem_wc_file *out)
{
	struct sweep *s = context;
	out->object = s->object[0];
	out->offset = (uint64_t)request->offset;
	out->size = 5 * PAGE + 7;
	out->inode = request->fd == INODE;
	vmem_object_hold(out->object);
	return true;
}

/* A region, and the file. */
static void file(struct sweep *s)
{
	map_at(s->space[0], 0, 8, RW, NULL, 0);
	touch(s->space[0], 0, 8);
	OK(vmem_object_create_anonymous(6 * PAGE, 0, &s->object[0]));
	for (unsigned page = 0; page < 6; page++) {
		uint64_t value = page;
		OK(vmem_object_write(s->object[0], page * PAGE, &value, sizeof(value), NULL));
	}
}

static enum answer errno_of(const struct vmem_wc *wc, bool ok)
{
	return ok ? ANSWER_OK : wc->error == VMEM_ENOMEM ? ANSWER_NO_MEMORY : ANSWER_OTHER;
}

/* In place of the middle of the region. */
static enum answer map_window(struct sweep *s, int flags, int fd, int64_t offset)
{
	struct vmem_wc wc = {.aspace = s->space[0], .find = find, .context = s};
	void *at = vmem_wc_mmap(&wc, (void *)(uintptr_t)(AT + 2 * PAGE), 4 * PAGE, VMEM_WC_PROT_READ,
	    VMEM_WC_MAP_FIXED | flags, fd, offset);
	return errno_of(&wc, at != (void *)(uintptr_t)-1);
}

static enum answer anonymous(struct sweep *s)
{
	return map_window(s, VMEM_WC_MAP_ANON, -1, 0);
}

static enum answer inode(struct sweep *s)
{
	return map_window(s, 0, INODE, 2 * (int64_t)PAGE);
}

static enum answer inode_unaligned(struct sweep *s)
{
	return map_window(s, 0, INODE, 9);
}

static enum answer device(struct sweep *s)
{
	return map_window(s, 0, DEVICE, 0);
}

/* The window was a snapshot for a while, whose nodes are laid out anew: the file and the region hold what
 * they held. */
static void kept(struct sweep *s)
{
	for (unsigned page = 0; page < 8; page++) {
		uint64_t value = 99;
		assert_int_equal(vmem_copy_from_user(s->space[0], &value, AT + page * PAGE, 8), 8);
		assert_int_equal(value, 0x1000 + page);
		if (page < 6) {
			OK(vmem_object_read(s->object[0], page * PAGE, &value, sizeof(value), NULL));
			assert_int_equal(value, page);
		}
	}
}

static enum answer protect(struct sweep *s)
{
	struct vmem_wc wc = {.aspace = s->space[0]};
	return errno_of(
	    &wc, vmem_wc_mprotect(&wc, (void *)(uintptr_t)(AT + 2 * PAGE), 4 * PAGE, VMEM_WC_PROT_READ) == 0);
}

static enum answer unmap(struct sweep *s)
{
	struct vmem_wc wc = {.aspace = s->space[0]};
	return errno_of(&wc, vmem_wc_munmap(&wc, (void *)(uintptr_t)(AT + 2 * PAGE), 4 * PAGE) == 0);
}

const struct scenario scenarios_wc[] = {
    {"vmem_wc_mmap", "anonymous, over the middle", file, anonymous, .effect = EFFECT_NONE},
    {"vmem_wc_mmap", "a window of a file", file, inode, .effect = EFFECT_PARTIAL, .after = kept},
    {"vmem_wc_mmap", "from inside a page", file, inode_unaligned, .effect = EFFECT_NONE},
    {"vmem_wc_mmap", "a device", file, device, .effect = EFFECT_NONE},
    {"vmem_wc_mprotect", "the middle", file, protect, .effect = EFFECT_NONE},
    {"vmem_wc_munmap", "the middle", file, unmap, .effect = EFFECT_NONE},
    {.function = NULL},
};
