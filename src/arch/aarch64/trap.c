/* SPDX-License-Identifier: MIT */
/*
 * trap.c - ESR_EL1 of instruction and data aborts (DDI 0487, "ESR_EL1, Exception Syndrome Register (EL1)",
 * the ISS encodings for Instruction Aborts and Data Aborts). Pure: no state, no instruction of the CPU, no
 * lock.
 *
 * F1. Only translation, access-flag, permission and address-size faults are page faults. External aborts,
 *     alignment faults, TLB conflicts and the rest are the host's: no entry that the library could make
 *     would end them.
 * F2. A cache maintenance instruction reports a write (WnR=1) whatever it does, but needs only the right to
 *     read.
 * F3. An address-size fault means a descriptor with too large an address: the kernel's bug.
 */
#include <vmem/trap.h>

#define EC_SHIFT 26
#define EC_MASK 0x3fu
#define EC_FETCH_LOWER 0x20u
#define EC_FETCH_SAME 0x21u
#define EC_DATA_LOWER 0x24u
#define EC_DATA_SAME 0x25u

#define ISS_WNR (UINT64_C(1) << 6)
#define ISS_CM (UINT64_C(1) << 8)
#define FSC_MASK 0x3fu
#define FSC_SIZE_MINUS_1 0x29u /* level -1 has its own numbers (FEAT_LPA2) */
#define FSC_TRANSLATION_MINUS_1 0x2bu

enum fault { FAULT_OTHER, FAULT_SIZE, FAULT_TRANSLATION, FAULT_PRESENT };

static enum fault classify(unsigned status)
{
	if (status == FSC_SIZE_MINUS_1) {
		return FAULT_SIZE;
	}
	if (status == FSC_TRANSLATION_MINUS_1) {
		return FAULT_TRANSLATION;
	}
	switch (status >> 2) { /* the low two bits are the level */
	case 0:
		return FAULT_SIZE;
	case 1:
		return FAULT_TRANSLATION;
	case 2: /* access flag */
	case 3: /* permission */
		return FAULT_PRESENT;
	default:
		return FAULT_OTHER;
	}
}

struct vmem_trap vmem_trap_decode(uint64_t cause, uint64_t detail)
{
	unsigned class = (unsigned)(cause >> EC_SHIFT) & EC_MASK;
	bool fetch = class == EC_FETCH_LOWER || class == EC_FETCH_SAME;
	bool data = class == EC_DATA_LOWER || class == EC_DATA_SAME;
	enum fault fault = classify((unsigned)cause & FSC_MASK);
	struct vmem_trap trap = {.is_page_fault = (fetch || data) && fault != FAULT_OTHER};

	if (!trap.is_page_fault) {
		return trap;
	}
	trap.is_user = (detail & 1) != 0;
	trap.present = fault != FAULT_TRANSLATION;
	trap.malformed = fault == FAULT_SIZE;
	if (fetch) {
		trap.access = VMEM_EXEC;
	} else {
		trap.access = (cause & (ISS_WNR | ISS_CM)) == ISS_WNR ? VMEM_WRITE : VMEM_READ;
	}
	return trap;
}
