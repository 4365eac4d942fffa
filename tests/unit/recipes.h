/* Recipes for tests: a small good one, in parts that a test can put something else in place of. */
#ifndef PINION_TESTS_UNIT_RECIPES_H
#define PINION_TESTS_UNIT_RECIPES_H

#define RECIPE_DIGEST "3a3069e40533beeb9dd401b652d04f67af1a48fb6494873e2e0b1242935fc814"
#define RECIPE_HEAD                                                                      \
    "recipe = \"openssl-3.0.15\";\nsummary = \"Heap overflow in X.509\";\nserial = 3;\n" \
    "created = \"2026-01-02\";\nexpires = \"2030-01-02T03:04:05Z\";\n"
#define RECIPE_ANSWERS "answers = { signatures = [ \"x509\" ]; cves = [ \"CVE-2022-3602\" ]; };\n"
#define RECIPE_PACKAGE "package = { name = \"libssl3\"; fixed = \"3.0.15-1~deb12u1\"; };\n"
#define RECIPE_ARCHIVE(package, version, source, size)                                                     \
    "{ package = \"" package "\"; version = \"" version "\"; architecture = \"amd64\"; source = \"" source \
    "\"; size = " size "; sha256 = \"" RECIPE_DIGEST "\"; }"
#define RECIPE_LIBSSL \
    RECIPE_ARCHIVE("libssl3", "3.0.15-1~deb12u1", "pool/main/o/openssl/libssl3_3.0.15_amd64.deb", "2020000")
#define RECIPE_APT(archives) RECIPE_PACKAGE "method = \"apt\"; apt = { archives = ( " archives " ); }; "
#define RECIPE_GOOD RECIPE_HEAD RECIPE_ANSWERS RECIPE_APT(RECIPE_LIBSSL)
/* Line 7 is the first of `rest`. */
#define RECIPE_WITH(rest) RECIPE_HEAD RECIPE_ANSWERS rest

#endif
