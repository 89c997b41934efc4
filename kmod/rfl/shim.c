// SPDX-License-Identifier: GPL-2.0-only
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
#include <asm/page.h>

#include "shim.h"

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

/* The core counts in pages of 4 KiB, and a kernel for arm64 in larger ones. */
#define SMALLER_SHIFT (PAGE_SHIFT - 12)

u32 linpmem_ram_page(u64 pfn)
{
	struct page *page = pfn_to_online_page(pfn >> SMALLER_SHIFT);

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
		struct page *page = pfn_to_page(pfn >> SMALLER_SHIFT);

		if (is_page_hwpoison(page) || PageOffline(page))
			break;
	}
	return pfn;
}

void *linpmem_map_ram_page(u64 pfn)
{
	struct page *page = pfn_to_online_page(pfn >> SMALLER_SHIFT);
	void *mapping = page ? vmap(&page, 1, VM_MAP, PAGE_KERNEL_RO) : NULL;

	return mapping ? mapping + offset_in_page(pfn << 12) : NULL;
}

void linpmem_unmap_ram_page(void *mapping)
{
	vunmap((void *)((unsigned long)mapping & PAGE_MASK));
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
