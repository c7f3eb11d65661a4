/* Makes a network of a file that LeNet5.save wrote (lenet_c/serialization.py says what is in it). */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/archive.h"
#include "files/json.h"

enum { VERSION = 1, MOST_METADATA = 1 << 20, ALIGNMENT = 64, LONGEST_NAME = 800 /* bytes */ };
static const size_t MOST_BYTES = (size_t)256 << 20, MOST_TABLES = (size_t)64 << 20;
static const double MOST_GREY = 1e6;

/* What a file says, while it is read. */
typedef struct {
    lenet_input input;
    lenet_layer layers[LENET_MAX_LAYERS];
    int32_t n_layers;
    int32_t maps, height, width;  /* of the outputs so far */
    size_t n_parameters, most;    /* so far, and those that the file has */
    size_t table_bytes, code_length;
    uint8_t *tables[LENET_MAX_LAYERS];
    int32_t is_rbf, blank;
} description;

/* ---- the architecture ------------------------------------------------------------------------- */

/* Whether a dict has no keys but these. */
static int has_only(lenet_json dict, const char *const *names)
{
    lenet_json item = dict, key = dict;
    for (int first = 1; lenet_json_next(first, &item, &key); first = 0) {
        int known = 0;
        for (const char *const *name = names; *name; name++) known |= lenet_json_is(key, *name);
        if (!known) return 0;
    }
    return 1;
}

/* A number, or one for each channel. */
static int read_levels(lenet_json value, double otherwise, int32_t channels, float *levels)
{
    double level = otherwise;
    int32_t c = 0;
    if (lenet_json_is_list(value) && channels > 1) {
        lenet_json item = value, key = {0};
        for (int first = 1; lenet_json_next(first, &item, &key); first = 0) {
            if (c == channels || !lenet_json_real(item, -MOST_GREY, MOST_GREY, &level)) return 0;
            levels[c++] = (float)level;
        }
        return c == channels;
    }
    if (value.at && !lenet_json_real(value, -MOST_GREY, MOST_GREY, &level)) return 0;
    for (; c < channels; c++) levels[c] = (float)level;
    return 1;
}

static int read_input(lenet_json about, description *d)
{
    const lenet_json shape = lenet_json_of(about, "input_shape");
    int32_t sides[3] = {32, 32}, n = 2;
    if (shape.at) {
        lenet_json item = shape, key = {0};
        n = 0;
        if (!lenet_json_is_list(shape)) return 0;
        for (int first = 1; lenet_json_next(first, &item, &key); first = 0)
            if (n == 3 || !lenet_json_whole(item, 1, LENET_MAX_SIDE, &sides[n++])) return 0;
        if (n < 2 || (n == 3 && (sides[0] < 2 || sides[0] > LENET_MAX_CHANNELS))) return 0;
    }
    d->maps = d->input.channels = n == 3 ? sides[0] : 1;
    d->height = d->input.height = sides[n - 2];
    d->width = d->input.width = sides[n - 1];
    return read_levels(lenet_json_of(about, "background"), -0.1, d->maps, d->input.background)
           && read_levels(lenet_json_of(about, "foreground"), 1.175, d->maps, d->input.foreground);
}

static int read_activation(lenet_json layer, int32_t *activation)
{
    static const char *const names[LENET_ACTIVATIONS] = {"identity", "scaled_tanh", "tanh", "relu",
                                                         "sigmoid"};
    const lenet_json value = lenet_json_of(layer, "activation");
    *activation = LENET_SCALED_TANH;
    if (!value.at) return 1;
    for (*activation = 0; *activation < LENET_ACTIVATIONS; ++*activation)
        if (lenet_json_is(value, names[*activation])) return 1;
    return 0;
}

/* For each map the ascending input maps that it reads; *n of them in all. */
static lenet_status read_table(lenet_json rows, description *d, lenet_layer *layer, size_t *n)
{
    const size_t size = (size_t)layer->maps * (size_t)d->maps;
    *n = size;
    if (!rows.at || lenet_json_is_null(rows)) return LENET_OK;
    if (!lenet_json_is_list(rows)) return LENET_BAD_FILE;
    d->table_bytes += size;
    if (d->table_bytes > MOST_TABLES) return LENET_NO_MEMORY;
    uint8_t *table = calloc(size, 1);
    d->tables[d->n_layers] = table;
    layer->table = table;
    if (!table) return LENET_NO_MEMORY;
    *n = 0;
    int32_t map = 0;
    lenet_json row = rows, key = {0};
    for (int first = 1; lenet_json_next(first, &row, &key); first = 0, map++) {
        if (map == layer->maps || !lenet_json_is_list(row)) return LENET_BAD_FILE;
        int32_t before = -1, i;
        lenet_json item = row;
        for (int start = 1; lenet_json_next(start, &item, &key); start = 0) {
            if (!lenet_json_whole(item, before + 1, d->maps - 1, &i)) return LENET_BAD_FILE;
            table[(size_t)map * (size_t)d->maps + (size_t)i] = 1;
            before = i;
            ++*n;
        }
        if (before < 0) return LENET_BAD_FILE;
    }
    return map == layer->maps ? LENET_OK : LENET_BAD_FILE;
}

/* Counts units x inputs weights and so many more parameters; 0: the file has not so many. A plan then
 * takes no more memory than a file of its size deserves. */
static int count(description *d, size_t units, size_t inputs, size_t more)
{
    if (units > d->most / inputs) return 0;
    d->n_parameters += units * inputs + more;
    return d->n_parameters <= d->most;
}

static lenet_status read_conv(lenet_json about, description *d, lenet_layer *layer)
{
    static const char *const keys[] = {"kind",  "name",       "maps",    "kernel",
                                       "table", "activation", "padding", NULL};
    const lenet_json padding = lenet_json_of(about, "padding");
    size_t connections;
    layer->kind = LENET_CONV;
    if (!has_only(about, keys) || !read_activation(about, &layer->activation)
        || !lenet_json_whole(lenet_json_of(about, "maps"), 1, LENET_MAX_MAPS, &layer->maps)
        || !lenet_json_whole(lenet_json_of(about, "kernel"), 1, LENET_MAX_SIDE, &layer->kernel)
        || (padding.at && !lenet_json_whole(padding, 0, layer->kernel - 1, &layer->padding)))
        return LENET_BAD_FILE;
    /* before memory is taken: a table has a weight for each of its ones, and one for each map at least */
    if ((size_t)layer->maps > d->most) return LENET_BAD_FILE;
    const lenet_status status = read_table(lenet_json_of(about, "table"), d, layer, &connections);
    if (status != LENET_OK) return status;
    if (!count(d, connections, (size_t)layer->kernel * (size_t)layer->kernel, (size_t)layer->maps))
        return LENET_BAD_FILE;
    d->maps = layer->maps;
    d->height += 2 * layer->padding - layer->kernel + 1;
    d->width += 2 * layer->padding - layer->kernel + 1;
    return LENET_OK;
}

static lenet_status read_subsample(lenet_json about, description *d, lenet_layer *layer)
{
    static const char *const keys[] = {"kind", "name", "activation", "table", NULL};
    const lenet_json table = lenet_json_of(about, "table");
    size_t connections;
    layer->kind = LENET_SUBSAMPLE;
    if (!has_only(about, keys) || !read_activation(about, &layer->activation)) return LENET_BAD_FILE;
    if (table.at && lenet_json_is_list(table)) {
        lenet_json row = table, key = {0};
        for (int first = 1; lenet_json_next(first, &row, &key); first = 0)
            if (++layer->maps > LENET_MAX_MAPS) return LENET_BAD_FILE;
        if (layer->maps < 1 || (size_t)layer->maps > d->most) return LENET_BAD_FILE;
        const lenet_status status = read_table(table, d, layer, &connections);
        if (status != LENET_OK) return status;
        if (connections != (size_t)layer->maps) return LENET_BAD_FILE;
        d->maps = layer->maps;
    } else if (table.at && !lenet_json_is_null(table)) {
        return LENET_BAD_FILE;
    }
    return count(d, (size_t)d->maps, 2, 0) ? LENET_OK : LENET_BAD_FILE;
}

static lenet_status read_layer(lenet_json about, description *d)
{
    static const char *const pool[] = {"kind", "name", NULL};
    static const char *const dense[] = {"kind", "name", "units", "activation", NULL};
    static const char *const rbf[] = {"kind", "name", "classes", "trained", NULL};
    lenet_layer *layer = &d->layers[d->n_layers];
    const lenet_json kind = lenet_json_of(about, "kind");
    const size_t inputs = (size_t)d->maps * (size_t)d->height * (size_t)d->width;
    *layer = (lenet_layer){0};
    d->is_rbf = 0;
    if (lenet_json_is(kind, "conv")) {
        const lenet_status status = read_conv(about, d, layer);
        if (status != LENET_OK) return status;
    } else if (lenet_json_is(kind, "dense")) {
        layer->kind = LENET_DENSE;
        if (!has_only(about, dense) || !read_activation(about, &layer->activation)
            || !lenet_json_whole(lenet_json_of(about, "units"), 1, LENET_MAX_MAPS, &layer->maps)
            || !count(d, (size_t)layer->maps, inputs, (size_t)layer->maps))
            return LENET_BAD_FILE;
        d->maps = layer->maps;
        d->height = d->width = 1;
    } else if (lenet_json_is(kind, "rbf")) {
        const lenet_json classes = lenet_json_of(about, "classes");
        const lenet_json trained = lenet_json_of(about, "trained");
        layer->kind = LENET_RBF;
        layer->maps = 10;
        d->is_rbf = 1;
        d->code_length = inputs;
        if (!has_only(about, rbf)
            || (classes.at && !lenet_json_whole(classes, 1, LENET_MAX_MAPS, &layer->maps))
            || (trained.at && !lenet_json_bool(trained, &layer->trained))
            || (layer->trained && !count(d, (size_t)layer->maps, inputs, 0)))
            return LENET_BAD_FILE;
        d->maps = layer->maps;
    } else if (lenet_json_is(kind, "subsample")) {
        const lenet_status status = read_subsample(about, d, layer);
        if (status != LENET_OK) return status;
        d->height /= 2;
        d->width /= 2;
    } else {
        layer->kind = lenet_json_is(kind, "average_pool") ? LENET_AVERAGE_POOL : LENET_MAX_POOL;
        if ((layer->kind == LENET_MAX_POOL && !lenet_json_is(kind, "max_pool"))
            || !has_only(about, pool))
            return LENET_BAD_FILE;
        d->height /= 2;
        d->width /= 2;
    }
    d->n_layers++;
    return d->height < 1 || d->width < 1 ? LENET_BAD_FILE : LENET_OK;
}

static lenet_status read_architecture(lenet_json about, description *d)
{
    static const char *const keys[] = {"name",       "layers",     "input_shape", "background",
                                       "foreground", "blank",      NULL};
    const lenet_json layers = lenet_json_of(about, "layers"), blank = lenet_json_of(about, "blank");
    if (!lenet_json_is_dict(about) || !has_only(about, keys) || !read_input(about, d)
        || !lenet_json_is_list(layers) || (blank.at && !lenet_json_bool(blank, &d->blank)))
        return LENET_BAD_FILE;
    lenet_json item = layers, key = {0};
    for (int first = 1; lenet_json_next(first, &item, &key); first = 0) {
        if (d->n_layers == LENET_MAX_LAYERS || !lenet_json_is_dict(item)) return LENET_BAD_FILE;
        const lenet_status status = read_layer(item, d);
        if (status != LENET_OK) return status;
    }
    return LENET_OK;
}

/* ---- the network ------------------------------------------------------------------------------ */

/* Finite floats, in the order of this machine's bytes. */
static int read_floats(const archive_member *m, float *to)
{
    for (size_t i = 0; i < m->n; i++) {
        const uint8_t *b = m->values + 4 * i;
        const uint32_t bits = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        memcpy(&to[i], &bits, sizeof bits);
        if (!isfinite(to[i])) return 0;
    }
    return 1;
}

/* Finite floats that are stored as binary16, first the high bytes of all, then the low ones. */
static int read_halves(const archive_member *m, float *to)
{
    const size_t n = m->shape[1];
    for (size_t i = 0; i < n; i++) {
        const int32_t high = m->values[i], exponent = high >> 2 & 31;
        const int32_t fraction = (high & 3) << 8 | m->values[n + i];
        if (exponent == 31) return 0;
        to[i] = exponent ? ldexpf((float)(1024 + fraction), exponent - 25) : ldexpf((float)fraction, -24);
        if (high >> 7) to[i] = -to[i];
    }
    return 1;
}

/* The names behind one another; bytes and number of them, 0: they are no names. */
static size_t read_names(lenet_json list, int32_t n, char *text, const char **names)
{
    size_t size = 0;
    int32_t i = 0;
    lenet_json item = list, key = {0};
    if (!lenet_json_is_list(list)) return 0;
    for (int first = 1; lenet_json_next(first, &item, &key); first = 0, i++) {
        const size_t more = lenet_json_text(item, NULL);
        if (i == n || more < 2 || more > LONGEST_NAME + 1) return 0;
        if (names) {
            names[i] = text + size;
            lenet_json_text(item, text + size);
        }
        size += more;
    }
    return i == n ? size : 0;
}

static lenet_status read_reading(lenet_json about, lenet_network *network)
{
    const lenet_json temperature = lenet_json_of(about, "temperature");
    const lenet_json rejection = lenet_json_of(about, "rejection");
    const lenet_json penalty = lenet_json_of(rejection, "penalty");
    const lenet_json margin = lenet_json_of(rejection, "margin");
    network->temperature = 1.0;
    network->penalty = INFINITY;
    if ((temperature.at && !lenet_json_real(temperature, 1e-30, 1e30, &network->temperature))
        || (rejection.at && !lenet_json_is_dict(rejection))
        || (penalty.at && !lenet_json_real(penalty, 0.0, HUGE_VAL, &network->penalty))
        || (margin.at && !lenet_json_real(margin, 0.0, HUGE_VAL, &network->margin)))
        return LENET_BAD_FILE;
    return LENET_OK;
}

static size_t padded(size_t n) { return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* One piece of memory: the network, the packed model, the names and their text. */
static lenet_status make(lenet_json about, description *d, const float *parameters, lenet_plan *plan,
                         lenet_network **made)
{
    const lenet_json names = lenet_json_of(about, "class_names");
    const int32_t n_names = d->maps - d->blank;
    const size_t text = names.at ? read_names(names, n_names, NULL, NULL) : 0;
    if (names.at && !text) return LENET_BAD_FILE;
    const size_t model = padded(sizeof(lenet_network)), model_size = padded(lenet_model_size(plan));
    const size_t list = model + model_size, list_size = (size_t)n_names * sizeof(char *);
    char *memory = malloc(list + list_size + text + ALIGNMENT);
    if (!memory) return LENET_NO_MEMORY;
    char *begin = memory + (ALIGNMENT - (uintptr_t)memory % ALIGNMENT);
    lenet_network *network = (lenet_network *)(void *)begin;
    *network = (lenet_network){.plan = plan,
                               .input = d->input,
                               .classes = d->maps,
                               .blank = d->blank,
                               .is_rbf = d->is_rbf,
                               .memory = memory};
    lenet_status status = read_reading(about, network);
    if (status == LENET_OK)
        status = lenet_model_create(plan, parameters, begin + model, model_size, &network->model);
    if (status != LENET_OK) {
        free(memory);
        return status;
    }
    if (text) {
        const char **to = (const char **)(void *)(begin + list);
        read_names(names, n_names, begin + list + list_size, to);
        network->class_names = to;
    }
    *made = network;
    return LENET_OK;
}

static lenet_status read_metadata(const archive_member *m, lenet_json *about)
{
    int32_t version;
    if (!m || m->kind != 'u' || m->n_dimensions != 1 || m->n > MOST_METADATA
        || !lenet_json_check((const char *)m->values, m->n, about) || !lenet_json_is_dict(*about)
        || !lenet_json_is(lenet_json_of(*about, "format"), "lenet_c")
        || !lenet_json_whole(lenet_json_of(*about, "version"), 1, INT32_MAX, &version))
        return LENET_BAD_FILE;
    return version > VERSION ? LENET_NEWER_FILE : LENET_OK;
}

static lenet_status open_network(archive_member *members, int n, description *d, lenet_network **made)
{
    lenet_json about;
    /* before the rest is looked at: a newer version may store what this one does not know */
    lenet_status status = read_metadata(lenet_archive_find(members, n, "metadata"), &about);
    if (status == LENET_OK) status = lenet_archive_check(members, n);
    if (status != LENET_OK) return status;
    const archive_member *given = lenet_archive_find(members, n, "parameters");
    const archive_member *codes = lenet_archive_find(members, n, "codes");
    if (lenet_json_of(about, "kind").at || !given)
        return LENET_BAD_FILE;  /* a training under way and a committee have a kind */
    const int halved = given->kind == 'u' && given->n_dimensions == 2 && given->shape[0] == 2;
    if (!halved && (given->kind != 'f' || given->n_dimensions != 1)) return LENET_BAD_FILE;
    const size_t n_given = halved ? given->shape[1] : given->n;
    d->most = n_given;
    status = read_architecture(lenet_json_of(about, "architecture"), d);
    if (status != LENET_OK) return status;
    const int has_codes = d->is_rbf && !d->layers[d->n_layers - 1].trained;
    const size_t n_codes = has_codes && codes && codes->kind == 'f' ? codes->n : 0;
    if (d->n_layers < 1 || d->n_parameters != n_given || d->blank >= d->maps
        || (has_codes && (!n_codes || codes->n_dimensions != 2
                          || codes->shape[0] != (size_t)d->maps || codes->shape[1] != d->code_length)))
        return LENET_BAD_FILE;
    float *floats = malloc((n_given + n_codes + 1) * sizeof *floats);
    lenet_plan *plan = NULL;
    if (!floats) return LENET_NO_MEMORY;
    status = LENET_BAD_FILE;
    if ((halved ? read_halves(given, floats) : read_floats(given, floats))
        && (!has_codes || read_floats(codes, floats + n_given))) {
        status = lenet_plan_create(d->layers, d->n_layers, &d->input,
                                   has_codes ? floats + n_given : NULL, &plan);
        if (status == LENET_BAD_ARGUMENT) status = LENET_BAD_FILE;
    }
    if (status == LENET_OK) status = make(about, d, floats, plan, made);
    free(floats);
    if (status != LENET_OK) lenet_plan_free(plan);
    return status;
}

lenet_status lenet_model_load_memory(const void *bytes, size_t size, lenet_network **network)
{
    *network = NULL;
    if (size > MOST_BYTES) return LENET_BAD_FILE;
    archive_member *members = malloc(ARCHIVE_MEMBERS * sizeof *members);
    description *d = calloc(1, sizeof *d);
    int n = 0;
    lenet_status status = members && d ? lenet_archive_open(bytes, size, members, &n) : LENET_NO_MEMORY;
    if (status == LENET_OK) status = open_network(members, n, d, network);
    for (int32_t l = 0; d && l < LENET_MAX_LAYERS; l++) free(d->tables[l]);
    free(d);
    free(members);
    return status;
}

/* All of a file, and a byte more than there may be at most. */
static lenet_status read_all(FILE *file, uint8_t **bytes, size_t *n)
{
    size_t room = 0;
    *n = 0;
    do {
        room = room ? 2 * room : (size_t)1 << 19;
        uint8_t *more = realloc(*bytes, room);
        if (!more) return LENET_NO_MEMORY;
        *bytes = more;
        *n += fread(more + *n, 1, room - *n, file);
    } while (*n == room && *n <= MOST_BYTES);
    return ferror(file) ? LENET_NO_FILE : LENET_OK;
}

lenet_status lenet_model_load(const char *path, lenet_network **network)
{
    *network = NULL;
    FILE *file = fopen(path, "rb");
    if (!file) return LENET_NO_FILE;
    uint8_t *bytes = NULL;
    size_t n;
    lenet_status status = read_all(file, &bytes, &n);
    const int error = errno;
    fclose(file);
    if (status == LENET_OK) status = lenet_model_load_memory(bytes, n, network);
    free(bytes);
    if (status == LENET_NO_FILE) errno = error;
    return status;
}

void lenet_network_free(lenet_network *network)
{
    if (!network) return;
    lenet_plan_free(network->plan);
    free(network->memory);
}
