/* SPDX-License-Identifier: MIT */
/*
 * tsan.c - what code that is compiled with -fsanitize=thread calls: our functions, in the place of the
 * sanitizer's own library. They see every access just before it happens (image.c), and stop at atomic ones
 * (threads.c). The accesses to memory are made here only where the compiler asks for that: atomic ones.
 *
 * N1 What lies on a stack, or in no memory of the image, is nobody else's and is passed over.
 * N2 A scheduling point comes before the access, so what the access then finds is decided by the schedule.
 */
#include <string.h>

#include "heap.h"
#include "record.h"
#include "runtime.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" /* the compiler declares them, each for itself */

static inline void plain(const void *p, size_t n, bool writes, const void *from)
{
	bool noted = rt->exploring && rt->quiet == 0;
	if ((!writes && !noted && !recorder.on) || !image_has(p)) {
		return; /* (N1) */
	}
	if (noted && THIS->lates != 0) {
		writes ? stores_drain() : stores_drain_at(p, n);
	}
	if (writes) {
		image_write(p, n);
	}
	if (recorder.on && rt->quiet == 0) {
		record(p, n, writes ? RECORD_WRITE : RECORD_READ, from);
	}
	if (noted) {
		THIS->writes += writes && !THIS->retries;
		if (rt->machine == 0 || image_is_ram(p)) {
			image_note(p, n, writes);
			threads_touch(p, n, writes);
		}
	}
}

/* (N2) */
static inline void atomic(const volatile void *place, size_t n, enum record_kind kind, const void *from)
{
	bool writes = kind != RECORD_READ;
	const void *p = (const void *)(uintptr_t)place;
	if (!image_has(p)) {
		return;
	}
	if (recorder.on && rt->quiet == 0) {
		record(p, n, kind, from);
	}
	if (rt->exploring && rt->quiet == 0 && rt->machine != 0) {
		if (image_is_ram(p)) {
			image_note(p, n, writes);
			threads_touch(p, n, writes);
		}
	} else if (rt->exploring && rt->quiet == 0) {
		image_note(p, n, writes);
		THIS->loaded = NULL;
		THIS->at = (uintptr_t)from;
		threads_point(p, n, writes);
		threads_touch(p, n, writes);
		THIS->writes += writes && !THIS->retries;
		if (THIS->lates != 0) {
			if (kind == RECORD_UPDATE) {
				stores_drain();
			} else if (kind == RECORD_READ) {
				stores_drain_at(p, n);
			}
		}
	}
	if (writes) {
		image_write(p, n);
	}
}

#define FROM __builtin_return_address(0)

#define PLAIN(n)                                                                                             \
	void __tsan_read##n(void *p)                                                                         \
	{                                                                                                    \
		plain(p, n, false, FROM);                                                                    \
	}                                                                                                    \
	void __tsan_write##n(void *p)                                                                        \
	{                                                                                                    \
		plain(p, n, true, FROM);                                                                     \
	}                                                                                                    \
	void __tsan_unaligned_read##n(void *p)                                                               \
	{                                                                                                    \
		plain(p, n, false, FROM);                                                                    \
	}                                                                                                    \
	void __tsan_unaligned_write##n(void *p)                                                              \
	{                                                                                                    \
		plain(p, n, true, FROM);                                                                     \
	}                                                                                                    \
	void __tsan_volatile_read##n(void *p)                                                                \
	{                                                                                                    \
		plain(p, n, false, FROM);                                                                    \
	}                                                                                                    \
	void __tsan_volatile_write##n(void *p)                                                               \
	{                                                                                                    \
		plain(p, n, true, FROM);                                                                     \
	}

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void *p, size_t n)
{
	plain(p, n, false, FROM);
}

void __tsan_write_range(void *p, size_t n)
{
	plain(p, n, true, FROM);
}

void __tsan_init(void)
{
}

void __tsan_func_entry(void *from)
{
	(void)from;
}

void __tsan_func_exit(void)
{
}

/* The last argument of each is the memory order: everything is in order here (E4). */
#define UPDATE(bits, name, builtin)                                                                          \
	uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *p, uint##bits##_t v, int order) \
	{                                                                                                    \
		(void)order;                                                                                 \
		atomic(p, bits / 8, RECORD_UPDATE, FROM);                                                    \
		return builtin(p, v, __ATOMIC_SEQ_CST);                                                      \
	}

#define ATOMIC(bits)                                                                                         \
	uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *p, int order)               \
	{                                                                                                    \
		(void)order;                                                                                 \
		atomic(p, bits / 8, RECORD_READ, FROM);                                                      \
		uint##bits##_t value = __atomic_load_n(p, __ATOMIC_SEQ_CST);                                 \
		if (bits == 8) {                                                                             \
			THIS->loaded = (const void *)(uintptr_t)p;                                           \
			THIS->loaded_value = (uint8_t)value;                                                 \
		}                                                                                            \
		return value;                                                                                \
	}                                                                                                    \
	void __tsan_atomic##bits##_store(volatile uint##bits##_t *p, uint##bits##_t v, int order)            \
	{                                                                                                    \
		atomic(p, bits / 8, RECORD_WRITE, FROM);                                                     \
		if (!stores_hold(p, bits / 8, v, order == __ATOMIC_SEQ_CST)) {                               \
			image_write((const void *)(uintptr_t)p, bits / 8); /* after that decision */         \
			__atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                            \
		}                                                                                            \
	}                                                                                                    \
	UPDATE(bits, exchange, __atomic_exchange_n)                                                          \
	UPDATE(bits, fetch_add, __atomic_fetch_add)                                                          \
	UPDATE(bits, fetch_sub, __atomic_fetch_sub)                                                          \
	UPDATE(bits, fetch_and, __atomic_fetch_and)                                                          \
	UPDATE(bits, fetch_or, __atomic_fetch_or)                                                            \
	UPDATE(bits, fetch_xor, __atomic_fetch_xor)                                                          \
	UPDATE(bits, fetch_nand, __atomic_fetch_nand)                                                        \
	int __tsan_atomic##bits##_compare_exchange_strong(                                                   \
	    volatile uint##bits##_t *p, uint##bits##_t *expected, uint##bits##_t v, int order, int failed)   \
	{                                                                                                    \
		(void)order;                                                                                 \
		(void)failed;                                                                                \
		atomic(p, bits / 8, RECORD_UPDATE, FROM);                                                    \
		image_write(expected, bits / 8);                                                             \
		return __atomic_compare_exchange_n(                                                          \
		    p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                              \
	}                                                                                                    \
	int __tsan_atomic##bits##_compare_exchange_weak(                                                     \
	    volatile uint##bits##_t *p, uint##bits##_t *expected, uint##bits##_t v, int order, int failed)   \
	{                                                                                                    \
		return __tsan_atomic##bits##_compare_exchange_strong(p, expected, v, order, failed);         \
	}

ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)

void __tsan_atomic_thread_fence(int order)
{
	if (order == __ATOMIC_SEQ_CST && rt->exploring && rt->quiet == 0) {
		stores_drain();
	}
}

void __tsan_atomic_signal_fence(int order)
{
	(void)order;
}

/* What the compiler and the machine call by name; this file itself is not instrumented. */
void *__real_memset(void *to, int value, size_t n);
void *__real_memmove(void *to, const void *from, size_t n);

static void span(const void *p, size_t n, bool writes, const void *from)
{
	if (n != 0) {
		plain(p, n, writes, from);
	}
}

void *__wrap_memset(void *to, int value, size_t n)
{
	span(to, n, true, FROM);
	return __real_memset(to, value, n);
}

void *__wrap_memcpy(void *to, const void *from, size_t n)
{
	span(from, n, false, FROM);
	span(to, n, true, FROM);
	return __real_memcpy(to, from, n);
}

void *__wrap_memmove(void *to, const void *from, size_t n)
{
	span(from, n, false, FROM);
	span(to, n, true, FROM);
	return __real_memmove(to, from, n);
}
