/* SPDX-License-Identifier: MIT */
/*
 * calls_path.c - system calls on names and what they stand for. The working directory is the root and stays
 * it; a directory descriptor of the *at calls matters only if it is an open directory other than the root.
 */
#include "calls.h"
#include "files.h"
#include "memfile.h"
#include "names.h"

#define AT_FDCWD (-100)
#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_EMPTY_PATH 0x1000u
#define NAME_ROOM 320u

static void fill_stat(struct port_stat *out, const struct archive_entry *entry, uint32_t mode)
{
	*out =
	    (struct port_stat){.st_dev = 1, .st_ino = 1, .st_mode = mode, .st_nlink = 1, .st_blksize = 4096};
	if (entry != NULL) {
		out->st_ino = (uint64_t)(entry - archive_entry(0)) + 2;
		out->st_mode = entry->mode;
		out->st_nlink = entry->links;
		out->st_size = (int64_t)entry->size;
		out->st_blocks = (int64_t)((entry->size + 511) / 512);
	}
}

static uint32_t mode_of(enum proc_file proc)
{
	return proc == PROC_TMP ? 0041777 : proc == PROC_FDS ? 0040500 : 0100444;
}

static void fill_memory(struct port_stat *out, const struct memory_file *file)
{
	fill_stat(out, NULL, 0100000 | file->mode);
	out->st_ino = memory_file_number(file);
	out->st_nlink = file->linked ? 1 : 0;
	out->st_uid = out->st_gid = KERNEL_USER;
	out->st_size = (int64_t)file->size;
	out->st_blocks = (int64_t)((file->size + 511) / 512);
}

static int64_t stat_file(const struct open_file *file, uint64_t to)
{
	struct port_stat stat;

	if (file->kind == FILE_MEMORY) {
		fill_memory(&stat, file->memory);
	} else if (file->kind == FILE_PROC) {
		fill_stat(&stat, NULL, mode_of(file->proc));
	} else { /* standard input and output are pipes for all that a program can tell */
		fill_stat(&stat, file->kind == FILE_ARCHIVE ? file->entry : NULL, 0010600);
	}
	return kernel_copy_out(to, &stat, sizeof(stat));
}

/* What a path means that is not of the archive; the path is kept in `path`. An error of the path is met
 * again by who looks for it in the archive. */
static struct name name_at(uint64_t directory, uint64_t path_at, char path[KERNEL_PATH_MAX])
{
	if (kernel_copy_path(path, path_at) != 0 || (path[0] != '/' && (int32_t)directory != AT_FDCWD)) {
		return (struct name){.kind = NAME_OTHER};
	}
	return name_parse(path);
}

/* stat of a name that is not of the archive. */
static int64_t stat_name(const struct name *name, uint64_t to, bool keep_link)
{
	struct memory_file *memory;
	struct port_stat stat;

	if (name->kind == NAME_DESCRIPTOR) {
		struct open_file *file = files_hold(name->descriptor);
		int64_t result = file != NULL ? 0 : -ENOENT;

		if (file != NULL && !keep_link) {
			result = stat_file(file, to);
		}
		if (file != NULL) {
			files_release(file);
		}
		if (result != 0 || !keep_link) {
			return result;
		}
		fill_stat(&stat, NULL, 0120500);
	} else if (name->kind == NAME_MEMORY) {
		memory = memory_file_find(name->last);
		if (memory == NULL) {
			return -ENOENT;
		}
		fill_memory(&stat, memory);
		memory_file_release(memory);
	} else {
		fill_stat(&stat, NULL, mode_of(name->proc));
	}
	return kernel_copy_out(to, &stat, sizeof(stat));
}

/* Finds a path below an open directory, or the root. 0, or an error. */
static int64_t find_at(uint64_t directory, uint64_t path_at, bool keep_link, struct archive_entry **out)
{
	char path[KERNEL_PATH_MAX], whole[2 * KERNEL_PATH_MAX];
	const struct archive_entry *start = NULL;
	struct open_file *file;
	int64_t result = kernel_copy_path(path, path_at);
	size_t length = 0;
	int error = 0;

	if (result != 0) {
		return result;
	}
	if (path[0] != '/' && (int32_t)directory != AT_FDCWD) {
		file = files_hold(directory);
		if (file == NULL) {
			return -EBADF;
		}
		start = file->kind == FILE_ARCHIVE ? file->entry : NULL;
		files_release(file);
		if (start == NULL || !archive_is_directory(start)) {
			return -ENOTDIR;
		}
		length = string_length(start->name);
		memcpy(whole, start->name, length);
		whole[length++] = '/';
	}
	memcpy(whole + length, path, string_length(path) + 1);
	*out = path[0] != '\0' ? archive_find(whole, keep_link, &error) : NULL;
	return *out != NULL ? 0 : -(path[0] != '\0' ? error : ENOENT);
}

static int64_t stat_path(uint64_t directory, uint64_t path_at, uint64_t to, bool keep_link)
{
	char path[KERNEL_PATH_MAX];
	const struct name name = name_at(directory, path_at, path);
	struct port_stat stat;
	struct archive_entry *entry;
	int64_t result;

	if (name.kind != NAME_OTHER) {
		return stat_name(&name, to, keep_link);
	}
	result = find_at(directory, path_at, keep_link, &entry);
	if (result != 0) {
		return result;
	}
	fill_stat(&stat, entry, 0);
	return kernel_copy_out(to, &stat, sizeof(stat));
}

enum { O_ACCESS = 3, O_CREAT = 0100 };

/* open of a name that is not of the archive. */
static int64_t open_name(const struct name *name, uint64_t flags, uint64_t mode)
{
	static const unsigned access[4] = {VMEM_READ, VMEM_WRITE, VMEM_READ | VMEM_WRITE, 0};

	switch (name->kind) {
	case NAME_DESCRIPTOR:
		return files_reopen(name->descriptor, access[flags & O_ACCESS]);
	case NAME_MEMORY:
		return name_open(name->last, flags, mode);
	case NAME_LIST:
		return (flags & O_ACCESS) == 0 ? files_open_proc(name->proc) : -EISDIR;
	case NAME_TEXT:
	case NAME_OTHER:
		break;
	}
	return (flags & PORT_O_DIRECTORY) != 0 ? -ENOTDIR
	       : (flags & O_ACCESS) == 0       ? files_open_proc(name->proc)
					       : -EACCES;
}

/* Any way of writing to the archive is refused as on a read-only file system. */
static int64_t open_path(uint64_t directory, uint64_t path_at, uint64_t flags, uint64_t mode)
{
	char path[KERNEL_PATH_MAX];
	const struct name name = name_at(directory, path_at, path);
	struct archive_entry *entry;
	int64_t result;

	if (name.kind != NAME_OTHER) {
		return open_name(&name, flags, mode);
	}
	result = find_at(directory, path_at, false, &entry);
	if (result != 0) {
		return (flags & O_CREAT) != 0 && result == -ENOENT ? -EROFS : result;
	}
	if ((flags & O_ACCESS) != 0) {
		return archive_is_directory(entry) ? -EISDIR : -EROFS;
	}
	if ((flags & PORT_O_DIRECTORY) != 0 && !archive_is_directory(entry)) {
		return -ENOTDIR;
	}
	return files_open(entry);
}

static int64_t open_at(uint64_t directory, uint64_t path_at, uint64_t flags, uint64_t mode)
{
	enum { O_CLOEXEC = 02000000 };
	const int64_t result = open_path(directory, path_at, flags, mode);

	if (result >= 0) {
		files_set_exec((uint64_t)result, (flags & O_CLOEXEC) == 0);
	}
	return result;
}

int64_t call_open(const uint64_t *argument)
{
	return open_at((uint64_t)AT_FDCWD, argument[0], argument[1], argument[2]);
}

int64_t call_openat(const uint64_t *argument)
{
	return open_at(argument[0], argument[1], argument[2], argument[3]);
}

int64_t call_fstat(const uint64_t *argument)
{
	struct open_file *file = files_hold(argument[0]);
	int64_t result;

	if (file == NULL) {
		return -EBADF;
	}
	result = stat_file(file, argument[1]);
	files_release(file);
	return result;
}

int64_t call_stat(const uint64_t *argument)
{
	return stat_path((uint64_t)AT_FDCWD, argument[0], argument[1], false);
}

int64_t call_lstat(const uint64_t *argument)
{
	return stat_path((uint64_t)AT_FDCWD, argument[0], argument[1], true);
}

int64_t call_newfstatat(const uint64_t *argument)
{
	char first = '\0';

	if ((argument[3] & AT_EMPTY_PATH) != 0) {
		const int64_t result = kernel_copy_in(&first, argument[1], 1);

		if (result != 0) {
			return result;
		}
		if (first == '\0') {
			return call_fstat((const uint64_t[2]){argument[0], argument[2]});
		}
	}
	return stat_path(argument[0], argument[1], argument[2], (argument[3] & AT_SYMLINK_NOFOLLOW) != 0);
}

static int64_t read_link(uint64_t directory, uint64_t path_at, uint64_t to, uint64_t room)
{
	char path[KERNEL_PATH_MAX], name[NAME_ROOM];
	int64_t result = kernel_copy_path(path, path_at);
	const struct name special = name_at(directory, path_at, path);
	struct archive_entry *entry;
	uint64_t length;

	if (result != 0) {
		return result;
	}
	if (room == 0) {
		return -EINVAL;
	}
	if (string_equal(path, "/proc/self/exe")) {
		length = string_length(process_current()->file->name);
		name[0] = '/';
		memcpy(name + 1, process_current()->file->name, length);
		length++;
	} else if (special.kind == NAME_DESCRIPTOR) {
		result = name_of_descriptor(special.descriptor, name, sizeof(name));
		if (result < 0) {
			return result;
		}
		length = (uint64_t)result;
	} else {
		result = special.kind != NAME_OTHER ? -EINVAL : find_at(directory, path_at, true, &entry);
		if (result != 0) {
			return result;
		}
		if ((entry->mode & 0170000) != 0120000) {
			return -EINVAL;
		}
		length = entry->size < sizeof(name) ? entry->size : sizeof(name);
		memcpy(name, entry->data, length);
	}
	length = length < room ? length : room;
	result = kernel_copy_out(to, name, length);
	return result != 0 ? result : (int64_t)length;
}

int64_t call_readlink(const uint64_t *argument)
{
	return read_link((uint64_t)AT_FDCWD, argument[0], argument[1], argument[2]);
}

int64_t call_readlinkat(const uint64_t *argument)
{
	return read_link(argument[0], argument[1], argument[2], argument[3]);
}

static int64_t access_path(uint64_t directory, uint64_t path_at, uint64_t mode)
{
	enum { CAN_EXECUTE = 1, CAN_WRITE = 2 };
	char path[KERNEL_PATH_MAX];
	const struct name name = name_at(directory, path_at, path);
	struct archive_entry *entry;
	struct memory_file *memory;
	int64_t result;

	if (name.kind == NAME_MEMORY) {
		memory = memory_file_find(name.last);
		if (memory == NULL) {
			return -ENOENT;
		}
		result = (mode & CAN_EXECUTE) != 0 && (memory->mode & 0100) == 0 ? -EACCES : 0;
		memory_file_release(memory);
		return result;
	}
	if (name.kind != NAME_OTHER) {
		return (mode & CAN_WRITE) != 0 && name.proc != PROC_TMP ? -EACCES : 0;
	}
	result = find_at(directory, path_at, false, &entry);
	if (result != 0) {
		return result;
	}
	if ((mode & CAN_WRITE) != 0) {
		return -EROFS;
	}
	return (mode & CAN_EXECUTE) != 0 && (entry->mode & 0111) == 0 ? -EACCES : 0;
}

int64_t call_access(const uint64_t *argument)
{
	return access_path((uint64_t)AT_FDCWD, argument[0], argument[1]);
}

int64_t call_faccessat(const uint64_t *argument)
{
	return access_path(argument[0], argument[1], argument[2]);
}

/* The name of `entry` in the directory, or NULL if it lies elsewhere. */
static const char *name_in(const struct archive_entry *directory, const struct archive_entry *entry)
{
	const size_t length = string_length(directory->name);
	const char *name = entry->name;

	if (length != 0) {
		if (string_length(name) <= length || memcmp(name, directory->name, length) != 0 ||
		    name[length] != '/') {
			return NULL;
		}
		name += length + 1;
	}
	for (const char *c = name; *c != '\0'; c++) {
		if (*c == '/') {
			return NULL;
		}
	}
	return *name != '\0' ? name : NULL;
}

/* The next entry of a directory at or after the file's position, which it then is; false: none. */
static bool next_listed(struct open_file *file, struct listed *out)
{
	if (file->kind == FILE_PROC) {
		return name_next(file->proc, &file->position, out);
	}
	for (;; file->position++) {
		const struct archive_entry *entry = archive_entry((unsigned)file->position);
		const char *name = entry != NULL ? name_in(file->entry, entry) : NULL;

		if (entry == NULL) {
			return false;
		}
		if (name != NULL && string_length(name) < sizeof(out->name)) {
			memcpy(out->name, name, string_length(name) + 1);
			out->type = (uint8_t)(entry->mode >> 12); /* DT_* are the mode's type bits */
			return true;
		}
	}
}

static bool is_directory(const struct open_file *file)
{
	return file->kind == FILE_ARCHIVE ? archive_is_directory(file->entry)
					  : file->kind == FILE_PROC &&
						(file->proc == PROC_FDS || file->proc == PROC_TMP);
}

/* struct linux_dirent64: ino, off, reclen, type, then the name and its NUL, padded to eight bytes. */
static int64_t read_directory(struct open_file *file, const uint64_t *argument)
{
	struct listed found;
	uint64_t done = 0;

	if (!is_directory(file)) {
		return -ENOTDIR;
	}
	for (; next_listed(file, &found); file->position++) {
		uint8_t record[24 + sizeof(found.name)] = {0};
		const uint64_t numbers[2] = {file->position + 2, file->position + 1};
		const size_t name = string_length(found.name);
		const size_t length = (19 + name + 1 + 7) & ~(size_t)7;

		if (length > argument[2] - done) {
			return done != 0 ? (int64_t)done : -EINVAL;
		}
		memcpy(record, numbers, sizeof(numbers));
		record[16] = (uint8_t)length;
		record[17] = (uint8_t)(length >> 8);
		record[18] = found.type;
		memcpy(record + 19, found.name, name);
		if (kernel_copy_out(argument[1] + done, record, length) != 0) {
			return -EFAULT;
		}
		done += length;
	}
	return (int64_t)done;
}

int64_t call_getdents64(const uint64_t *argument)
{
	struct open_file *file = files_hold(argument[0]);
	int64_t result;

	if (file == NULL) {
		return -EBADF;
	}
	result = read_directory(file, argument);
	files_release(file);
	return result;
}

static int64_t unlink_path(uint64_t directory, uint64_t path_at)
{
	char path[KERNEL_PATH_MAX];
	const struct name name = name_at(directory, path_at, path);
	struct archive_entry *entry;
	int64_t result;

	if (name.kind == NAME_MEMORY) {
		return memory_file_unlink(name.last) ? 0 : -ENOENT;
	}
	if (name.kind != NAME_OTHER) {
		return name.kind == NAME_LIST ? -EISDIR : -EPERM;
	}
	result = find_at(directory, path_at, true, &entry);
	return result != 0 ? result : archive_is_directory(entry) ? -EISDIR : -EROFS;
}

int64_t call_unlink(const uint64_t *argument)
{
	return unlink_path((uint64_t)AT_FDCWD, argument[0]);
}

/* There is no directory that could be removed. */
int64_t call_unlinkat(const uint64_t *argument)
{
	return argument[2] == 0 ? unlink_path(argument[0], argument[1]) : -EINVAL;
}

int64_t call_getcwd(const uint64_t *argument)
{
	if (argument[1] < 2) {
		return -ERANGE;
	}
	return kernel_copy_out(argument[0], "/", 2) != 0 ? -EFAULT : 2;
}

int64_t call_chdir(const uint64_t *argument)
{
	struct archive_entry *entry;
	const int64_t result = find_at((uint64_t)AT_FDCWD, argument[0], false, &entry);

	if (result != 0) {
		return result;
	}
	if (!archive_is_directory(entry)) {
		return -ENOTDIR;
	}
	return entry->name[0] == '\0' ? 0 : -EACCES;
}
