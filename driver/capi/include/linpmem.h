/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The linpmem library: physical memory through the linpmem module.
 *
 * Functions return 0, or a negative errno; linpmem_last_error() then says what
 * failed, on what, and what to do. A handle may be used by several threads at
 * once. Nothing is printed, and no signal is touched.
 *
 * Link with `pkg-config --cflags --libs linpmem`. The module's own ioctls are
 * in <linpmem/ioctl.h>, which can be included along with this file.
 */

#ifndef LINPMEM_LIBRARY_H
#define LINPMEM_LIBRARY_H

/* Made by cbindgen from the crate linpmem-capi: do not edit. */

#include <stddef.h>
#include <stdint.h>

/*
 Also read device memory and holes: this can have side effects on a device, and the
 module has to be loaded with allow_device=1.
 */
#define LINPMEM_READ_DEVICE 1

/*
 Map non-RAM cached.
 */
#define LINPMEM_READ_CACHED 2

/*
 Map non-RAM uncached; needs LINPMEM_READ_DEVICE.
 */
#define LINPMEM_READ_UNCACHED 4

/*
 Also read RAM that is not in the kernel's direct map (memfd_secret).
 */
#define LINPMEM_READ_UNMAPPED 8

/*
 In linpmem_machine: the value is unknown.
 */
#define LINPMEM_NOT_KNOWN UINT64_MAX

/*
 linpmem_machine.architecture: x86-64.
 */
#define LINPMEM_MACHINE_X86_64 0

/*
 linpmem_machine.architecture: arm64.
 */
#define LINPMEM_MACHINE_ARM64 1

/*
 linpmem_walk.outcome: the address is mapped.
 */
#define LINPMEM_WALK_MAPPED 1

/*
 linpmem_walk.outcome: the last entry is not present.
 */
#define LINPMEM_WALK_NOT_PRESENT 2

/*
 linpmem_walk.outcome: the next table could not be read.
 */
#define LINPMEM_WALK_BROKEN 3

/*
 linpmem_walk.rights: every entry is writable.
 */
#define LINPMEM_MAY_WRITE 1

/*
 linpmem_walk.rights: every entry is open to user space.
 */
#define LINPMEM_MAY_USER 2

/*
 linpmem_walk.rights: no entry forbids execution.
 */
#define LINPMEM_MAY_EXECUTE 4

/*
 linpmem_walk.rights: mapped, but any access faults (PROT_NONE).
 */
#define LINPMEM_NO_ACCESS 8

/*
 An open device. Created by linpmem_open() or linpmem_open_path(), freed by
 linpmem_close(). Threads may share a handle.
 */
struct linpmem;

/*
 What the module says about itself and the machine.
 */
struct linpmem_machine {
  /*
   Version of the module's ABI.
   */
  uint32_t abi_version;
  /*
   8 bits major, 8 bits minor, 16 bits patch.
   */
  uint32_t module_version;
  /*
   LINPMEM_FEATURE_* bits of the kernel's header.
   */
  uint64_t features;
  /*
   Bits of a physical address.
   */
  uint32_t phys_bits;
  /*
   4 or 5; on arm64 those of user space, 2 to 5.
   */
  uint32_t paging_levels;
  /*
   Virtual address of physical address 0 in the kernel's direct map.
   */
  uint64_t page_offset_base;
  /*
   Where the mapping of the kernel's image begins in physical memory; may be
   negative. On arm64 where virtual address 0 would be: -kimage_voffset.
   */
  int64_t phys_base;
  /*
   How far KASLR moved the kernel, or LINPMEM_NOT_KNOWN.
   */
  uint64_t kaslr_offset;
  /*
   The kernel's own top page table (TTBR1 on arm64), or LINPMEM_NOT_KNOWN.
   */
  uint64_t kernel_page_table;
  /*
   Physical address of the VMCOREINFO note, or 0.
   */
  uint64_t vmcoreinfo_addr;
  /*
   Bytes of the note.
   */
  uint64_t vmcoreinfo_len;
  /*
   The page-table bit that marks encrypted memory, or 0.
   */
  uint64_t encryption_mask;
  /*
   LINPMEM_MACHINE_X86_64 or LINPMEM_MACHINE_ARM64.
   */
  uint32_t architecture;
  /*
   Zero.
   */
  uint32_t reserved;
};

/*
 A page-table entry.
 */
struct linpmem_walk_entry {
  /*
   Its physical address.
   */
  uint64_t addr;
  /*
   Its value.
   */
  uint64_t value;
};

/*
 A walk through page tables.
 */
struct linpmem_walk {
  /*
   LINPMEM_WALK_*.
   */
  uint32_t outcome;
  /*
   Why the walk failed: an errno, or 0.
   */
  uint32_t error;
  /*
   The physical address, if mapped.
   */
  uint64_t phys;
  /*
   4 KiB, 2 MiB or 1 GiB, if mapped; other sizes on arm64.
   */
  uint64_t page_bytes;
  /*
   LINPMEM_MAY_* bits, if mapped.
   */
  uint32_t rights;
  /*
   Levels of the page tables, 4 or 5; on arm64 2 to 5.
   */
  uint32_t levels;
  /*
   The top page table that was used: on arm64 TTBR1's for an address of the kernel.
   */
  uint64_t page_table;
  /*
   The number of entries read.
   */
  uint32_t entry_count;
  /*
   Zero.
   */
  uint32_t reserved;
  /*
   The entries read, from the top down.
   */
  struct linpmem_walk_entry entries[5];
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The message of the last call of this thread that failed: what failed, on what, and
 what to do. Never NULL; empty if no call has failed. Valid until the next call of
 this thread fails.
 */
const char *linpmem_last_error(void);

/*
 Copies the message of linpmem_last_error() to `text`, truncated to `size` bytes
 including the zero at its end. Returns the length of the whole message without the
 zero.

 # Safety
 `text` is NULL or has room for `size` bytes.
 */
size_t linpmem_error_text(char *text, size_t size);

/*
 Opens /dev/linpmem and stores a handle in `*handle`.

 # Safety
 `handle` is NULL or may be written.
 */
int linpmem_open(struct linpmem **handle);

/*
 Opens the device at `device` and stores a handle in `*handle`.

 # Safety
 `device` is NULL or a string; `handle` is NULL or may be written.
 */
int linpmem_open_path(const char *device, struct linpmem **handle);

/*
 Closes a handle. NULL is not an error.

 # Safety
 `handle` is NULL or from linpmem_open() and not used any more.
 */
void linpmem_close(struct linpmem *handle);

/*
 Stores in `*machine` what the module says about itself and the machine. -EOPNOTSUPP
 with the original Linpmem's module, which has no such request.

 # Safety
 `handle` is NULL or open; `machine` is NULL or may be written.
 */
int linpmem_info(const struct linpmem *handle, struct linpmem_machine *machine);

/*
 Fills `buffer` with the `size` bytes at physical address `addr`; `access` is 0
 or LINPMEM_READ_* bits.

 If `statuses` is not NULL, it has linpmem_page_count(addr, size) bytes, one for each
 page of 4096 bytes that is touched: 0, or the errno why the page was not read. The
 bytes of such a page are zero, and the call succeeds if the module answers at all.
 If `statuses` is NULL, a page that cannot be read makes the call fail with its errno.

 # Safety
 `handle` is NULL or open; `buffer` has `size` bytes, and `statuses` is NULL or has as
 many bytes as stated above.
 */
int linpmem_read(const struct linpmem *handle,
                 uint32_t access,
                 uint64_t addr,
                 void *buffer,
                 size_t size,
                 uint8_t *statuses);

/*
 The number of pages of 4096 bytes that `size` bytes at `addr` touch.
 */
size_t linpmem_page_count(uint64_t addr, size_t size);

/*
 Does exactly one load of `width` (1, 2, 4 or 8) bytes at physical address `addr` and
 stores the value in `*result`. -EINVAL if `addr` is not a multiple of the width.

 # Safety
 `handle` is NULL or open; `result` is NULL or may be written.
 */
int linpmem_load(const struct linpmem *handle,
                 uint32_t access,
                 uint64_t addr,
                 uint32_t width,
                 uint64_t *result);

/*
 Translates the virtual address `virt` and stores the walk in `*walk`. An address that
 is not mapped is not a failure. `pid` is the process whose page tables are used; 0
 stands for the calling process.

 # Safety
 `handle` is NULL or open; `walk` is NULL or may be written.
 */
int linpmem_translate(const struct linpmem *handle,
                      uint32_t pid,
                      uint64_t virt,
                      struct linpmem_walk *walk);

/*
 The same with the page table at the CR3 value `cr3` (on arm64, TTBR0); 0 stands for that
 of the calling process.

 # Safety
 As linpmem_translate().
 */
int linpmem_translate_by(const struct linpmem *handle,
                         uint64_t cr3,
                         uint64_t virt,
                         struct linpmem_walk *walk);

/*
 Stores the physical address of the top page table of process `pid` (its CR3, or TTBR0
 on arm64) in `*kernel`, and the one for user mode in `*user`, which may be NULL. The
 pid 0 stands for the calling process. -ESRCH if the process does not exist or is a
 kernel thread.

 # Safety
 `handle` is NULL or open; `kernel` and `user` are NULL or may be written.
 */
int linpmem_cr3(const struct linpmem *handle, uint32_t pid, uint64_t *kernel, uint64_t *user);

/*
 Loads the module file at `module` (.ko, also compressed with xz, zstd or gzip) and
 waits until /dev/linpmem exists. `parameters` is NULL, or module parameters
 separated by blanks, such as "owner_uid=1000 allow_device=1".

 # Safety
 `module` and `parameters` are NULL or strings.
 */
int linpmem_load_module(const char *module, const char *parameters);

/*
 Unloads the module and removes its node.
 */
int linpmem_unload_module(void);

/*
 1 if a module called linpmem is loaded, else 0.
 */
int linpmem_is_loaded(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LINPMEM_LIBRARY_H */
