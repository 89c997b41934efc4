// SPDX-License-Identifier: GPL-2.0-only
/* What shim.h declares for x86-64 alone, or what is done in another way there. */
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <asm/asm.h>
#include <asm/cpufeature.h>
#include <asm/mem_encrypt.h>
#include <asm/page.h>
#include <asm/pgtable.h>
#include <asm/processor.h>

#include "shim.h"

u32 linpmem_phys_bits(void)
{
	return boot_cpu_data.x86_phys_bits;
}

u32 linpmem_paging_levels(void)
{
	return pgtable_l5_enabled() ? 5 : 4;
}

u64 linpmem_encryption_mask(void)
{
	return sme_me_mask;
}

bool linpmem_is_xen_pv(void)
{
	return cpu_feature_enabled(X86_FEATURE_XENPV);
}

bool linpmem_is_isolated(void)
{
	return cpu_feature_enabled(X86_FEATURE_PTI);
}

/*
 * Write-back is the type without any of these bits. The bits of a large page, by which the
 * kernel can map a run of pages, are others.
 */
static bool is_cached_page(unsigned long mapping)
{
	unsigned int level;
	pte_t *pte = lookup_address(mapping, &level);

	if (!pte || !pte_present(*pte))
		return false;
	return !(pte_val(*pte) & (level == PG_LEVEL_4K ? _PAGE_CACHE_MASK :
							 _PAGE_LARGE_CACHE_MASK));
}

bool linpmem_is_cached(const void *mapping, size_t pages)
{
	size_t page;

	for (page = 0; page < pages; page++)
		if (!is_cached_page((unsigned long)mapping + page * PAGE_SIZE))
			return false;
	return true;
}

/*
 * On a page fault, a general protection fault or a machine check, the fixup puts the
 * trap number into eax and continues after the load.
 */
#define LOAD(insn, type, out)                                              \
	asm volatile("1:	" insn "\n"                                \
		     "2:\n" _ASM_EXTABLE_TYPE(1b, 2b,                      \
					      EX_TYPE_FAULT_MCE_SAFE)      \
		     : [val] "=&r"(out), "+a"(trap)                        \
		     : [src] "m"(*(const volatile type *)addr))

int linpmem_load(const void *addr, u32 width, u64 *value)
{
	unsigned long loaded = 0;
	unsigned long trap = ~0UL;

	switch (width) {
	case 1:
		LOAD("movzbl %[src], %k[val]", u8, loaded);
		break;
	case 2:
		LOAD("movzwl %[src], %k[val]", u16, loaded);
		break;
	case 4:
		LOAD("movl %[src], %k[val]", u32, loaded);
		break;
	case 8:
		LOAD("movq %[src], %[val]", u64, loaded);
		break;
	default:
		return -EINVAL;
	}
	if (trap != ~0UL)
		return -EIO;
	*value = loaded;
	return 0;
}
