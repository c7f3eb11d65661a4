/* Strokes on a sheet. */
#include <math.h>

#include "run/draw_strings.h"

void lenet_draw_stroke(const sheet *to, float x0, float y0, float x1, float y1, float half, float level)
{
    const float dx = x1 - x0, dy = y1 - y0, squared = dx * dx + dy * dy, reach = half + 1.0f;
    const int32_t left = (int32_t)clamped((x0 < x1 ? x0 : x1) - reach, 0.0f, (float)to->width);
    const int32_t right = (int32_t)clamped((x0 > x1 ? x0 : x1) + reach + 1.0f, 0.0f, (float)to->width);
    const int32_t top = (int32_t)clamped((y0 < y1 ? y0 : y1) - reach, 0.0f, (float)HEIGHT);
    const int32_t bottom = (int32_t)clamped((y0 > y1 ? y0 : y1) + reach + 1.0f, 0.0f, (float)HEIGHT);
    const float part = squared > 0.0f ? 1.0f / squared : 0.0f;
    for (int32_t y = top; y < bottom; y++) {
        uint8_t *restrict row = to->pixels + (ptrdiff_t)y * to->stride;
        const float ay = (float)y - y0;
        for (int32_t x = left; x < right; x++) {
            const float ax = (float)x - x0;
            float t = (ax * dx + ay * dy) * part;
            t = t < 0.0f ? 0.0f : t > 1.0f ? 1.0f : t;
            const float ex = ax - t * dx, ey = ay - t * dy;
            float cover = half + 0.5f - sqrtf(ex * ex + ey * ey);
            cover = cover < 0.0f ? 0.0f : cover > 1.0f ? 1.0f : cover;
            const int32_t ink = (int32_t)(cover * level);
            row[x] = (uint8_t)(ink > row[x] ? ink : row[x]);
        }
    }
}

void lenet_draw_bow(const sheet *to, const float from[2], const float end[2], const float towards[2],
                    float half)
{
    enum { PIECES = 5 };
    float x = from[0], y = from[1];
    for (int k = 1; k <= PIECES; k++) {
        const float t = (float)k / PIECES, u = 1.0f - t;
        const float next_x = u * u * from[0] + 2.0f * u * t * towards[0] + t * t * end[0];
        const float next_y = u * u * from[1] + 2.0f * u * t * towards[1] + t * t * end[1];
        lenet_draw_stroke(to, x, y, next_x, next_y, half, 255.0f);
        x = next_x;
        y = next_y;
    }
}
