// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies to user space from memory that may fault during the copy. There are two
 * ways: the kernel's own function, which is a single string instruction on most
 * processors, and a loop of plain loads and stores. Emulated processors run string
 * instructions byte by byte, and there the loop is several times faster: the module
 * measures both when it is loaded.
 */
#include <linux/ktime.h>
#include <linux/iov_iter.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <asm/asm.h>
#include <asm/cpufeature.h>

#include "shim.h"

#define BLOCK 64

/* The size of the two buffers of the measurement, small enough to stay cached. */
#define SAMPLE SZ_32K
#define ROUNDS 5

static bool prefer_loop __ro_after_init;

/* Which copy to use: linpmem.ko's parameter `copy`. */
enum choice {
	CHOOSE_FASTEST = 0,
	CHOOSE_STRING = 1,
	CHOOSE_LOOP = 2,
};

#define LOAD(offset, reg)                                     \
	"1:	movq " #offset "(%[from]), %%" #reg "\n"      \
	_ASM_EXTABLE_TYPE(1b, 9f, EX_TYPE_FAULT_MCE_SAFE)
#define STORE(reg, offset)                                    \
	"1:	movq %%" #reg ", " #offset "(%[to])\n"        \
	_ASM_EXTABLE_UA(1b, 9f)
#define LOAD_BYTE                                             \
	"1:	movb (%[from]), %%r8b\n"                      \
	_ASM_EXTABLE_TYPE(1b, 8f, EX_TYPE_FAULT_MCE_SAFE)
#define STORE_BYTE                                            \
	"1:	movb %%r8b, (%[to])\n"                        \
	_ASM_EXTABLE_UA(1b, 9f)

/* Copies @blocks blocks; either side may fault. Returns how many were not copied. */
static __always_inline size_t copy_blocks(void **to, const void **from, size_t blocks)
{
	asm volatile("	testq %[blocks], %[blocks]\n"
		     "	jz 9f\n"
		     "3:\n"
		     LOAD(0, r8) LOAD(8, r9) LOAD(16, r10) LOAD(24, r11)
		     STORE(r8, 0) STORE(r9, 8) STORE(r10, 16) STORE(r11, 24)
		     LOAD(32, r8) LOAD(40, r9) LOAD(48, r10) LOAD(56, r11)
		     STORE(r8, 32) STORE(r9, 40) STORE(r10, 48) STORE(r11, 56)
		     "	addq $64, %[from]\n"
		     "	addq $64, %[to]\n"
		     "	decq %[blocks]\n"
		     "	jnz 3b\n"
		     "9:\n"
		     : [to] "+r"(*to), [from] "+r"(*from), [blocks] "+r"(blocks)
		     :
		     : "rax", "r8", "r9", "r10", "r11", "memory", "cc");
	return blocks;
}

/*
 * Copies @bytes bytes; either side may fault. Returns how many were not copied, and sets
 * @source_faulted if the source was why.
 */
static __always_inline size_t copy_bytes(void *to, const void *from, size_t bytes,
					 bool *source_faulted)
{
	u32 source = 0;

	asm volatile("	testq %[bytes], %[bytes]\n"
		     "	jz 9f\n"
		     "5:\n"
		     LOAD_BYTE STORE_BYTE
		     "	incq %[from]\n"
		     "	incq %[to]\n"
		     "	decq %[bytes]\n"
		     "	jnz 5b\n"
		     "	jmp 9f\n"
		     "8:	movl $1, %[source]\n"
		     "9:\n"
		     : [to] "+r"(to), [from] "+r"(from), [bytes] "+r"(bytes),
		       [source] "+r"(source)
		     :
		     : "rax", "r8", "memory", "cc");
	*source_faulted = source;
	return bytes;
}

/*
 * Copies @len bytes; either side may fault. Returns how many bytes were not copied: the
 * one that faulted, and everything after it. A block that faulted is begun again, byte by
 * byte, as the part before a page border can be copied, and to see which side it was.
 */
static __always_inline size_t copy_loop(void *to, const void *from, size_t len,
					bool *source_faulted)
{
	size_t left = copy_blocks(&to, &from, len / BLOCK);

	if (!left)
		return copy_bytes(to, from, len % BLOCK, source_faulted);
	left = left * BLOCK + len % BLOCK;
	return left - BLOCK + copy_bytes(to, from, BLOCK, source_faulted);
}

static __always_inline size_t to_user(void __user *to, size_t progress, size_t len,
				      void *from, void *source_faulted)
{
	bool source = false;
	size_t left;

	if (!user_access_begin(to, len))
		return len;
	left = copy_loop((__force void *)to, from + progress, len, &source);
	user_access_end();
	*(bool *)source_faulted = source;
	return left;
}

static __always_inline size_t to_kernel(void *to, size_t progress, size_t len,
					void *from, void *unused)
{
	return len;
}

static size_t copy_by_loop(const void *from, size_t len, struct iov_iter *iter,
			   bool *source_faulted)
{
	return iterate_and_advance2(iter, len, (void *)from, source_faulted, to_user,
				    to_kernel);
}

/*
 * @iter is user-backed. Returns how many bytes were copied.
 *
 * The kernel's copy does not tell which side stopped it. So the byte where it stopped is
 * tried once more. If that works, it was the caller's memory, which another thread or the
 * kernel has made present by now.
 */
size_t linpmem_copy_to_user(const void *from, size_t len, struct iov_iter *iter,
			    bool *source_faulted)
{
	size_t done;

	*source_faulted = false;
	pagefault_disable();
	if (prefer_loop) {
		done = copy_by_loop(from, len, iter, source_faulted);
	} else {
		done = _copy_mc_to_iter(from, len, iter);
		if (done < len)
			done += copy_by_loop(from + done, 1, iter, source_faulted);
	}
	pagefault_enable();
	return done;
}

static u64 time_string(void *to, const void *from)
{
	u64 start = ktime_get_ns();
	size_t len = SAMPLE;

	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(len) : : "memory");
	return ktime_get_ns() - start;
}

static u64 time_loop(void *to, const void *from)
{
	u64 start = ktime_get_ns();
	bool source_faulted;

	copy_loop(to, from, SAMPLE, &source_faulted);
	return ktime_get_ns() - start;
}

/*
 * Choose the loop only if it is clearly faster: on real processors the string
 * instruction pulls less data into the caches. Without ERMS, though, the kernel's copy
 * does not survive machine checks, except on some processors that it knows.
 */
int __init linpmem_choose_copy(u32 choice)
{
	u64 string = U64_MAX, loop = U64_MAX;
	void *from = kvzalloc(SAMPLE, GFP_KERNEL);
	void *to = kvzalloc(SAMPLE, GFP_KERNEL);
	int round;

	if (choice != CHOOSE_FASTEST) {
		prefer_loop = choice == CHOOSE_LOOP;
		goto out;
	}
	if (from && to) {
		for (round = 0; round < ROUNDS; round++) {
			string = min(string, time_string(to, from));
			loop = min(loop, time_loop(to, from));
		}
		prefer_loop = loop * 3 / 2 < string ||
			      !boot_cpu_has(X86_FEATURE_ERMS);
	}
out:
	kvfree(from);
	kvfree(to);
	return from && to ? 0 : -ENOMEM;
}
