/* SPDX-License-Identifier: MIT */
/*
 * demo.c - runs the list in etc/demo: each line a program, its arguments and the status it must end with
 * (README.md). Lines that end in "&" are started and left; the next line without one is waited for, and
 * they with it. After each program the library checks all its structures, with the program's space and
 * without.
 */
#include "locks.h"

#define BATCH_MAX 8u
#define LINE_MAX 512u

static const char environment[] = "PATH=/bin\0HOME=/";

struct started {
	struct process *process;
	unsigned expected;
};

/* A line taken apart: words[0] is the status, the rest is argv, each ended by a NUL. */
struct line {
	char words[LINE_MAX];
	size_t length, arguments_at;
	bool background;
};

/* Splits at blanks; a word in single quotes may hold them. False when the line is too long. */
static bool line_split(struct line *line, const char *text, size_t length)
{
	size_t last = 0;

	*line = (struct line){.length = 0};
	for (size_t i = 0; i < length;) {
		char end = ' ';

		if (text[i] == ' ') {
			i++;
			continue;
		}
		if (text[i] == '\'') {
			end = '\'';
			i++;
		}
		last = line->length;
		for (; i < length && text[i] != end; i++) {
			if (line->length + 2 > sizeof(line->words)) {
				return false;
			}
			line->words[line->length++] = text[i];
		}
		i += i < length ? 1 : 0;
		line->words[line->length++] = '\0';
		if (line->arguments_at == 0) {
			line->arguments_at = line->length;
		}
	}
	if (line->length != 0 && string_equal(line->words + last, "&")) {
		line->background = true;
		line->length = last;
	}
	return line->arguments_at != 0 && line->arguments_at < line->length;
}

static unsigned read_decimal(const char *text)
{
	unsigned value = 0;

	for (; *text >= '0' && *text <= '9'; text++) {
		value = value * 10 + (unsigned)(*text - '0');
	}
	return value;
}

/* The command as the list has it, without the status. */
static void say_heading(const char *text, size_t length)
{
	char copy[LINE_MAX];
	size_t skip = 0;

	while (skip < length && text[skip] != ' ') {
		skip++;
	}
	text += skip;
	length -= skip;
	length = length < sizeof(copy) ? length : sizeof(copy) - 1;
	memcpy(copy, text, length);
	copy[length] = '\0';
	kernel_log("\n==%s\n", copy);
}

static struct process *start(const struct line *line)
{
	char path[LINE_MAX + 4] = "bin/";
	const char *name = line->words + line->arguments_at;
	const struct strings argv = {name, line->length - line->arguments_at};
	const struct strings env = {environment, sizeof(environment)};
	struct archive_entry *file;

	memcpy(path + 4, name, string_length(name) + 1);
	file = archive_find(path, false, NULL);
	if (file == NULL) {
		kernel_say("%s: not in the archive", path);
		return NULL;
	}
	return process_create(file, argv, env);
}

/* Says how a program ended and what its memory looked like; true if it ended as it must. */
static bool finish(struct started *one, bool map)
{
	struct process *process = one->process;
	const unsigned status = process->signal != 0 ? 128 + process->signal : process->status;
	const bool good = status == one->expected;

	if (map || process->signal != 0) {
		report_map(process);
	}
	report_statistics(process);
	if (process->signal != 0) {
		kernel_say("-- %s: status %u, signal %u%s", process->name, status, process->signal,
		    good ? ", as it must" : "");
	} else {
		kernel_say("-- %s: status %u%s", process->name, status, good ? ", as it must" : "");
	}
	if (!good) {
		kernel_say("-- %s: WRONG: must end with status %u", process->name, one->expected);
	}
	vmem_aspace_check(process->aspace);
	process_free(process);
	vmem_check();
	return good;
}

void demo_run(void)
{
	const struct archive_entry *list = archive_find("etc/demo", false, NULL);
	struct started batch[BATCH_MAX];
	unsigned count = 0, programs = 0, good = 0;
	bool whole;

	if (list == NULL) {
		kernel_panic("the archive has no etc/demo");
	}
	for (size_t at = 0, length; at < list->size; at += length + 1) {
		struct line line;

		for (length = 0; at + length < list->size && list->data[at + length] != '\n'; length++) {
		}
		if (length == 0 || list->data[at] == '#') {
			continue;
		}
		say_heading(list->data + at, length);
		programs++;
		if (!line_split(&line, list->data + at, length)) {
			kernel_say("not a line of the list");
			continue;
		}
		batch[count] =
		    (struct started){.process = start(&line), .expected = read_decimal(line.words)};
		count += batch[count].process != NULL ? 1 : 0;
		if (line.background && count < BATCH_MAX) {
			continue;
		}
		process_run_all();
		for (unsigned i = 0; i < count; i++) {
			good += finish(&batch[i], programs == 1) ? 1 : 0;
		}
		count = 0;
	}
	kernel_log("\n");
	report_memory();
	whole = report_frames_last();
	kernel_say("%u of %u programs ended as they must", good, programs);
	kernel_end_exit(good == programs && whole ? 0 : 1);
}
