/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel offers only as C: inline functions, macros and assembler.
 * Nothing here decides anything.
 */
#ifndef LINPMEM_SHIM_H
#define LINPMEM_SHIM_H

#include <linux/types.h>

struct iov_iter;

/* Answers of linpmem_ram_page(); shell.rs repeats them. */
enum linpmem_page_state {
	LINPMEM_PAGE_ONLINE = 0,
	LINPMEM_PAGE_NOT_ONLINE = 1,
	LINPMEM_PAGE_OFFLINE = 2,
	LINPMEM_PAGE_UNACCEPTED = 3,
	LINPMEM_PAGE_POISONED = 4,
};

u32 linpmem_phys_bits(void);
u32 linpmem_paging_levels(void);
u64 linpmem_encryption_mask(void);
const void *linpmem_direct_map(u64 phys);
u32 linpmem_ram_page(u64 pfn);
bool linpmem_yield(void);
bool linpmem_is_user_backed(const struct iov_iter *iter);
int linpmem_locked_down(void);
u64 linpmem_vmcoreinfo_addr(void);
u64 linpmem_vmcoreinfo_len(void);

#endif
