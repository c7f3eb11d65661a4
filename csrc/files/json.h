/* Looks things up in JSON text that was checked as a whole before. A value is where it begins: nothing
 * is built, nothing allocated. */
#ifndef LENET_JSON_H
#define LENET_JSON_H

#include <stddef.h>
#include <stdint.h>

/* Text [at, end) that begins with a value; at == NULL: there is none. */
typedef struct lenet_json {
    const char *at, *end;
} lenet_json;

/* Whether the text is one value in UTF-8, with at most 100 lists and dicts within one another. */
int lenet_json_check(const char *text, size_t size, lenet_json *value);

int lenet_json_is_null(lenet_json value);
int lenet_json_is_list(lenet_json value);
int lenet_json_is_dict(lenet_json value);

/* The next item of a list or dict, and its key (in quotes; of a list none); begin with *item as the list
 * or dict itself and is_first. 0: there is no more. */
int lenet_json_next(int is_first, lenet_json *item, lenet_json *key);

/* What a dict has under a key of plain ASCII; the last if there are several. */
lenet_json lenet_json_of(lenet_json dict, const char *key);

/* Whether it is this text of plain ASCII. */
int lenet_json_is(lenet_json value, const char *text);

int lenet_json_bool(lenet_json value, int32_t *result);
/* A whole number from low to high, written without fraction and exponent. */
int lenet_json_whole(lenet_json value, int32_t low, int32_t high, int32_t *result);
/* A finite number. */
int lenet_json_real(lenet_json value, double low, double high, double *result);

/* A text as UTF-8, with a 0 behind it, into `to`, NULL: counted alone. Bytes with the 0; 0: it is no text,
 * or has a 0 or half a surrogate pair. */
size_t lenet_json_text(lenet_json value, char *to);

#endif
