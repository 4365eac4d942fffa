/* Bringing one file into the stage: no byte more than the recipe says, and kept only if every one is right. file: is a
 * path of the target, read through the stage; the rest is libcurl's.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/sha256.h"
#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/method_parts.h"

#define CONNECT_SECONDS 30L
#define SLOW_SECONDS 60L /* below SLOW_BYTES a second */
#define SLOW_BYTES 512L
#define REDIRECTS_MOST 5L

struct sink {
    int fd;
    uint64_t limit, length;
    struct sha256 hash;
    int error; /* errno of a write; EFBIG: more came than the recipe says */
};

static bool take(struct sink *sink, const char *data, size_t size) {
    if (size > sink->limit - sink->length)
        sink->error = EFBIG;
    for (size_t done = 0; sink->error == 0 && done < size;) {
        ssize_t written = write(sink->fd, data + done, size - done);
        if (written < 0 && errno != EINTR)
            sink->error = errno;
        done += written > 0 ? (size_t)written : 0;
    }
    if (sink->error != 0)
        return false;
    sha256_add(&sink->hash, data, size);
    sink->length += size;
    return true;
}

static bool sink_mistake(const struct sink *sink, const char *url, struct mistake *mistake) {
    if (sink->error == EFBIG)
        return text_mistake(mistake, 0, "%s: more than the %llu bytes that the recipe says", url,
                            (unsigned long long)sink->limit);
    return text_mistake(mistake, 0, "%s: cannot be kept: %s", url, strerror(sink->error));
}

/* ---- http and https ---- */

static size_t take_from_curl(char *data, size_t size, size_t count, void *context) {
    return take(context, data, size * count) ? size * count : 0;
}

static void set_options(CURL *curl, const char *url, unsigned seconds, struct sink *sink, char *error) {
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    /* Never from https to anything else. */
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, strncasecmp(url, "https:", 6) == 0 ? "https" : "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MOST);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)seconds);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, SLOW_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_from_curl);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
}

static bool from_network(const char *url, unsigned seconds, struct sink *sink, struct mistake *mistake) {
    char error[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        return text_mistake(mistake, 0, "%s: libcurl cannot be used", url);
    set_options(curl, url, seconds, sink, error);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    if (code == CURLE_OK)
        return true;
    if (sink->error != 0)
        return sink_mistake(sink, url, mistake);
    return text_mistake(mistake, 0, "%s: %s", url, *error != '\0' ? error : curl_easy_strerror(code));
}

/* ---- file ---- */

/* "file:/path" and "file:///path". */
static const char *file_path(const char *url) {
    if (strncasecmp(url, "file:", 5) != 0)
        return NULL;
    url += 5;
    if (strncmp(url, "//", 2) == 0)
        url += 2;
    return *url == '/' ? url : NULL;
}

static bool from_target(const struct stage *stage, const char *path, struct sink *sink, struct mistake *mistake) {
    cleanup_fd int fd = stage_openat(stage, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        return text_mistake(mistake, 0, "%s in the target: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return text_mistake(mistake, 0, "%s in the target is no regular file", path);
    char buffer[16384];
    for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) != 0;) {
        if (got < 0)
            return text_mistake(mistake, 0, "%s in the target: %s", path, strerror(errno));
        if (!take(sink, buffer, (size_t)got))
            return sink_mistake(sink, path, mistake);
    }
    return true;
}

/* ---- both ---- */

static bool check(const struct sink *sink, const struct recipe_file *file, const char *url, struct mistake *mistake) {
    uint8_t digest[SHA256_BYTES];
    struct sha256 hash = sink->hash;
    sha256_end(&hash, digest);
    if (sink->length != file->size)
        return text_mistake(mistake, 0, "%s: %llu bytes came, the recipe says %llu", url,
                            (unsigned long long)sink->length, (unsigned long long)file->size);
    if (memcmp(digest, file->sha256, sizeof(digest)) != 0)
        return text_mistake(mistake, 0, "%s: the digest of what came is not the one in the recipe", url);
    return true;
}

bool method_download(const struct stage *stage, const struct recipe_file *file, const char *url, const char *name,
                     struct method_cost *cost, struct mistake *mistake) {
    cleanup_fd int directory = stage_openat(stage, STAGE_WORK, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    cleanup_fd int fd = -1;
    if (directory >= 0 && (unlinkat(directory, name, 0) == 0 || errno == ENOENT))
        fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return text_mistake(mistake, 0, "cannot make " STAGE_WORK "/%s in the stage: %s", name, strerror(errno));
    struct sink sink = {.fd = fd, .limit = file->size};
    sha256_begin(&sink.hash);
    const char *path = file_path(url);
    bool good = path != NULL ? from_target(stage, path, &sink, mistake)
                             : from_network(url, method_seconds(stage), &sink, mistake);
    cost->downloaded += sink.length;
    if (good && check(&sink, file, url, mistake))
        return true;
    unlinkat(directory, name, 0);
    return false;
}
