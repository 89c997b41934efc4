// SPDX-License-Identifier: GPL-2.0-only
/*
 * A block of memory that went offline can be unplugged, and the kernel then frees what it
 * recorded about its pages. So going offline waits for all readers that may have seen a
 * page of it online. Readers that start later find it offline.
 */
#include <linux/memory.h>
#include <linux/notifier.h>
#include <linux/srcu.h>

#include "shim.h"

DEFINE_STATIC_SRCU(readers);

int linpmem_hold_memory(void)
{
	return srcu_read_lock(&readers);
}

void linpmem_release_memory(int held)
{
	srcu_read_unlock(&readers, held);
}

/* MEM_OFFLINE comes when the pages are marked offline and still have their descriptors. */
static int on_change(struct notifier_block *self, unsigned long action, void *arg)
{
	if (action == MEM_OFFLINE)
		synchronize_srcu(&readers);
	return NOTIFY_OK;
}

static struct notifier_block watcher = {
	.notifier_call = on_change,
};

int linpmem_watch_memory(void)
{
	return register_memory_notifier(&watcher);
}

void linpmem_unwatch_memory(void)
{
	unregister_memory_notifier(&watcher);
}
