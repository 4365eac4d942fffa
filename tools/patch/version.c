/* The order of versions, Debian's and apk's. Versions come from the target's database and from recipes: any text has a
 * place in the order, and no length overflows.
 */
#include <string.h>

#include "tools/patch/package.h"

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A stretch of a version. */
struct stretch {
    const char *at, *end;
};

static size_t digits_of(const struct stretch *stretch) {
    size_t count = 0;
    while (stretch->at + count < stretch->end && is_digit(stretch->at[count]))
        count++;
    return count;
}

/* Compares the numbers that both begin with and steps over them; no digits are 0. */
static int compare_numbers(struct stretch *a, struct stretch *b) {
    while (a->at < a->end && *a->at == '0')
        a->at++;
    while (b->at < b->end && *b->at == '0')
        b->at++;
    size_t length_a = digits_of(a), length_b = digits_of(b);
    int order = length_a != length_b ? (length_a < length_b ? -1 : 1) : memcmp(a->at, b->at, length_a);
    a->at += length_a;
    b->at += length_b;
    return order;
}

/* ---- Debian ---- */

/* "~" sorts before the end, letters before all others. */
static int debian_weight(const struct stretch *stretch) {
    if (stretch->at == stretch->end || is_digit(*stretch->at))
        return 0;
    if (*stretch->at == '~')
        return -1;
    return is_letter(*stretch->at) ? (unsigned char)*stretch->at : (unsigned char)*stretch->at + 256;
}

static int debian_part(struct stretch a, struct stretch b) {
    while (a.at < a.end || b.at < b.end) {
        while ((a.at < a.end && !is_digit(*a.at)) || (b.at < b.end && !is_digit(*b.at))) {
            int order = debian_weight(&a) - debian_weight(&b);
            if (order != 0)
                return order;
            a.at++;
            b.at++;
        }
        int order = compare_numbers(&a, &b);
        if (order != 0)
            return order;
    }
    return 0;
}

struct debian_version {
    struct stretch epoch, upstream, revision;
};

static struct debian_version debian_split(const char *text) {
    const char *end = text + strlen(text), *colon = strchr(text, ':');
    const char *upstream = colon != NULL ? colon + 1 : text, *hyphen = strrchr(upstream, '-');
    return (struct debian_version){
        .epoch = {text, colon != NULL ? colon : text},
        .upstream = {upstream, hyphen != NULL ? hyphen : end},
        .revision = {hyphen != NULL ? hyphen + 1 : end, end},
    };
}

static int debian_compare(const char *a, const char *b) {
    struct debian_version left = debian_split(a), right = debian_split(b);
    int order = compare_numbers(&left.epoch, &right.epoch);
    if (order == 0)
        order = debian_part(left.upstream, right.upstream);
    return order != 0 ? order : debian_part(left.revision, right.revision);
}

/* ---- apk ---- */

/* A version of apk's is numbers with dots, one letter, suffixes with numbers, a commit and a revision: "1.2.3b_rc1-r4".
 * In this order, a version that goes on with an earlier kind of part is the greater one. */
enum apk_part {
    APK_FIRST, /* the number at the start */
    APK_NUMBER,
    APK_LETTER,
    APK_SUFFIX,
    APK_SUFFIX_NUMBER,
    APK_COMMIT,
    APK_REVISION,
    APK_END,
    APK_STRANGE, /* nothing that apk writes */
};

static const char *const apk_suffixes[] = {"alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p"};
enum {
    APK_NO_SUFFIX = 4, /* those before it are older than the version without */
    APK_SUFFIXES = sizeof(apk_suffixes) / sizeof(apk_suffixes[0]),
};

struct apk_token {
    enum apk_part part;
    struct stretch text; /* of the value, where it is text or digits */
    size_t suffix;
};

static struct apk_token apk_digits(struct stretch *rest, enum apk_part part) {
    struct apk_token token = {.part = part, .text = {rest->at, rest->at + digits_of(rest)}};
    if (token.text.at == token.text.end)
        token.part = APK_STRANGE;
    rest->at = token.text.end;
    return token;
}

static struct apk_token apk_suffix(struct stretch *rest) {
    struct apk_token token = {.part = APK_STRANGE, .text = {rest->at, rest->at}};
    while (token.text.end < rest->end && is_letter(*token.text.end))
        token.text.end++;
    size_t length = (size_t)(token.text.end - token.text.at);
    for (size_t i = 0; i < APK_SUFFIXES; i++) {
        if (length > 0 && strlen(apk_suffixes[i]) == length && memcmp(apk_suffixes[i], token.text.at, length) == 0) {
            token.part = APK_SUFFIX;
            token.suffix = i;
        }
    }
    rest->at = token.text.end;
    return token;
}

static struct apk_token apk_commit(struct stretch *rest) {
    struct apk_token token = {.part = APK_COMMIT, .text = {rest->at, rest->at}};
    while (token.text.end < rest->end && (is_letter(*token.text.end) || is_digit(*token.text.end)))
        token.text.end++;
    rest->at = token.text.end;
    return token;
}

static struct apk_token apk_next(struct stretch *rest, enum apk_part before) {
    struct apk_token strange = {.part = APK_STRANGE};
    if (rest->at == rest->end)
        return (struct apk_token){.part = APK_END};
    if (before == APK_FIRST || (before == APK_SUFFIX && is_digit(*rest->at)))
        return apk_digits(rest, before == APK_FIRST ? APK_NUMBER : APK_SUFFIX_NUMBER);
    if (before == APK_NUMBER && is_letter(*rest->at)) {
        rest->at++;
        return (struct apk_token){.part = APK_LETTER, .text = {rest->at - 1, rest->at}};
    }
    char sign = *rest->at++;
    if (sign == '.' && before == APK_NUMBER)
        return apk_digits(rest, APK_NUMBER);
    if (sign == '_' && before <= APK_SUFFIX_NUMBER)
        return apk_suffix(rest);
    if (sign == '~' && before <= APK_SUFFIX_NUMBER)
        return apk_commit(rest);
    if (sign == '-' && before <= APK_COMMIT && rest->at < rest->end && *rest->at++ == 'r')
        return apk_digits(rest, APK_REVISION);
    return strange;
}

static int compare_texts(const struct stretch *a, const struct stretch *b) {
    size_t length_a = (size_t)(a->end - a->at), length_b = (size_t)(b->end - b->at);
    int order = memcmp(a->at, b->at, length_a < length_b ? length_a : length_b);
    return order != 0 ? order : (length_a > length_b) - (length_a < length_b);
}

/* A number behind a dot that begins with 0 is a fraction: 1.01 is before 1.1. */
static int apk_values(struct apk_token *a, struct apk_token *b, bool first) {
    switch (a->part) {
    case APK_NUMBER:
        if (!first && (*a->text.at == '0' || *b->text.at == '0'))
            return compare_texts(&a->text, &b->text);
        return compare_numbers(&a->text, &b->text);
    case APK_SUFFIX_NUMBER:
    case APK_REVISION: return compare_numbers(&a->text, &b->text);
    case APK_SUFFIX: return (int)a->suffix - (int)b->suffix;
    case APK_LETTER:
    case APK_COMMIT: return compare_texts(&a->text, &b->text);
    default: return 0;
    }
}

static bool apk_is_older(const struct apk_token *token) {
    return token->part == APK_SUFFIX && token->suffix < APK_NO_SUFFIX;
}

static int apk_compare(const char *left, const char *right) {
    struct stretch a = {left, left + strlen(left)}, b = {right, right + strlen(right)};
    struct apk_token x = {.part = APK_FIRST}, y = x;
    bool first = true;
    do {
        x = apk_next(&a, x.part);
        y = apk_next(&b, y.part);
        if (x.part != y.part)
            break;
        int order = apk_values(&x, &y, first);
        if (order != 0)
            return order;
        first = false;
    } while (x.part < APK_END);
    if (x.part == y.part)
        return x.part == APK_END ? 0 : strcmp(left, right);
    if (apk_is_older(&x) || apk_is_older(&y))
        return apk_is_older(&x) ? -1 : 1;
    return x.part < y.part ? 1 : -1;
}

int package_compare(enum package_manager manager, const char *a, const char *b) {
    return manager == PACKAGES_APK ? apk_compare(a, b) : debian_compare(a, b);
}
