/* SPDX-License-Identifier: MIT */
/*
 * test_spec002.c - document 002, promise by promise (tests/spec/002.md), seen through the MMU.
 */
#include "core_fixture.h"

#include <vmem/posix.h>
#include <vmem/wc.h>

#define FAILED ((void *)(uintptr_t)-1)
#define R VMEM_WC_PROT_READ
#define RDWR (VMEM_WC_PROT_READ | VMEM_WC_PROT_WRITE)
#define FIXED VMEM_WC_MAP_FIXED
#define ANON VMEM_WC_MAP_ANON
#define COMBINE VMEM_WC_MAP_WC
#define HINT UINT64_C(0x20000000)

enum { FILE_FD = 3, ODD_FD, DEVICE_FD, EMPTY_FD, LYING_FD };
#define FILE_PAGES 4u
#define FILE_BYTES (3 * PAGE + 100) /* what the file says that it holds; its object holds more */

static struct vmem_aspace *as, *relative;
static struct vmem_wc wc;
static struct vmem_object *file, *framebuffer, *combined;
static unsigned finds;

/* Byte n of the file. */
static uint8_t byte_of(uint64_t n)
{
	return (uint8_t)(1 + n % 251);
}

/* The host's descriptors. A device has one object for each way to be mapped, and starts them where it
 * wants. */
static bool find(void *context, const struct vmem_wc_request *request, struct vmem_wc_file *out)
{
	assert_ptr_equal(context, &finds);
	finds++;
	switch (request->fd) {
	case FILE_FD:
	case EMPTY_FD:
	case LYING_FD: /* says of an object that it holds more than it can */
		out->object = file;
		out->offset = (uint64_t)request->offset;
		out->size = request->fd == FILE_FD ? FILE_BYTES : request->fd == EMPTY_FD ? 0 : PAGES(100);
		out->inode = true;
		break;
	case DEVICE_FD:
		out->object = request->write_combining ? combined : framebuffer;
		out->offset = (uint64_t)request->offset * 2 * PAGE; /* in units of two pages: its meaning */
		break;
	default:
		return false;
	}
	vmem_object_hold(out->object);
	return true;
}

/* The access control refuses these operations where they touch this page. */
static uint64_t sealed_page;
static unsigned refused = ~0u;
static unsigned asked[4];

static bool allows(void *context, const struct vmem_access_request *request)
{
	(void)context;
	assert_true(request->aspace == as || request->aspace == relative);
	asked[request->operation]++;
	return !(refused >> request->operation & 1) || sealed_page - request->start >= request->length;
}

static const struct vmem_access_control control = {.allows = allows};

/* The space, the file and the devices, on the machine that has been started. */
static void begin(void)
{
	const struct vmem_aspace_config config = {.access = &control};
	const struct machine_range device = machine_config()->device;
	sealed_page = 0;
	as = space_with(&config);
	run(0, as);
	file = anonymous(FILE_PAGES, 0);
	for (uint64_t i = 0; i < PAGES(FILE_PAGES); i++) { /* what lies behind the end is not the file's */
		uint8_t byte = i < FILE_BYTES ? byte_of(i) : 0xee;
		assert_int_equal(vmem_object_write(file, i, &byte, 1, NULL), VMEM_OK);
	}
	assert_int_equal(
	    vmem_object_create_physical(device.start, PAGES(4), VMEM_UNCACHED, &framebuffer), VMEM_OK);
	assert_int_equal(
	    vmem_object_create_physical(device.start + PAGES(4), PAGES(4), VMEM_WRITE_COMBINING, &combined),
	    VMEM_OK);
	wc = (struct vmem_wc){.aspace = as, .find = find, .context = &finds};
}

static int start(void **state)
{
	(void)core_setup_pages(state);
	begin();
	return 0;
}

static int stop(void **state)
{
	step();
	end(as);
	release(file);
	release(framebuffer);
	release(combined);
	return core_teardown(state);
}

static void *pointer(uint64_t va)
{
	return (void *)(uintptr_t)va;
}

static uint64_t must(uint64_t hint, uint64_t length, int bits, int fd, int64_t offset)
{
	wc.error = 77;
	void *at = vmem_wc_mmap(&wc, pointer(hint), length, bits & RDWR, bits & ~RDWR, fd, offset);
	assert_ptr_not_equal(at, FAILED);
	assert_int_equal(wc.error, 77);
	assert_true(vmem_page_aligned((uintptr_t)at));
	step();
	return (uintptr_t)at;
}

static uint64_t anon(uint64_t hint, uint64_t pages)
{
	return must(hint, PAGES(pages), RDWR | ANON, -1, 0);
}

/* The call answers -1 with this errno, and nothing has changed. */
#define FAILS(errno_, call)                                                                                  \
	do {                                                                                                 \
		uint64_t state_ = core_state();                                                              \
		wc.error = 0;                                                                                \
		assert_int_equal((intptr_t)(call), -1);                                                      \
		assert_int_equal(wc.error, (errno_));                                                        \
		assert_int_equal(core_state(), state_);                                                      \
		step();                                                                                      \
	} while (0)
#define MMAP(hint, length, protection, flags, fd, offset)                                                    \
	vmem_wc_mmap(&wc, pointer(hint), length, protection, flags, fd, offset)
#define MPROTECT(va, length, protection) vmem_wc_mprotect(&wc, pointer(va), length, protection)
#define MUNMAP(va, length) vmem_wc_munmap(&wc, pointer(va), length)

static uint8_t byte_at(uint64_t va)
{
	uint64_t word = get(as, 0, va & ~UINT64_C(7));
	return (uint8_t)(word >> (va & 7) * 8);
}

static unsigned type_at(uint64_t va)
{
	struct machine_translation t;
	assert_int_not_equal(user_may(as, va), 0);
	assert_true(machine_translate(0, va, &t));
	return t.type;
}

/* A hint of null leaves the choice to the library: free, not null, of the user's half. */
static void null_hint(void **state)
{
	(void)state;
	uint64_t base[8];
	for (unsigned i = 0; i < 8; i++) {
		base[i] = anon(0, 3);
		assert_int_not_equal(base[i], 0);
		assert_true(base[i] + PAGES(3) <= vmem_aspace_user_size());
		fill(as, base[i], 3, 100 * i);
	}
	for (unsigned i = 0; i < 8; i++) {
		expect(as, base[i], 3, 100 * i);
	}
}

/* A hint is taken if its place is free; otherwise it is ignored, and what is there stays. */
static void hint(void **state)
{
	(void)state;
	assert_int_equal(anon(HINT, 4), HINT);
	fill(as, HINT, 4, 5);
	static const int64_t overlaps[] = {0, -1, 3, -3};
	for (unsigned i = 0; i < 4; i++) {
		uint64_t at = anon(HINT + (uint64_t)(overlaps[i] * (int64_t)PAGE), 4);
		assert_true(at + PAGES(4) <= HINT || at >= HINT + PAGES(4));
		put(as, 0, at, 1);
	}
	expect(as, HINT, 4, 5);
	assert_int_equal(anon(HINT + PAGES(64), 2), HINT + PAGES(64));
	(void)anon(~UINT64_C(0) & ~VMEM_PAGE_MASK, 1); /* no address of a program: ignored */
}

/* MAP_FIXED is a demand: there, in place of whatever was there, or not at all. */
static void fixed(void **state)
{
	(void)state;
	(void)anon(HINT, 4);
	fill(as, HINT, 4, 5);
	assert_int_equal(must(HINT + PAGE, PAGES(2), RDWR | ANON | FIXED, -1, 0), HINT + PAGE);
	assert_int_equal(get(as, 0, HINT), 5);
	assert_int_equal(get(as, 0, HINT + PAGE) | get(as, 0, HINT + PAGES(2)), 0);
	assert_int_equal(get(as, 0, HINT + PAGES(3)), 8);
	FAILS(VMEM_EINVAL, MMAP(0, PAGE, RDWR, ANON | FIXED, -1, 0));
	FAILS(VMEM_EINVAL, MMAP(vmem_aspace_user_size(), PAGE, RDWR, ANON | FIXED, -1, 0));
	FAILS(VMEM_EINVAL, MMAP(~UINT64_C(0) & ~VMEM_PAGE_MASK, PAGE, RDWR, ANON | FIXED, -1, 0));
	FAILS(VMEM_EINVAL, MMAP(vmem_aspace_user_size() - PAGES(1), PAGES(2), RDWR, ANON | FIXED, -1, 0));
}

/* Hint, address and length are refused unless they are of whole pages; so is a length of none or too many.
 */
static void alignment(void **state)
{
	(void)state;
	static const uint64_t odd[] = {1, 8, PAGE - 1, PAGE + 1, 3 * PAGE / 2};
	(void)anon(HINT, 4);
	for (unsigned i = 0; i < 5; i++) {
		FAILS(VMEM_EINVAL, MMAP(HINT + PAGES(9) + odd[i], PAGE, RDWR, ANON, -1, 0));
		FAILS(VMEM_EINVAL, MMAP(0, odd[i], RDWR, ANON, -1, 0));
		FAILS(VMEM_EINVAL, MMAP(0, odd[i], R, 0, FILE_FD, 0));
		FAILS(VMEM_EINVAL, MPROTECT(HINT + odd[i], PAGE, R));
		FAILS(VMEM_EINVAL, MPROTECT(HINT, odd[i], R));
		FAILS(VMEM_EINVAL, MUNMAP(HINT + odd[i], PAGE));
		FAILS(VMEM_EINVAL, MUNMAP(HINT, odd[i]));
	}
	static const uint64_t lengths[] = {0, UINT64_C(1) << 63, UINT64_MAX & ~VMEM_PAGE_MASK};
	for (unsigned i = 0; i < 3; i++) {
		FAILS(VMEM_EINVAL, MMAP(0, lengths[i], RDWR, ANON, -1, 0));
		FAILS(VMEM_EINVAL, MMAP(HINT, lengths[i], R, 0, FILE_FD, 0));
		FAILS(VMEM_EINVAL, MPROTECT(HINT, lengths[i], R));
		FAILS(VMEM_EINVAL, MUNMAP(HINT, lengths[i]));
	}
}

/* Protection and flags are five bits of one set: any other is refused, in all calls. */
static void five_bits(void **state)
{
	(void)state;
	(void)anon(HINT, 2);
	for (unsigned bit = 5; bit < 32; bit++) {
		int extra = (int)(1u << bit);
		FAILS(VMEM_EINVAL, MMAP(0, PAGE, RDWR | extra, ANON, -1, 0));
		FAILS(VMEM_EINVAL, MMAP(0, PAGE, RDWR, ANON | extra, -1, 0));
		FAILS(VMEM_EINVAL, MPROTECT(HINT, PAGE, R | extra));
	}
	assert_int_equal(VMEM_WC_PROT_READ, 1);
	assert_int_equal(VMEM_WC_PROT_WRITE, 2);
	assert_int_equal(VMEM_WC_MAP_FIXED, 4);
	assert_int_equal(VMEM_WC_MAP_ANON, 8);
	assert_int_equal(VMEM_WC_MAP_WC, 16);
	/* whichever of the two arguments a bit comes in */
	assert_ptr_equal(MMAP(HINT + PAGES(8), PAGE, ANON | FIXED, RDWR, -1, 0), pointer(HINT + PAGES(8)));
	put(as, 0, HINT + PAGES(8), 1);
	assert_int_equal(MPROTECT(HINT, PAGE, R | FIXED | ANON | COMBINE), 0);
	assert_int_equal(user_may(as, HINT), VMEM_READ);
}

/* What the protection allows is what the hardware allows, now and after each change; nothing executes. */
static void protection(void **state)
{
	(void)state;
	static const int bits[] = {0, R, VMEM_WC_PROT_WRITE, RDWR};
	for (unsigned from = 0; from < 4; from++) {
		for (unsigned to = 0; to < 4; to++) {
			uint64_t at = must(0, PAGES(3), bits[from] | ANON, -1, 0);
			assert_int_equal(MPROTECT(at + PAGE, PAGE, bits[to]), 0);
			for (unsigned page = 0; page < 3; page++) {
				unsigned may = user_may(as, at + PAGES(page));
				int wanted = page == 1 ? bits[to] : bits[from];
				assert_int_equal(may & VMEM_WRITE, wanted & VMEM_WC_PROT_WRITE);
				assert_int_equal((may & VMEM_READ) != 0, wanted != 0);
				assert_int_equal(may & VMEM_EXEC, 0);
			}
			assert_int_equal(MUNMAP(at, PAGES(3)), 0);
		}
	}
}

/* MAP_ANON: zeroes, and the descriptor is not looked at. */
static void anonymous_ignores_fd(void **state)
{
	(void)state;
	static const int fds[] = {-1, FILE_FD, DEVICE_FD, 1000};
	finds = 0;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t at = must(0, PAGES(2), RDWR | ANON, fds[i], -5);
		for (unsigned n = 0; n < 2 * PAGE; n += 8) {
			assert_int_equal(get(as, 0, at + n), 0);
		}
	}
	assert_int_equal(finds, 0);
}

static void check_window(uint64_t at, uint64_t offset, uint64_t length)
{
	for (uint64_t i = 0; i < length; i += i % PAGE < 200 || i % PAGE > PAGE - 200 ? 1 : 31) {
		uint64_t n = offset + i;
		assert_int_equal(byte_at(at + i), n < FILE_BYTES ? byte_of(n) : 0);
	}
}

/* An inode's content fills the window from the offset on, wherever that is; zeroes fill the rest, whole
 * pages past the end too. */
static void inode_content(void **state)
{
	(void)state;
	static const uint64_t offsets[] = {0, 1, 7, 511, PAGE - 1, PAGE, PAGE + 513, 3 * PAGE, 3 * PAGE + 99,
	    FILE_BYTES, FILE_BYTES + 1, PAGES(4), PAGES(400), UINT64_C(1) << 62};
	for (unsigned i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		uint64_t at = must(0, PAGES(7), RDWR, FILE_FD, (int64_t)offsets[i]);
		check_window(at, offsets[i], PAGES(7));
		for (unsigned page = 0; page < 7; page++) {
			put(as, 0, at + PAGES(page), page);
		}
		assert_int_equal(MUNMAP(at, PAGES(7)), 0);
	}
	uint64_t at = must(0, PAGES(2), R, EMPTY_FD, 0);
	assert_int_equal(get(as, 0, at) | get(as, 0, at + PAGE), 0);
	at = must(0, PAGE, R, FILE_FD, (int64_t)PAGE); /* shorter than the file */
	check_window(at, PAGE, PAGE);
}

/* The file keeps what it has; the mapping has what the file had then. */
static void inode_is_a_copy(void **state)
{
	(void)state;
	uint64_t one = must(0, PAGES(4), RDWR, FILE_FD, 0), two = must(0, PAGES(4), RDWR, FILE_FD, 24);
	uint64_t three = must(0, PAGES(4), R, FILE_FD, 0), value = 0x1122334455667788;
	put(as, 0, one + PAGE, 42);
	put(as, 0, two + PAGE, 43);
	check_window(three, 0, PAGES(4));
	for (uint64_t i = 0; i < FILE_BYTES; i += 61) {
		uint8_t byte = 0;
		assert_int_equal(vmem_object_read(file, i, &byte, 1, NULL), VMEM_OK);
		assert_int_equal(byte, byte_of(i));
	}
	assert_int_equal(vmem_object_write(file, PAGES(2), &value, 8, NULL), VMEM_OK);
	check_window(three, 0, PAGES(4));
	assert_int_equal(get(as, 0, one + PAGE), 42);
	assert_int_equal(get(as, 0, two + PAGE), 43);
	assert_int_equal(byte_at(one + PAGES(2)), byte_of(PAGES(2)));
	assert_int_equal(byte_at(two + PAGES(2)), byte_of(PAGES(2) + 24));
}

/* What stands for nothing cannot be mapped. */
static void bad_descriptor(void **state)
{
	(void)state;
	FAILS(VMEM_EINVAL, MMAP(0, PAGE, R, 0, -1, 0));
	FAILS(VMEM_EINVAL, MMAP(0, PAGE, R, 0, ODD_FD, 0));
	FAILS(VMEM_EINVAL, MMAP(0, PAGE, R, 0, FILE_FD, -1));
	FAILS(VMEM_EINVAL, MMAP(0, PAGE, R, 0, FILE_FD, INT64_MIN));
	FAILS(VMEM_EINVAL, MMAP(0, PAGES(6), R, 0, LYING_FD, 1));
	wc.find = NULL;
	FAILS(VMEM_EINVAL, MMAP(0, PAGE, R, 0, FILE_FD, 0));
}

/* A device gives the mapping its meaning: here a framebuffer, in units of its own. */
static void device(void **state)
{
	(void)state;
	const struct machine_range range = machine_config()->device;
	struct machine_translation t;
	uint64_t at = must(HINT, PAGES(2), RDWR, DEVICE_FD, 1);
	assert_int_equal(type_at(at), MACHINE_UC);
	assert_int_equal(user_may(as, at + PAGE), RW);
	assert_true(machine_translate(0, at + PAGE, &t));
	assert_int_equal(t.pa, range.start + PAGES(3));
	uint64_t again = must(0, PAGES(4), RDWR, DEVICE_FD, 0);
	put(as, 0, at, 0x1234);
	assert_int_equal(get(as, 0, again + PAGES(2)), 0x1234); /* the device itself, not a copy */
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, must(0, PAGES(4), RDWR, DEVICE_FD, 1) + PAGES(2), MACHINE_READ);
}

/* MAP_WC is in the entry: of anonymous memory, and of a device, which sees the wish. */
static void write_combining(void **state)
{
	(void)state;
	uint64_t at = must(0, PAGES(5), RDWR | ANON | COMBINE, -1, 0);
	for (unsigned page = 0; page < 5; page++) {
		assert_int_equal(get(as, 0, at + PAGES(page)), 0);
		assert_int_equal(type_at(at + PAGES(page)), MACHINE_WC);
		put(as, 0, at + PAGES(page), page);
	}
	assert_int_equal(MPROTECT(at + PAGE, PAGE, R), 0);
	assert_int_equal(type_at(at + PAGE), MACHINE_WC);
	assert_int_equal(user_may(as, at + PAGE), VMEM_READ);
	assert_int_equal(MUNMAP(at, PAGES(2)), 0);
	assert_int_equal(get(as, 0, at + PAGES(2)), 2);
	assert_int_equal(type_at(must(0, PAGES(2), RDWR | COMBINE, DEVICE_FD, 0)), MACHINE_WC);
	assert_int_equal(type_at(must(0, PAGES(2), RDWR, DEVICE_FD, 0)), MACHINE_UC);
	assert_int_equal(type_at(must(0, PAGES(2), RDWR | ANON, -1, 0)), MACHINE_WB);
	assert_int_equal(type_at(must(0, PAGES(2), RDWR | COMBINE, FILE_FD, 0)), MACHINE_WB);
}

/* Where frames cannot be had that way the memory is ordinary, and there. */
static void not_possible(void **state)
{
	(void)state;
	uint64_t huge = must(0, machine_config()->ram[0].length * 2, RDWR | ANON | COMBINE, -1, 0);
	assert_int_equal(type_at(huge), MACHINE_WB);
	assert_int_equal(get(as, 0, huge + PAGES(100)), 0);
}

/* A RISC-V without Svpbmt has one attribute for all; an AArch64 whose linear map is of large leaves that it
 * cannot split in use keeps RAM as it is: ordinary memory, which the page allows. */
static void no_such_attribute(void **state)
{
	const struct core_options without = {.asid_bits = -1,
	    .remove = core_isa() == MACHINE_RISCV ? MACHINE_SVPBMT : MACHINE_LIVE_SPLIT,
	    .linear_level = core_isa() == MACHINE_RISCV ? 0 : 1};
	(void)state;
	core_start(&without);
	begin();
	uint64_t at = must(0, PAGES(2), RDWR | ANON | COMBINE, -1, 0);
	assert_int_equal(type_at(at), core_isa() == MACHINE_X86_64 ? MACHINE_WC : MACHINE_WB);
	put(as, 0, at, 5);
	assert_int_equal(get(as, 0, at), 5);
}

/* Exactly the mapping, any part of it, or several at once. */
static void unmapping(void **state)
{
	(void)state;
	(void)anon(HINT, 8);
	fill(as, HINT, 8, 9);
	assert_int_equal(MUNMAP(HINT + PAGES(3), PAGE), 0); /* from the middle */
	assert_int_equal(MUNMAP(HINT, PAGE), 0);
	assert_int_equal(MUNMAP(HINT + PAGES(7), PAGE), 0);
	step();
	for (unsigned page = 0; page < 8; page++) {
		bool gone = page == 0 || page == 3 || page == 7;
		assert_int_equal(user_may(as, HINT + PAGES(page)), gone ? 0 : RW);
	}
	(void)must(HINT + PAGES(7), PAGES(2), R, FILE_FD, 0);
	assert_int_equal(MUNMAP(HINT + PAGES(4), PAGES(5)), 0); /* two mappings */
	assert_int_equal(MUNMAP(HINT + PAGES(1), PAGES(2)), 0);
	assert_int_equal(stats_of(as).regions, 0);
}

/* A range with a hole anywhere was not mapped by the caller as a whole: nothing happens to it. */
static void holes(void **state)
{
	(void)state;
	(void)anon(HINT, 2);
	(void)anon(HINT + PAGES(4), 2);
	fill(as, HINT, 2, 1);
	static const struct {
		int64_t first;
		uint64_t pages;
	} rows[] = {{-1, 1}, {-1, 2}, {0, 3}, {0, 6}, {1, 4}, {2, 1}, {2, 2}, {3, 2}, {5, 2}, {0, 1000000}};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t at = HINT + (uint64_t)(rows[i].first * (int64_t)PAGE);
		FAILS(VMEM_EINVAL, MUNMAP(at, PAGES(rows[i].pages)));
		FAILS(VMEM_EINVAL, MPROTECT(at, PAGES(rows[i].pages), R));
	}
	FAILS(VMEM_EINVAL, MUNMAP(vmem_aspace_user_size(), PAGE));
	FAILS(VMEM_EINVAL, MPROTECT(vmem_aspace_user_size(), PAGE, R));
}

/* The access control's no is EACCES, in each call and by every other way in, and nothing has changed. */
static void access_control(void **state)
{
	(void)state;
	struct vmem_vmar *root = vmem_aspace_root(as), *child;
	vmem_vaddr_t out;
	(void)anon(HINT, 8);
	fill(as, HINT, 8, 7);
	const struct vmem_map inside = {.length = PAGES(16),
	    .permission = VMEM_RWX,
	    .place = VMEM_PLACE_FIXED,
	    .address = HINT + PAGES(32)};
	OK(vmem_vmar_allocate(root, &inside, &child));
	struct vmem_map map = {.length = PAGE,
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = HINT + PAGES(40)};
	OK(vmem_vmar_map(child, &map, &out));

	sealed_page = HINT + PAGES(4);
	FAILS(VMEM_EACCES, MUNMAP(HINT, PAGES(8)));
	FAILS(VMEM_EACCES, MUNMAP(HINT + PAGES(4), PAGE));
	FAILS(VMEM_EACCES, MPROTECT(HINT + PAGES(3), PAGES(2), R));
	FAILS(VMEM_EACCES, MMAP(HINT + PAGES(4), PAGE, R, ANON | FIXED, -1, 0));
	FAILS(VMEM_EACCES, MMAP(HINT + PAGES(2), PAGES(4), R, FIXED, FILE_FD, 0));
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_decommit(root, HINT, PAGES(5)));
	struct vmem_posix posix;
	vmem_posix_init(&posix, as, &vmem_posix_linux, 0);
	assert_int_equal(vmem_posix_munmap(&posix, HINT, PAGES(8)), -VMEM_EACCES);
	assert_int_equal(vmem_posix_mprotect(&posix, HINT, PAGES(8), 1), -VMEM_EACCES);
	refused = 1u << VMEM_OPERATION_UNMAP; /* what replaces something unmaps it */
	FAILS(VMEM_EACCES, MMAP(HINT + PAGES(4), PAGE, R, ANON | FIXED, -1, 0));
	refused = ~0u;
	expect(as, HINT, 8, 7);
	OK(vmem_aspace_fork(as, &relative)); /* is under the same control */
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_unmap(vmem_aspace_root(relative), HINT, PAGES(8)));
	vmem_aspace_destroy(relative);
	assert_int_equal(MUNMAP(HINT, PAGES(4)), 0); /* beside it all is as ever */
	sealed_page = HINT + PAGES(12);
	FAILS(VMEM_EACCES, MMAP(HINT + PAGES(12), PAGE, R, ANON, -1, 0)); /* the place is free */
	sealed_page = HINT + PAGES(40);
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_destroy(child));
	sealed_page = 0;
	for (unsigned i = 0; i < 4; i++) {
		assert_true(asked[i] > 0);
	}
	OK(vmem_vmar_destroy(child));
}

/* So is what the region does not grant. */
static void rights(void **state)
{
	(void)state;
	vmem_vaddr_t out;
	const struct vmem_map map = {.length = PAGE,
	    .permission = VMEM_READ,
	    .maximum = VMEM_READ,
	    .place = VMEM_PLACE_FIXED,
	    .address = HINT};
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &out));
	FAILS(VMEM_EACCES, MPROTECT(HINT, PAGE, RDWR));
}

/* No memory, wherever in the call it is missed: ENOMEM, and all is as before. */
static void no_memory(void **state)
{
	(void)state;
	static const struct {
		int bits, fd;
		int64_t offset;
	} rows[] = {{RDWR | ANON | FIXED, -1, 0}, {R | FIXED, FILE_FD, 0}, {R | FIXED, FILE_FD, 3},
	    {R | FIXED, DEVICE_FD, 0}};
	(void)anon(HINT, 8);
	fill(as, HINT, 8, 3);
	for (unsigned row = 0; row < 4; row++) {
		for (uint64_t n = 1;; n++) {
			core_trim();
			uint64_t before = core_state();
			machine_fail_at(n);
			machine_operation();
			void *at = MMAP(HINT + PAGES(2 * row), PAGES(1), rows[row].bits & RDWR,
			    rows[row].bits & ~RDWR, rows[row].fd, rows[row].offset);
			machine_fail_at(0);
			if (at != FAILED) {
				break;
			}
			assert_int_equal(wc.error, VMEM_ENOMEM);
			assert_int_equal(core_state(), before);
			step();
		}
		step();
	}
	for (uint64_t n = 1;; n++) { /* the middle of a mapping: a record each */
		core_trim();
		machine_fail_at(n);
		int status = n % 2 ? MPROTECT(HINT + PAGES(3), PAGE, R) : MUNMAP(HINT + PAGES(3), PAGE);
		machine_fail_at(0);
		if (status == 0) {
			break;
		}
		assert_int_equal(wc.error, VMEM_ENOMEM);
		step();
	}
	FAILS(VMEM_ENOMEM, MMAP(0, vmem_vmar_length(vmem_aspace_root(as)), R, ANON, -1, 0));
	const struct vmem_aspace_config one = {.max_regions = 1};
	wc.aspace = space_with(&one);
	assert_ptr_equal(MMAP(HINT, PAGE, R, ANON | FIXED, -1, 0), pointer(HINT));
	FAILS(VMEM_ENOMEM, MMAP(HINT + PAGES(8), PAGE, R, ANON | FIXED, -1, 0));
	end(wc.aspace);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
	    CASE(null_hint),
	    CASE(hint),
	    CASE(fixed),
	    CASE(alignment),
	    CASE(five_bits),
	    CASE(protection),
	    CASE(anonymous_ignores_fd),
	    CASE(inode_content),
	    CASE(inode_is_a_copy),
	    CASE(bad_descriptor),
	    CASE(device),
	    CASE(write_combining),
	    CASE(not_possible),
	    cmocka_unit_test_teardown(no_such_attribute, stop),
	    CASE(unmapping),
	    CASE(holes),
	    CASE(access_control),
	    CASE(rights),
	    CASE(no_memory),
	};
	return cmocka_run_group_tests_name("spec002", tests, NULL, NULL);
}
