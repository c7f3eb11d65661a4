/* An exported C file on a Cortex-M4, as QEMU's board mps2-an386 has one: compiled with
 * -DSOURCE='"digit.c"' -DPREFIX(name)=digit_##name -DMACRO(name)=DIGIT_##name. Runs the file's self-test and
 * prints the instructions that an image takes (with -icount shift=0 a tick of 25 MHz is 40 of them) and
 * the bytes of stack. Ends with the self-test's result. */
#define main test_main  /* the file's own */
#include SOURCE
#undef main

extern char top_of_stack[];

enum { WRITE = 4, EXIT = 0x20, EXITED = 0x20026, PAINTED = 4096, PAINT = 0xa5 };

static void ask_host(int operation, const void *of)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = of;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(unsigned value, char end)
{
    char text[12];
    int i = 10;
    text[11] = 0;
    text[10] = end;
    do text[--i] = (char)('0' + value % 10);
    while (value /= 10);
    ask_host(WRITE, text + i);
}

static volatile unsigned *const systick = (volatile unsigned *)0xe000e010;  /* control, reload, value */

static unsigned stack_of(float *scratch, int *result)
{
    unsigned char *here = (unsigned char *)__builtin_frame_address(0) - 64, *painted = here - PAINTED;
    for (unsigned char *p = painted; p < here; p++) *(volatile unsigned char *)p = PAINT;
    *result = PREFIX(self_test)(scratch);
    while (*painted == PAINT) painted++;
    return (unsigned)(here - painted);
}

static void run_all(void)
{
    static float scratch[MACRO(SCRATCH)];
    int result;
    const unsigned stack = stack_of(scratch, &result);
    systick[1] = 0xffffff;
    systick[2] = 0;
    systick[0] = 5;
    const unsigned begin = systick[2];
    result |= PREFIX(self_test)(scratch);
    const unsigned ticks = (begin - systick[2]) & 0xffffff;
    print(ticks * 40, ' ');
    print(stack, '\n');
    const unsigned how[2] = {EXITED, (unsigned)result};
    ask_host(EXIT, how);
    for (;;) {}
}

void reset(void);
void reset(void)
{
    *(volatile unsigned *)0xe000ed88 |= 0xf << 20;  /* the FPU is on */
    __asm__ volatile("dsb\n isb");
    run_all();
}

__attribute__((section(".vectors"), used)) static const void *const vectors[2] = {top_of_stack, (const void *)reset};
