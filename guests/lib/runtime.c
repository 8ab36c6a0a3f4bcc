/* Memory, the command line, COM1, and the end of the run. */
#include "guest.h"

enum { COM1 = 0x3f8, DEBUG_EXIT = 0xf4 };

extern u32 multiboot_info;

void *memset(void *to, int value, size_t count)
{
    void *start = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
    return start;
}

void *memcpy(void *to, const void *from, size_t count)
{
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    return start;
}

int memcmp(const void *a, const void *b, size_t count)
{
    const u8 *x = a, *y = b;
    for (; count; count--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

bool equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

const char *command_line(void)
{
    const u32 *info = (const u32 *)(word)multiboot_info;
    return info && (info[0] & 4) ? (const char *)(word)info[4] : "";
}

const char *option_text(const char *name)
{
    for (const char *word = command_line(); *word;) {
        const char *at = word, *n = name;
        while (*n && *at == *n)
            at++, n++;
        if (!*n && *at == '=')
            return at + 1;
        while (*word && *word != ' ')
            word++;
        while (*word == ' ')
            word++;
    }
    return 0;
}

u64 option(const char *name, u64 otherwise)
{
    const char *at = option_text(name);
    if (!at || *at < '0' || *at > '9')
        return otherwise;
    u64 value = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        value = value * 10 + *at - '0';
    return value;
}

void serial_init(void)
{
    outb(COM1 + 1, 0);    /* no interrupts */
    outb(COM1 + 3, 0x80); /* divisor latch */
    outb(COM1 + 0, 1);    /* 115200 */
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3);    /* 8N1 */
    outb(COM1 + 2, 0xc7); /* FIFOs on and empty */
    outb(COM1 + 4, 3);    /* DTR, RTS */
}

void serial_put(char c)
{
    while (!(inb(COM1 + 5) & 0x20))
        ;
    outb(COM1, (u8)c);
}

void end_run(u32 value)
{
    outl(DEBUG_EXIT, value);
    for (;;) /* nobody listens at the port */
        __asm__ volatile("cli; hlt");
}
