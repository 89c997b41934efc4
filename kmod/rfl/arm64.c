// SPDX-License-Identifier: GPL-2.0-only
/* What shim.h declares for arm64 alone, or what is done in another way there. */
#include <linux/efi.h>
#include <linux/errno.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/memory.h>
#include <asm/pgtable.h>
#include <asm/sysreg.h>

#include "shim.h"

u64 linpmem_tcr(void)
{
	return read_sysreg(tcr_el1);
}

u64 linpmem_ttbr1(void)
{
	return read_sysreg(ttbr1_el1);
}

bool linpmem_has_indirect_rights(void)
{
	return cpus_have_final_cap(ARM64_HAS_S1PIE);
}

u64 linpmem_hidden_bits(void)
{
	return PTE_PRESENT_INVALID;
}

/* Not __va(0): that macro sets bits instead of adding, which is right for RAM alone. */
u64 linpmem_direct_map_offset(void)
{
	return PAGE_OFFSET - memstart_addr;
}

u64 linpmem_image_offset(void)
{
	return kimage_voffset;
}

bool linpmem_is_efi_memory(u64 phys)
{
	efi_memory_desc_t *md;

	if (!efi_enabled(EFI_MEMMAP))
		return false;
	for_each_efi_memory_desc(md) {
		if (phys < md->phys_addr ||
		    (phys - md->phys_addr) >> EFI_PAGE_SHIFT >= md->num_pages)
			continue;
		switch (md->type) {
		case EFI_RUNTIME_SERVICES_CODE:
		case EFI_RUNTIME_SERVICES_DATA:
		case EFI_ACPI_RECLAIM_MEMORY:
		case EFI_ACPI_MEMORY_NVS:
			return md->attribute & EFI_MEMORY_WB;
		default:
			/* What else is reserved may belong to the secure world. */
			return false;
		}
	}
	return false;
}

/* The kernel gives what it was asked for, or nothing. */
bool linpmem_is_cached(const void *mapping, size_t pages)
{
	return true;
}

/* copy_from_kernel_nofault() makes one load where a single one can hold the value. */
#define LOAD(type)                                                         \
	({                                                                 \
		type loaded;                                               \
									   \
		if (get_kernel_nofault(loaded, (const type *)addr))        \
			return -EIO;                                       \
		*value = loaded;                                           \
		0;                                                         \
	})

int linpmem_load(const void *addr, u32 width, u64 *value)
{
	switch (width) {
	case 1:
		return LOAD(u8);
	case 2:
		return LOAD(u16);
	case 4:
		return LOAD(u32);
	case 8:
		return LOAD(u64);
	default:
		return -EINVAL;
	}
}
