/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Calls every function of linpmem.h on known memory, and with every invalid
 * argument: calls ADDRESS. The words at ADDRESS are their own address times a
 * constant.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linpmem.h>
/* The module's own ABI can be included as well. */
#include <linpmem/ioctl.h>

#define VIDEO 0xb8000
#define CHECK(what)                                                           \
	do {                                                                  \
		if (!(what)) {                                                \
			fprintf(stderr, "line %d: %s: %s\n", __LINE__, #what, \
				linpmem_last_error());                        \
			return 1;                                             \
		}                                                             \
	} while (0)

static uint64_t word(uint64_t address)
{
	return address * 0x9e3779b97f4a7c15ULL;
}

static int reads(struct linpmem *device, uint64_t at)
{
	size_t size = 5 * 4096;
	uint8_t statuses[8];
	uint64_t value, *words = malloc(size);

	CHECK(words);
	CHECK(linpmem_read(device, 0, at, words, size, statuses) == 0);
	for (size_t i = 0; i < size / 8; i++)
		CHECK(words[i] == word(at + i * 8));
	CHECK(linpmem_page_count(at, size) == 5);
	CHECK(linpmem_page_count(at + 1, size) == 6);
	CHECK(linpmem_page_count(at, 0) == 0);
	for (int i = 0; i < 5; i++)
		CHECK(statuses[i] == 0);

	/* Two pages, the second of which is a device's. */
	CHECK(linpmem_read(device, 0, 0x9f800, words, 0x1000, statuses) == 0);
	CHECK(statuses[0] == 0 && statuses[1] == EACCES);
	CHECK(linpmem_read(device, 0, 0x9f800, words, 0x1000, NULL) == -EACCES);
	CHECK(strstr(linpmem_last_error(), "0xa0000"));
	CHECK(linpmem_read(device, LINPMEM_READ_DEVICE, VIDEO, words, 8, NULL) == -EACCES);
	CHECK(linpmem_read(device, LINPMEM_READ_CACHED, at, words, 8, NULL) == 0);
	CHECK(linpmem_read(device, 6, at, words, 8, NULL) == -EINVAL);
	CHECK(linpmem_read(device, 16, at, words, 8, NULL) == -EINVAL);
	CHECK(linpmem_read(device, 0, at, NULL, 8, NULL) == -EINVAL);
	CHECK(linpmem_read(NULL, 0, at, words, 8, NULL) == -EINVAL);
	CHECK(linpmem_read(device, 0, at, words, 0, NULL) == 0);

	for (uint32_t width = 1; width <= 8; width *= 2) {
		CHECK(linpmem_load(device, 0, at, width, &value) == 0);
		CHECK(value == (word(at) & (~0ULL >> (64 - 8 * width))));
	}
	CHECK(linpmem_load(device, 0, at, 3, &value) == -EINVAL);
	CHECK(linpmem_load(device, 0, at + 1, 8, &value) == -EINVAL);
	CHECK(linpmem_load(device, 0, at, 8, NULL) == -EINVAL);
	free(words);
	return 0;
}

static int walks(struct linpmem *device)
{
	static const uint64_t known = 0xfeedfacecafef00d;
	uint64_t virt = (uint64_t)(uintptr_t)&known, cr3, user, value;
	struct linpmem_walk walk, again;

	CHECK(linpmem_cr3(device, 0, &cr3, &user) == 0);
	CHECK(linpmem_cr3(device, 0, &cr3, NULL) == 0 && cr3 % 4096 == 0);
	CHECK(linpmem_translate(device, 0, virt, &walk) == 0);
	CHECK(walk.outcome == LINPMEM_WALK_MAPPED && walk.page_table == cr3);
	CHECK(walk.rights & LINPMEM_MAY_USER);
	CHECK(walk.entry_count >= 3 && walk.entry_count <= walk.levels);
	CHECK(linpmem_load(device, 0, walk.phys, 8, &value) == 0 && value == known);
	CHECK(linpmem_translate_by(device, cr3, virt, &again) == 0);
	CHECK(again.phys == walk.phys);
	CHECK(linpmem_translate(device, 1, 0x1000, &walk) == 0);
	CHECK(walk.outcome == LINPMEM_WALK_NOT_PRESENT && walk.phys == 0);
	CHECK(linpmem_translate(device, 2, virt, &walk) == -ESRCH);
	CHECK(linpmem_translate(device, 0, 1ULL << 63, &walk) == -EINVAL);
	CHECK(linpmem_translate(device, 0, virt, NULL) == -EINVAL);
	CHECK(linpmem_cr3(device, 999999, &cr3, NULL) == -ESRCH);
	CHECK(strstr(linpmem_last_error(), "999999"));
	return 0;
}

static int errors(void)
{
	struct linpmem *device;
	char text[8];
	size_t whole;

	CHECK(linpmem_open(NULL) == -EINVAL);
	CHECK(linpmem_open_path(NULL, &device) == -EINVAL && !device);
	CHECK(linpmem_open_path("/nowhere", &device) == -ENOENT && !device);
	CHECK(linpmem_open_path("/dev/null", &device) == -ENOTTY);
	whole = linpmem_error_text(text, sizeof(text));
	CHECK(whole == strlen(linpmem_last_error()) && strlen(text) == 7);
	CHECK(linpmem_error_text(NULL, 0) == whole);
	CHECK(linpmem_is_loaded() == 1);
	CHECK(linpmem_load_module(NULL, NULL) == -EINVAL);
	CHECK(linpmem_load_module("/tmp/linpmem.ko", NULL) == -EEXIST);
	CHECK(linpmem_load_module("/nowhere.ko", "major=42") == -ENOENT);
	return 0;
}

int main(int argc, char **argv)
{
	struct linpmem_machine machine;
	struct linpmem *device;
	uint64_t at = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;

	CHECK(*linpmem_last_error() == '\0');
	CHECK(linpmem_open(&device) == 0);
	CHECK(linpmem_info(device, &machine) == 0);
	CHECK(machine.abi_version == LINPMEM_ABI_VERSION);
	CHECK(machine.features & LINPMEM_FEATURE_READ_PAGES);
#ifdef __aarch64__
	CHECK(machine.architecture == LINPMEM_MACHINE_ARM64);
#else
	CHECK(machine.architecture == LINPMEM_MACHINE_X86_64);
#endif
	CHECK(linpmem_info(device, NULL) == -EINVAL);
	CHECK(linpmem_unload_module() == -EBUSY);
	if (reads(device, at) || walks(device) || errors())
		return 1;
	linpmem_close(device);
	linpmem_close(NULL);
	printf("every call gives what it must\n");
	return 0;
}
