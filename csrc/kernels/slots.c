/* Deals a convolution's connections to slots, for one image with output maps in the lanes
 * (kernels/conv.h). */
#include <string.h>

#include "kernels/kernels.h"

/* count[lane]: connections. Returns the fewest slots. */
static int slots_needed(const lenet_conv_shape *s, const lenet_lane_maps *m, int lanes, int *count)
{
    int all = 0, slots;
    for (int lane = 0; lane < lanes; lane++) {
        const int32_t *begin = s->begin + m->first + lane * m->step;
        count[lane] = lane < m->maps ? begin[1] - begin[0] : 0;
        all += count[lane];
    }
    for (slots = all > lanes ? (all + lanes - 1) / lanes : 1;; slots++) {
        int room = 0;
        for (int lane = 0; lane < lanes; lane++)
            room += count[lane] > slots ? slots - count[lane] : count[lane] < slots;
        if (room >= 0) return slots;
    }
}

static void deal_one(const lenet_conv_shape *s, int32_t c, int slot, int lane, lenet_slots *d)
{
    d->connection[slot][lane] = c;
    d->index[slot][lane] = s->source[c];
}

static void deal_group(const lenet_conv_shape *s, const lenet_lane_maps *m, int lanes, int slots,
                       const int *count, lenet_slots *d)
{
    const int last = slots - 1;
    int room = 0;
    memset(d, 0, sizeof *d);
    memset(d->connection, -1, sizeof d->connection);
    d->slots = slots;
    for (int lane = 0; lane < lanes; lane++) {
        const int32_t first = lane < m->maps ? s->begin[m->first + lane * m->step] : 0;
        d->from[0][lane] = d->owner[lane] = lane;
        d->share[0][lane] = count[lane] >= slots ? 1.0f : 0.0f;
        for (int k = 0; k < count[lane] && k < slots; k++) deal_one(s, first + k, k, lane, d);
    }
    for (int lane = 0; lane < m->maps; lane++) {
        for (int k = slots; k < count[lane]; k++) {
            const int round = k - last;
            while (count[room] >= slots) room++;
            if (d->rounds <= round) d->rounds = round + 1;
            deal_one(s, s->begin[m->first + lane * m->step] + k, last, room, d);
            d->from[round][lane] = room;
            d->share[round][lane] = 1.0f;
            d->owner[room++] = lane;
        }
    }
}

int lenet_deal(const lenet_conv_shape *s, int lanes, lenet_slots *slots)
{
    if (s->in_maps > LENET_MAX_SLOTS || !lenet_prefers_maps(s, lanes)) return 0;
    for (int group = 0; group < lenet_groups(s->out_maps, lanes); group++) {
        const lenet_lane_maps m = lenet_maps_of(s->out_maps, lanes, group);
        int count[LENET_MAX_LANES];
        const int n = slots_needed(s, &m, lanes, count);
        if (n >= s->in_maps) return 0;
        deal_group(s, &m, lanes, n, count, &slots[group]);
    }
    return 1;
}
