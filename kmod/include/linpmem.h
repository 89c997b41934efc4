/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0 */
/*
 * The ioctls of /dev/linpmem. kmod/core/src/abi.rs declares the same in Rust and
 * explains each field; a test checks that the two agree.
 */
#ifndef LINPMEM_H
#define LINPMEM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define LINPMEM_ABI_VERSION 1
#define LINPMEM_IOCTL_TYPE 0xbe

/* linpmem_info.features */
#define LINPMEM_FEATURE_READ (1ULL << 0)
#define LINPMEM_FEATURE_READ_PAGES (1ULL << 1)
#define LINPMEM_FEATURE_TRANSLATE (1ULL << 2)
#define LINPMEM_FEATURE_ORIGINAL (1ULL << 3)
#define LINPMEM_FEATURE_DEVICE (1ULL << 4)

/* What a file or a request may read in addition to RAM and firmware memory. */
#define LINPMEM_ACCESS_DEVICE (1U << 0)
#define LINPMEM_ACCESS_CACHED (1U << 1)
#define LINPMEM_ACCESS_UNCACHED (1U << 2)
#define LINPMEM_ACCESS_UNMAPPED (1U << 3)

/* The most bytes that one LINPMEM_IOCTL_READ handles. */
#define LINPMEM_READ_MAX_BYTES (1ULL << 30)

/* linpmem_translate.outcome */
#define LINPMEM_OUTCOME_MAPPED 1
#define LINPMEM_OUTCOME_NOT_PRESENT 2
#define LINPMEM_OUTCOME_BROKEN 3

/* linpmem_translate.rights */
#define LINPMEM_RIGHT_WRITE (1U << 0)
#define LINPMEM_RIGHT_USER (1U << 1)
#define LINPMEM_RIGHT_EXECUTE (1U << 2)
#define LINPMEM_RIGHT_NONE (1U << 3)

/* linpmem_info.architecture */
#define LINPMEM_ARCHITECTURE_X86_64 0
#define LINPMEM_ARCHITECTURE_ARM64 1

/* A value that the kernel does not provide. */
#define LINPMEM_UNKNOWN (~0ULL)

/* Facts about the module and the machine. */
struct linpmem_info {
	__u32 size; /* in: sizeof(struct linpmem_info); out: bytes filled */
	__u32 abi_version;
	__u64 features;
	__u32 module_version; /* 8 bits major, 8 bits minor, 16 bits patch */
	__u32 phys_bits;
	__u32 paging_levels; /* 4 or 5; on arm64 2 to 5 */
	__u32 architecture; /* LINPMEM_ARCHITECTURE_* */
	__u64 page_offset_base;
	__u64 phys_base; /* two's complement; on arm64 -kimage_voffset */
	__u64 kaslr_offset; /* or LINPMEM_UNKNOWN */
	__u64 kernel_page_table; /* physical address, or LINPMEM_UNKNOWN */
	__u64 vmcoreinfo_addr; /* physical address, or 0 */
	__u64 vmcoreinfo_len; /* bytes */
	__u64 encryption_mask;
};

/* A read of any length, with the status of every page that it touches. */
struct linpmem_read {
	__u32 size;
	__u32 access; /* in: LINPMEM_ACCESS_*, in addition to the file's */
	__u64 addr; /* in: physical address */
	__u64 len; /* in: bytes */
	__u64 buffer; /* in: pointer to len bytes */
	__u64 statuses; /* in: pointer to one byte per page; 0 or an errno */
	__u64 done; /* out: how many bytes of buffer are filled */
};

/* Sets what the open file may read from now on. */
struct linpmem_set_access {
	__u32 size;
	__u32 access; /* in: LINPMEM_ACCESS_* */
};

/* One load: never split, never repeated. */
struct linpmem_load {
	__u32 size;
	__u32 access; /* in: LINPMEM_ACCESS_*, in addition to the file's */
	__u64 addr; /* in: physical address, a multiple of width */
	__u64 value; /* out */
	__u32 width; /* in: 1, 2, 4 or 8 */
	__u32 reserved;
};

struct linpmem_entry {
	__u64 addr; /* physical address of a page-table entry */
	__u64 value;
};

/* Translates a virtual address. */
struct linpmem_translate {
	__u32 size;
	__u32 outcome; /* out: LINPMEM_OUTCOME_* */
	__u64 virt; /* in */
	__u64 page_table; /* in: CR3 or TTBR0, or 0 for the caller's; out: the address used */
	__u64 phys; /* out */
	__u64 page_bytes; /* out */
	__u32 rights; /* out: LINPMEM_RIGHT_* */
	__u32 error; /* out: the errno that ended the walk, if broken */
	__u32 steps; /* out: how many entries were read */
	__u32 levels; /* out: 4 or 5; on arm64 2 to 5 */
	struct linpmem_entry entries[5]; /* out: from the top table down */
};

/* The page tables of a process. */
struct linpmem_page_table {
	__u32 size;
	__s32 pid; /* in: 0 is the caller */
	__u64 kernel; /* out: physical address of the table for kernel mode; on arm64 in TTBR0 */
	__u64 user; /* out: for user mode; differs with page-table isolation */
};

#define LINPMEM_IOCTL_INFO _IOWR(LINPMEM_IOCTL_TYPE, 0x01, struct linpmem_info)
#define LINPMEM_IOCTL_READ _IOWR(LINPMEM_IOCTL_TYPE, 0x02, struct linpmem_read)
#define LINPMEM_IOCTL_SET_ACCESS _IOWR(LINPMEM_IOCTL_TYPE, 0x03, struct linpmem_set_access)
#define LINPMEM_IOCTL_TRANSLATE _IOWR(LINPMEM_IOCTL_TYPE, 0x04, struct linpmem_translate)
#define LINPMEM_IOCTL_PAGE_TABLE _IOWR(LINPMEM_IOCTL_TYPE, 0x05, struct linpmem_page_table)
#define LINPMEM_IOCTL_LOAD _IOWR(LINPMEM_IOCTL_TYPE, 0x06, struct linpmem_load)

/* The ioctls of the original Linpmem, for its clients. */
struct linpmem_original_data_transfer {
	__u64 phys_address; /* in */
	__u64 out_value; /* out, unless access_type is 9 */
	__u64 readbuffer; /* in: pointer */
	__u64 readbuffer_size; /* in: 1 to 4096; out: bytes read */
	__u8 access_type; /* in: 1, 2, 4, 8, or 9 for a buffer */
	__u8 unused[3];
	__u32 padding;
};

struct linpmem_original_vtop_info {
	__u64 virt_address; /* in */
	__u64 associated_cr3; /* in: CR3 or TTBR0; 0 is the caller's */
	__u64 phys_address; /* out */
	__u64 ppte; /* out: kernel address of the last entry */
};

struct linpmem_original_cr3_info {
	__u64 target_process; /* in: a pid, 0 is the caller */
	__u64 result_cr3; /* out */
};

#define LINPMEM_ORIGINAL_READ_PHYSADDR _IOWR('a', 'a', struct linpmem_original_data_transfer)
#define LINPMEM_ORIGINAL_VTOP _IOWR('a', 'b', struct linpmem_original_vtop_info)
#define LINPMEM_ORIGINAL_QUERY_CR3 _IOWR('a', 'c', struct linpmem_original_cr3_info)

#endif
