/* The digest is the standard's: its published examples, and OpenSSL's answer for every length around the block's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "runtime/sha256.h"

static void digest_text(const char *text, size_t times, char hexadecimal[2 * SHA256_BYTES + 1]) {
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES];
    sha256_begin(&hash);
    for (size_t i = 0; i < times; i++)
        sha256_add(&hash, text, strlen(text));
    sha256_end(&hash, digest);
    for (size_t i = 0; i < SHA256_BYTES; i++)
        sprintf(hexadecimal + 2 * i, "%02x", digest[i]);
}

static void test_published_examples(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t times;
        const char *digest;
    } rows[] = {
        {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char hexadecimal[2 * SHA256_BYTES + 1];
        digest_text(rows[i].text, rows[i].times, hexadecimal);
        assert_string_equal(hexadecimal, rows[i].digest);
    }
}

static void test_every_length_as_openssl(void **state) {
    (void)state;
    uint8_t data[300];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (size_t length = 0; length <= sizeof data; length++) {
        struct sha256 hash;
        uint8_t digest[SHA256_BYTES], expected[SHA256_BYTES];
        sha256_begin(&hash);
        sha256_add(&hash, data, length / 3);
        sha256_add(&hash, data + length / 3, length - length / 3);
        sha256_end(&hash, digest);
        SHA256(data, length, expected);
        assert_memory_equal(digest, expected, sizeof digest);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_examples),
        cmocka_unit_test(test_every_length_as_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
