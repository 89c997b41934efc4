// SPDX-License-Identifier: GPL-2.0-only
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/uio.h>
#include <linux/vmcore_info.h>
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

const void *linpmem_direct_map(u64 phys)
{
	return __va(phys);
}

u32 linpmem_ram_page(u64 pfn)
{
	struct page *page = pfn_to_online_page(pfn);

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

bool linpmem_yield(void)
{
	cond_resched();
	return signal_pending(current);
}

bool linpmem_is_user_backed(const struct iov_iter *iter)
{
	return user_backed_iter(iter);
}

int linpmem_locked_down(void)
{
	return security_locked_down(LOCKDOWN_DEV_MEM);
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
