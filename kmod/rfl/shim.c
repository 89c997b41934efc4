// SPDX-License-Identifier: GPL-2.0-only
#include <linux/build_bug.h>
#include <linux/cc_platform.h>
#include <linux/cred.h>
#include <linux/efi.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/security.h>
#include <linux/uidgid.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include <linux/vmcore_info.h>
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

bool linpmem_is_confidential(void)
{
	return cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT);
}

u64 linpmem_vmcoreinfo_addr(void)
{
#ifdef CONFIG_VMCORE_INFO
	return paddr_vmcoreinfo_note();
#else
	return 0;
#endif
}

u64 linpmem_vmcoreinfo_len(void)
{
#ifdef CONFIG_VMCORE_INFO
	return VMCOREINFO_NOTE_SIZE;
#else
	return 0;
#endif
}

const void *linpmem_direct_map(u64 phys)
{
	return __va(phys);
}

u32 linpmem_ram_page(u64 pfn)
{
	struct page *page = pfn_to_online_page(pfn);

	/* The core counts in pages of this size. */
	BUILD_BUG_ON(PAGE_SIZE != 4096);

	if (!page)
		return LINPMEM_PAGE_NOT_ONLINE;
	if (is_page_hwpoison(page))
		return LINPMEM_PAGE_POISONED;
	if (PageOffline(page))
		return LINPMEM_PAGE_OFFLINE;
	if (PageUnaccepted(page))
		return LINPMEM_PAGE_UNACCEPTED;
	return LINPMEM_PAGE_ONLINE;
}

u64 linpmem_first_lost(u64 pfn, u64 end)
{
	for (; pfn < end; pfn++) {
		struct page *page = pfn_to_page(pfn);

		if (is_page_hwpoison(page) || PageOffline(page))
			break;
	}
	return pfn;
}

void *linpmem_map_ram_page(u64 pfn)
{
	struct page *page = pfn_to_online_page(pfn);

	return page ? vmap(&page, 1, VM_MAP, PAGE_KERNEL_RO) : NULL;
}

void linpmem_unmap_ram_page(void *mapping)
{
	vunmap(mapping);
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

#ifdef CONFIG_UNACCEPTED_MEMORY
static const struct efi_unaccepted_memory *unaccepted_table(void)
{
	if (efi.unaccepted == EFI_INVALID_TABLE_ADDR)
		return NULL;
	return __va(efi.unaccepted);
}

bool linpmem_unaccepted_units(u64 *base, u64 *unit_bytes, u64 *bits)
{
	const struct efi_unaccepted_memory *table = unaccepted_table();

	if (!table)
		return false;
	*base = table->phys_base;
	*unit_bytes = table->unit_size;
	*bits = table->size * BITS_PER_BYTE;
	return true;
}

bool linpmem_is_unaccepted(u64 unit)
{
	return test_bit(unit, unaccepted_table()->bitmap);
}
#else
bool linpmem_unaccepted_units(u64 *base, u64 *unit_bytes, u64 *bits)
{
	return false;
}

bool linpmem_is_unaccepted(u64 unit)
{
	return true;
}
#endif

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

bool linpmem_yield(void)
{
	cond_resched();
	return signal_pending(current);
}

int linpmem_locked_down(void)
{
	return security_locked_down(LOCKDOWN_DEV_MEM);
}

bool linpmem_is_user(u32 uid)
{
	kuid_t user = make_kuid(&init_user_ns, uid);

	return uid_valid(user) && uid_eq(current_euid(), user);
}

int linpmem_page_table(s32 pid, u64 *root)
{
	struct task_struct *task = NULL;
	struct mm_struct *mm;

	if (pid) {
		struct pid *found = find_get_pid(pid);

		task = get_pid_task(found, PIDTYPE_PID);
		put_pid(found);
	} else {
		task = get_task_struct(current);
	}
	if (!task)
		return -ESRCH;
	mm = get_task_mm(task);
	put_task_struct(task);
	if (!mm)
		return -ESRCH;
	*root = __pa(mm->pgd);
	mmput(mm);
	return 0;
}

bool linpmem_is_user_backed(const struct iov_iter *iter)
{
	return user_backed_iter(iter);
}

int linpmem_user_buffer(struct iov_iter *iter, u64 addr, u64 len)
{
	return import_ubuf(ITER_DEST, u64_to_user_ptr(addr), len, iter);
}
