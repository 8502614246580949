/* SPDX-License-Identifier: MIT */
/*
 * archive.c - the initial archive: a cpio file of the "newc" form (cpio(5)), read where it lies. Each
 * member is a header of 110 characters (a magic of six, then thirteen numbers of eight hexadecimal digits),
 * its name with a NUL, padding to four bytes, the content, padding again; the member TRAILER!!! ends it.
 *
 * The members go into a table once; nothing of them is copied until a program is mapped (archive_object()).
 */
#include <vmem/object.h>

#include "kernel.h"

#define ENTRIES_MAX 512u
#define PATH_MAX 256u
#define LINKS_MAX 8u
#define HEADER_SIZE 110u

enum { MODE_TYPE = 0170000, MODE_DIRECTORY = 0040000, MODE_LINK = 0120000 };
enum { FIELD_MODE = 1, FIELD_LINKS = 4, FIELD_SIZE = 6, FIELD_NAME_SIZE = 11 };

static struct archive_entry entries[ENTRIES_MAX];
static unsigned entries_count;

static uint64_t header_field(const char *header, unsigned field)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 8; i++) {
		const char c = header[6 + 8 * field + i];

		value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value;
}

/* Member names are written as "./bin/x", "/bin/x" or "bin/x". */
static const char *plain_name(const char *name)
{
	while (name[0] == '/' || (name[0] == '.' && (name[1] == '/' || name[1] == '\0'))) {
		name++;
	}
	return name;
}

void archive_open(const void *start, size_t length)
{
	const char *at = start;
	size_t left = length;

	entries[entries_count++] =
	    (struct archive_entry){.name = "", .mode = MODE_DIRECTORY | 0755, .links = 2};
	while (left >= HEADER_SIZE) {
		uint64_t name_size, size, name_end, data_end;
		const char *name = at + HEADER_SIZE;

		if (memcmp(at, "070701", 6) != 0 && memcmp(at, "070702", 6) != 0) {
			kernel_panic(
			    "the initial archive is not a newc cpio file at byte %zu", length - left);
		}
		name_size = header_field(at, FIELD_NAME_SIZE);
		size = header_field(at, FIELD_SIZE);
		name_end = (HEADER_SIZE + name_size + 3) & ~UINT64_C(3);
		data_end = (name_end + size + 3) & ~UINT64_C(3);
		if (name_size == 0 || data_end > left + 3 || name[name_size - 1] != '\0') {
			kernel_panic("the initial archive is cut off at byte %zu", length - left);
		}
		if (string_equal(name, "TRAILER!!!")) {
			return;
		}
		if (entries_count == ENTRIES_MAX) {
			kernel_panic("the initial archive has more than %u members", ENTRIES_MAX);
		}
		if (plain_name(name)[0] != '\0') {
			entries[entries_count++] = (struct archive_entry){
			    .name = plain_name(name),
			    .data = at + name_end,
			    .size = size,
			    .mode = (uint32_t)header_field(at, FIELD_MODE),
			    .links = (uint32_t)header_field(at, FIELD_LINKS),
			};
		}
		at += data_end;
		left -= data_end < left ? data_end : left;
	}
}

struct archive_entry *archive_entry(unsigned n)
{
	return n < entries_count ? &entries[n] : NULL;
}

bool archive_is_directory(const struct archive_entry *entry)
{
	return (entry->mode & MODE_TYPE) == MODE_DIRECTORY;
}

static struct archive_entry *lookup(const char *name)
{
	for (unsigned i = 0; i < entries_count; i++) {
		if (string_equal(entries[i].name, name)) {
			return &entries[i];
		}
	}
	return NULL;
}

/* Appends the components of `path` to the plain name in `out`; "." and ".." are worked out. False when it
 * does not fit. */
static bool append_path(char *out, const char *path)
{
	size_t length = string_length(out);

	while (*path != '\0') {
		size_t n = 0;

		while (path[n] != '\0' && path[n] != '/') {
			n++;
		}
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (length > 0 && out[--length] != '/') {
			}
		} else if (n != 0 && !(n == 1 && path[0] == '.')) {
			if (length + 1 + n + 1 > PATH_MAX) {
				return false;
			}
			if (length != 0) {
				out[length++] = '/';
			}
			memcpy(out + length, path, n);
			length += n;
		}
		out[length] = '\0';
		path += n;
		path += *path == '/' ? 1 : 0;
	}
	return true;
}

/* Replaces the link's own name at the end of `name` by its target. */
static bool follow(char *name, const struct archive_entry *link)
{
	char target[PATH_MAX];
	size_t length = string_length(name);

	if (link->size >= sizeof(target)) {
		return false;
	}
	memcpy(target, link->data, link->size);
	target[link->size] = '\0';
	while (length > 0 && name[--length] != '/') {
	}
	name[target[0] == '/' ? 0 : length] = '\0';
	return append_path(name, target);
}

struct archive_entry *archive_find(const char *path, bool keep_link, int *out_error)
{
	char name[PATH_MAX] = "";
	int ignored;
	int *error = out_error != NULL ? out_error : &ignored;

	*error = ENOENT;
	if (!append_path(name, path)) {
		return NULL;
	}
	for (unsigned links = 0; links < LINKS_MAX; links++) {
		struct archive_entry *entry = lookup(name);

		if (entry == NULL || (entry->mode & MODE_TYPE) != MODE_LINK || keep_link) {
			return entry;
		}
		if (!follow(name, entry)) {
			return NULL;
		}
	}
	*error = ELOOP;
	return NULL;
}

vmem_status_t archive_object(struct archive_entry *entry, struct vmem_object **out)
{
	vmem_status_t status;

	if (entry->object == NULL) {
		struct vmem_object *object;

		status = vmem_object_create_anonymous(entry->size, 0, &object);
		if (status != VMEM_OK) {
			return status;
		}
		status = vmem_object_write(object, 0, entry->data, entry->size, NULL);
		if (status != VMEM_OK) {
			vmem_object_release(object);
			return status;
		}
		entry->object = object;
	}
	*out = entry->object;
	return VMEM_OK;
}

void archive_forget_objects(void)
{
	for (unsigned i = 0; i < entries_count; i++) {
		if (entries[i].object != NULL) {
			vmem_object_release(entries[i].object);
			entries[i].object = NULL;
		}
	}
}
