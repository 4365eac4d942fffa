/* Two libraries of one layout, each of which opens a file. */
#include <fcntl.h>
#include <unistd.h>

int reuse_open(const char *path);
int reuse_open(const char *path) {
    int file = open(path, O_RDONLY);
    if (file >= 0)
        close(file);
    return file >= 0;
}

extern const char reuse_letter;
