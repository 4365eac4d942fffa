/* Many threads call, come and go; every call must have been counted, once. Then a child of fork counts from zero. Looks
 * into the shim's memory by the symbols of its file.
 *
 *   counts SHIM
 */
#include <fcntl.h>
#include <gelf.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/wait.h>

#include "preload/threads.h"
#include "tests/hazards/hazard.h"

#define THREADS 64
#define ROUNDS 3
#define CALLS 100000
#define OPENS 500

static uint64_t base_of(const char *name) {
    char line[4096];
    uint64_t base = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (base == 0 && maps != NULL && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, name) != NULL)
            base = strtoull(line, NULL, 16);
    EXPECT(base != 0);
    fclose(maps);
    return base;
}

static void *find(const char *file, uint64_t base, const char *wanted, uint64_t *size) {
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    Elf *elf = elf_begin(descriptor, ELF_C_READ, NULL);
    EXPECT(elf != NULL);
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        GElf_Sym symbol;
        if (gelf_getshdr(section, &header) == NULL || header.sh_type != SHT_SYMTAB)
            continue;
        Elf_Data *data = elf_getdata(section, NULL);
        for (int i = 0; gelf_getsym(data, i, &symbol) != NULL; i++)
            if (strcmp(elf_strptr(elf, header.sh_link, symbol.st_name), wanted) == 0) {
                *size = symbol.st_size;
                return (void *)(base + symbol.st_value);
            }
    }
    printf("%s has no symbol %s\n", file, wanted);
    exit(77);
}

static volatile struct counts_slot *slots;
static size_t slots_max;

static uint64_t total(unsigned api) {
    uint64_t sum = 0;
    for (size_t i = 0; i < slots_max; i++)
        if (slots[i].address != NULL)
            sum += ((struct thread_slot *)slots[i].address)->counts[api];
    return sum;
}

static void *work(void *unused) {
    for (int i = 0; i < CALLS; i++)
        getppid();
    for (int i = 0; i < OPENS; i++)
        close(open("/dev/null", O_RDONLY));
    return unused;
}

int main(int count, char **arguments) {
    pthread_t threads[THREADS];
    uint64_t size, calls, opens;
    int status = 1;
    EXPECT(count == 2);
    elf_version(EV_CURRENT);
    slots = find(arguments[1], base_of("libpinion.so"), "slots", &size);
    slots_max = size / sizeof *slots;
    calls = total(API_getppid);
    opens = total(API_open);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < THREADS; i++)
            EXPECT(pthread_create(&threads[i], NULL, work, NULL) == 0);
        for (int i = 0; i < THREADS; i++)
            EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    printf("calls %ld, opens %ld\n", (long)(total(API_getppid) - calls) - ROUNDS * THREADS * CALLS,
           (long)(total(API_open) - opens) - ROUNDS * THREADS * OPENS);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        getppid();
        getppid();
        printf("child %lu %lu\n", total(API_getppid), total(API_open));
        exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
