/* SPDX-License-Identifier: MIT */
/*
 * apply_object.c - objects: made, snapshot, resized, written and read by the kernel, released.
 */
#include "model.h"

#include <string.h>

struct object *object_pick(uint32_t r)
{
	for (unsigned i = 0; i < OBJECTS; i++) {
		struct object *o = &world.object[(r + i) % OBJECTS];
		if (o->real && o->held) {
			return o;
		}
	}
	return NULL;
}

/* Objects that only mappings kept, and that none keeps any more, are gone on the other side. */
void object_drop_unused(void)
{
	for (unsigned i = 0; i < OBJECTS; i++) {
		if (world.object[i].real && !world.object[i].held && world.object[i].mapped == 0) {
			world.object[i].real = NULL;
		}
	}
}

static bool content_in_use(const uint64_t *content)
{
	for (unsigned i = 0; i < OBJECTS; i++) {
		if (world.object[i].real && world.object[i].content == content) {
			return true;
		}
	}
	return false;
}

/* A free slot with free content; NULL if all are taken. */
struct object *object_slot(void)
{
	for (unsigned i = 0; i < OBJECTS; i++) {
		if (!world.object[i].real && !content_in_use(world.content[i])) {
			return &world.object[i];
		}
	}
	return NULL;
}

void object_fill(struct object *o, struct vmem_object *real, unsigned pages, bool resizable)
{
	*o = (struct object){.real = real,
	    .held = true,
	    .resizable = resizable,
	    .content = world.content[o - world.object],
	    .pages = pages,
	    .store_pages = pages};
	memset(o->content, 0, sizeof(world.content[0]));
}

static bool create(const struct op *op)
{
	struct object *o = object_slot();
	struct vmem_object *real = NULL;
	unsigned pages = 1 + op->r[1] % OBJECT_PAGES;
	bool resizable = op->r[2] % 2, wrong = (op->r[3] & 63) == 0;
	if (!o) {
		return false;
	}
	vmem_status_t status = vmem_object_create_anonymous(
	    wrong ? 0 : pages * PAGE - op->r[4] % PAGE, resizable ? VMEM_OBJECT_RESIZABLE : 0, &real);
	answered(op, status, wrong ? VMEM_ERR_INVALID : VMEM_OK);
	if (status != VMEM_OK) {
		return false;
	}
	object_fill(o, real, pages, resizable);
	return true;
}

static bool snapshot(const struct op *op, struct object *from)
{
	struct object *o = object_slot();
	struct vmem_object *real = NULL;
	bool wrong = (op->r[3] & 63) == 0;
	unsigned first = 0, pages = from->pages;
	if (op->kind == OP_WINDOW) { /* may reach past the end */
		first = op->r[1] % (from->pages + 4);
		pages = 1 + op->r[2] % OBJECT_PAGES;
	}
	if (!o) {
		return false;
	}
	vmem_status_t status = vmem_object_snapshot(from->real, first * PAGE + wrong, pages * PAGE, &real);
	judged(op, status,
	    (wrong ? BIT(VMEM_ERR_INVALID) : 0) | (from->store != ANONYMOUS ? BIT(VMEM_ERR_UNSUPPORTED) : 0),
	    0);
	if (status != VMEM_OK) {
		return false;
	}
	object_fill(o, real, pages, false);
	for (unsigned p = 0; p < pages; p++) {
		o->content[p] = first + p < from->pages ? from->content[from->first + first + p] : 0;
	}
	return true;
}

static bool slice(const struct op *op, struct object *from)
{
	struct object *o = object_slot();
	struct vmem_object *real = NULL;
	unsigned first = op->r[1] % from->pages, pages = 1 + op->r[2] % (from->pages - first);
	bool wrong = (op->r[3] & 15) == 0;
	if (!o) {
		return false;
	}
	if (wrong) {
		pages = from->pages - first + 1;
	}
	vmem_status_t status = vmem_object_slice(from->real, first * PAGE, pages * PAGE, &real);
	answered(op, status, wrong ? VMEM_ERR_RANGE : from->resizable ? VMEM_ERR_UNSUPPORTED : VMEM_OK);
	if (status != VMEM_OK) {
		return false;
	}
	*o = *from;
	o->real = real;
	o->held = true;
	o->mapped = 0;
	o->first += first;
	o->pages = pages;
	return true;
}

static bool resize(const struct op *op, struct object *o)
{
	unsigned pages = 1 + op->r[1] % OBJECT_PAGES;
	bool wrong = (op->r[3] & 31) == 0;
	vmem_status_t status = vmem_object_resize(o->real, wrong ? UINT64_MAX : pages * PAGE);
	answered(op, status, wrong ? VMEM_ERR_RANGE : !o->resizable ? VMEM_ERR_UNSUPPORTED : VMEM_OK);
	if (status != VMEM_OK) {
		return false;
	}
	for (unsigned p = pages; p < o->pages; p++) {
		o->content[p] = 0;
	}
	for (unsigned i = 0; o->mapped && i < SPACES * PAGES; i++) { /* private copies past the end go too */
		struct page *page = &world.page[i / PAGES][i % PAGES];
		page->own &= page->object != o - world.object || page->offset < pages;
	}
	bool changed = pages != o->pages;
	o->pages = pages;
	return changed;
}

/* True if the kernel's reads and writes of the object are defined. */
static bool object_kernel(const struct object *o)
{
	return o->store == ANONYMOUS || (o->store == CONTIGUOUS && o->cache == VMEM_WRITE_BACK);
}

/* commit, decommit, zero. */
static bool pages_of(const struct op *op, struct object *o)
{
	unsigned first = op->r[1] % o->pages, pages = 1 + op->r[2] % (o->pages - first);
	unsigned wrong = op->r[3] & 63; /* 0: past the end; 1: not aligned, where that matters */
	uint64_t offset = first * PAGE, length = pages * PAGE;
	uint32_t refused = 0;
	if (op->kind == OP_OBJECT_DECOMMIT ? o->store != ANONYMOUS
					   : op->kind == OP_ZERO && !object_kernel(o)) {
		refused = BIT(VMEM_ERR_UNSUPPORTED);
	}
	if (wrong == 0) {
		length += (o->pages - first) * PAGE;
		refused |= BIT(VMEM_ERR_RANGE);
	} else if (wrong == 1 && op->kind != OP_ZERO) {
		offset += 8;
		refused |= BIT(VMEM_ERR_INVALID);
	} else if (op->kind == OP_ZERO &&
		   (wrong & 1)) { /* the first page keeps its value: it lies before the start */
		offset += sizeof(uint64_t);
		length -= sizeof(uint64_t);
	}
	vmem_status_t status = op->kind == OP_COMMIT ? vmem_object_commit(o->real, offset, length)
			       : op->kind == OP_ZERO ? vmem_object_zero(o->real, offset, length)
						     : vmem_object_decommit(o->real, offset, length);
	judged(op, status, refused, 0);
	if (status != VMEM_OK) {
		return false;
	}
	unsigned kept = offset % PAGE ? 1 : 0;
	for (unsigned p = first + kept; op->kind != OP_COMMIT && p < first + pages; p++) {
		o->content[o->first + p] = 0;
	}
	return true;
}

/* Values into up to three pages, as one write; or out of them. */
static bool bytes_of(const struct op *op, struct object *o)
{
	static uint8_t buffer[3 * VMEM_PAGE_SIZE];
	unsigned first = op->r[1] % o->pages, pages = 1 + op->r[2] % 3;
	bool wrong = (op->r[3] & 63) == 0, write = op->kind == OP_OBJECT_WRITE;
	pages = pages > o->pages - first ? o->pages - first : pages;
	size_t length = (pages - 1) * PAGE + sizeof(uint64_t), done = 0;
	uint64_t offset = (wrong ? o->pages : first) * PAGE;
	memset(buffer, 0, length);
	for (unsigned i = 0; write && i < pages; i++) {
		uint64_t value = ++world.next_value;
		memcpy(buffer + i * PAGE, &value, sizeof(value));
	}
	vmem_status_t status = write ? vmem_object_write(o->real, offset, buffer, length, &done)
				     : vmem_object_read(o->real, offset, buffer, length, &done);
	judged(op, status,
	    (wrong ? BIT(VMEM_ERR_RANGE) : 0) | (object_kernel(o) ? 0 : BIT(VMEM_ERR_UNSUPPORTED)), 0);
	if (status != VMEM_OK) {
		return false;
	}
	EXPECT(done == length);
	for (unsigned i = 0; i < pages; i++) {
		uint64_t value, *model = &o->content[o->first + first + i];
		memcpy(&value, buffer + i * PAGE, sizeof(value));
		EXPECT(write || value == *model);
		*model = value;
	}
	return write;
}

bool apply_object(const struct op *op)
{
	struct object *o = object_pick(op->r[0]);
	if (op->kind == OP_CREATE) {
		return create(op);
	}
	if (op->kind == OP_CONTIGUOUS || op->kind == OP_PHYSICAL) {
		return create_fixed(op);
	}
	if (!o) {
		counters->idle++;
		return false;
	}
	switch (op->kind) {
	case OP_SNAPSHOT:
	case OP_WINDOW:
		return snapshot(op, o);
	case OP_SLICE:
		return slice(op, o);
	case OP_RESIZE:
		return resize(op, o);
	case OP_COMMIT:
	case OP_OBJECT_DECOMMIT:
	case OP_ZERO:
		return pages_of(op, o);
	case OP_OBJECT_WRITE:
	case OP_OBJECT_READ:
		return bytes_of(op, o);
	default:
		vmem_object_release(o->real);
		o->held = false;
		answered(op, VMEM_OK, VMEM_OK);
		object_drop_unused();
		return true;
	}
}
