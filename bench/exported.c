/* Times an exported file: -DSOURCE='"digit.c"'. Prints the shortest of many calls, in nanoseconds. */
#define _POSIX_C_SOURCE 199309L
#define DIGIT_HEADER_ONLY
#include SOURCE
#include <stdio.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

int main(void)
{
    static uint8_t image[DIGIT_HEIGHT * DIGIT_WIDTH];
    static float outputs[DIGIT_CLASSES], scratch[DIGIT_SCRATCH];
    double best = 1e18;
    for (int y = 8; y < 20; y++) image[y * DIGIT_WIDTH + 14] = 255;
    for (int i = 0; i < 300; i++) {
        const double begin = now();
        (void)digit_read(image, outputs, scratch);
        const double taken = now() - begin;
        if (taken < best) best = taken;
    }
    printf("%.0f\n", best);
    return 0;
}
