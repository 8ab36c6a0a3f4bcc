/* A small formatted print: %s %c %d %u %x %%, with 'l' and a field width (zero-padded when it starts with 0). */
#include "guest.h"

static void put_number(unsigned long value, unsigned base, bool negative, unsigned width, char pad)
{
    char digits[24];
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (negative)
        digits[count++] = '-';
    while (width > count) {
        put_char(pad);
        width--;
    }
    while (count)
        put_char(digits[--count]);
}

static void put_text(const char *text, unsigned width)
{
    unsigned count = 0;
    for (; *text; text++, count++)
        put_char(*text);
    for (; count < width; count++)
        put_char(' ');
}

void print_list(const char *format, va_list arguments)
{
    for (; *format; format++) {
        if (*format != '%') {
            put_char(*format);
            continue;
        }
        bool left = format[1] == '-';
        if (left)
            format++;
        char pad = format[1] == '0' ? '0' : ' ';
        unsigned width = 0;
        while (format[1] >= '0' && format[1] <= '9')
            width = width * 10 + *++format - '0';
        bool wide = false;
        while (format[1] == 'l') {
            wide = true;
            format++;
        }
        switch (*++format) {
        case 's': put_text(va_arg(arguments, const char *), width); break;
        case 'c': put_char((char)va_arg(arguments, int)); break;
        case 'd': {
            long value = wide ? va_arg(arguments, long) : va_arg(arguments, int);
            put_number(value < 0 ? -(unsigned long)value : (unsigned long)value, 10, value < 0, width, pad);
            break;
        }
        case 'u': put_number(wide ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned), 10, false, width, pad); break;
        case 'x': put_number(wide ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned), 16, false, width, pad); break;
        default: put_char(*format);
        }
    }
}

void print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_list(format, arguments);
    va_end(arguments);
}
