/* SPDX-License-Identifier: MIT */
/*
 * stack.c - a program's stack, as Linux and the psABIs of the three ISAs want it at the first instruction:
 *
 *	sp ->	argc | argv[0..] 0 | envp[0..] 0 | auxv pairs, AT_NULL
 *		padding | 16 random bytes | platform | environment | arguments	<- top
 *
 * sp is a multiple of 16. The region grows down as far as the limit of the stack lets it, and keeps a gap to
 * what is below; what a program maps without naming a place lies below all that the stack may ever take.
 * Above it, where the ISA wants it, lies a page of code that handlers of signals return to.
 */
#include <vmem/copy.h>

#include "kernel.h"

#define STACK_SIZE (UINT64_C(8) << 20)
#define STACK_FIRST (UINT64_C(132) << 10) /* what is mapped at first */
#define STACK_ROOM (UINT64_C(128) << 20)  /* what is left for it at least, as Linux does */
#define STACK_GAP (UINT64_C(1) << 20)
#define WORDS_MAX 512u

enum {
	AT_NULL = 0,
	AT_PHDR = 3,
	AT_PHENT = 4,
	AT_PHNUM = 5,
	AT_PAGESZ = 6,
	AT_BASE = 7,
	AT_FLAGS = 8,
	AT_ENTRY = 9,
	AT_UID = 11,
	AT_EUID = 12,
	AT_GID = 13,
	AT_EGID = 14,
	AT_PLATFORM = 15,
	AT_HWCAP = 16,
	AT_CLKTCK = 17,
	AT_SECURE = 23,
	AT_RANDOM = 25,
	AT_HWCAP2 = 26,
	AT_EXECFN = 31,
};

/* The words of the stack's lower part, gathered here and copied out in one piece. */
struct words {
	uint64_t word[WORDS_MAX];
	unsigned count;
};

static struct words words;

static void push(uint64_t word)
{
	if (words.count < WORDS_MAX) {
		words.word[words.count] = word;
	}
	words.count++;
}

static void push_pair(uint64_t type, uint64_t value)
{
	push(type);
	push(value);
}

/* The addresses of the strings that lie at `at`, and the 0 that ends them. */
static void push_strings(struct strings strings, uint64_t at)
{
	for (size_t i = 0; i < strings.length; i += string_length(strings.bytes + i) + 1) {
		push(at + i);
	}
	push(0);
}

static unsigned strings_count(struct strings strings)
{
	unsigned n = 0;

	for (size_t i = 0; i < strings.length; i++) {
		n += strings.bytes[i] == '\0' ? 1u : 0u;
	}
	return n;
}

static uint64_t stack_top(void)
{
	return vmem_page_floor(kernel_user_top() - 65536) - 2 * VMEM_PAGE_SIZE;
}

uint64_t stack_lowest(uint64_t limit)
{
	const uint64_t top = stack_top(), most = top / 6 * 5;
	const uint64_t room = limit < most ? limit + STACK_GAP : most;

	return vmem_page_floor(top - (room > STACK_ROOM ? room : STACK_ROOM));
}

static bool map_stack(struct process *process, uint64_t top)
{
	const struct vmem_map map = {
	    .length = STACK_FIRST,
	    .permission = VMEM_READ | VMEM_WRITE,
	    .maximum = VMEM_RWX,
	    .attributes = VMEM_REGION_GROWS_DOWN,
	    .place = VMEM_PLACE_FIXED,
	    .address = top - STACK_FIRST,
	};
	vmem_vaddr_t ignored;

	return vmem_vmar_map(vmem_aspace_root(process->aspace), &map, &ignored) == VMEM_OK;
}

static struct vmem_object *trampoline;

void stack_forget_trampoline(void)
{
	if (trampoline != NULL) {
		vmem_object_release(trampoline);
		trampoline = NULL;
	}
}

/* One page for all programs. */
static bool map_trampoline(struct process *process, uint64_t at)
{
	struct vmem_map map = {
	    .length = VMEM_PAGE_SIZE,
	    .permission = VMEM_READ | VMEM_EXEC,
	    .maximum = VMEM_READ | VMEM_EXEC,
	    .place = VMEM_PLACE_FIXED,
	    .address = at,
	};
	vmem_vaddr_t ignored;

	if (port_trampoline_size == 0) {
		return true;
	}
	if (trampoline == NULL &&
	    (vmem_object_create_anonymous(VMEM_PAGE_SIZE, 0, &trampoline) != VMEM_OK ||
		vmem_object_write(trampoline, 0, port_trampoline, port_trampoline_size, NULL) != VMEM_OK)) {
		return false;
	}
	map.object = trampoline;
	process->trampoline = at;
	return vmem_vmar_map(vmem_aspace_root(process->aspace), &map, &ignored) == VMEM_OK;
}

static void push_auxv(const struct program *program, uint64_t platform, uint64_t random, uint64_t name)
{
	push_pair(AT_PHDR, program->headers);
	push_pair(AT_PHENT, 56);
	push_pair(AT_PHNUM, program->header_count);
	push_pair(AT_PAGESZ, VMEM_PAGE_SIZE);
	push_pair(AT_BASE, 0);
	push_pair(AT_FLAGS, 0);
	push_pair(AT_ENTRY, program->entry);
	push_pair(AT_UID, KERNEL_USER);
	push_pair(AT_EUID, KERNEL_USER);
	push_pair(AT_GID, KERNEL_USER);
	push_pair(AT_EGID, KERNEL_USER);
	push_pair(AT_SECURE, 0);
	push_pair(AT_CLKTCK, 100);
	push_pair(AT_HWCAP, port_hwcap(1));
	push_pair(AT_HWCAP2, port_hwcap(2));
	push_pair(AT_PLATFORM, platform);
	push_pair(AT_RANDOM, random);
	push_pair(AT_EXECFN, name);
	push_pair(AT_NULL, 0);
}

static bool copy_out(struct process *process, uint64_t to, const void *from, size_t length)
{
	return vmem_copy_to_user(process->aspace, to, from, length) == length;
}

bool stack_build(
    struct process *process, const struct program *program, struct strings argv, struct strings env)
{
	static const char platform[] = PORT_MACHINE;
	const uint64_t random[2] = {kernel_random(), kernel_random()};
	const uint64_t top = stack_top();
	const uint64_t argv_at = top - argv.length;
	const uint64_t env_at = argv_at - env.length;
	const uint64_t platform_at = env_at - sizeof(platform);
	const uint64_t random_at = (platform_at - sizeof(random)) & ~UINT64_C(15);
	uint64_t sp;

	if (argv.length + env.length > STACK_SIZE / 4 || !map_stack(process, top) ||
	    !map_trampoline(process, top + VMEM_PAGE_SIZE)) {
		return false;
	}
	words.count = 0;
	push(strings_count(argv));
	push_strings(argv, argv_at);
	push_strings(env, env_at);
	push_auxv(program, platform_at, random_at, argv_at);
	if (words.count > WORDS_MAX) {
		return false;
	}
	sp = (random_at - words.count * sizeof(uint64_t)) & ~UINT64_C(15);
	process->sp = sp;
	return copy_out(process, argv_at, argv.bytes, argv.length) &&
	       copy_out(process, env_at, env.bytes, env.length) &&
	       copy_out(process, platform_at, platform, sizeof(platform)) &&
	       copy_out(process, random_at, random, sizeof(random)) &&
	       copy_out(process, sp, words.word, words.count * sizeof(uint64_t));
}
