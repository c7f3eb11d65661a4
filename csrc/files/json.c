/* JSON (RFC 8259), checked once and then looked up in. */
#include "files/json.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 100, DIGITS = 64 };

static const char *past_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
    return at;
}

/* ---- the check: each gives what follows, NULL: it is not there ------------------------------------ */

static const char *past_character(const char *at, const char *end)
{
    const uint8_t *u = (const uint8_t *)at;
    if (u[0] < 0x80) return at + 1;
    const int n = u[0] >= 0xc2 && u[0] <= 0xdf ? 1 : u[0] >= 0xe0 && u[0] <= 0xef ? 2
                : u[0] >= 0xf0 && u[0] <= 0xf4 ? 3 : 0;
    if (!n || end - at <= n) return NULL;
    for (int i = 1; i <= n; i++)
        if ((u[i] & 0xc0) != 0x80) return NULL;
    if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) || (u[0] == 0xf0 && u[1] < 0x90)
        || (u[0] == 0xf4 && u[1] > 0x8f))
        return NULL;
    return at + n + 1;
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static const char *past_text(const char *at, const char *end)
{
    if (at == end || *at++ != '"') return NULL;
    while (at && at < end && *at != '"') {
        if ((uint8_t)*at < 0x20) return NULL;
        if (*at != '\\') {
            at = past_character(at, end);
            continue;
        }
        if (++at == end) return NULL;
        if (*at == 'u') {
            if (end - at < 5) return NULL;
            for (int i = 1; i < 5; i++)
                if (hex_of(at[i]) < 0) return NULL;
            at += 5;
        } else {
            if (!memchr("\"\\/bfnrt", *at, 8)) return NULL;
            at++;
        }
    }
    return at && at < end ? at + 1 : NULL;
}

static const char *past_digits(const char *at, const char *end)
{
    const char *from = at;
    while (at < end && *at >= '0' && *at <= '9') at++;
    return at > from ? at : NULL;
}

static const char *past_number(const char *at, const char *end)
{
    if (at < end && *at == '-') at++;
    if (at < end && *at == '0') at++;
    else at = past_digits(at, end);
    if (at && at < end && *at == '.') at = past_digits(at + 1, end);
    if (at && at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        at = past_digits(at, end);
    }
    return at;
}

static const char *past_word(const char *at, const char *end)
{
    static const char *const words[] = {"null", "true", "false"};
    for (int i = 0; i < 3; i++) {
        const size_t n = strlen(words[i]);
        if ((size_t)(end - at) >= n && memcmp(at, words[i], n) == 0) return at + n;
    }
    return NULL;
}

static const char *past_value(const char *at, const char *end, int depth)
{
    if (at == end) return NULL;
    if (*at == '"') return past_text(at, end);
    if (*at == '-' || (*at >= '0' && *at <= '9')) return past_number(at, end);
    if (*at != '[' && *at != '{') return past_word(at, end);
    if (depth == DEPTH) return NULL;
    const char close = *at == '[' ? ']' : '}';
    at = past_space(at + 1, end);
    if (at < end && *at == close) return at + 1;
    for (;;) {
        if (close == '}') {
            at = past_text(at, end);
            if (!at) return NULL;
            at = past_space(at, end);
            if (at == end || *at++ != ':') return NULL;
            at = past_space(at, end);
        }
        at = past_value(at, end, depth + 1);
        if (!at) return NULL;
        at = past_space(at, end);
        if (at == end) return NULL;
        if (*at == close) return at + 1;
        if (*at != ',') return NULL;
        at = past_space(at + 1, end);
    }
}

int lenet_json_check(const char *text, size_t size, lenet_json *value)
{
    const char *end = text + size, *at = past_space(text, end);
    *value = (lenet_json){at, end};
    at = past_value(at, end, 0);
    return at && past_space(at, end) == end;
}

/* ---- looking up ------------------------------------------------------------------------------------- */

int lenet_json_is_null(lenet_json value) { return value.at && *value.at == 'n'; }
int lenet_json_is_list(lenet_json value) { return value.at && *value.at == '['; }
int lenet_json_is_dict(lenet_json value) { return value.at && *value.at == '{'; }

int lenet_json_next(int is_first, lenet_json *item, lenet_json *key)
{
    const char *end = item->end;
    const char *at = is_first ? item->at : past_space(past_value(item->at, end, 0), end);
    /* at stands on what opens, on a comma or on what closes */
    if (!is_first && *at != ',') return 0;
    at = past_space(at + 1, end);
    if (is_first && (*at == ']' || *at == '}')) return 0;
    if (key->at) {
        key->at = at;
        at = past_space(past_space(past_text(at, end), end) + 1, end);
    }
    item->at = at;
    return 1;
}

lenet_json lenet_json_of(lenet_json dict, const char *key)
{
    lenet_json found = {NULL, dict.end}, item = dict, name = dict;
    if (!lenet_json_is_dict(dict)) return found;
    for (int first = 1; lenet_json_next(first, &item, &name); first = 0)
        if (lenet_json_is(name, key)) found = item;
    return found;
}

int lenet_json_is(lenet_json value, const char *text)
{
    const size_t n = strlen(text);
    return value.at && *value.at == '"' && (size_t)(value.end - value.at) >= n + 2
           && memcmp(value.at + 1, text, n) == 0 && value.at[n + 1] == '"';
}

int lenet_json_bool(lenet_json value, int32_t *result)
{
    if (!value.at || (*value.at != 't' && *value.at != 'f')) return 0;
    *result = *value.at == 't';
    return 1;
}

int lenet_json_whole(lenet_json value, int32_t low, int32_t high, int32_t *result)
{
    double number;
    if (!lenet_json_real(value, low, high, &number)) return 0;
    for (const char *at = value.at; at < past_number(value.at, value.end); at++)
        if (*at == '.' || *at == 'e' || *at == 'E') return 0;
    *result = (int32_t)number;
    return 1;
}

int lenet_json_real(lenet_json value, double low, double high, double *result)
{
    if (!value.at || (*value.at != '-' && (*value.at < '0' || *value.at > '9'))) return 0;
    const size_t n = (size_t)(past_number(value.at, value.end) - value.at);
    char text[DIGITS + 8];
    if (n > DIGITS) return 0;
    /* strtod wants the point that the host's locale has */
    const char *point = localeconv()->decimal_point;
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if (value.at[i] != '.') {
            text[length++] = value.at[i];
            continue;
        }
        if (strlen(point) > 8) return 0;
        memcpy(text + length, point, strlen(point));
        length += strlen(point);
    }
    text[length] = 0;
    const double number = strtod(text, NULL);
    if (!isfinite(number) || !(number >= low && number <= high)) return 0;
    *result = number;
    return 1;
}

static size_t put(char *to, size_t n, uint32_t c)
{
    const int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t head[] = {0, 0xc0, 0xe0, 0xf0};
    if (to) {
        to[n] = (char)(head[more] | c >> (6 * more));
        for (int i = 1; i <= more; i++) to[n + (size_t)i] = (char)(0x80 | (c >> (6 * (more - i)) & 0x3f));
    }
    return n + (size_t)more + 1;
}

static uint32_t four(const char *at)
{
    return (uint32_t)(hex_of(at[0]) << 12 | hex_of(at[1]) << 8 | hex_of(at[2]) << 4 | hex_of(at[3]));
}

size_t lenet_json_text(lenet_json value, char *to)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (!value.at || *value.at != '"') return 0;
    size_t n = 0;
    for (const char *at = value.at + 1; *at != '"';) {
        if (*at != '\\') {
            if (to) to[n] = *at;
            n++;
            at++;
        } else if (at[1] != 'u') {
            n = put(to, n, (uint32_t)meant[strchr(names, at[1]) - names]);
            at += 2;
        } else {
            uint32_t c = four(at + 2);
            at += 6;
            if (c >= 0xd800 && c < 0xdc00 && at[0] == '\\' && at[1] == 'u') {
                const uint32_t low = four(at + 2);
                if (low < 0xdc00 || low > 0xdfff) return 0;
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                at += 6;
            }
            if (!c || (c >= 0xd800 && c <= 0xdfff)) return 0;
            n = put(to, n, c);
        }
    }
    if (to) to[n] = 0;
    return n + 1;
}
