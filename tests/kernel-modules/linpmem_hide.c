// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: hides a process as rootkits do. Its number is taken out of the tree by which
 * the kernel looks numbers up, so that /proc does not show it. It stays in the list of
 * tasks and goes on running.
 */
#include <linux/idr.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>

static int pid;
module_param(pid, int, 0400);
MODULE_PARM_DESC(pid, "the number of the process");

static int __init hide_init(void)
{
	/* Nothing else may take or give a number now: the test sees to that. */
	return idr_remove(&init_pid_ns.idr, pid) ? 0 : -ESRCH;
}

static void __exit hide_exit(void)
{
}

module_init(hide_init);
module_exit(hide_exit);
MODULE_DESCRIPTION("Hides a process from /proc, for linpmem's tests");
MODULE_LICENSE("GPL");
