// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A module that is fitted as linpmem's own is: a table of facts, imports that some kernels
 * name otherwise or lack, a parameter, and places that may fault. It uses no header.
 */

#define INFO(name, text) \
	static const char info_##name[] __attribute__((section(".modinfo"), used, aligned(1))) = text

INFO(license, "license=GPL");
INFO(description, "description=Tests of linpmem-fit");
INFO(parmtype, "parmtype=number:uint");

/* As large as the table of facts. */
unsigned int linpmem_layout[WORDS] __attribute__((section(".data")));
/* The kernel's release. */
char linpmem_release[65] __attribute__((section(".data")));

extern int _printk(const char *format, ...);
extern int __cond_resched(void);
extern unsigned long copy_from_kernel_nofault(void *to, const void *from, unsigned long bytes);
extern void *pfn_to_online_page(unsigned long pfn);
extern void *mem_section;
extern unsigned long sme_me_mask __attribute__((weak));
extern unsigned long no_kernel_has_this;
extern struct module __this_module;
extern const struct kernel_param_ops param_ops_uint;

/* What takes the place of imports that a kernel lacks. */
unsigned long linpmem_without_sme_me_mask;
unsigned long linpmem_without_no_kernel_has_this = 7;
void *linpmem_without_pfn_to_online_page(unsigned long pfn) { (void)pfn; return 0; }
void *linpmem_without_mem_section;
asm(".text\n.globl linpmem_without___x86_return_thunk\n"
    "linpmem_without___x86_return_thunk:\n\tret\n\tint3\n");

static unsigned int number = 5;

struct parameter {
	const char *name;
	struct module *mod;
	const struct kernel_param_ops *ops;
	unsigned short perm;
	signed char level;
	unsigned char flags;
	void *arg;
};

static const struct parameter parameter __attribute__((section("__param"), used, aligned(8))) = {
	"number", &__this_module, &param_ops_uint, 0444, -1, 0, &number,
};

/* The task's pointer, by the per-CPU symbol that this kernel has. */
static unsigned long task(void)
{
	unsigned long task;

	asm volatile("movl %1, %%ecx\n\tmovq %%gs:current_task(%%rcx), %0"
		     : "=r"(task) : "m"(linpmem_layout[CURRENT]) : "rcx");
	return task;
}

/* Reads 8 bytes; 0 if that faults. */
static int try(const unsigned long *from, unsigned long *to)
{
	int failed = 0;
	unsigned long value;

	asm volatile("1:\tmovq (%2), %0\n2:\n"
		     ".section .text.fixup,\"ax\"\n3:\tmovl $1, %1\n\txorl %k0, %k0\n\tjmp 2b\n.previous\n"
		     ".section __ex_table,\"a\"\n.balign 4\n\t.long 1b - .\n\t.long 3b - .\n\t.long 1\n.previous"
		     : "=&r"(value), "+r"(failed) : "r"(from));
	*to = value;
	return failed;
}

int init_module(void)
{
	unsigned long value = 0, magic = 0x5a5a;
	int good, bad;

	__cond_resched();
	good = try(&magic, &value);
	bad = try((void *)0xffff800000000000, &magic);
	_printk("linpmem-fit: fitted %u pages %u number %u own %lu read %d %lx fault %d task %d online %d\n",
		linpmem_layout[0], linpmem_layout[PAGE_SIZE_AT], number, no_kernel_has_this, good,
		value, bad, task() > 0xff00000000000000, pfn_to_online_page(256) != 0);
	return 0;
}

void cleanup_module(void)
{
	_printk("linpmem-fit: gone %lx %p\n", sme_me_mask & 1, mem_section);
}
