/* Guest runtime: the command line, serial output on COM1, the end through port 0xf4. */
#include "kernels.h"

static inline void outb(unsigned short port, u8 value) { __asm__ volatile("outb %0,%1" ::"a"(value), "Nd"(port)); }
static inline void outl(unsigned short port, u32 value) { __asm__ volatile("outl %0,%1" ::"a"(value), "Nd"(port)); }
static inline u8 inb(unsigned short port) { u8 value; __asm__ volatile("inb %1,%0" : "=a"(value) : "Nd"(port)); return value; }
static inline u64 rdtsc(void) { u32 a, d; __asm__ volatile("lfence; rdtsc" : "=a"(a), "=d"(d)); return (u64)d << 32 | a; }

static void put_char(char c)
{
	while (!(inb(0x3fd) & 0x20))
		;
	outb(0x3f8, (u8)c);
}
static void put_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			put_char('\r');
		put_char(*text);
	}
}
static void put_number(u64 value)
{
	char digits[24];
	int at = 23;
	digits[at] = 0;
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	put_text(digits + at);
}
static void put_hex(u64 value)
{
	put_text("0x");
	for (int shift = 60; shift >= 0; shift -= 4)
		put_char("0123456789abcdef"[(value >> shift) & 15]);
}

/* What follows "name=" on the command line, or null. */
static const char *option(const char *line, const char *name)
{
	while (*line) {
		const char *at = line, *n = name;
		while (*n && *at == *n)
			at++, n++;
		if (!*n && *at == '=')
			return at + 1;
		while (*line && *line != ' ')
			line++;
		while (*line == ' ')
			line++;
	}
	return 0;
}
static int same_word(const char *word, const char *name)
{
	while (*name && *word == *name)
		word++, name++;
	return !*name && (!*word || *word == ' ');
}

void *memset(void *to, int value, u64 count)
{
	u8 *p = to;
	while (count--) {
		*p++ = (u8)value;
		__asm__ volatile("" ::: "memory");
	}
	return to;
}

void guest_main(u32 *multiboot)
{
	const char *line = multiboot[0] & 4 ? (const char *)(u64)multiboot[4] : "";
	const char *only = option(line, "only"), *percent = option(line, "scale");
	u64 scale = percent ? 0 : 100;
	for (; percent && *percent >= '0' && *percent <= '9'; percent++)
		scale = scale * 10 + (u64)(*percent - '0');

	outb(0x3f9, 0);
	outb(0x3fb, 0x80);
	outb(0x3f8, 1);
	outb(0x3f9, 0);
	outb(0x3fb, 3);
	outb(0x3fa, 0);
	outb(0x3fc, 3);
	put_text("BENCH START scale="); put_number(scale); put_text("\n");
	for (int i = 0; i < nphases; i++) {
		const struct phase *p = &phases[i];
		if (only && !same_word(only, p->name))
			continue;
		u64 iterations = p->iters * scale / 100;
		if (!iterations)
			iterations = 1;
		if (p->setup)
			p->setup();
		put_text("BEGIN "); put_text(p->name); put_text("\n");
		u64 ticks = rdtsc();
		u64 sum = p->fn(iterations);
		ticks = rdtsc() - ticks;
		put_text("END "); put_text(p->name);
		put_text(" iters="); put_number(iterations);
		put_text(" tsc="); put_number(ticks);
		put_text(" sum="); put_hex(sum); put_text("\n");
	}
	put_text("BENCH DONE\n");
	outl(0xf4, 0x10);
}
