/* Code that changes, moves, or lies across pages: what executes is what memory holds. */
#include "frame.h"

extern u64 boot_pml4[];
typedef u32 code_function(void);

/* mov eax, value; ret */
static void put_return(u8 *at, u32 value)
{
    at[0] = 0xb8;
    memcpy(at + 1, &value, 4);
    at[5] = 0xc3;
}
static u32 call(volatile void *at) { return ((code_function *)(u64)at)(); }

TEST(code, rewritten_between_calls)
{
    for (u32 i = 0; i < 1000; i++) {
        put_return(scratch, i);
        EXPECT_EQ(call(scratch), i);
    }
}
TEST(code, one_byte_rewritten_after_many_runs)
{
    put_return(scratch, 1);
    for (int i = 0; i < 5000; i++)
        call(scratch);
    scratch[1] = 2;
    EXPECT_EQ(call(scratch), 2);
    scratch[1] = 3;
    EXPECT_EQ(call(scratch), 3);
}
TEST(code, next_instruction_rewritten)
{
    u32 result;
    __asm__ volatile("lea 1f(%%rip), %%rcx; movb $0x42, 1(%%rcx)\n1: mov $0x11, %%eax\n\tmovb $0x11, 1(%%rcx)" : "=a"(result)::"rcx", "memory");
    EXPECT_EQ(result, 0x42);
}
TEST(code, loop_that_rewrites_itself)
{
    u64 sum;
    __asm__ volatile("xor %%eax, %%eax; mov $1000, %%ecx; lea 2f(%%rip), %%rdx\n"
                     "1: movb %%cl, 3(%%rdx)\n"
                     "2: .byte 0x48, 0x81, 0xc0, 0, 0, 0, 0\n" /* add rax, imm32 */
                     "dec %%ecx; jnz 1b; movb $0, 3(%%rdx)"
                     : "=a"(sum)::"rcx", "rdx", "memory", "cc");
    u64 expected = 0;
    for (u32 i = 1000; i; i--)
        expected += i & 0xff;
    EXPECT_EQ(sum, expected);
}
TEST(code, rep_stos_over_the_code_behind_it)
{
    /* rep stosb writes NOPs over an UD2 right behind it */
    static const u8 code[] = {0xf3, 0xaa, 0x0f, 0x0b, 0xc3};
    memcpy(scratch, code, sizeof code);
    TRY("call *%0", : : "r"(scratch), "a"(0x90), "c"(2ull), "D"(scratch + 2) : "memory");
    EXPECT_NO_FAULT();
}
TEST(code, rewritten_through_another_linear_address)
{
    boot_pml4[1] = 0;
    u64 *pdpt = fresh_page(), *directory = fresh_page();
    boot_pml4[1] = (u64)pdpt | 3;
    pdpt[0] = (u64)directory | 3;
    directory[0] = 0x83; /* the first 2 MiB again */
    directory[1] = 0x200083;
    write_cr3(read_cr3());
    u8 *alias = (u8 *)(0x8000000000ull + (u64)scratch);
    for (u32 i = 0; i < 100; i++) {
        put_return(i & 1 ? alias : scratch, i);
        EXPECT_EQ(call(scratch), i);
        EXPECT_EQ(call(alias), i);
    }
}
TEST(code, page_remapped_under_the_code)
{
    u64 *pdpt = fresh_page(), *directory = fresh_page(), *table = fresh_page();
    u8 *one = fresh_page(), *two = fresh_page();
    boot_pml4[1] = (u64)pdpt | 3;
    pdpt[0] = (u64)directory | 3;
    directory[0] = (u64)table | 3;
    put_return(one, 1);
    put_return(two, 2);
    for (int i = 0; i < 50; i++) {
        table[0] = (u64)(i & 1 ? two : one) | 3;
        invlpg(0x8000000000);
        EXPECT_EQ(call((void *)0x8000000000), i & 1 ? 2 : 1);
    }
}
TEST(code, instruction_across_two_pages)
{
    u8 *at = scratch + PAGE - 3;
    put_return(at, 0x12345678);
    EXPECT_EQ(call(at), 0x12345678);
    scratch[PAGE] = 0x99; /* its part in the second page changes */
    EXPECT_EQ(call(at), 0x12995678);
    scratch[PAGE - 1] = 0x77; /* and the part in the first */
    EXPECT_EQ(call(at), 0x12997778);
}
TEST(code, instruction_across_pages_that_are_not_neighbours)
{
    u64 *pdpt = fresh_page(), *directory = fresh_page(), *table = fresh_page();
    u8 *pages[3] = {fresh_page(), fresh_page(), fresh_page()};
    boot_pml4[1] = (u64)pdpt | 3;
    pdpt[0] = (u64)directory | 3;
    directory[0] = (u64)table | 3;
    table[0] = (u64)pages[0] | 3;
    table[1] = (u64)pages[2] | 3;
    write_cr3(read_cr3());
    u8 *linear = (u8 *)0x8000000000;
    put_return(linear + PAGE - 2, 0xaabbccdd);
    EXPECT_EQ(call(linear + PAGE - 2), 0xaabbccdd);
    memcpy(pages[1], pages[2], PAGE);
    pages[1][0] = 0x11;
    table[1] = (u64)pages[1] | 3;
    invlpg((u64)linear + PAGE);
    EXPECT_EQ(call(linear + PAGE - 2), 0xaabb11dd);
}
TEST(code, block_across_two_pages_with_the_second_rewritten)
{
    memset(scratch + PAGE - 16, 0x90, 16);
    put_return(scratch + PAGE, 1);
    for (int i = 0; i < 3000; i++)
        call(scratch + PAGE - 16);
    put_return(scratch + PAGE, 2);
    EXPECT_EQ(call(scratch + PAGE - 16), 2);
}
TEST(code, written_by_cmpxchg_and_push)
{
    put_return(scratch, 1);
    call(scratch);
    u32 old = *(u32 *)(scratch + 1);
    __asm__ volatile("lock cmpxchg %2, %1" : "+a"(old), "+m"(*(u32 *)(scratch + 1)) : "r"(5u) : "memory", "cc");
    EXPECT_EQ(call(scratch), 5);
    u64 bytes;
    memcpy(&bytes, scratch, 8);
    bytes = (bytes & ~0xff00ull) | 6 << 8;
    __asm__ volatile("mov %%rsp, %%rbx; lea 8(%0), %%rsp; push %1; mov %%rbx, %%rsp" ::"r"(scratch), "r"(bytes) : "rbx", "memory");
    EXPECT_EQ(call(scratch), 6);
}
TEST(code, data_next_to_code)
{
    put_return(scratch, 7);
    volatile u32 *counter = (u32 *)(scratch + 64);
    *counter = 0;
    for (int i = 0; i < 2000; i++) {
        *counter += call(scratch);
    }
    EXPECT_EQ(*counter, 14000);
}
TEST(code, jump_into_the_middle_of_an_instruction)
{
    /* b8 05 00 00 00 c3 read from its second byte on is 05 00 00 00 c3: add eax, 0xc3000000; then ret */
    static const u8 code[] = {0xb8, 0x05, 0x00, 0x00, 0x00, 0xc3, 0xc3};
    memcpy(scratch, code, sizeof code);
    EXPECT_EQ(call(scratch), 5);
    u32 result;
    __asm__ volatile("xor %%eax, %%eax; call *%1" : "=&a"(result) : "r"(scratch + 1) : "memory", "cc");
    EXPECT_EQ(result, 0xc3000000);
    EXPECT_EQ(call(scratch), 5);
}
