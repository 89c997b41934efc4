// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies to user space from memory that may not be mapped. The kernel has no copy that
 * survives faults on both sides, so there are two: to a small buffer, which stays in the
 * processor's cache, and on to the caller. A machine check (a synchronous external abort)
 * is not survived: the kernel offers no way to.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "shim.h"

#define BUFFER 512

int __init linpmem_choose_copy(u32 choice)
{
	return 0;
}

size_t linpmem_copy_to_user(const void *from, size_t len, struct iov_iter *iter,
			    bool *source_faulted)
{
	u64 buffer[BUFFER / sizeof(u64)];
	size_t done = 0;

	*source_faulted = false;
	while (done < len) {
		/* Within a page, all of a part can be read or nothing. */
		size_t part = min3(len - done, sizeof(buffer),
				   PAGE_SIZE - offset_in_page(from + done));
		size_t copied;

		if (copy_from_kernel_nofault(buffer, from + done, part)) {
			*source_faulted = true;
			break;
		}
		pagefault_disable();
		copied = copy_to_iter(buffer, part, iter);
		pagefault_enable();
		done += copied;
		if (copied < part)
			break;
	}
	return done;
}
