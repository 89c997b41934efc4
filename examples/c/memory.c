/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Shows what the module is, reads memory at a physical address, and translates
 * an address of this program:
 *
 *     cc memory.c $(pkg-config --cflags --libs linpmem) -o memory
 *     ./memory 0x100000
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <linpmem.h>

#define PAGES 4

static int failed(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, linpmem_last_error());
	return EXIT_FAILURE;
}

static int show_machine(const struct linpmem *device)
{
	struct linpmem_machine machine;

	if (linpmem_info(device, &machine))
		return failed("info");
	printf("%" PRIu32 " address bits, %" PRIu32 " paging levels\n",
	       machine.phys_bits, machine.paging_levels);
	return EXIT_SUCCESS;
}

static int show_memory(const struct linpmem *device, uint64_t address)
{
	uint8_t *buffer = malloc(PAGES * 4096);
	uint8_t statuses[PAGES + 1];
	int result = EXIT_FAILURE;

	if (!buffer)
		return EXIT_FAILURE;
	if (linpmem_read(device, 0, address, buffer, PAGES * 4096, statuses)) {
		failed("read");
		goto out;
	}
	for (size_t page = 0; page < linpmem_page_count(address, PAGES * 4096); page++)
		if (statuses[page])
			printf("page %zu was not read: errno %u\n", page, statuses[page]);
	printf("0x%" PRIx64 ":", address);
	for (int i = 0; i < 8; i++)
		printf(" %02x", buffer[i]);
	printf("\n");
	result = EXIT_SUCCESS;
out:
	free(buffer);
	return result;
}

static int show_translation(const struct linpmem *device)
{
	static const uint64_t known = 0x0123456789abcdef;
	struct linpmem_walk walk;
	uint64_t cr3, value = 0;

	if (linpmem_cr3(device, 0, &cr3, NULL))
		return failed("cr3");
	if (linpmem_translate(device, 0, (uint64_t)(uintptr_t)&known, &walk))
		return failed("translate");
	if (walk.outcome != LINPMEM_WALK_MAPPED || walk.page_table != cr3) {
		fprintf(stderr, "not mapped by the page table at 0x%" PRIx64 "\n", cr3);
		return EXIT_FAILURE;
	}
	if (linpmem_load(device, 0, walk.phys, 8, &value))
		return failed("load");
	printf("a value of this program, in a page of %" PRIu64 " bytes: %s\n",
	       walk.page_bytes, value == known ? "found" : "NOT THERE");
	return value == known ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct linpmem *device;
	uint64_t address = argc > 1 ? strtoull(argv[1], NULL, 0) : 0x100000;
	int error, result;

	error = linpmem_open(&device);
	if (error) {
		failed("open");
		return error == -ENOENT ? 2 : EXIT_FAILURE;
	}
	result = show_machine(device);
	if (result == EXIT_SUCCESS)
		result = show_memory(device, address);
	if (result == EXIT_SUCCESS)
		result = show_translation(device);
	linpmem_close(device);
	return result;
}
