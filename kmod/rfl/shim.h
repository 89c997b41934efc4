/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What Rust cannot reach: inline functions, macros, assembler, and struct fields whose
 * offsets vary between kernels. No decisions are made here. shim.rs declares these
 * functions for Rust.
 */
#ifndef LINPMEM_SHIM_H
#define LINPMEM_SHIM_H

#include <linux/types.h>

struct iov_iter;

/* What linpmem_ram_page() returns. */
enum linpmem_page_state {
	LINPMEM_PAGE_ONLINE = 0,
	LINPMEM_PAGE_NOT_ONLINE = 1,
	LINPMEM_PAGE_OFFLINE = 2,
	LINPMEM_PAGE_UNACCEPTED = 3,
	LINPMEM_PAGE_POISONED = 4,
};

/* The machine: fixed at boot. */
bool linpmem_is_confidential(void);
u64 linpmem_vmcoreinfo_addr(void);
u64 linpmem_vmcoreinfo_len(void);

/* x86.c. */
u32 linpmem_phys_bits(void);
u32 linpmem_paging_levels(void);
u64 linpmem_encryption_mask(void);
bool linpmem_is_xen_pv(void);
bool linpmem_is_isolated(void);

/* arm64.c: the registers that say how addresses are translated, and how Linux uses them. */
u64 linpmem_tcr(void);
u64 linpmem_ttbr1(void);
bool linpmem_has_indirect_rights(void);
/* The bits of an invalid entry that still maps memory. */
u64 linpmem_hidden_bits(void);
/* Virtual minus physical address of what the direct map and the kernel's image map. */
u64 linpmem_direct_map_offset(void);
u64 linpmem_image_offset(void);
/* Whether UEFI keeps the page for itself, in memory that may be cached. */
bool linpmem_is_efi_memory(u64 phys);

/* Pages of 4 KiB, by number. */
const void *linpmem_direct_map(u64 phys);
u32 linpmem_ram_page(u64 pfn);
/* The first page from @pfn on that was taken back or is poisoned; @end if there is none. */
u64 linpmem_first_lost(u64 pfn, u64 end);
void *linpmem_map_ram_page(u64 pfn);
void linpmem_unmap_ram_page(void *mapping);
/* Whether all @pages pages are mapped write-back. */
bool linpmem_is_cached(const void *mapping, size_t pages);

/*
 * The bitmap of memory that the hypervisor has not handed over. False if there is none.
 * linpmem_is_unaccepted() takes the number of a bit that the bitmap has.
 */
bool linpmem_unaccepted_units(u64 *base, u64 *unit_bytes, u64 *bits);
bool linpmem_is_unaccepted(u64 unit);

/* Makes exactly one load of @width bytes from @addr, which may fault: 0 or -EIO. */
int linpmem_load(const void *addr, u32 width, u64 *value);

/* Tasks. */
bool linpmem_yield(void);
int linpmem_locked_down(void);
bool linpmem_is_user(u32 uid);
int linpmem_page_table(s32 pid, u64 *root);

/* The caller's buffer. */
bool linpmem_is_user_backed(const struct iov_iter *iter);
int linpmem_user_buffer(struct iov_iter *iter, u64 addr, u64 len);

/*
 * copy_x86.c, copy_arm64.c: copies that survive faults on either side. linpmem_copy_to_user() does not wait
 * for the caller's memory: where it stops early, @source_faulted says whether that was at
 * a fault of the source, or because the caller's memory is not present.
 */
int linpmem_choose_copy(u32 choice);
size_t linpmem_copy_to_user(const void *from, size_t len, struct iov_iter *iter,
			    bool *source_faulted);

/*
 * hotplug.c: memory that is online when linpmem_hold_memory() was called is not removed
 * before the release, with the number that it returned.
 */
int linpmem_watch_memory(void);
void linpmem_unwatch_memory(void);
int linpmem_hold_memory(void);
void linpmem_release_memory(int held);

#endif
