/* SPDX-License-Identifier: MIT */
/*
 * names.c - /tmp, whose files are in memory (memfile.c), and a process's own directory in /proc, by "self" or
 * by its number. /tmp has no directories in it, and the other processes' directories in /proc do not exist.
 */
#include "names.h"

#include "calls.h"
#include "files.h"
#include "pipe.h"

enum { O_ACCESS = 3, O_CREAT = 0100, O_EXCL = 0200, O_TRUNC = 01000, O_APPEND = 02000 };
enum { DT_LINK = 10, DT_FILE = 8 };

/* Behind the prefix, if the path begins with it and a slash, or its end, comes then; else NULL. */
static const char *after(const char *path, const char *prefix)
{
	const size_t length = string_length(prefix);

	if (string_length(path) < length || memcmp(path, prefix, length) != 0 ||
	    (path[length] != '\0' && path[length] != '/')) {
		return NULL;
	}
	for (path += length; *path == '/'; path++) {
	}
	return path;
}

/* A number to the end of the text, or UINT64_MAX. */
static uint64_t number_of(const char *text)
{
	uint64_t number = 0;

	if (*text == '\0') {
		return UINT64_MAX;
	}
	for (; *text != '\0' && *text != '/'; text++) {
		if (*text < '0' || *text > '9' || number > UINT32_MAX) {
			return UINT64_MAX;
		}
		number = 10 * number + (uint64_t)(*text - '0');
	}
	return number;
}

static struct name parse_process(const char *path)
{
	const char *rest = after(path, "fd");

	if (rest != NULL && *rest == '\0') {
		return (struct name){.kind = NAME_LIST, .proc = PROC_FDS};
	}
	if (rest != NULL) {
		return (struct name){.kind = NAME_DESCRIPTOR, .descriptor = number_of(rest)};
	}
	if (string_equal(path, "maps") || string_equal(path, "status")) {
		return (struct name){.kind = NAME_TEXT, .proc = *path == 'm' ? PROC_MAPS : PROC_STATUS};
	}
	return (struct name){.kind = NAME_OTHER};
}

struct name name_parse(const char *path)
{
	const char *rest;

	while (*path == '/') {
		path++;
	}
	rest = after(path, "tmp");
	if (rest != NULL && *rest == '\0') {
		return (struct name){.kind = NAME_LIST, .proc = PROC_TMP};
	}
	if (rest != NULL) {
		return (struct name){.kind = NAME_MEMORY, .last = rest};
	}
	rest = after(path, "proc");
	if (rest != NULL && number_of(rest) == process_current()->pid) {
		while (*rest != '\0' && *rest != '/') {
			rest++;
		}
		return parse_process(*rest == '/' ? rest + 1 : rest);
	}
	rest = rest != NULL ? after(rest, "self") : NULL;
	return rest != NULL ? parse_process(rest) : (struct name){.kind = NAME_OTHER};
}

bool name_next(enum proc_file directory, uint64_t *position, struct listed *out)
{
	bool found = false;

	if (directory == PROC_TMP) {
		out->type = DT_FILE;
		return memory_file_next(position, out->name);
	}
	out->type = DT_LINK;
	kernel_lock();
	while (*position < FILES_MAX && !found) {
		found = process_current()->files[*position] != NULL;
		*position += found ? 0 : 1;
	}
	kernel_unlock();
	(void)kernel_print(out->name, sizeof(out->name), "%lu", *position);
	return found;
}

int64_t name_open(const char *last, uint64_t flags, uint64_t mode)
{
	static const unsigned access[4] = {VMEM_READ, VMEM_WRITE, VMEM_READ | VMEM_WRITE, 0};
	const unsigned wanted = access[flags & O_ACCESS];
	struct memory_file *file;
	int64_t result;

	if (string_length(last) >= MEMORY_NAME_MAX) {
		return -ENAMETOOLONG;
	}
	while ((file = memory_file_find(last)) == NULL) {
		bool linked;

		if ((flags & O_CREAT) == 0 || string_has(last, '/')) {
			return -ENOENT;
		}
		file = memory_file_create(last, SEAL_SEAL);
		if (file == NULL) {
			return -ENOSPC;
		}
		file->mode = (uint32_t)mode & 0755; /* nobody can change the mask of a process */
		linked = memory_file_link(file);
		if (linked) {
			return files_open_memory(file, wanted, (flags & O_APPEND) != 0);
		}
		memory_file_release(file); /* another one was faster */
	}
	result = (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0 ? -EEXIST
		 : (flags & PORT_O_DIRECTORY) != 0		 ? -ENOTDIR
		 : (flags & O_TRUNC) != 0			 ? memory_file_resize(file, 0)
								 : 0;
	if (result != 0) {
		memory_file_release(file);
		return result;
	}
	return files_open_memory(file, wanted, (flags & O_APPEND) != 0);
}

int64_t name_of_descriptor(uint64_t descriptor, char *to, size_t room)
{
	static const char *const paths[] = {
	    [PROC_MAPS] = "/proc/self/maps",
	    [PROC_STATUS] = "/proc/self/status",
	    [PROC_FDS] = "/proc/self/fd",
	    [PROC_TMP] = "/tmp",
	};
	struct open_file *file = files_hold(descriptor);
	int64_t length;

	if (file == NULL) {
		return -ENOENT;
	}
	switch (file->kind) {
	case FILE_MEMORY:
		length = memory_file_path(file->memory, to, room);
		break;
	case FILE_ARCHIVE:
		length = (int64_t)kernel_print(to, room, "/%s", file->entry->name);
		break;
	case FILE_PROC:
		length = (int64_t)kernel_print(to, room, "%s", paths[file->proc]);
		break;
	case FILE_PIPE:
		length = (int64_t)kernel_print(to, room, "pipe:[%lu]", pipe_number(file->pipe));
		break;
	case FILE_INPUT:
	case FILE_OUTPUT:
	case FILE_ERRORS:
	default: /* what the machine's ends are: pipes for all that a program can tell */
		length = (int64_t)kernel_print(to, room, "pipe:[%u]", 1 + (unsigned)file->kind);
		break;
	}
	files_release(file);
	return length;
}
