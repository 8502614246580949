/* SPDX-License-Identifier: MIT */
/*
 * main.c - the common kernel's beginning and end: reads its options, starts the library, and runs one
 * program or the demonstration.
 */
#include <vmem/init.h>

#include "cpus.h"
#include "stretch.h"

struct kernel_options kernel_options;
uint64_t kernel_direct_map;

static uint64_t random_state;

/* splitmix64: good enough for placement and AT_RANDOM of an example. */
uint64_t kernel_random(void)
{
	uint64_t z = __atomic_add_fetch(&random_state, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

bool kernel_argument(const char *command_line, const char *name, char *out, size_t room)
{
	const size_t length = string_length(name);
	const char *at = command_line;

	while (*at != '\0') {
		size_t n = 0;

		while (at[n] != '\0' && at[n] != ' ') {
			n++;
		}
		if (n >= length && memcmp(at, name, length) == 0 && (n == length || at[length] == '=')) {
			size_t used = 0;

			for (size_t i = length + 1; i < n && used + 1 < room; i++) {
				out[used++] = at[i];
			}
			out[used] = '\0';
			return true;
		}
		at += n;
		while (*at == ' ') {
			at++;
		}
	}
	return false;
}

static uint64_t argument_number(const char *command_line, const char *name, uint64_t absent)
{
	char text[24];
	uint64_t value = 0;

	if (!kernel_argument(command_line, name, text, sizeof(text))) {
		return absent;
	}
	for (const char *c = text; *c >= '0' && *c <= '9'; c++) {
		value = value * 10 + (uint64_t)(*c - '0');
	}
	return value;
}

static void read_options(const char *command_line)
{
	char ignored[8];

	kernel_options.run = kernel_argument(command_line, "run", ignored, sizeof(ignored));
	kernel_options.wx =
	    kernel_argument(command_line, "wx", ignored, sizeof(ignored)) || !kernel_options.run;
	kernel_options.verbose = kernel_argument(command_line, "verbose", ignored, sizeof(ignored));
	kernel_options.stretch = kernel_argument(command_line, "stretch", ignored, sizeof(ignored));
	kernel_options.regions = argument_number(command_line, "regions", vmem_posix_linux.max_regions);
	random_state = kernel_argument(command_line, "seed", ignored, sizeof(ignored))
			   ? argument_number(command_line, "seed", 0)
			   : port_entropy();
}

static struct strings file_strings(const char *path)
{
	const struct archive_entry *file = archive_find(path, false, NULL);

	/* A last string without its NUL would run into what follows in the archive. */
	if (file == NULL || file->size == 0 || file->data[file->size - 1] != '\0') {
		return (struct strings){NULL, 0};
	}
	return (struct strings){file->data, file->size};
}

static _Noreturn void run_program(const char *path)
{
	struct archive_entry *file = archive_find(path, false, NULL);
	struct strings argv = file_strings("etc/arguments");
	struct process *process;
	unsigned status, signal;

	if (file == NULL) {
		kernel_say("%s: not in the archive", path);
		kernel_end_exit(127);
	}
	if (argv.length == 0) {
		argv = (struct strings){path, string_length(path) + 1};
	}
	process = process_create(file, argv, file_strings("etc/environment"));
	if (process == NULL) {
		kernel_end_exit(126);
	}
	process_run_all();
	stretch_report();
	if (kernel_options.verbose) {
		report_map(process);
		report_statistics(process);
		report_memory();
	}
	status = process->status;
	signal = process->signal;
	if (kernel_options.verbose) {
		process_free(process);
		(void)report_frames_last();
	}
	if (signal != 0) {
		kernel_end_signal(signal);
	}
	kernel_end_exit(status);
}

void kernel_end_exit(unsigned status)
{
	kernel_log("end: exit %u\n", status);
	port_exit();
}

void kernel_end_signal(unsigned signal)
{
	kernel_log("end: signal %u\n", signal);
	port_exit();
}

void kernel_main(const struct kernel_boot *boot)
{
	const char *line = boot->command_line;
	const uint64_t flush_pages = argument_number(line, "flush", 0);
	struct vmem_config config = {
	    .ram = boot->ram,
	    .ram_count = boot->ram_count,
	    .direct_map = boot->direct_map,
	    .kernel_start = boot->managed_start,
	    .kernel_length = boot->managed_length,
	    .isa_features = boot->isa_features,
	    .pause = cpus_pause,
	};
	char word[KERNEL_WORD_MAX];
	vmem_status_t status;

	kernel_direct_map = boot->direct_map;
	read_options(line);
	port_describe();
	if (boot->archive != NULL) {
		archive_open(boot->archive, boot->archive_length);
	}
	config.seed = kernel_random();
	config.cpus = port_cpu_count();
	config.flush_pages = flush_pages < UINT32_MAX ? (uint32_t)flush_pages : UINT32_MAX;
	status = vmem_library_init(&config);
	if (status != VMEM_OK) {
		kernel_panic("vmem_library_init: %s", vmem_status_name(status));
	}
	cpus_start();
	kernel_note("%u of %u CPUs run\n", kernel_cpu_count, port_cpu_count());
	if (kernel_argument(line, "test", word, sizeof(word))) {
		test_run(word);
	}
	report_frames_first();
	if (kernel_argument(line, "run", word, sizeof(word))) {
		run_program(word);
	}
	report_memory();
	demo_run();
}
