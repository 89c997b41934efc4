// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: kernel addresses of every kind, with the physical addresses that the
 * kernel's own functions return, as lines of /proc/linpmem_facts:
 * NAME VIRTUAL PHYSICAL, in hexadecimal.
 */
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

/* System RAM in every test machine. */
#ifdef CONFIG_ARM64
#define RAM 0x40100000
#else
#define RAM 0x100000
#endif

static char in_module_data[16] = "module data";
static void *slab;
static void *large;
static void *mapped;
static struct proc_dir_entry *entry;

static void linear(struct seq_file *out, const char *name, const void *addr)
{
	seq_printf(out, "%s %lx %llx\n", name, (unsigned long)addr,
		   (unsigned long long)virt_to_phys((void *)addr));
}

static void paged(struct seq_file *out, const char *name, const void *addr)
{
	phys_addr_t page = page_to_phys(vmalloc_to_page(addr));

	seq_printf(out, "%s %lx %llx\n", name, (unsigned long)addr,
		   (unsigned long long)(page + offset_in_page(addr)));
}

static int show(struct seq_file *out, void *unused)
{
	size_t offset;

	linear(out, "slab", slab);
	for (offset = 0; offset < SZ_4M; offset += SZ_1M + 123)
		linear(out, "pages", large + offset);
	linear(out, "direct-map", phys_to_virt(RAM));
	linear(out, "kernel-text", _printk);
	linear(out, "kernel-data", &init_task);
	for (offset = 0; offset < SZ_1M; offset += SZ_64K + 77)
		paged(out, "vmalloc", mapped + offset);
	paged(out, "module-text", show);
	paged(out, "module-data", in_module_data);
	return 0;
}

static int __init facts_init(void)
{
	slab = kmalloc(100, GFP_KERNEL);
	large = alloc_pages_exact(SZ_4M, GFP_KERNEL);
	mapped = vmalloc(SZ_1M);
	if (slab && large && mapped)
		entry = proc_create_single("linpmem_facts", 0400, NULL, show);
	if (entry)
		return 0;
	vfree(mapped);
	if (large)
		free_pages_exact(large, SZ_4M);
	kfree(slab);
	return -ENOMEM;
}

static void __exit facts_exit(void)
{
	proc_remove(entry);
	vfree(mapped);
	free_pages_exact(large, SZ_4M);
	kfree(slab);
}

module_init(facts_init);
module_exit(facts_exit);
MODULE_DESCRIPTION("Kernel addresses for linpmem's tests");
MODULE_LICENSE("GPL");
