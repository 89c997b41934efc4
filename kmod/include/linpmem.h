/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0 */
/*
 * The ioctls of /dev/linpmem. kmod/core/src/abi.rs says the same in Rust and
 * explains each field; a test holds the two together.
 */
#ifndef LINPMEM_H
#define LINPMEM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define LINPMEM_ABI_VERSION 1
#define LINPMEM_IOCTL_TYPE 0xbe

/* linpmem_info.features */
#define LINPMEM_FEATURE_READ (1ULL << 0)

/* A value that the kernel does not tell. */
#define LINPMEM_UNKNOWN (~0ULL)

/* What the module and the machine are. */
struct linpmem_info {
	__u32 size; /* in: sizeof(struct linpmem_info); out: bytes filled */
	__u32 abi_version;
	__u64 features;
	__u32 module_version; /* 8 bits major, 8 bits minor, 16 bits patch */
	__u32 phys_bits;
	__u32 paging_levels; /* 4 or 5 */
	__u32 reserved;
	__u64 page_offset_base;
	__u64 phys_base; /* two's complement */
	__u64 kaslr_offset; /* or LINPMEM_UNKNOWN */
	__u64 kernel_page_table; /* physical address, or LINPMEM_UNKNOWN */
	__u64 vmcoreinfo_addr; /* physical address, or 0 */
	__u64 vmcoreinfo_len; /* bytes */
	__u64 encryption_mask;
};

#define LINPMEM_IOCTL_INFO _IOWR(LINPMEM_IOCTL_TYPE, 0x01, struct linpmem_info)

#endif
