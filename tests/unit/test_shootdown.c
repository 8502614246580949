/* SPDX-License-Identifier: MIT */
/*
 * test_shootdown.c - who is told of a revoked translation, who forgets it later, and what that costs: T1,
 * T4,
 * T5 and T6 on four CPUs. AArch64 calls nobody, ever: its flush instructions reach all CPUs.
 */
#include "shootdown.h"

#include "lock.h"

/* A space that k CPUs run: k - 1 calls whatever is taken away and however much; none where nothing was. */
static void one_broadcast(void **state)
{
	(void)state;
	for (unsigned k = 1; k <= 4; k++) {
		begin(k);
		unmap(as, va + PAGES(3), 1);
		called(k - 1);
		unmap(as, va + PAGES(10), 20);
		called(k - 1);
		protect(as, va, 2, VMEM_READ);
		called(k - 1);
		protect(as, va, 1, 0);
		called(k - 1);
		OK(vmem_vmar_decommit(vmem_aspace_root(as), va + PAGES(40), PAGES(4)));
		called(k - 1);
		unmap(as, va + PAGES(10), 20); /* nothing there */
		called(0);
		uint64_t wide = map_at(as, UINT64_C(1) << 30, 16 * 512, RW); /* tables, in five windows */
		for (unsigned i = 0; i < 5; i++) {
			put(as, 0, wide + i * 3 * LARGE, i);
		}
		warm();
		(void)cost();
		unmap(as, wide, 16 * 512);
		called(k - 1);
		for (unsigned cpu = 0; cpu < k; cpu++) {
			assert_false(hardware(cpu, va + PAGES(12), MACHINE_READ, MACHINE_USER));
			assert_false(hardware(cpu, va + PAGE, MACHINE_WRITE, MACHINE_USER));
		}
		finish();
	}
}

/* Raising a permission sends nothing and, but for invalid entries that were cached, flushes nothing. */
static void raising(void **state)
{
	(void)state;
	begin(4);
	protect(as, va, 8, VMEM_READ);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		assert_int_equal(get(as, cpu, va), 1);
	}
	(void)cost();
	protect(as, va, 8, RW);
	struct core_cost spent = cost();
	assert_int_equal(spent.calls, 0);
	assert_int_equal(spent.flushes, 0);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		put(as, cpu, va + PAGES(cpu), 9);
	}
	assert_int_equal(cost().calls, 0);
	finish();
}

/* CPUs that have left, for another space or for none, are not called. With nothing revoked meanwhile they
 * find all as they left it; else they forget the id, once, before they run. */
static void left(void **state)
{
	(void)state;
	begin(4);
	for (unsigned turn = 0; turn < 3; turn++) {
		for (unsigned cpu = 1; cpu < 4; cpu++) {
			run(cpu, cpu == 2 ? other : NULL);
			(void)all_flushes();
			run(cpu, as);
			assert_int_equal(all_flushes(), 0);
			uint64_t walks = machine_counters.walks, value = 0;
			assert_true(machine_access(cpu, va, MACHINE_READ, MACHINE_USER, &value, 8).ok);
			assert_int_equal(machine_counters.walks, walks); /* the TLB has it still */
			run(cpu, cpu == 2 ? other : NULL);
		}
		machine_cpu_set(0);
		(void)cost();
		for (unsigned i = 0; i < 3; i++) {
			unmap(as, va + PAGES(turn * 8 + 2 + i), 1);
			called(0);
		}
		protect(as, va + PAGES(turn * 8 + 6), 1, VMEM_READ);
		called(0);
		for (unsigned cpu = 1; cpu < 4; cpu++) {
			(void)cost();
			run(cpu, as);
			struct core_cost spent = cost();
			assert_int_equal(spent.calls, 0);
			/* x86-64 forgets with the write of the root itself */
			assert_true(spent.flushes <= 1 && (!calls_nobody() || spent.flushes == 0));
			for (unsigned i = 0; i < 3; i++) {
				assert_false(
				    hardware(cpu, va + PAGES(turn * 8 + 2 + i), MACHINE_READ, MACHINE_USER));
			}
			assert_false(hardware(cpu, va + PAGES(turn * 8 + 6), MACHINE_WRITE, MACHINE_USER));
			assert_int_equal(get(as, cpu, va), 1);
			for (unsigned i = 0; i < 64; i++) {
				if (i / 8 > turn) {
					assert_int_equal(get(as, cpu, va + PAGES(i)), 1 + i);
				}
			}
		}
		machine_cpu_set(0);
	}
	finish();
}

/* CPUs that have come back are called again, whether or not they had something to forget. */
static void come_back(void **state)
{
	(void)state;
	begin(4);
	run(1, NULL);
	run(2, other);
	machine_cpu_set(0);
	(void)cost();
	unmap(as, va, 1);
	called(1); /* CPU 3 */
	run(1, as);
	machine_cpu_set(0);
	warm();
	(void)cost();
	unmap(as, va + PAGE, 1);
	called(2);
	run(2, as);
	run(3, other);
	run(3, as); /* gone and back with nothing revoked in between */
	machine_cpu_set(0);
	warm();
	(void)cost();
	unmap(as, va + PAGES(2), 1);
	called(3);
	finish();
}

/* The CPU that revokes need not run the space: it flushes nothing itself, and owes as the others do. */
static void from_outside(void **state)
{
	(void)state;
	begin(2);
	run(0, other);
	(void)cost();
	unmap(as, va, 4);
	called(1);
	run(1, NULL);
	machine_cpu_set(0);
	(void)cost();
	unmap(as, va + PAGES(4), 4);
	struct core_cost spent = cost();
	assert_int_equal(spent.calls, 0);
	assert_true(calls_nobody() || spent.flushes == 0);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		run(cpu, as);
		for (unsigned i = 0; i < 8; i++) {
			assert_false(hardware(cpu, va + PAGES(i), MACHINE_READ, MACHINE_USER));
		}
		assert_int_equal(get(as, cpu, va + PAGES(8)), 9);
	}
	machine_cpu_set(0);
	finish();
}

/* A space that all CPUs have left ends without a call, though they had its tables. */
static void dying(void **state)
{
	(void)state;
	begin(4);
	warm();
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		run(cpu, cpu & 1 ? other : NULL);
	}
	machine_cpu_set(0);
	(void)cost();
	end(as);
	struct core_cost spent = cost();
	assert_int_equal(spent.calls, keeps_root() ? 1 : 0); /* CPU 2, which is idle there; as CPU 0 is */
	assert_true(calls_nobody() || keeps_root() || spent.flushes == 0);
	warm();
	step();
	as = space(); /* in the same memory, most likely */
	assert_int_equal(as->pmap.cpus | as->pmap.stale | as->pmap.asid, 0);
	finish();
}

static void meeting(void **state);

/* Without ids a CPU that leaves for another space has nothing left of the old one. */
static void without_ids(void **state)
{
	const struct core_options options = {
	    .asid_bits = core_isa() == MACHINE_AARCH64 ? 8 : 0, .linear_level = 1};
	(void)state;
	core_start(&options);
	one_broadcast(state);
	come_back(state);
	from_outside(state);
	dying(state);
	meeting(state);
	core_teardown(NULL);
}

/* CPUs of the kernel half: all that have come on, and no other. One that comes on late has nothing old. */
static void late_cpu(void **state)
{
	void *at;
	(void)state;
	for (unsigned cpu = 1; cpu < 4; cpu++) {
		machine_cpu_power(cpu, false);
	}
	vmem_tlb_init();
	for (unsigned on = 1; on <= 4; on++) {
		OK(vmem_kernel_alloc(PAGES(4), &at));
		warm();
		(void)cost();
		machine_operation();
		vmem_kernel_free(at);
		called(on - 1);
		step();
		if (on < 4) {
			machine_cpu_power(on, true);
			machine_fill(on); /* before it comes to the library */
			machine_cpu_set(on);
			vmem_library_init_cpu();
			machine_cpu_set(0);
		}
	}
	begin(4);
	unmap(as, va, 4);
	called(3);
	finish();
}

/* While other CPUs answer the batch of one. */
static unsigned met;

static void leaves(unsigned cpu)
{
	met++;
	switch_to(cpu == 1 ? NULL : other);
}

static void comes_back(unsigned cpu)
{
	met++;
	machine_cpu_set(3);
	switch_to(as);
	machine_fill(3);
	machine_cpu_set(cpu);
}

static void goes_round(unsigned cpu)
{
	met++;
	(void)cpu;
	switch_to(other);
	switch_to(as);
	machine_fill(machine_cpu()); /* with what the call is going to take away */
}

static struct vmem_aspace *crowd[9];

static void new_ids(unsigned cpu)
{
	met++;
	(void)cpu;
	for (unsigned i = 0; i < 9; i++) {
		switch_to(crowd[i]);
		machine_fill(machine_cpu());
	}
	switch_to(as);
	machine_fill(machine_cpu());
}

static void meet(void (*hook)(unsigned cpu), unsigned first, uint64_t pages)
{
	met = 0;
	machine_cpu_set(0);
	machine_call_hook(hook);
	machine_operation();
	assert_int_equal(vmem_vmar_unmap(vmem_aspace_root(as), va + PAGES(first), PAGES(pages)), VMEM_OK);
	machine_call_hook(NULL);
	assert_true(calls_nobody() || met != 0);
	step();
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		run(cpu, as);
		warm();
		step_machine();
		for (unsigned i = first; i < first + pages; i++) {
			assert_false(hardware(cpu, va + PAGES(i), MACHINE_READ, MACHINE_USER));
		}
		assert_int_equal(get(as, cpu, va + PAGES(63)), 64);
	}
	machine_cpu_set(0);
}

static void meeting(void **state)
{
	(void)state;
	begin(4);
	meet(leaves, 0, 2);
	meet(goes_round, 2, 2);
	run(3, other);
	meet(comes_back, 4, 2);
	run(3, NULL);
	run(2, NULL);
	meet(comes_back, 6, 30);
	finish();
}

static void meeting_new_ids(void **state)
{
	(void)state;
	vmem_asid_init(5);
	for (unsigned i = 0; i < 9; i++) {
		crowd[i] = space();
		(void)map_at(crowd[i], UINT64_C(0x400000), 4, RW);
	}
	begin(4);
	uint64_t rollovers = vmem_asid_rollovers();
	for (unsigned i = 0; i < 6; i++) {
		meet(new_ids, 2 * i, 2);
	}
	assert_true(calls_nobody() || vmem_asid_rollovers() > rollovers + 6);
	for (unsigned i = 0; i < 9; i++) {
		end(crowd[i]);
	}
	finish();
}

/* T5 with five ids for nine spaces on four CPUs: each space has its own bytes at the same address, entries
 * come and go while CPUs run something else, and the TLB forgets nothing by itself. */
static void few_ids(void **state)
{
	uint64_t at[9], random = 12345;
	unsigned runs[4];
	uint64_t holds[9][4] = {{0}};
	(void)state;
	vmem_asid_init(5);
	for (unsigned i = 0; i < 9; i++) {
		crowd[i] = space();
		at[i] = map_at(crowd[i], UINT64_C(0x400000), 4, RW);
		assert_int_equal(at[i], at[0]);
	}
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		runs[cpu] = cpu;
		run(cpu, crowd[cpu]);
	}
	for (unsigned turn = 0; turn < 400; turn++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		unsigned cpu = random >> 33 & 3, s = (unsigned)(random >> 40) % 9, page = random >> 50 & 3;
		if (turn % 3 != 2) {
			run(cpu, crowd[s]);
			runs[cpu] = s;
		}
		machine_cpu_set(cpu);
		if (turn % 5 == 4) { /* of a space that may run elsewhere, or nowhere */
			unmap(crowd[s], at[s] + PAGES(page), 1);
			(void)map_at(crowd[s], at[s] + PAGES(page), 1, RW);
			holds[s][page] = 0;
		} else {
			s = runs[cpu];
			put(crowd[s], cpu, at[s] + PAGES(page), turn + 1);
			holds[s][page] = turn + 1;
		}
		machine_fill(cpu);
		for (unsigned c = 0; c < 4; c++) {
			s = runs[c];
			assert_int_equal(machine_root(c), crowd[s]->pmap.root_pa);
			assert_int_equal(machine_asid(c), crowd[s]->pmap.asid & 0xffff);
			for (unsigned k = 0; k < c; k++) {
				assert_true(runs[k] == s || machine_asid(k) != machine_asid(c));
			}
			for (page = 0; page < 4; page++) {
				assert_int_equal(get(crowd[s], c, at[s] + PAGES(page)), holds[s][page]);
			}
		}
		step_machine();
	}
	assert_true(vmem_asid_rollovers() > 20);
	for (unsigned i = 0; i < 9; i++) {
		end(crowd[i]);
	}
}

/* What was flushed since `before`: so many pages one by one, or all of the id at once and none of them. */
static void forgot(const struct machine_counters *before, uint64_t pages, uint64_t most)
{
	uint64_t whole = machine_counters.flush_space - before->flush_space + machine_counters.flush_all -
			 before->flush_all;

	assert_int_equal(machine_counters.flush_page - before->flush_page, pages <= most ? pages : 0);
	assert_int_equal(whole, pages <= most ? 0 : 1);
}

static void several_ranges(unsigned each, uint64_t most)
{
	struct vmem_batch batch;

	va = map(as, 4 * 64, RW);
	for (unsigned range = 0; range < 4; range++) {
		put(as, 0, va + PAGES(range * 64), 1);
	}
	machine_fill(0);
	const struct machine_counters before = machine_counters;
	machine_operation();
	vmem_batch_begin(&batch, &as->pmap);
	for (unsigned range = 0; range < 4; range++) {
		vmem_pmap_remove(&as->pmap, va + PAGES(range * 64), PAGE, &batch);
		vmem_batch_leaves(&batch, va + PAGES(range * 64), va + PAGES(range * 64 + each) - 1, 0);
	}
	assert_int_equal(batch.count, 4);
	vmem_batch_end(&batch);
	forgot(&before, 4 * each, most);
}

static void one_range(unsigned count, uint64_t most)
{
	va = map(as, count, RW);
	fill(as, va, count, 1);
	const struct machine_counters before = machine_counters;
	protect(as, va, count, VMEM_READ);
	forgot(&before, count, most);
	assert_false(hardware(0, va + PAGES(count - 1), MACHINE_WRITE, MACHINE_USER));
}

/* Up to a number, the ISA's or the host's, pages are flushed one by one, all ranges of a call together;
 * beyond, the whole id, once. */
static void large_batches(void **state)
{
	static const uint32_t told[] = {0, 1, 2, 7, 100, UINT32_MAX};

	for (unsigned i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		uint64_t most = told[i] != 0 ? told[i] : ARCH_FLUSH_PAGES;
		unsigned near = most < 100 ? (unsigned)most : 100;

		assert_int_equal(core_teardown(state), 0);
		core_start(&(struct core_options){.asid_bits = -1, .flush_pages = told[i]});
		as = space();
		run(0, as);
		for (unsigned count = near > 2 ? near - 2 : 1; count <= near + 2; count++) {
			several_ranges((count + 3) / 4, most);
			one_range(count, most);
		}
		one_range(1, most);
		one_range(3 * near, most);
		step();
		end(as);
	}
}

/* What is fetched has been made so on every CPU that is on, whichever runs the space, and later ones too. */
static void code(void **state)
{
	(void)state;
	begin(1);
	uint64_t at = map(as, 1, RX);
	(void)cost();
	fetch(as, 0, at);
	assert_int_equal(cost().calls, core_isa() == MACHINE_RISCV ? 3 : 0);
	for (unsigned cpu = 1; cpu < 4; cpu++) {
		run(cpu, as);
		fetch(as, cpu, at);
	}
	assert_int_equal(cost().calls, 0);
	machine_cpu_set(0);
	finish();
}

/* What another CPU has taken away, and not yet flushed, is flushed by whoever finds it absent and goes by
 * that: everywhere, before it returns. What it finds restricted, too. */
static void open_elsewhere(void **state)
{
	struct vmem_batch first, second;
	(void)state;
	begin(3);
	machine_cpu_set(1);
	vmem_batch_begin(&first, &as->pmap);
	vmem_pmap_remove(&as->pmap, va, PAGES(2), &first);
	vmem_pmap_restrict(&as->pmap, va + PAGES(20), PAGES(2), VMEM_READ, &first);
	machine_cpu_set(0);
	unsigned cached = machine_cached(2);
	vmem_batch_begin(&second, &as->pmap);
	vmem_batch_end(&second); /* has looked at nothing */
	assert_int_equal(machine_cached(2), cached);
	vmem_pmap_remove(&as->pmap, va, PAGES(2), &second);
	vmem_batch_end(&second);
	assert_false(hardware(2, va, MACHINE_READ, MACHINE_USER));
	assert_false(hardware(2, va + PAGES(20), MACHINE_WRITE, MACHINE_USER)); /* everything of the space */
	vmem_batch_end(&first);
	(void)cost();
	vmem_pmap_remove(&as->pmap, va, PAGES(2), &second);
	vmem_batch_end(&second); /* nothing is open any more */
	assert_int_equal(all_flushes(), 0);
	finish();
}

/* The same where a fault has made a slot busy (P9). */
static void busy_elsewhere(void **state)
{
	struct vmem_batch batch;
	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		begin(3);
		struct pmap_entry at = vmem_pmap_lookup(&as->pmap, va + PAGES(7));
		assert_true(pmap_take(&as->pmap, at, va + PAGES(7)));
		assert_true(vmem_pmap_vacate(&as->pmap, at, va + PAGES(7)));
		pmap_give(at);
		vmem_batch_begin(&batch, &as->pmap);
		if (way == 0) {
			vmem_pmap_remove(&as->pmap, va + PAGES(7), PAGES(1), &batch);
		} else {
			vmem_pmap_restrict(&as->pmap, va + PAGES(7), PAGES(1), VMEM_READ, &batch);
		}
		vmem_batch_end(&batch);
		assert_false(hardware(2, va + PAGES(7), MACHINE_READ, MACHINE_USER));
		assert_true(pmap_take(&as->pmap, at, va + PAGES(7)));
		assert_false(vmem_pmap_settle(&as->pmap, at));
		pmap_give(at);
		finish();
	}
}

/* Nobody waits for other CPUs with a spin lock. */
static void waiting(void **state)
{
	uint8_t lock = 0;
	(void)state;
	begin(2);
	spin_take(&lock, LOCK_SLAB);
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &as->pmap);
	vmem_batch_end(&batch); /* nothing is owed */
	vmem_batch_leaves(&batch, va, va + PAGE - 1, 0);
	PANICS("waited for with a spin lock", vmem_batch_end(&batch));
	if (core_isa() == MACHINE_RISCV) {
		spin_take(&lock, LOCK_SLAB); /* a panic gives all locks back */
		PANICS("waited for with a spin lock", vmem_icache_publish(machine_ram(0x80000000), PAGE));
	}
	vmem_batch_end(&batch);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(one_broadcast),
	    CORE(raising),
	    CORE(left),
	    CORE(come_back),
	    CORE(from_outside),
	    CORE(dying),
	    cmocka_unit_test(without_ids),
	    CORE(late_cpu),
	    CORE(meeting),
	    CORE(meeting_new_ids),
	    CORE(few_ids),
	    CORE(large_batches),
	    CORE(code),
	    CORE(open_elsewhere),
	    CORE(busy_elsewhere),
	    CORE(waiting),
	};
	return cmocka_run_group_tests_name("shootdown", tests, NULL, NULL);
}
