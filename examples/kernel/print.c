/* SPDX-License-Identifier: MIT */
/*
 * print.c - formatted messages. A message is built in a buffer on the stack and written at once, so it
 * works at any time, in a panic too.
 */
#include "locks.h"

#define MESSAGE_MAX 512u

struct sink {
	char *out;
	size_t room, length;
};

static void put(struct sink *sink, char c)
{
	if (sink->length + 1 < sink->room) {
		sink->out[sink->length++] = c;
	}
}

struct field {
	unsigned width;
	bool left, zero, is_long;
};

static void put_padded(struct sink *sink, const struct field *field, const char *text, size_t length)
{
	const size_t padding = field->width > length ? field->width - length : 0;

	for (size_t i = 0; i < padding && !field->left; i++) {
		put(sink, field->zero ? '0' : ' ');
	}
	for (size_t i = 0; i < length; i++) {
		put(sink, text[i]);
	}
	for (size_t i = 0; i < padding && field->left; i++) {
		put(sink, ' ');
	}
}

static void put_number(
    struct sink *sink, const struct field *field, uint64_t value, unsigned base, bool negative)
{
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	if (negative) {
		digits[--at] = '-';
	}
	put_padded(sink, field, digits + at, sizeof(digits) - at);
}

/* One conversion, after its flags; answers what follows it. */
static const char *put_conversion(
    struct sink *sink, const struct field *field, const char *format, va_list *arguments)
{
	int64_t number;
	const char *text;

	switch (*format) {
	case 's':
		text = va_arg(*arguments, const char *);
		put_padded(sink, field, text, string_length(text));
		break;
	case 'c':
		put(sink, (char)va_arg(*arguments, int));
		break;
	case 'd':
		number = field->is_long ? va_arg(*arguments, long) : va_arg(*arguments, int);
		put_number(sink, field, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 10, number < 0);
		break;
	case 'u':
	case 'x':
		put_number(sink, field,
		    field->is_long ? va_arg(*arguments, unsigned long) : va_arg(*arguments, unsigned),
		    *format == 'u' ? 10 : 16, false);
		break;
	case 'p':
		put(sink, '0');
		put(sink, 'x');
		put_number(sink, field, (uint64_t)(uintptr_t)va_arg(*arguments, void *), 16, false);
		break;
	case '\0':
		return format;
	default:
		put(sink, *format);
		break;
	}
	return format + 1;
}

size_t kernel_format(char *out, size_t room, const char *format, va_list arguments)
{
	struct sink sink = {.out = out, .room = room};
	va_list rest;

	va_copy(rest, arguments);
	while (*format != '\0') {
		struct field field = {0};

		if (*format != '%') {
			put(&sink, *format++);
			continue;
		}
		for (format++; *format == '-' || *format == '0'; format++) {
			field.left |= *format == '-';
			field.zero |= *format == '0';
		}
		for (; *format >= '0' && *format <= '9'; format++) {
			field.width = field.width * 10 + (unsigned)(*format - '0');
		}
		for (; *format == 'l' || *format == 'z'; format++) {
			field.is_long = true;
		}
		format = put_conversion(&sink, &field, format, &rest);
	}
	va_end(rest);
	out[sink.length] = '\0';
	return sink.length;
}

void kernel_write(enum port_channel channel, const void *bytes, size_t length)
{
	const bool locked = !cpu_this()->panics;

	if (locked) {
		lock_take(&output_lock_word);
	}
	port_write(channel, bytes, length);
	if (locked) {
		lock_drop(&output_lock_word);
	}
}

void kernel_log(const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list arguments;

	va_start(arguments, format);
	kernel_write(PORT_LOG, message, kernel_format(message, sizeof(message), format, arguments));
	va_end(arguments);
}

void kernel_note(const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list arguments;

	if (!kernel_options.verbose) {
		return;
	}
	va_start(arguments, format);
	kernel_write(PORT_LOG, message, kernel_format(message, sizeof(message), format, arguments));
	va_end(arguments);
}

size_t kernel_print(char *out, size_t room, const char *format, ...)
{
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	length = kernel_format(out, room, format, arguments);
	va_end(arguments);
	return length;
}

void kernel_say(const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list arguments;

	va_start(arguments, format);
	kernel_format(message, sizeof(message), format, arguments);
	va_end(arguments);
	kernel_log("%s%s\n", kernel_options.run ? "run: " : "", message);
}

const char *kernel_permission(unsigned permission)
{
	static const char names[8][4] = {"---", "r--", "-w-", "rw-", "--x", "r-x", "-wx", "rwx"};

	return names[permission & VMEM_RWX];
}
